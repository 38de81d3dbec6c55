"""Label sets, tables between them, and labels that do not exclude one another, end to end."""

from __future__ import annotations

import io
import json

import jsonschema
import numpy as np
import pytest
from rich.console import Console
from test_agent import GOOD, INFO, PICTURE, content_free, script

from kuleshov import Agent, Inference, Settings
from kuleshov.apps.cli.main import main
from kuleshov.asking import images
from kuleshov.asking import writer as asking_writer
from kuleshov.asking.family import find_family
from kuleshov.evidence import fusion
from kuleshov.output import card, report
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet, mappings, shipped_label_sets
from kuleshov.tools.mllm import Call, ScriptedMllm
from kuleshov.tools.types import EmotionScores
from kuleshov.types import FusedScores

from parts import SMILE, HandFaces, face

SIZES = {
    "academic-5": 5,
    "cowen-keltner-28": 28,
    "du-compound-22": 22,
    "ekman-6": 6,
    "ekman-7": 7,
    "ekman-8": 8,
    "emotic-26": 26,
    "free": 0,
    "goemotions-27": 27,
    "pain-4": 4,
    "plutchik-8": 8,
}
STATES = INFO.model_copy(update={"scores_labels": False})


def reader(mllm, **settings) -> Agent:
    return Agent(mllm, HandFaces(face(SMILE)), Settings.load(**settings))


def card_of(inference: Inference) -> str:
    with io.StringIO() as text:
        card.print_card(inference, Console(file=text, width=100))
        return text.getvalue()


# ------------------------------------------------------------------------- the sets


def test_the_shipped_sets_are_whole_and_name_a_publication():
    assert shipped_label_sets() == list(SIZES)
    for name, size in SIZES.items():
        labels = LabelSet.load(name)
        assert (labels.name, len(labels.names)) == (name, size)
        assert name == "free" or any(char.isdigit() for char in labels.source)
        if any(label.valence is not None for label in labels.labels):
            assert "Russell & Mehrabian" in labels.anchors


def test_a_word_finds_its_label_by_synonym_whatever_its_case():
    labels = LabelSet.load("emotic-26")
    assert labels.find("Doubt") == "doubt/confusion"
    assert labels.find(" HAPPY ") == "happiness"
    assert labels.find("neutral") is None


@pytest.mark.parametrize(
    ("given", "name", "votes"),
    [
        ("['Happy']", "happiness", None),
        ("{'anger': 2, 'fear': 1}", "anger", {"anger": 2, "fear": 1}),
        ("happy; sad", None, {"happiness": 1, "sadness": 1}),
        ("happy, not sure", "happiness", None),
        ("\u201cHappy!\u201d", "happiness", None),
        ("I don\u2019t know.", None, None),
    ],
)
def test_peoples_spellings_of_labels(given, name, votes):
    told = LabelSet.load("ekman-7").read_label(given)
    assert (told.name, told.votes, told.unknown) == (name, votes, ())
    assert LabelSet.load("ekman-7").read_label("happy; grumpy").unknown == ("happy; grumpy",)


def test_independent_probabilities_need_not_sum_to_one_and_a_distribution_must():
    both = {"joy": 0.9, "fear": 0.8}
    scores = EmotionScores(labels="x", mode="multi", probabilities=both, method="m")
    assert EmotionScores.model_validate_json(scores.model_dump_json()) == scores
    with pytest.raises(ValueError, match="sum to 1"):
        EmotionScores(labels="x", probabilities=both, method="m")
    with pytest.raises(ValueError, match="lie in 0-1"):
        EmotionScores(labels="x", mode="multi", probabilities={"joy": 1.2}, method="m")


# ------------------------------------------------------------------------- from set to set


def test_each_table_has_a_place_for_every_label_of_its_source():
    for table in mappings.published_mappings():
        words = [word for words in table.labels.values() for word in words]
        assert sorted([*words, *table.without]) == sorted(LabelSet.load(table.source_set).names)
        assert set(table.labels) == set(LabelSet.load(table.target_set).names)
        assert any(char.isdigit() for char in table.source)


