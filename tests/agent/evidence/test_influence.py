"""Influence and incongruence: hand-worked figures, and the real path with the pocket models."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from kuleshov import Agent
from kuleshov.evidence import fusion, incongruence
from kuleshov.evidence.influence import AGREE, js_divergence, measure_influence
from kuleshov.output import view
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import ActionUnit, EmotionScores
from kuleshov.types import Evidence, Inference

from parts import NO_FROWN, SMILE, face, scores

EKMAN7 = LabelSet.load("ekman-7")


def two(p: float) -> EmotionScores:
    return EmotionScores(labels="two", probabilities={"a": p, "b": 1 - p}, method="by hand")


def test_divergence_is_jensen_shannon_in_bits():
    assert js_divergence({"a": 1, "b": 0}, {"a": 0, "b": 1}) == 1
    assert js_divergence({"a": 0.3, "b": 0.7}, {"b": 0.7, "a": 0.3}) == 0
    # by hand: m = (.75, .25); ½(1·log2(1/.75)) + ½(.5·log2(.5/.75) + .5·log2(.5/.25))
    assert js_divergence({"a": 1, "b": 0}, {"a": 0.5, "b": 0.5}) == pytest.approx(
        0.311278, abs=1e-6
    )
    with pytest.raises(ValueError, match="same labels"):
        js_divergence({"a": 1}, {"b": 1})


@pytest.mark.parametrize(
    ("face", "context", "both", "index"),
    [(0.9, 0.1, 0.9, 0.0), (0.9, 0.1, 0.1, 1.0), (0.9, 0.1, 0.5, 0.5), (0.5, 0.5, 0.5, None)],
)
def test_the_index_runs_from_face_to_context(face, context, both, index):
    found = measure_influence(two(face), two(context), two(both))
    assert found.index == (None if index is None else pytest.approx(index, abs=1e-9))
    assert (found.unanswered is None) == (index is not None)


def test_the_shift_is_signed_and_in_log_odds():
    # by hand: of two labels the shift is the change of the log-odds of b against a
    found = measure_influence(two(0.9), two(0.1), two(0.5))
    assert found.shift == pytest.approx(math.log(9))
    assert found.shift_whole == pytest.approx(2 * math.log(9))
    assert measure_influence(two(0.9), two(0.1), two(0.9)).shift == pytest.approx(0)
    assert measure_influence(two(0.9), two(0.1), two(0.99)).shift == pytest.approx(
        math.log(9) - math.log(99)  # away from the context
    )
    whole = measure_influence(two(0.9), two(0.1), two(0.1))
    assert whole.shift == pytest.approx(whole.shift_whole)


def test_where_face_and_context_do_not_part_there_is_no_index():
    alike = measure_influence(two(0.70), two(0.74), two(0.9))
    assert (alike.index, alike.shift, alike.shift_whole) == (None, None, None)
    assert alike.js_face_context < AGREE < alike.js_face_both
    assert "do not part" in alike.unanswered


def test_without_a_reading_there_is_no_index():
    found = measure_influence(two(0.9), None, two(0.5))
    assert (found.index, found.js_face_both) == (None, None)
    assert found.unanswered == "there is no reading of context alone"


def parted(face_scores, context_scores, *units, said=False, several=False):
    seen = face(*units)
    items = [
        Evidence(n=1, source="faces:hand", kind="action_unit", unit=12, text="AU12"),
        Evidence(n=2, source="mllm", kind="scene", text="scene: a funeral"),
    ]
    if said:
        items.append(Evidence(n=3, source="transcript", kind="transcript", text='said: "great"'))
    return incongruence.Parted(seen, face_scores, context_scores, items, EKMAN7, several)


HAPPY, SAD, CALM = scores(happiness=0.9), scores(sadness=0.9), scores(neutral=0.9)
CHEEKS, PRESS = ActionUnit(unit=6, probability=0.9), ActionUnit(unit=24, probability=0.9)
NO_CHEEKS = ActionUnit(unit=6, probability=0.1)


def test_labels_that_lead_in_turn_are_no_mixture():
    """From crying to laughing: the mean over a clip holds both, the face at no time."""
    case = parted(scores(happiness=0.48, sadness=0.47), SAD)
    turned = replace(case, in_turn=("sadness", "neutral", "happiness"))
    kinds = [one.kind for one in incongruence.find_incongruences(turned)]
    assert "mixed emotion" not in kinds
    still = replace(case, in_turn=("happiness",))
    assert [one.kind for one in incongruence.find_incongruences(still)] == ["mixed emotion"]


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        (parted(HAPPY, HAPPY, SMILE), []),
        (parted(HAPPY, SAD, SMILE, NO_CHEEKS), ["polite or masking smile"]),
        (parted(HAPPY, SAD, NO_FROWN), ["unexplained"]),  # happy by no unit that was measured
        (
            parted(HAPPY, SAD, SMILE, CHEEKS, several=True),
            ["polite or masking smile", "Schadenfreude"],
        ),
        (parted(HAPPY, SAD, SMILE, PRESS, several=True), ["polite or masking smile"]),
        (parted(SAD, HAPPY, said=True), ["sarcasm"]),
        (parted(SAD, HAPPY), ["unexplained"]),  # no sarcasm without words
        (parted(CALM, SAD, PRESS), ["suppressed emotion"]),
        (parted(scores(happiness=0.48, sadness=0.47), SAD), ["mixed emotion"]),
        (parted(scores(anger=0.51, disgust=0.49), scores(anger=0.51, disgust=0.49)), []),
    ],
)
def test_patterns(case, kinds):
    assert [found.kind for found in incongruence.find_incongruences(case)] == kinds


def test_a_candidate_names_evidence_source_and_what_was_not_measured():
    (found,) = incongruence.find_incongruences(parted(HAPPY, SAD, SMILE))
    assert found.evidence == (1, 2)
    assert "AU6 was not measured" in found.pattern
    assert "Ekman & Friesen (1982)" in found.source
    assert 0.2 < found.js_face_context < 1


@pytest.fixture(scope="module")
def pocket():
    return Agent.load(model="pocket", faces="pocket")


def test_the_pocket_models_read_apart_and_the_context_moves_the_reading(pocket, feat_data: Path):
    photo = feat_data / "single_face.jpg"
    read = pocket.infer(photo, context="They have just lost the match.", influence=True)
    (person,) = read.people
    moved = person.influence
    # a perception: the model was shown both, asked in the same way as for each alone
    assert moved.face.method == moved.context.method == moved.both.method
    assert (moved.both_is, view.third_reading(moved)) == ("model", "face and context")
    assert moved.both.probabilities != moved.computed.probabilities
    # and no rule: neither the observer's nor the product of the two
    product = fusion.fuse_bayes(moved.face, moved.context)
    assert abs(moved.both.probabilities["happiness"] - product["happiness"]) > 1e-4
    assert moved.computed.fusion == person.emotions.fusion == "people"
    old = moved.model_copy(update={"both_is": None, "both": person.emotions})
    assert view.third_reading(old) == "fused"  # a record from before this was told
    assert 0 < moved.index < 1
    assert abs(moved.shift) <= moved.shift_whole
    assert "log-odds" in view.shift_text(moved)
    assert "computed from the two alone: " in view.shift_text(moved)
    assert person.incongruence is not None
    assert person.covered_scene is not None
    assert read.covered_scene is None
    assert pocket.infer(photo).people[0].influence is None
    again = pocket.infer(photo, context="They have just lost the match.", influence=True)
    assert again.people == read.people  # to the bit, whatever was asked in between


def test_text_fusion_asks_for_all_three_in_the_same_way(feat_data: Path, pocket):
    agent = Agent.load(model="pocket", faces="pocket", fusion="text")
    read = agent.infer(feat_data / "single_face.jpg", context="A party", influence=True)
    moved = read.people[0].influence
    assert {moved.face.method, moved.context.method, moved.both.method} == {
        "likelihood, content-free prior removed"
    }
    assert moved.both.probabilities != read.people[0].emotions.probabilities
    assert (moved.both_is, view.third_reading(moved)) == ("model", "face and context")
    assert view.third_reading(moved.model_copy(update={"both_is": None})) == "face and context"


def test_influence_is_shown_on_the_card_and_in_json(capsys, feat_data: Path, tmp_path: Path):
    from kuleshov.apps.cli.main import main

    photo, page = str(feat_data / "single_face.jpg"), tmp_path / "r.html"
    options = ["--model", "pocket", "--faces", "pocket", "--context", "They lost."]
    assert main(["influence", photo, *options, "--report", str(page)]) == 0
    assert "Influence of the context" in capsys.readouterr().out
    assert "0: face, 1: context" in page.read_text("utf-8")
    assert main(["influence", photo, *options, "--json"]) == 0
    read = Inference.model_validate(json.loads(capsys.readouterr().out))
    assert read.people[0].influence.js_face_context is not None


def test_words_and_notes_are_numbered_evidence(pocket, feat_data: Path):
    read = pocket.infer(
        feat_data / "multi_face.jpg",
        said=["We won!"],
        who={1: 'the "coach"', 2: "a guest", 77: "nobody"},
    )
    told = {(e.kind, e.person, e.text) for e in read.evidence if e.source in ("user", "transcript")}
    assert told == {
        ("transcript", None, 'said: "We won!"'),
        ("person_note", 1, "note on person 1: \"the 'coach'\""),
        ("person_note", 2, 'note on person 2: "a guest"'),
    }
    assert "the note on person 77 is left out: there is no such person" in read.warnings
    assert [e.n for e in read.evidence] == list(range(1, len(read.evidence) + 1))
