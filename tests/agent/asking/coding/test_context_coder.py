"""Coded variables: probabilities by likelihood, evidence with numbers, refusals, the blank."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
import tiny_models
from PIL import Image

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.asking.images import draw_boxes
from kuleshov.output import coded_table
from kuleshov.session.open_medium import Words
from kuleshov.session.session import Session
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm import Call, ScriptedMllm
from kuleshov.tools.mllm.base import MllmError, MllmInfo
from kuleshov.tools.mllm.local.model import TransformersMllm

from parts import SMILE, HandFaces, face

PICTURE = np.full((100, 200, 3), 90, np.uint8)
INFO = MllmInfo(id="scripted", kind="scripted", device="cpu", dtype="none", prompts="brief")
SCHEME = """
name = "mine"
source = "made up"
[[variable]]
name = "place"
type = "category"
question = "Where is it?"
options = ["home", "street", "sea"]
[[variable]]
name = "light"
type = "ordinal"
question = "How bright?"
steps = 3
low = "dark"
[[variable]]
name = "people_count"
type = "count"
question = "How many people?"
[[variable]]
name = "thing"
type = "text"
question = "Which object?"
[[variable]]
name = "tone"
type = "category"
question = "How do the words sound?"
options = ["kind", "harsh"]
hears = true
[[variable]]
name = "sitting"
type = "yes/no"
scope = "person"
question = "Does this person sit?"
[[variable]]
name = "close"
type = "yes/no"
scope = "pair"
question = "Are these two close?"
"""
SEEN = {"home": 1.0, "street": 3.0, "sea": 0.0, "1": 0.0, "2": 1.0, "3": 1.0, "yes": 2.0, "no": 0.0}
BLANK = {"home": 2.0, "street": 1.0, "sea": 0.0, "1": 0.0, "2": 0.0, "3": 0.0, "yes": 2.0, "no": 0}
TONE = {"kind": 0.0, "harsh": 1.0}
TWO = (face(SMILE, box=(10, 10, 60, 70)), face(SMILE, box=(100, 10, 140, 60)))


def is_blank(call: Call) -> bool:
    shown = next(p["image"] for p in call.conversation[0]["content"] if p["type"] == "image")
    return bool((np.asarray(shown) == 127).all())


def scores(call: Call):
    if "What does the person feel" in call.text or "feels" in call.text:
        return [0.0] * len(call.answers)
    if "kind" in call.answers:
        return [0.0, 0.0] if is_blank(call) else [TONE[a] for a in call.answers]
    return [(BLANK if is_blank(call) else SEEN)[answer] for answer in call.answers]


def answers(call: Call):
    if "thing" in (call.schema or {}).get("properties", {}):
        return json.dumps({"people_count": 2, "thing": None})
    if call.schema:
        cites = call.schema["properties"]["cues"]["items"]["properties"]["evidence"]["enum"]
        return json.dumps({"cues": [{"evidence": cites[-1], "text": "sits"}], "explanation": "x"})
    return "Two people on a street."


@pytest.fixture
def scheme(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SCHEME)
    return str(path)


def agent(scheme, mllm=None, faces=TWO, **settings) -> Agent:
    return Agent(
        mllm or ScriptedMllm(answers, scores, info=INFO),
        HandFaces(*faces),
        Settings.load(scheme=scheme, **settings),
    )


def coded(inference):
    return {(c.name, c.people): c for c in inference.coded}


def softmax(*logs):
    weights = [math.exp(value) for value in logs]
    return [weight / sum(weights) for weight in weights]


def test_answers_are_likelihoods_and_the_blank_picture_is_a_control_alone(scheme):
    found = coded(agent(scheme).infer(PICTURE, said="Go away!"))
    place = found["place", ()]
    assert list(place.probabilities.values()) == pytest.approx(softmax(1, 3, 0))
    assert (place.value, place.method) == ("street", "likelihood")
    p = softmax(0, 1, 1)
    assert found["light", ()].value == pytest.approx(p[0] + 2 * p[1] + 3 * p[2], abs=1e-3)
    assert found["people_count", ()].value == 2
    assert found["thing", ()].unanswered == "the model could not tell"
    assert found["tone", ()].value == "harsh"
    assert not place.like_blank
    # what it says of a person is what it says of nothing: flagged, with its divergence
    assert found["sitting", (1,)].like_blank
    # and not corrected by it: of nothing, too, it says yes
    assert found["sitting", (1,)].value == "yes"
    assert found["sitting", (1,)].probabilities["yes"] == pytest.approx(softmax(2, 0)[0])
    assert found["sitting", (1,)].blank_js == pytest.approx(0, abs=1e-9)
    assert {people for name, people in found if name == "sitting"} == {(1,), (2,)}
    assert {people for name, people in found if name == "close"} == {(1, 2)}
    raw = agent(scheme, prior_correction=False).code(PICTURE)
    assert list(coded(raw)["place", ()].probabilities.values()) == pytest.approx(softmax(1, 3, 0))


@pytest.mark.parametrize("correction", [True, False])
def test_what_is_unlikely_is_no_however_much_less_likely_it_is_of_a_blank_picture(correction):
    """A sober model: there with p = .05 on the picture, .002 on a grey one; nobody either way."""

    def sober(call: Call):
        blank = is_blank(call)
        if set(call.answers) == {"yes", "no"}:
            p = 0.002 if blank else 0.05
            return [math.log(p if answer == "yes" else 1 - p) for answer in call.answers]
        if "nobody" in call.answers:  # true of a blank picture, and of this one
            low = -9.0 if blank else -3.0
            return [0.0 if answer == "nobody" else low for answer in call.answers]
        return [0.0] * len(call.answers)

    # a tie has no value, also where it is not that of the blank picture
    found = agent("default", ScriptedMllm((), sober, info=INFO), prior_correction=correction)
    told = found.code(PICTURE).coded
    existence = [v for v in told if v.type == "yes/no" and v.probabilities]
    assert len(existence) >= 19
    assert {v.value for v in existence} == {"no"}
    assert {v.value for v in told if "nobody" in (v.probabilities or {})} == {"nobody"}
    ties = [
        v for v in told if v.type == "category" and "nobody" not in (v.probabilities or "nobody")
    ]
    assert {(v.value, v.unanswered) for v in ties} == {(None, "several answers are equally likely")}


def test_several_pictures_are_the_null_of_categories_by_name(scheme, tmp_path, capsys, monkeypatch):
    """A model that leans to home: ten pictures, of which half are a little more of a street."""

    def leaning(call: Call):
        if "home" not in call.answers:
            return scores(call)
        shown = next(p["image"] for p in call.conversation[0]["content"] if p["type"] == "image")
        street, sea = (2.0, 0.0) if np.asarray(shown).mean() > 150 else (1.0, -0.5)
        return [{"home": 3.0, "street": street, "sea": sea}[a] for a in call.answers]

    leaner = agent(scheme, ScriptedMllm(answers, leaning, info=INFO))
    monkeypatch.setattr("kuleshov.apps.cli.code.load_agent", lambda *_, **__: leaner)
    paths = []
    for k in range(10):
        paths.append(str(tmp_path / f"{k}.png"))
        Image.new("RGB", (200, 100), ((200 if k % 2 else 100) + k,) * 3).save(paths[-1])
    assert main(["code", *paths, "--json", "--batch-calibration"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    places = [next(v for v in record["coded"] if v["name"] == "place") for record in told]
    assert [p["value"] for p in places] == ["home", "street"] * 5
    raw = np.array([softmax(3, *((2, 0) if k % 2 else (1, -0.5))) for k in range(10)])
    right = raw / raw.mean(axis=0)
    right /= right.sum(axis=1, keepdims=True)
    assert np.array([list(p["probabilities"].values()) for p in places]) == pytest.approx(right)
    assert all("mean over 10 pictures" in p["method"] and "Zhou" in p["method"] for p in places)
    for record, place in zip(told, places, strict=True):
        (line,) = [e["text"] for e in record["evidence"] if e["n"] == place["evidence"]]
        assert (
            line
            == f"coded: place {place['value']} {100 * max(place['probabilities'].values()):.0f}%"
        )
        sitting = next(v for v in record["coded"] if v["name"] == "sitting")
        assert sitting["method"] == "likelihood"  # existence is never corrected
    # too few pictures make no mean: said, and what was coded is told
    assert main(["code", *paths[:3], "--json", "--batch-calibration"]) == 1
    short = capsys.readouterr()
    assert "at least 10" in short.err
    assert len(short.out.splitlines()) == 3


def test_each_answer_is_evidence_that_explanations_can_cite(scheme):
    inference = agent(scheme, prior_correction=False).infer(PICTURE)
    lines = [e for e in inference.evidence if e.kind == "coded"]
    assert [(e.person, e.text) for e in lines] == [
        (None, "coded: place street 84%"),
        (None, "coded: light 2.3 of 3"),
        (None, "coded: people count 2"),
        (1, "coded: sitting yes 88%"),
        (2, "coded: sitting yes 88%"),
        (None, "coded: close of 1 and 2 yes 88%"),
    ]
    assert [e.n for e in inference.evidence] == list(range(1, len(inference.evidence) + 1))
    for variable in inference.coded:
        assert (variable.evidence is None) == (variable.value is None)
    cited = inference.people[0].explanation.cues[0].evidence
    assert inference.evidence[cited - 1].kind == "coded"
    told = inference.provenance.scheme
    assert (told["name"], told["source"], told["variables"]) == ("mine", "made up", 7)
    assert len(told["sha256"]) == 64
    assert "code_context" in inference.provenance.seconds


def test_without_a_scheme_nothing_is_asked():
    mllm = ScriptedMllm(answers, scores, info=INFO)
    inference = agent(None, mllm).infer(PICTURE)
    assert inference.coded is None
    assert inference.provenance.scheme is None
    assert not [call for call in mllm.calls if "Answer with one of" in call.text]
    with pytest.raises(KuleshovError, match="coding needs a scheme"):
        agent(None).code(PICTURE)


def test_no_words_no_answer_about_words(scheme):
    mllm = ScriptedMllm(answers, scores, info=INFO)
    variable = coded(agent(scheme, mllm).code(PICTURE))["tone", ()]
    assert (variable.value, variable.unanswered) == (None, "no words were given")
    assert not [call for call in mllm.calls if "How do the words sound" in call.text]
    spoken = ScriptedMllm(answers, scores, info=INFO)
    agent(scheme, spoken).code(PICTURE, said=['say "yes"'])
    asked = [c.text for c in spoken.calls if "How do the words sound" in c.text]
    assert any("Heard: \"say 'yes'\"" in text for text in asked)


def test_people_are_named_by_boxes_on_one_picture(scheme):
    mllm = ScriptedMllm(answers, scores, info=INFO)
    agent(scheme, mllm).code(PICTURE)
    shown = {
        text: next(p["image"] for p in call.conversation[0]["content"] if p["type"] == "image")
        for call in mllm.calls
        if "sit" in (text := call.text) and not is_blank(call)
    }
    assert sorted(text.splitlines()[0] for text in shown) == [
        "Person 1, in red box 1.",
        "Person 2, in red box 2.",
    ]
    first, second = shown.values()
    assert first is second
    red = (np.asarray(first) == (255, 0, 0)).all(-1)
    assert red[40, 8:11].any()
    assert red[40, 98:101].any()
    plain = [c for c in mllm.calls if "Where is it" in c.text and not is_blank(c)]
    assert (np.asarray(plain[0].conversation[0]["content"][0]["image"]) == 90).all()


def test_a_person_without_a_face_has_no_box(scheme):
    mllm = ScriptedMllm(answers, scores, info=INFO)
    found = coded(agent(scheme, mllm, faces=()).infer(PICTURE))
    assert found["sitting", (1,)].value == "yes"
    texts = [c.text for c in mllm.calls if "Does this person sit" in c.text]
    assert texts
    assert all("red box" not in text for text in texts)


def test_boxes_stay_inside_the_picture():
    shown = np.asarray(
        draw_boxes(PICTURE, [(3, (0.0, 0.0, 30.0, 30.0)), (12, (180.0, 80.0, 200, 100))])
    )
    assert shown.shape == PICTURE.shape
    assert (PICTURE == 90).all()


def test_a_failing_model_leaves_gaps_and_no_values(scheme):
    def fails(call):
        return MllmError("out of memory.") if "Where" in call.text else scores(call)

    inference = agent(scheme, ScriptedMllm(answers, fails, info=INFO)).code(PICTURE)
    found = coded(inference)
    assert found["place", ()].unanswered == "out of memory."
    assert found["place", ()].value is None
    assert found["sitting", (2,)].value == "yes"
    assert [gap.step for gap in inference.gaps] == ["code_context"]


def test_a_model_without_likelihoods_is_not_asked_closed_questions(scheme):
    info = INFO.model_copy(update={"scores_labels": False})
    found = coded(agent(scheme, ScriptedMllm(answers, (), info=info)).code(PICTURE))
    assert found["place", ()].unanswered == "not measured by this model: it gives no likelihoods"
    assert found["people_count", ()].value == 2


def test_the_pocket_model_answers_what_it_was_taught_and_refuses_the_rest(photos):
    pocket = Agent.load(model="pocket", faces="pocket", scheme="default+appraisals")
    inference = pocket.infer(photos / "sg_woman_portrait.jpg")
    found = {c.name: c for c in inference.coded}
    assert found["someone"].value == "yes"
    assert found["snow"].value == "no"
    told = {name for name, c in found.items() if c.value is not None}
    assert told == {v.name for v in pocket.crew.scheme.variables if v.probe}
    rest = {c.unanswered for name, c in found.items() if name not in told}
    assert rest == {"not measured by this model"}
    assert "novelty" in found
    assert inference.people[0].emotions is not None
    # in the form that it was taught, a yes is as likely as it says
    yes, no = pocket.crew.mllm.score(
        pocket.crew.writer.probe([Image.open(photos / "sg_woman_portrait.jpg")], "a person"),
        ["yes", "no"],
    )
    assert found["someone"].probabilities["yes"] == pytest.approx(softmax(yes, no)[0], abs=1e-4)


@pytest.mark.parametrize("kind", tiny_models.KINDS)
@pytest.mark.parametrize("family", ["brief", "full"])
def test_real_llava_classes_code_the_default_scheme(kind, family, tmp_path, monkeypatch):
    folder = tiny_models.build(kind, tmp_path / kind, max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name=kind, device="cpu", dtype="float32")
    tools = HandFaces(*TWO)
    settings = Settings.load(scheme="default", prompts=family)
    packed = Agent(mllm, tools, settings).code(PICTURE)
    answered = [c for c in packed.coded if c.probabilities]
    assert len(answered) >= 26 + 2 * 11 + 3
    for variable in answered:
        assert sum(variable.probabilities.values()) == pytest.approx(1)
    monkeypatch.setattr(mllm, "score_many", lambda asked: [mllm.score(*one) for one in asked])
    alone = Agent(mllm, tools, settings).code(PICTURE)
    for ours, theirs in zip(packed.coded, alone.coded, strict=True):
        if ours.probabilities:
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)
        assert ours.name == theirs.name


def test_the_table_is_tidy(scheme):
    inference = agent(scheme).code(PICTURE)
    out = io.StringIO()
    coded_table.write_long([inference], out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    place = [row for row in rows if row["variable"] == "place"]
    assert [(row["option"], row["value"]) for row in place] == [
        ("home", "street"),
        ("street", "street"),
        ("sea", "street"),
    ]
    assert sum(float(row["probability"]) for row in place) == pytest.approx(1, abs=1e-5)
    (thing,) = [row for row in rows if row["variable"] == "thing"]
    assert (thing["value"], thing["probability"], thing["unanswered"]) == (
        "",
        "",
        "the model could not tell",
    )
    (one, two) = inference.people
    assert coded_table.of_person(inference, one) == pytest.approx(
        coded_table.of_person(inference, two), abs=1e-9
    )
    assert set(coded_table.of_person(inference, one)) == {
        "place: home",
        "place: street",
        "place: sea",
        "light",
        "people_count",
        "sitting",
        "close",
    }


def test_page_and_card_show_what_was_coded_and_what_was_not(scheme, capsys):
    from rich.console import Console

    from kuleshov.output import card, report

    inference = agent(scheme).infer(PICTURE)
    page = report.report_html([inference], {inference.media.sha256: [PICTURE]})
    assert "Context as data: mine" in page
    assert "no words were given: tone" in page
    assert "as for a blank picture" in page
    assert 'place <span class="ref">[' in page
    card.print_card(inference, Console(width=100, force_terminal=False))
    told = capsys.readouterr().out
    assert "Context as data: mine" in told
    assert "street 84%, home 11%" in told
    assert told.count("place") == 1  # not once more under Evidence
    without = report.report_html([agent(None).infer(PICTURE)], {})
    assert "Context as data" not in without


# ------------------------------------------------------------------------------- judged again


def coding_calls(mllm: ScriptedMllm) -> list[str]:
    """What was asked of the model to code the context, by its answers or its JSON's fields."""
    found = []
    for call in mllm.calls:
        names = [n for n in (call.schema or {}).get("properties", {}) if n == "thing"]
        if call.kind == "score" and set(call.answers) & {*SEEN, *TONE}:
            names = ["/".join(call.answers)]
        found += names
    return found