def test_a_distribution_is_carried_over_by_the_published_table():
    names = LabelSet.load("goemotions-27").names
    spread = dict.fromkeys(names, 0.0) | {"annoyance": 0.25, "anger": 0.25, "relief": 0.5}
    scores = EmotionScores(labels="goemotions-27", probabilities=spread, method="m")
    found, note = fusion.map_scores(scores, LabelSet.load("ekman-6"))
    assert found.probabilities["anger"] == pytest.approx(0.5)
    assert found.probabilities["happiness"] == pytest.approx(0.5)
    assert "Demszky et al. (2020)" in found.method
    assert note is None


def test_labels_without_counterpart_are_left_out_and_said():
    names = LabelSet.load("plutchik-8").names
    scores = EmotionScores(
        labels="plutchik-8", probabilities=dict.fromkeys(names, 1 / 8), method="m"
    )
    found, note = fusion.map_scores(scores, LabelSet.load("ekman-6"))
    assert found.probabilities["happiness"] == pytest.approx(1 / 6)
    assert found.method.endswith("without trust, anticipation")
    assert note == "trust, anticipation (25 %) is not in ekman-6: left out"


def test_without_a_table_it_is_unknown():
    scores = EmotionScores(
        labels="ekman-6",
        probabilities=dict.fromkeys(LabelSet.load("ekman-6").names, 1 / 6),
        method="m",
    )
    found, why = fusion.map_scores(scores, LabelSet.load("plutchik-8"))
    assert (found, why) == (None, "the face tool does not score joy, trust, anticipation")
    with pytest.raises(KuleshovError, match="no published table from emotic-26 to ekman-6"):
        mappings.require_mapping("emotic-26", "ekman-6")


def test_a_label_that_is_only_partly_scored_is_unknown():
    pairs, _ = mappings.map_labels(
        "goemotions-27", ("anger", "disgust", "fear", "joy", "sadness"), LabelSet.load("ekman-6")
    )
    assert pairs is None


def test_a_distribution_does_not_become_independent_probabilities():
    scores = EmotionScores(labels="x", probabilities={"a": 1.0}, method="m")
    assert fusion.map_scores(scores, LabelSet.load("emotic-26"))[0] is None
    many = EmotionScores(labels="x", mode="multi", probabilities={"a": 0.9, "b": 0.9}, method="m")
    found, why = fusion.map_scores(many, LabelSet.load("ekman-6"))
    assert found is None
    assert "do not exclude one another" in why
    with pytest.raises(ValueError, match="exclude one another"):
        fusion.fuse_bayes(many, many)


# ------------------------------------------------------------------------- multi, end to end


def yes_to(*labels: str, prior: float = 0.0):
    """Scores: ln 9 for yes to these labels, else for no; without evidence `prior` for each yes."""

    def score(call: Call) -> list[float]:
        if content_free(call):
            return [prior * answer.endswith(": yes") for answer in call.answers]
        found = []
        for answer in call.answers:
            label, _, word = answer.rpartition(": ")
            found.append(np.log(9) * ((word == "yes") == (label in labels)) + 0.0)
        return found

    return ScriptedMllm(script()._answers, score, info=INFO)


def test_each_label_gets_a_probability_of_its_own():
    mllm = yes_to("engagement", "doubt/confusion")
    inference = reader(mllm, labels="emotic-26").infer(PICTURE)
    (person,) = inference.people
    found = person.emotions
    assert (found.mode, found.fusion, len(found.probabilities)) == ("multi", "text", 26)
    assert found.method == "likelihood of yes against no, content-free prior removed"
    assert found.probabilities["engagement"] == pytest.approx(0.9)
    assert found.probabilities["doubt/confusion"] == pytest.approx(0.9)
    assert found.probabilities["anger"] == pytest.approx(0.1)
    (asked,) = [c for c in mllm.calls if c.kind == "score" and not content_free(c)]
    assert len(asked.answers) == 52
    assert "Several may, or none: affection, anger" in asked.text
    assert "- esteem: holding somebody in high regard" in asked.text
    alone = person.judgements[0]
    assert (alone.condition, alone.emotions) == ("face", None)
    assert "do not exclude one another" in alone.unanswered
    assert Inference.from_json(inference.to_json()) == inference
    jsonschema.validate(json.loads(inference.to_json()), Inference.json_schema())


