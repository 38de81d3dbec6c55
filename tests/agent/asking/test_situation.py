"""The context read by how likely each label makes its words: numbers, prompts, record, refusals."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from PIL import Image
from test_agent import GOOD, INFO, script

from kuleshov import Agent, Settings
from kuleshov.asking import situation
from kuleshov.asking.gate import StoppedError, reading_run
from kuleshov.asking.situation import Surroundings
from kuleshov.evidence import collection, fusion
from kuleshov.studies import calibrate
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm import ScriptedMllm
from kuleshov.tools.mllm.local.model import TransformersMllm
from kuleshov.tools.mllm.scripted import Call

from parts import EKMAN7, SMILE, HandFaces, face

READER = INFO.model_copy(update={"scores_texts": True})
WORDS = "She is standing at her mother's funeral."
JUDGED = {**GOOD, "cues": [{"evidence": 1, "text": "a smile"}], "explanation": "A smile."}
ANSWERS = script(judge=JUDGED)._answers
PICTURE = Image.new("RGB", (120, 90), (90, 140, 200))


def model(sad: float = 3.0) -> ScriptedMllm:
    """Finds the funeral likelier by `sad` nats where sadness is asked for; anger pulls always."""

    def score(call: Call):
        found = []
        for answer in call.answers:
            value = -20.0
            if "would see anger" in call.text or answer.lower() in ("anger", "angry"):
                value += 5.0  # whatever the situation
            if answer == WORDS and "would see sadness" in call.text:
                value += sad
            found.append(value)
        return found

    return ScriptedMllm(ANSWERS, score, info=READER)


def reader(mllm, *faces, **settings) -> Agent:
    return Agent(mllm, HandFaces(*(faces or [face(SMILE)])), Settings.load(**settings))


def context_of(inference):
    return next(j for j in inference.people[0].judgements if j.condition == "context").emotions


@pytest.mark.parametrize("family", ["brief", "full"])
def test_a_label_s_own_pull_is_divided_out_and_no_label_is_listed(family):
    mllm = model()
    read = reader(mllm, prompts=family).infer(PICTURE, context=WORDS)
    context = context_of(read)
    assert context.top == "sadness"
    expected = fusion.softmax([3.0 * (label == "sadness") for label in EKMAN7], 1.25)
    assert list(context.probabilities.values()) == pytest.approx(expected)
    assert context.method == (
        "likelihood of the situation's words (noisy channel) and of the labels' forms, their "
        "means over 14 reference situations removed, temperature 1.25"
    )
    assert read.provenance.context_asked == "situation"
    assert f"{family}/situation.jinja" in read.provenance.prompts
    assert f"{family}/seen.jinja" in read.provenance.prompts
    begins = ("What emotion would most people see", "Describe a situation")
    asked = [
        call
        for call in mllm.calls
        if call.kind == "score" and any(begin in call.text for begin in begins)
    ]
    assert asked
    for call in asked:
        assert sum(label in call.text for label in EKMAN7) <= 1
        assert "feel" not in call.text.replace("feels: ", "")


def test_without_the_correction_the_pull_stays_and_the_method_says_so():
    context = context_of(reader(model(), prior_correction=False).infer(PICTURE, context=WORDS))
    assert context.top == "anger"
    assert "removed" not in context.method


def test_the_reference_situations_are_asked_once_in_a_life():
    mllm = model()
    agent = reader(mllm)
    agent.infer(PICTURE, context=WORDS)
    first = len(mllm.calls)
    agent.infer(PICTURE, context="He is waiting.")
    second = mllm.calls[first:]
    assert not any(set(situation._reference_situations()) & set(call.answers) for call in second)


def test_with_nothing_told_the_label_is_asked_for_alone():
    mllm = model()
    context = context_of(reader(mllm, prompts="full").infer(PICTURE))
    assert list(context.probabilities.values()) == pytest.approx([1 / 7] * 7)
    assert context.method == (
        "likelihood of the labels' forms, content-free prior removed, temperature 1"
    )
    asked = [call for call in mllm.calls if "What emotion would most people" in call.text]
    # the question, and the same with blank pictures: as many, the same person
    assert [len(call.conversation[-1]["content"]) for call in asked] == [5, 5]
    assert asked[0].text == asked[1].text
    assert [
        (np.asarray(part["image"]) == 127).all()
        for part in asked[1].conversation[-1]["content"]
        if part["type"] == "image"
    ] == [True, True]


def test_long_words_do_not_drown_all_else():
    long = " ".join([WORDS] * 20)

    def score(call: Call):
        likelier = 60.0 if "would see sadness" in call.text else 0.0
        return [likelier * (answer == long) for answer in call.answers]

    told = context_of(
        reader(ScriptedMllm(ANSWERS, score, info=READER)).infer(PICTURE, context=long)
    )
    expected = fusion.softmax([60 * 20 / 140 * (label == "sadness") for label in EKMAN7], 1.25)
    assert list(told.probabilities.values()) == pytest.approx(expected)


def test_what_was_said_stays_marked_as_said():
    items = [
        *collection.collect_evidence(None, None, ['He said "no".']),
        *collection.told_evidence(["I am so happy."], [(1, "the groom")]),
    ]
    seen = Surroundings(None, None, None, items)
    assert seen.words == "He said 'no'. Somebody says: \"I am so happy.\" the groom"
    assert seen.told == seen.words
    assert Surroundings(None, None, None, []).told is None


def test_every_label_of_every_set_has_its_forms_in_both_cases():
    for name in ("ekman-7", "plutchik-8", "cowen-keltner-28", "pain-4"):
        for label in LabelSet.load(name).labels:
            forms = situation.forms_of(label)
            assert {label.name, *label.synonyms} <= set(forms)
            assert len(forms) == len(set(forms)) == 2 * (1 + len(label.synonyms))


def test_models_and_labels_that_keep_the_question_with_a_list(tmp_path):
    for changes, settings in (
        ({"scores_texts": False}, {}),
        ({"taught_labels": EKMAN7}, {}),
        ({}, {"labels": "emotic-26"}),
        ({}, {"labels": "free"}),
        ({}, {"prompts": "review"}),
        ({"scores_labels": False}, {}),
    ):
        mllm = ScriptedMllm(info=READER.model_copy(update=changes))
        agent = reader(mllm, **settings)
        assert agent.crew.context_asked == "direct"
        assert agent.crew.provenance["context_asked"] == "direct"
    assert Agent.load(model="pocket", faces="pocket").crew.context_asked == "direct"


def test_a_real_model_s_reading_is_its_own_scores_put_together(tiny_llava):
    mllm = TransformersMllm.load_folder(
        tiny_llava("llava_onevision", max_position_embeddings=16384), name="tiny", device="cpu"
    )
    agent = reader(mllm, prompts="brief")
    crew = agent.crew
    assert crew.context_asked == "situation"
    blank = situation.images.blank_image()
    seen = Surroundings(blank, None, None, collection.collect_evidence(None, None, [WORDS]))
    read = situation.read_situation(crew, seen)

    def channel(label, text):
        return mllm.score(crew.writer.situation(blank, label), [text])[0]

    def plain(label, text):
        forms = situation.forms_of(label)
        logs = mllm.score(crew.writer.seen(blank, None, None, text), forms)
        return math.log(sum(map(math.exp, logs)))

    references = situation._reference_situations()
    logs = []
    for label in crew.labels.labels:
        null = np.mean([channel(label.name, text) for text in references])
        base = np.mean([plain(label, text) for text in references])
        logs.append(channel(label.name, WORDS) - null + plain(label, WORDS) - base)
    expected = fusion.softmax(logs, situation.TEMPERATURE)
    assert list(read.probabilities.values()) == pytest.approx(expected, abs=1e-3)

    stop = threading.Event()
    stop.set()
    with reading_run(stop), pytest.raises(StoppedError):
        situation.read_situation(crew, seen)


def test_a_calibration_of_the_question_with_a_list_is_refused(tmp_path):
    rows = []
    for label, grey in (("anger", 60), ("happiness", 180)):
        folder = tmp_path / "sample" / label
        folder.mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (64, 64), (grey, grey, i)).save(folder / f"{i}.png")
    rows = calibrate.read_sample(tmp_path / "sample", LabelSet.load("ekman-7"))
    listed = ScriptedMllm(ANSWERS, script()._scores, info=INFO)
    old = calibrate.fit_calibration(reader(listed), rows)
    assert set(old.fits) == {"direct", "explained"}
    path = tmp_path / "c.toml"
    path.write_text(old.to_toml())
    with pytest.raises(KuleshovError, match="fitted with context_asked direct, and this is situat"):
        reader(model(), calibration=str(path))
    new = calibrate.fit_calibration(reader(model()), rows)
    assert set(new.fits) == {"situation", "explained"}
    assert new.fused.temperature == new.fits["situation"].temperature
    path.write_text(new.to_toml())
    fitted = reader(model(), calibration=str(path)).infer(PICTURE, context=WORDS)
    temperature = situation.TEMPERATURE * new.fits["situation"].temperature
    assert context_of(fitted).method.endswith(f", temperature {temperature:.3g}")
