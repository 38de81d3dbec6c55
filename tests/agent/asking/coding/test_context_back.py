"""From face to context: candidates, the prior, orders of the list, words with evidence."""

from __future__ import annotations

import json
import math

import jsonschema
import numpy as np
import pytest
import tiny_models

from kuleshov import Agent, Inference, Settings
from kuleshov.apps.cli.main import main
from kuleshov.asking.coding import candidates
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm import Call, ScriptedMllm
from kuleshov.tools.mllm.base import MllmError, MllmInfo
from kuleshov.tools.mllm.local.model import TransformersMllm

from parts import NO_FROWN, SMILE, HandFaces, face

PICTURE = np.full((100, 200, 3), 90, np.uint8)
INFO = MllmInfo(id="scripted", kind="scripted", device="cpu", dtype="none", prompts="brief")
GOOD = """\
[[situation]]
name = "wedding"
text = "People throw rice at a wedding."

[[situation]]
name = "funeral"
text = "People stand around a coffin."

[[situation]]
name = "contest"
text = "Somebody wins a race."
"""
SEEN = {"wedding": 2.0, "funeral": 3.0, "contest": 0.0}
BLANK = {"wedding": 0.0, "funeral": 3.0, "contest": 0.0}


@pytest.fixture
def situations(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(GOOD)
    return candidates.load_candidates(str(path))


def is_blank(call: Call) -> bool:
    shown = next(p["image"] for p in call.conversation[0]["content"] if p["type"] == "image")
    return bool((np.asarray(shown) == 127).all())


def scores(call: Call):
    """What is listed first gets a bonus of 1: an effect of order."""
    first = min(SEEN, key=lambda name: call.text.index(f"{name}:"))
    table = BLANK if is_blank(call) else SEEN
    return [table[name] + (name == first) for name in call.answers]


def words(call: Call):
    told = {"before": "They met.", "before_evidence": [2], "after": "They part."}
    return json.dumps({**told, "after_evidence": [1, 2, 2]})


def agent(mllm=None, faces=None, **settings) -> Agent:
    return Agent(
        mllm or ScriptedMllm(words, scores, info=INFO),
        HandFaces(*(faces or [face(SMILE, NO_FROWN)])),
        Settings.load(**settings),
    )


def softmax(*logs):
    weights = [math.exp(value) for value in logs]
    return [weight / sum(weights) for weight in weights]


def test_the_prior_is_divided_out_and_orders_are_averaged(situations):
    mllm = ScriptedMllm(words, scores, info=INFO)
    reader = agent(mllm)
    (person,) = reader.contexts(PICTURE, situations).people
    # the bonus of the first place is in the blank picture's answers too, and goes with them
    assert list(person.contexts.situations.values()) == pytest.approx(softmax(2, 0, 0))
    assert person.contexts.method == "likelihood, mean of 3 orders, content-free prior removed"
    asked = [c for c in mllm.calls if c.kind == "score"]
    assert len(asked) == 6
    shown = asked[0].conversation[0]["content"][0]["image"]
    assert shown.size != (200, 100)  # the face alone, cut out
    assert "AU12 lip corner puller: strong" in asked[0].text
    reader.contexts(PICTURE, situations)
    assert len([c for c in mllm.calls if c.kind == "score"]) == 9  # the blank is asked once
    raw = agent(prior_correction=False).contexts(PICTURE, situations).people[0].contexts
    orders = [softmax(3, 3, 0), softmax(2, 4, 0), softmax(2, 3, 1)]
    mean = [sum(column) / 3 for column in zip(*orders, strict=True)]
    assert list(raw.situations.values()) == pytest.approx(mean)


def test_before_and_after_cite_evidence_of_the_face(situations):
    two = [face(SMILE), face(SMILE, NO_FROWN, box=(100, 10, 160, 70))]
    inference = agent(faces=two).contexts(PICTURE, situations)
    assert inference.scene is None
    for person in inference.people:
        found = person.contexts
        assert (found.before, found.after) == ("They met.", "They part.")
        own = [e.n for e in inference.evidence if e.person == person.id]
        assert found.before_evidence == (own[1],)
        assert found.after_evidence == (own[0], own[1])
        assert person.unanswered == "not judged: not requested"
    assert Inference.from_json(inference.to_json()) == inference
    jsonschema.validate(json.loads(inference.to_json()), Inference.json_schema())


def test_failures_are_said(situations):
    fails = ScriptedMllm(lambda call: "no JSON", lambda call: MllmError("too long."), info=INFO)
    found = agent(fails).contexts(PICTURE, situations).people[0].contexts
    assert (found.situations, found.unanswered) == (None, "too long.")
    assert (found.before, found.untold) == (None, "the answer could not be read")
    mute = INFO.model_copy(update={"scores_labels": False})
    found = agent(ScriptedMllm(words, (), info=mute)).contexts(PICTURE, situations).people[0]
    assert found.contexts.unanswered == "not measured by this model: it gives no likelihoods"
    assert found.contexts.before == "They met."


def test_the_pocket_model_goes_by_way_of_emotions(feat_data, tmp_path, capsys):
    path = tmp_path / "c.toml"
    path.write_text(GOOD)
    photo = str(feat_data / "single_face.jpg")
    command = ["contexts", photo, "--candidates", str(path), "--model", "pocket"]
    assert main([*command, "--faces", "pocket", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (person,) = record["people"]
    found = person["contexts"]
    assert found["untold"] == "not measured by this model"
    assert found["method"].startswith("by way of the emotions of ekman-7")
    assert sum(found["situations"].values()) == pytest.approx(1)
    top = max(person["face"]["expression"]["probabilities"].items(), key=lambda item: item[1])
    assert top[0] == "happiness"
    assert found["situations"]["funeral"] == min(found["situations"].values())
    assert main([*command, "--faces", "pocket"]) == 0
    told = capsys.readouterr().out
    assert "Person 1: situations that this face belongs in" in told
    assert "not measured by this model" in told


@pytest.mark.parametrize("kind", tiny_models.KINDS)
def test_real_llava_classes_go_back(kind, tmp_path, situations):
    folder = tiny_models.build(kind, tmp_path / kind, max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name=kind, device="cpu", dtype="float32")
    for family in ("brief", "full", "review"):
        reader = agent(mllm, prompts=family, fusion="text", max_new_tokens=400)
        found = reader.contexts(PICTURE, situations).people[0].contexts
        assert sum(found.situations.values()) == pytest.approx(1)
        assert found.untold or (found.before and found.before_evidence)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("funeral", "Wedding"), r"line 6: the name 'Wedding' is already taken on line 2\."),
        (('text = "People stand around a coffin."', ""), r"line 5: text: Field required\."),
        (('text = "Somebody', 'txet = "Somebody'), r"line \d+: text: Field required\."),
        (('[[situation]]\nname = "wedding"', "[situation]\nname = 1"), r"is not TOML"),
        ((GOOD, GOOD.split("\n\n")[0]), r"line 1: at least two \[\[situation\]\] are needed\."),
        ((GOOD, ""), r"line 1: at least two"),
        ((GOOD, "title = 3\n" + GOOD), r"there is no 'title'"),
        (("a wedding.", "a\\nwedding."), r"line 3: text: must be one line"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, change, message):
    path = tmp_path / "c.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(KuleshovError, match=message) as caught:
        candidates.load_candidates(str(path))
    assert "\n" not in str(caught.value)


def test_too_many_candidates(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("".join(f'[[situation]]\nname = "s{i}"\ntext = "text"\n' for i in range(50)))
    with pytest.raises(KuleshovError, match="line 121: it has 50 situations and at most 40"):
        candidates.load_candidates(str(path))