def test_the_prior_of_each_label_is_divided_out():
    mllm = yes_to("pain", prior=float(np.log(3)))
    probabilities = reader(mllm, labels="emotic-26").infer(PICTURE).people[0].emotions.probabilities
    # odds 9 and 1/9, each over 3
    assert probabilities["pain"] == pytest.approx(3 / 4)
    assert probabilities["peace"] == pytest.approx(1 / 28)
    raw = reader(mllm, labels="emotic-26", prior_correction=False).infer(PICTURE)
    assert raw.people[0].emotions.probabilities["pain"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("strategy", "sources"), [("context", ["faces:hand", "mllm"]), ("mllm", ["faces:hand", "mllm"])]
)
def test_other_strategies_that_can_be_done(strategy, sources):
    mllm = yes_to("pain")
    (person,) = reader(mllm, labels="emotic-26", fusion=strategy).infer(PICTURE).people
    assert person.emotions.probabilities["pain"] == pytest.approx(0.9)
    assert [j.source for j in person.judgements] == sources


def test_what_multi_shows_on_card_and_page():
    inference = reader(yes_to("engagement", "esteem"), labels="emotic-26").infer(PICTURE)
    text = card_of(inference)
    assert "Person 1: engagement 90%, esteem 90%" in text
    assert "each label on its own, so they do not sum to 100%" in " ".join(text.split())
    page = report.report_html([inference], {})
    assert "engagement 90%, esteem 90%" in page
    assert "each label on its own" in page
    nobody = reader(yes_to(), labels="emotic-26").infer(PICTURE)
    assert "Person 1: none likely (affection 10%)" in card_of(nobody)


# ------------------------------------------------------------------------- stated numbers


def states(numbers, **info) -> ScriptedMllm:
    def answer(call: Call):
        if (
            call.schema
            and "cues" not in call.schema["properties"]
            and ("description" not in call.schema["properties"])
        ):
            return numbers if isinstance(numbers, str) else json.dumps(numbers)
        return script()._answers(call)

    return ScriptedMllm(answer, info=STATES.model_copy(update=info))


EKMAN6 = dict.fromkeys(LabelSet.load("ekman-6").names, 0)


def test_a_model_that_cannot_score_states_numbers_and_the_record_says_so():
    mllm = states(EKMAN6 | {"anger": 51, "disgust": 49})
    (person,) = reader(mllm, labels="ekman-6", fusion="text").infer(PICTURE).people
    assert person.emotions.method == "stated"
    assert person.emotions.probabilities["anger"] == pytest.approx(0.51)
    assert person.emotions.probabilities["disgust"] == pytest.approx(0.49)
    (asked,) = [c for c in mllm.calls if "JSON with a whole number" in c.text]
    assert list(asked.schema["properties"]) == list(EKMAN6)
    assert "together they make 100" in asked.text
    assert all(c.kind == "generate" for c in mllm.calls)


def test_stated_numbers_are_scaled_to_one_and_independent_ones_are_not():
    mllm = states(EKMAN6 | {"anger": 30, "fear": 90})
    (person,) = reader(mllm, labels="ekman-6", fusion="text").infer(PICTURE).people
    assert person.emotions.probabilities["anger"] == pytest.approx(0.25)
    many = dict.fromkeys(LabelSet.load("emotic-26").names, 80)
    (person,) = reader(states(many), labels="emotic-26").infer(PICTURE).people
    assert (person.emotions.mode, person.emotions.method) == ("multi", "stated")
    assert set(person.emotions.probabilities.values()) == {0.8}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("I would say joy", "could not be read: unanswered"),
        ({"anger": 100}, "could not be read: unanswered"),
        (EKMAN6 | {"anger": 140}, "could not be read: unanswered"),
        (EKMAN6 | {"anger": True}, "could not be read: unanswered"),
        (EKMAN6, "states 0 for every label: unanswered"),
    ],
)
def test_numbers_that_cannot_be_read_are_unanswered(told, reason):
    inference = reader(states(told), labels="ekman-6", fusion="context").infer(PICTURE)
    assert any(reason in gap.reason for gap in inference.gaps)
    assert "context" not in [j.condition for j in inference.people[0].judgements]