@pytest.fixture
def coded_once(scheme):
    """A session about two people whose context was coded, and its model, whose calls are reset."""
    mllm = ScriptedMllm(answers, scores, info=INFO)
    session = Session(agent(scheme, mllm), PICTURE, words=Words(said=("Go away!",)))
    drain(session.read())
    assert len(coding_calls(mllm)) >= 7
    mllm.calls.clear()
    yield session, mllm
    session.close()


def drain(events) -> None:
    for _ in events:
        pass


def values(inference):
    return {key: (c.value, c.probabilities, c.unanswered) for key, c in coded(inference).items()}


def test_a_what_if_does_not_code_again_what_it_does_not_change(coded_once):
    session, mllm = coded_once
    first = session.current
    drain(session.what_if("this is a funeral"))
    drain(session.add_context("They have lost their keys."))
    drain(session.change(labels="ekman-6"))
    assert coding_calls(mllm) == []
    for reading in session.readings:
        assert values(reading) == values(first)
        lines = {item.n: item for item in reading.evidence}
        for variable in reading.coded:
            if variable.evidence is not None:
                assert lines[variable.evidence].kind == "coded"
                assert variable.name.replace("_", " ") in lines[variable.evidence].text


def test_what_rests_on_something_else_is_coded_again(coded_once):
    session, mllm = coded_once
    drain(session.change(prior_correction=False))  # of the labels: no answer is corrected by it
    assert coding_calls(mllm) == []
    assert values(session.current) == values(session.readings[0])
    session.undo()
    mllm.calls.clear()
    drain(session.change(seed=session.agent.settings.seed + 1))
    assert len(coding_calls(mllm)) >= 6
    session.undo()
    mllm.calls.clear()
    # other words: the one question that hears them
    looked = session._now.looked
    again = session.held.again(session.agent, looked, Words(said=("Come here!",)))
    (heard,) = [event.inference for event, _ in again if event.inference is not None]
    assert coding_calls(mllm) == ["kind/harsh"]
    assert values(heard)["place", ()] == values(session.current)["place", ()]


def test_what_could_not_be_coded_is_tried_again(scheme):
    broken = [True]

    def failing(call: Call):
        if broken[0] and "home" in call.answers and not is_blank(call):
            raise MllmError("the server is gone.")
        return scores(call)

    mllm = ScriptedMllm(answers, failing, info=INFO)
    session = Session(agent(scheme, mllm), PICTURE)
    drain(session.read())
    assert coded(session.current)["place", ()].unanswered
    broken[0] = False
    drain(session.what_if("this is a funeral"))
    assert coded(session.current)["place", ()].value == "street"
    assert [gap.step for gap in session.current.gaps] == []
    session.close()


def test_warnings_are_said_once(scheme):
    small = face(SMILE, box=(10, 10, 30, 32))
    session = Session(agent(scheme, faces=(small, *TWO)), PICTURE)
    drain(session.read())
    drain(session.what_if("this is a funeral"))
    for reading in session.readings:
        assert len(reading.warnings) == len(set(reading.warnings))
        assert sum("too small to read" in text for text in reading.warnings) == 1
    session.close()
