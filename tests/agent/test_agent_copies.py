"""Copies of an agent: they share its parts and its desk, and neither pictures nor settings leak."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_agent import INFO, agent, script
from test_examples import scripted

from kuleshov import Agent, Settings
from kuleshov.asking import images as asking_images
from kuleshov.asking.desk import Desk
from kuleshov.evals.harness import evaluate
from kuleshov.session.open_medium import OpenMedium
from kuleshov.studies.example_orders import under_orders
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm import Call, ScriptedMllm
from kuleshov.tools.speech import SpeechInfo

from parts import NO_FROWN, SMILE, HandFaces, face

DARK = np.full((80, 120, 3), 20, np.uint8)
BRIGHT = np.full((80, 120, 3), 220, np.uint8)


class Together(HandFaces):
    """A face tool at which so many readings meet before any goes on."""

    def __init__(self, readings: int) -> None:
        super().__init__(face(SMILE, NO_FROWN))
        self.barrier = threading.Barrier(readings)

    def observe(self, images: Any) -> Any:
        if self.barrier.parties > 1:
            self.barrier.wait(30)
        return super().observe(images)


def by_brightness() -> ScriptedMllm:
    """A model that sees happiness in a bright picture, and anger in a dark one."""

    def score(call: Call) -> list[float]:
        shown = next(p["image"] for p in call.conversation[0]["content"] if p["type"] == "image")
        seen = float(np.asarray(shown)[0, 0, 0]) / 50  # the corner, where no face is covered
        return [{"happiness": seen, "anger": 5 - seen}.get(a, 0.0) for a in call.answers]

    inner = script()
    return ScriptedMllm(
        lambda call: inner.generate(call.conversation, schema=call.schema).text, score, info=INFO
    )


def people(inference: Any) -> list[dict[str, Any]]:
    return [person.model_dump(mode="json") for person in inference.people]


@pytest.mark.parametrize(
    "copied",
    [
        lambda first: first.with_settings(seed=1),
        lambda first: first.with_model(first.crew.mllm),
        lambda first: first.with_faces(first.crew.faces),
        lambda first: first.with_settings(seed=1).with_settings(seed=2),
    ],
)
def test_an_agent_and_its_copy_read_two_photos_at_once_as_each_alone(copied):
    alone = agent(by_brightness(), Together(1), fusion="context")
    expected = [people(alone.infer(photo)) for photo in (DARK, BRIGHT)]
    assert [found[0]["emotions"]["probabilities"]["anger"] > 0.5 for found in expected] == [
        True,
        False,
    ]
    first = agent(by_brightness(), Together(2), fusion="context")
    second = copied(first)
    with ThreadPoolExecutor(2) as pool:
        doing = [pool.submit(first.infer, DARK), pool.submit(second.infer, BRIGHT)]
        assert [people(done.result()) for done in doing] == expected
    assert first.crew.desk._sources == second.crew.desk._sources == {}


def test_a_desk_gives_no_key_twice_and_none_that_another_gave():
    first = agent(script())
    held = [OpenMedium(first, DARK), OpenMedium(first.with_settings(seed=1), DARK)]
    keys = [Desk().put(DARK) for _ in range(50)] + [first.crew.desk.put(DARK) for _ in range(50)]
    assert len({*keys, *(one.key for one in held)}) == 102


# ------------------------------------------------------------------------------- settings


@pytest.fixture
def leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A settings file in this folder and an environment, once an agent is made."""

    def leak() -> None:
        (tmp_path / "kuleshov.toml").write_text('scheme = "default"\nseed = 9\nshot_seed = 3\n')
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("KULESHOV_SPEECH_LANGUAGE", "de")
        monkeypatch.setenv("KULESHOV_CONTEXT_WEIGHT", "0.9")

    return leak


@pytest.mark.parametrize(
    "copied",
    [
        lambda first: first.with_settings(temperature=0.5),
        lambda first: evaluate.reset_agent(first, {"temperature": 0.5}),
        lambda first: first.with_model(first.crew.mllm).with_settings(temperature=0.5),
    ],
)
def test_a_copy_reads_no_file_and_no_environment(copied, leak):
    first = agent(script())
    leak()
    found = copied(first).settings
    assert found == first.settings.changed(temperature=0.5)
    assert (found.scheme, found.seed, found.shot_seed) == (None, 0, None)
    assert (found.speech_language, found.context_weight) == (None, None)


def test_an_explicit_none_is_none():
    first = agent(script(), context_weight=0.4)
    assert first.with_settings(context_weight=None).settings.context_weight is None
    with pytest.raises(KuleshovError, match="setting seed"):
        first.with_settings(seed=None)