def test_the_models_own_words_with_stated_numbers():
    told = {**GOOD, "emotions": ["relief", "pride"]}

    def answer(call: Call):
        if call.schema and "relief" in call.schema["properties"]:
            return '{"relief": 60, "pride": 20}'
        return script(judge=told)._answers(call)

    mllm = ScriptedMllm(answer, info=STATES)
    (person,) = reader(mllm, labels="free").infer(PICTURE).people
    assert person.emotions.probabilities == pytest.approx({"relief": 0.75, "pride": 0.25})
    assert person.emotions.method == "stated over the model's own words"


def test_what_the_scores_rest_on_is_named():
    info = INFO.model_copy(update={"scores_by": "top log-probabilities"})
    mllm = ScriptedMllm(script()._answers, script()._scores, info=info)
    (person,) = reader(mllm, fusion="text").infer(PICTURE).people
    assert person.emotions.method == "top log-probabilities, content-free prior removed"


def test_every_family_asks_for_each_label_and_for_numbers():
    from kuleshov import prompts

    labels = LabelSet.load("emotic-26")
    for family in prompts.FAMILIES:
        for info in (INFO, STATES):
            writer = asking_writer.Writer(find_family(family), info, labels)
            blank, nothing = images.blank_image(), asking_writer.content_free()
            told = writer.judge(blank, None, None, nothing, False)
            talks = [
                writer.direct(blank, None, None, nothing, labels.names),
                writer.expression(blank, labels.names),
                writer.label(told, "{}", 1, labels.names),
            ]
            for talk in talks:
                asked = Call("score", talk).text
                assert "doubt/confusion" in asked
                assert (
                    ("0 " in asked and "100" in asked) if info is STATES else "yes or no" in asked
                )
            assert ("N/A" in Call("score", talks[0]).text) == (family != "review")


# ------------------------------------------------------------------------- mixed readings


@pytest.mark.parametrize("strategy", ["text", "context", "mllm"])
def test_a_mixed_reading_stays_mixed_to_card_page_and_record(strategy):
    mllm = script(
        label=lambda call: [
            {"anger": np.log(0.51), "disgust": np.log(0.49)}.get(a, -30.0) for a in call.answers
        ]
    )
    inference = reader(mllm, labels="ekman-6", fusion=strategy).infer(PICTURE)
    found = json.loads(inference.to_json())["people"][0]["emotions"]["probabilities"]
    assert found["anger"] == pytest.approx(0.51, abs=1e-9)
    assert found["disgust"] == pytest.approx(0.49, abs=1e-9)
    assert "Person 1: anger 51%, disgust 49%" in card_of(inference)
    assert "anger 51%, disgust 49%" in report.report_html([inference], {})


