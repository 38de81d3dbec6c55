"""Face and context as people weigh them: the default fusion, its record, and what bounds it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from test_agent import INFO, PICTURE, content_free, script

from kuleshov import Agent, Inference, Settings
from kuleshov.apps.cli.main import main
from kuleshov.evidence import fusion
from kuleshov.evidence.observer import Observer, shipped_observer
from kuleshov.output import view
from kuleshov.tools import pocket as bundled
from kuleshov.tools.faces.pocket import PocketFaces
from kuleshov.tools.mllm import ScriptedMllm
from kuleshov.tools.pocket import face_net, weights

from parts import EKMAN7, HandFaces, face, scores

OBSERVER = """
schema = "kuleshov/observer@1"
name = "our lab"
face_weight = 0.5
context_weight = 0.9
floor = 0.01
judgements = 12
source = "twelve judgements"
command = "kuleshov integrate own.csv"
"""


@pytest.fixture(scope="module")
def pocket() -> Agent:
    return Agent.load(model="pocket", faces="pocket")


def reader(p_context: dict[str, float], expression, **settings) -> Agent:
    """A model that reads every context as `p_context`, and a face tool that says `expression`."""
    logs = dict(zip(EKMAN7, np.log([p_context[name] for name in EKMAN7]), strict=True))

    def score(call):
        return [0.0 if content_free(call) else logs[answer] for answer in call.answers]

    mllm = ScriptedMllm(script()._answers, score, info=INFO)
    shown = face().model_copy(update={"expression": expression})
    return Agent(mllm, HandFaces(shown), Settings.load(**settings))


# ------------------------------------------------------------------------- what it does


def test_a_neutral_face_is_moved_by_what_is_told(pocket: Agent, feat_data: Path):
    photo = feat_data / "45-m7-di-ph.jpg"
    plain, funeral, wedding = (
        pocket.infer(photo, context=told).people[0].emotions
        for told in ((), "They are at a funeral.", "They are at a wedding.")
    )
    assert {plain.fusion, funeral.fusion, wedding.fusion} == {"people"}
    assert plain.probabilities["neutral"] > 0.55
    assert funeral.probabilities["sadness"] > wedding.probabilities["sadness"] + 0.1
    assert wedding.probabilities["happiness"] > funeral.probabilities["happiness"] + 0.03


def test_the_record_says_what_each_cue_weighed_and_why(pocket: Agent, feat_data: Path):
    read = pocket.infer(feat_data / "single_face.jpg", context="They have lost.")
    people = shipped_observer()
    fused = read.people[0].emotions
    of_face, told, seen = fused.cues
    assert [(cue.cue, cue.part) for cue in fused.cues] == [
        ("face", None),
        ("context", "told"),
        ("context", "seen"),
    ]
    # what is told weighs against the face as people weigh it, what was seen as far as reliable
    ratio = people.context_weight / people.face_weight
    assert told.weight / of_face.weight == pytest.approx(ratio, rel=1e-3)
    assert seen.weight / told.weight == pytest.approx(bundled.CONTEXT_WEIGHT, rel=1e-3)
    # and three cues that agree sharpen no more than people's two
    total = of_face.weight + told.weight + seen.weight
    assert total == pytest.approx(people.face_weight + people.context_weight, abs=1e-3)
    assert of_face.temperature == 1
    assert told.temperature == bundled.fitted_scale()["context"]["temperature"]
    assert "ISEAR" in told.why
    assert read.provenance.observer["source"].startswith("Ong, Zaki & Goodman (2015)")
    assert read.provenance.observer["command"] == "kuleshov integrate experiment3.csv"
    parts = [(j.condition, j.part) for j in read.people[0].judgements]
    assert parts == [
        ("face", None),
        ("context", None),
        ("both", None),
        ("context", "told"),
        ("context", "seen"),
    ]
    # by hand: the pool of the readings in the record
    by = {j.part or j.condition: j.emotions.probabilities for j in read.people[0].judgements}
    logs = {
        label: sum(
            cue.weight / cue.temperature * math.log(by[cue.part or cue.cue][label])
            for cue in fused.cues[1:]
        )
        + of_face.weight * math.log(max(by["face"][label], people.floor))
        for label in EKMAN7
    }
    total = sum(map(math.exp, logs.values()))
    for label, value in logs.items():
        assert fused.probabilities[label] == pytest.approx(math.exp(value) / total, abs=2e-3)
    assert Inference.from_json(read.to_json()) == read


def test_card_and_page_name_the_observer(feat_data: Path, tmp_path: Path, capsys):
    photo, page = str(feat_data / "single_face.jpg"), tmp_path / "r.html"
    options = ["--model", "pocket", "--faces", "pocket", "--context", "They lost."]
    assert main(["infer", photo, "-v", *options, "--report", str(page)]) == 0
    card = " ".join(capsys.readouterr().out.split())
    for text in (card, page.read_text("utf-8")):
        assert "observer people: face 0.59, context told 0.42" in text
        assert "Ong, Zaki" in text
        assert "kuleshov integrate experiment3.csv" in text


def test_an_own_observer_is_used_and_named(feat_data: Path, tmp_path: Path, capsys):
    path = tmp_path / "lab.toml"
    path.write_text(OBSERVER, "utf-8")
    photo = str(feat_data / "single_face.jpg")
    options = ["--model", "pocket", "--faces", "pocket", "--context", "They lost.", "--json"]
    assert main(["infer", photo, *options, "--observer", str(path)]) == 0
    read = Inference.model_validate(json.loads(capsys.readouterr().out))
    used = read.provenance.observer
    assert (used["name"], used["file"]) == ("our lab", str(path))
    assert used["sha256"] == weights.hash_file(path)
    of_face, told, _ = read.people[0].emotions.cues
    assert told.weight / of_face.weight == pytest.approx(0.9 / 0.5, rel=1e-3)
    assert read.people[0].emotions.observer == "our lab"
    assert f"{path}, SHA-256 {used['sha256'][:12]}" in view.observer_text(used)
    for text, sentence in (("face_weight = 1", "is not an observer"), ("[[", "is not TOML")):
        path.write_text(text, "utf-8")
        assert main(["infer", photo, *options, "--observer", str(path)]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["infer", photo, *options, "--observer", str(tmp_path / "none.toml")]) == 2
    assert "cannot read the observer" in capsys.readouterr().err


# ------------------------------------------------------------------------- what bounds it


def test_agreement_sharpens_no_more_than_peoples():
    sure = {name: 0.9 if name == "happiness" else 0.1 / 6 for name in EKMAN7}
    fused = reader(sure, scores(happiness=0.9)).infer(PICTURE).people[0].emotions
    most = shipped_observer().combine(scores(happiness=0.9).probabilities, sure)
    assert fused.probabilities["happiness"] == pytest.approx(most["happiness"], abs=1e-6)
    product = fusion.fuse_bayes(scores(happiness=0.9), scores(happiness=0.9))
    assert fused.probabilities["happiness"] < 0.94 < product["happiness"]


def test_extreme_certainty_is_bounded_by_what_people_were_sure_of():
    certain = {name: 1 - 6e-9 if name == "sadness" else 1e-9 for name in EKMAN7}
    fused = reader(certain, scores(happiness=1.0)).infer(PICTURE).people[0].emotions
    people = shipped_observer()
    assert people.floor >= 0.001
    # face and context contradict each other with certainty: neither rules the other out
    ratio = (1 / people.floor) ** (people.face_weight - people.context_weight)
    found = fused.probabilities["happiness"] / fused.probabilities["sadness"]
    assert found == pytest.approx(ratio, rel=1e-3)


def test_a_context_that_weighs_nothing_leaves_the_face_alone():
    sad = {name: 0.9 if name == "sadness" else 0.1 / 6 for name in EKMAN7}
    agent = reader(sad, scores(happiness=0.8), context_weight=0.0)
    fused = agent.infer(PICTURE).people[0].emotions
    assert fused.fusion == "people"
    assert fused.probabilities == pytest.approx(scores(happiness=0.8).probabilities)
    half = agent.with_settings(context_weight=0.5).infer(PICTURE).people[0].emotions
    whole = agent.with_settings(context_weight=1.0).infer(PICTURE).people[0].emotions
    assert 0 < fused.probabilities["sadness"] < half.probabilities["sadness"]
    assert half.probabilities["sadness"] < whole.probabilities["sadness"]


def test_shares_of_contexts_by_hand():
    observer = Observer(
        name="o", face_weight=0.6, context_weight=0.4, judgements=1, source="s", command="c"
    )
    assert observer.exponents([1.0]) == (pytest.approx(0.6), [pytest.approx(0.4)], 1.0)
    assert observer.exponents([0.0]) == (1.0, [0.0], 0.0)
    of_face, (told, seen), part = observer.exponents([1.0, 0.25])
    assert (of_face + told + seen, part) == (pytest.approx(1.0), 1.0)
    assert (told / of_face, seen / told) == (pytest.approx(2 / 3), pytest.approx(0.25))


def test_a_prior_that_lacks_a_label_is_refused(tmp_path: Path):
    path = tmp_path / "o.toml"
    path.write_text(OBSERVER + "prior_weight = 0.1\n[prior]\nhappiness = 1.0\n", "utf-8")
    from kuleshov.tools.errors import KuleshovError

    with pytest.raises(KuleshovError, match="knows no prior of anger"):
        reader(dict.fromkeys(EKMAN7, 1 / 7), scores(), observer=str(path))


# ------------------------------------------------------------------------- scale and prior


def test_the_temperatures_hold_for_the_weights_that_ship():
    shipped = weights.hash_file(bundled.weights_folder() / "llava" / "model.safetensors")
    told = bundled.fitted_scale()
    # after a training: python -m training.llava.scale --data ../shared/data
    assert told["weights_sha256"] == shipped
    assert bundled.scale_facts("another") == {}
    assert told["context"]["nll_after"] < told["context"]["nll_of_uniform"]


def test_bayes_divides_by_the_face_nets_training_prior(feat_data: Path):
    agent = Agent.load(model="pocket", faces="pocket", fusion="bayes")
    fused = agent.infer(feat_data / "single_face.jpg", context="They lost.").people[0]
    by = {j.condition: j.emotions.probabilities for j in fused.judgements}
    shares = np.exp(face_net.load_face_net().info.log_prior)
    prior = dict(zip(face_net.EXPRESSIONS, shares, strict=True))
    whole = sum(prior[name] for name in EKMAN7)
    weight = bundled.CONTEXT_WEIGHT
    by_hand = {
        name: by["face"][name] * (by["context"][name] / (prior[name] / whole)) ** weight
        for name in EKMAN7
    }
    total = sum(by_hand.values())
    for name, value in by_hand.items():
        assert fused.emotions.probabilities[name] == pytest.approx(value / total, abs=1e-4)
        assert fused.emotions.prior[name] == pytest.approx(prior[name] / whole, abs=1e-4)
    assert "FER+" in fused.emotions.prior_source
    assert PocketFaces().info.prior["neutral"] == pytest.approx(0.3749, abs=1e-3)