def test_made_again_in_another_process_it_has_the_same_settings(leak):
    first = Agent.load(model="pocket", faces="pocket")
    leak()
    again = pickle.loads(pickle.dumps(first.again()))()
    assert again.settings == first.settings
    assert (again.settings.scheme, again.settings.context_weight) == (None, None)


def test_parts_that_settings_do_not_name_cannot_be_made_again():
    with pytest.raises(KuleshovError, match=r"use Agent\.load"):
        agent(script()).again()


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_agent_is_not_pickled_in_one_sentence(copied):
    with pytest.raises(KuleshovError, match=r"cannot be pickled or copied; pickle agent\.again"):
        copied(agent(script()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": "other"}, "the setting model is chosen when an agent is loaded"),
        ({"faces": "yunet"}, "the setting faces is chosen when an agent is loaded"),
        ({"speech": "openai/whisper-base"}, "speech recognition is chosen when"),
    ],
)
def test_the_record_cannot_name_parts_that_did_not_read(change, sentence):
    with pytest.raises(KuleshovError, match=sentence):
        agent(script()).with_settings(**change)


# ------------------------------------------------------------------------------- examples


class Counting(HandFaces):
    """Counts the pictures that it measures; its face lies in the middle of a large picture."""

    def __init__(self) -> None:
        super().__init__(face(SMILE, NO_FROWN, box=(100, 100, 180, 200)))
        self.measured = 0

    def observe(self, images: Any) -> Any:
        self.measured += len(images)
        return super().observe(images)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, grey in (("anger", 40), ("happiness", 200)):
        (tmp_path / "shots" / label).mkdir(parents=True)
        picture = np.full((3000, 4000, 3), grey, np.uint8)
        Image.fromarray(picture).save(tmp_path / "shots" / label / "one.png")
    return tmp_path / "shots"


def test_examples_are_measured_once_and_handed_on(folder, tmp_path):
    tool = Counting()
    settings = Settings(model="s", faces="hand", examples=str(folder), shots=2, fusion="text")
    first = Agent(scripted(), tool, settings)
    assert tool.measured == 2
    copies = [first.with_settings(shot_seed=1), first.with_settings(labels="ekman-6")]
    copies += [first.with_model(first.crew.mllm), evaluate.reset_agent(first, {"seed": 3})]
    copies += [first.with_settings(examples=None).with_settings(examples=str(folder))]
    assert tool.measured == 2
    under_orders(first, DARK, [0, 1, 2])
    assert tool.measured == 5  # the photo, three times
    given = [copy.crew.examples.all[0].measured for copy in copies]
    assert all(one is first.crew.examples.all[0].measured for one in given)
    # what has changed is measured again, and nothing else
    Image.fromarray(DARK).save(folder / "anger" / "one.png")
    again = first.with_settings(seed=7)
    assert tool.measured == 6
    assert again.crew.provenance["examples"] != first.crew.provenance["examples"]
    # another face tool measures for itself
    first.with_faces(other := Counting())
    assert (tool.measured, other.measured) == (6, 2)


def test_of_examples_only_what_is_shown_stays_in_memory(folder):
    settings = Settings(model="s", faces="hand", examples=str(folder), shots=2, fusion="text")
    mllm = scripted()
    reader = Agent(mllm, Counting(), settings)
    whole = np.full((3000, 4000, 3), 40, np.uint8)
    for example in reader.crew.examples.all:
        assert example.picture.shape == (300, 280, 3)  # three faces wide
        assert example.picture.base is None
    shown = reader.crew.examples.all[0]
    seen = face(box=(100, 100, 180, 200))
    now = asking_images.person_crop(shown.picture, shown.face, 1)
    assert np.array_equal(now, asking_images.person_crop(whole, seen, 1))
    alone = asking_images.face_alone(shown.picture, shown.face)
    assert np.array_equal(alone, asking_images.face_alone(whole, seen))


def test_an_example_without_a_face_is_kept_no_larger_than_it_is_shown(folder):
    settings = Settings(model="s", faces="hand", examples=str(folder), shots=2, fusion="text")
    reader = Agent(scripted(), HandFaces(), settings)
    assert [e.picture.shape for e in reader.crew.examples.all] == [(1728, 2304, 3)] * 2


def test_copies_keep_the_speech_recogniser(folder):
    info = SpeechInfo(id="by hand", kind="whisper", device="cpu", dtype="float32", caveat="")
    heard: Any = SimpleNamespace(info=info)
    settings = Settings(
        model="s", faces="hand", speech="by hand", examples=str(folder), fusion="text"
    )
    first = Agent(scripted(), HandFaces(face(SMILE)), settings, speech=heard)
    assert evaluate.reset_agent(first, {"seed": 2}).crew.speech is heard
    assert first.with_faces(HandFaces()).crew.speech is heard