@pytest.mark.parametrize(
    ("strategy", "conditions"),
    [
        ("text", ["both"]),
        ("context", ["context"]),
        ("mllm", ["face"]),
        ("people", ["context", "both"]),
        ("bayes", ["context", "both"]),
    ],
)
def test_every_reading_has_a_prior_of_its_own_divided_out_and_asked_once(strategy, conditions):
    def score(call: Call) -> list[float]:
        # without evidence the model leans to anger, after an explanation to fear; with it as well
        lean = "fear" if len(call.conversation) > 1 else "anger"
        told = 0.0 if content_free(call) else 1.0
        return [5.0 * (a == lean) + told * (a == "surprise") for a in call.answers]

    mllm = ScriptedMllm(script()._answers, score, info=INFO)
    agent = reader(mllm, fusion=strategy)
    for _ in range(2):
        (person,) = agent.infer(PICTURE).people
    own = [j for j in person.judgements if j.source == "mllm"]
    assert [j.condition for j in own] == conditions
    for judgement in own:
        assert judgement.emotions.top == "surprise"
        assert judgement.emotions.probabilities["anger"] == pytest.approx(1 / (6 + np.e))
        assert judgement.emotions.method == "likelihood, content-free prior removed"
    asked = [c for c in mllm.calls if c.kind == "score" and content_free(c)]
    assert len(asked) == len(conditions)
    raw = reader(mllm, fusion=strategy, prior_correction=False).infer(PICTURE)
    for judgement in raw.people[0].judgements:
        if judgement.source == "mllm":
            assert judgement.emotions.top in ("anger", "fear")


# ------------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"labels": "emotic-26", "fusion": "people"},
            "exclude one another.*fusion text",
        ),
        ({"labels": "emotic-26", "fusion": "face"}, "exclude one another.*fusion text"),
        ({"labels": "plutchik-8", "fusion": "bayes"}, "every label of plutchik-8"),
        ({"labels": "free", "fusion": "mllm"}, "needs a list of labels"),
        ({"labels": "free", "prompts": "review"}, "answered in free words"),
    ],
)
def test_choices_that_cannot_be_are_refused_at_once(settings, sentence):
    with pytest.raises(KuleshovError, match=sentence):
        reader(script(), **settings)


def test_a_model_taught_to_choose_one_is_not_asked_for_each(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'name="mine"\nsource="us"\nmode="multi"\n[[labels]]\nname="anger"\n[[labels]]\nname="fear"\n'
    )
    taught = INFO.model_copy(update={"taught_labels": ("anger", "fear")})
    with pytest.raises(KuleshovError, match="taught to choose one label, not to say yes or no"):
        reader(ScriptedMllm(info=taught), labels=str(mine))


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('[[labels]]\nname="joy"\n', "needs at least two labels"),
        (
            '[[labels]]\nname="joy"\nsynonyms=["glad"]\n[[labels]]\nname="bliss"\nsynonyms=["Glad"]\n',
            "'Glad' stands for both 'joy' and 'bliss'",
        ),
    ],
)
def test_a_bad_set_of_ones_own_ends_the_command_with_one_sentence(
    tmp_path, capsys, toml, complaint
):
    path = tmp_path / "mine.toml"
    path.write_text('name="mine"\nsource="us"\n' + toml)
    assert main(["labels", "show", str(path)]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


# ------------------------------------------------------------------------- kuleshov labels


def test_labels_are_listed_shown_and_mapped(capsys):
    assert main(["labels"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SIZES)
    assert main(["labels", "show", "plutchik-8"]) == 0
    shown = capsys.readouterr().out
    assert "taking somebody or something as safe" in " ".join(shown.split())
    assert main(["labels", "map", "goemotions-27", "ekman-6"]) == 0
    assert "realization" in capsys.readouterr().out
    assert main(["labels", "--json"]) == 0
    assert {one["name"]: one["labels"] for one in json.loads(capsys.readouterr().out)} == SIZES
    assert main(["labels", "show", "emotic-26", "--json"]) == 0
    assert LabelSet.model_validate_json(capsys.readouterr().out) == LabelSet.load("emotic-26")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "emotic"], "no label set 'emotic' (did you mean emotic-26?)"),
        (["map", "emotic-26", "ekman-7"], "no published table from emotic-26 to ekman-7"),
    ],
)
def test_an_unknown_set_or_table_is_a_usage_error(capsys, arguments, sentence):
    assert main(["labels", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_fused_reading_keeps_the_mode():
    scores = EmotionScores(labels="x", mode="multi", probabilities={"a": 1.0, "b": 1.0}, method="m")
    assert FusedScores(**scores.model_dump(), fusion="text").mode == "multi"
