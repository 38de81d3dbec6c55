"""Reading a clip: what changes over time must show in the record."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracks import write_clip

from kuleshov import Agent, Inference, Settings
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import ToolError
from kuleshov.tools.mllm import Call, ScriptedMllm

from parts import HandFaces, face, scores


@pytest.fixture(scope="module")
def crying(feat_data: Path) -> Inference:
    """A person from crying to laughing, read with the bundled models."""
    agent = Agent.load(model="pocket", faces="pocket", rate=2.5)
    return agent.infer(feat_data / "WolfgangLanger_Pexels.mp4")


def test_crying_to_laughing_is_a_change_over_time(crying: Inference) -> None:
    (person,) = crying.people
    first, last = person.moments[0], person.moments[-1]
    assert first.emotions is not None
    assert last.emotions is not None
    assert first.emotions.top == "sadness"
    assert last.emotions.top == "happiness"
    assert first.time_s < 8 < last.time_s
    assert first.end_s <= last.start_s
    assert person.track is not None
    assert len(person.track.times_s) == pytest.approx(50, abs=2)
    assert person.track.missing == ()
    smile = [e for e in person.track.events if e.unit == 12 and e.onset_s > 8]
    assert len(smile) == 1
    assert smile[0].shown == "above 99% of calm faces"


def test_time_is_evidence_with_numbers(crying: Inference) -> None:
    texts = [item.text for item in crying.evidence]
    course = next(text for text in texts if text.startswith("over time: "))
    assert course.startswith("over time: sadness 0.0 s")
    assert "happiness" in course
    events = [item for item in crying.evidence if item.kind == "event"]
    assert events
    for event in events:
        assert event.start_s is not None
        assert event.end_s is not None
        assert event.start_s <= (event.apex_s or -1) <= event.end_s
    last = crying.people[0].moments[-1]
    assert any(line.startswith("before: ") and "sadness" in line for line in last.evidence)
    assert Inference.from_json(crying.to_json()) == crying


def test_every_moment_has_its_picture(crying: Inference) -> None:
    kept = {frame.index for frame in crying.media.frames}
    assert len(kept) == 8
    for moment in crying.people[0].moments:
        assert moment.frame in kept
    assert crying.media.read == pytest.approx(50, abs=2)


def moving(tmp_path: Path, frames: int = 20) -> Path:
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (64, 96, 3), np.uint8)
    return write_clip(tmp_path / "clip.mp4", [np.roll(still, k, 1) for k in range(frames)])


JUDGED = (
    '{"cues":[{"evidence":1,"text":"a smile"}],"before":"","interpretation":"A smile.",'
    '"conclusion":"Glad.","after":""}'
)
SCENE = (
    '{"description":"A room.","setting":"room","activity":"none","people":"one",'
    '"people_present":true,"objects":[],"mood_words":[]}'
)


class Changing(HandFaces):
    """Sad in its first calls, glad in the later ones, away in between."""

    calls = 0

    def observe(self, images: Any) -> list[list[Any]]:
        found = []
        for _ in images:
            self.calls += 1
            one = face(expression=scores(sadness=0.9))
            if self.calls > 6:
                one = face(expression=scores(happiness=0.9))
            found.append([] if self.calls in (5, 6) else [one])
        return found


def scripted(faces: Any = None, **settings: Any) -> tuple[Agent, ScriptedMllm]:
    def answer(call: Call) -> str:
        return SCENE if "context in which its faces" in call.text else JUDGED

    mllm = ScriptedMllm(answer, lambda call: dict.fromkeys(call.answers, 0.0))
    return Agent(mllm, faces or Changing(), Settings.load(rate=10, **settings)), mllm


def test_moments_rest_on_the_face_then_and_on_what_came_before(tmp_path: Path) -> None:
    agent, mllm = scripted(fusion="text")
    read = agent.infer(moving(tmp_path), context="A letter has come.")
    (person,) = read.people
    assert [m.expression for m in person.moments] == ["sadness", "happiness"]
    assert person.track is not None
    assert [(s.start_s, s.end_s) for s in person.track.missing] == [(0.4, 0.6)]
    assert "face not seen: 0.4-0.6 s" in [item.text for item in read.evidence]
    asked = [c.text for c in mllm.calls if c.kind == "score" and "before: sadness" in c.text]
    assert len(asked) == 1
    assert "before: sadness 0.0-0.3 s" in asked[0]
    assert "A letter has come." in asked[0]
    assert "expression: happiness" in asked[0]
    assert read.gaps == ()


def test_a_model_of_one_picture_a_call_sees_all_frames_on_one_sheet(tmp_path: Path) -> None:
    agent, mllm = scripted(fusion="text", frames=4)
    agent.infer(moving(tmp_path))
    scene = next(c for c in mllm.calls if "context in which its faces" in c.text)
    images = [p["image"] for p in scene.conversation[-1]["content"] if p["type"] == "image"]
    # four frames of 96 x 64 in two rows
    assert [image.size for image in images] == [(192, 128)]


@pytest.mark.parametrize("sampling", ["count", "cuts", "moments"])
def test_the_other_ways_of_sampling(tmp_path: Path, sampling: str) -> None:
    agent, _ = scripted(sampling=sampling, frames=4)
    read = agent.infer(moving(tmp_path))
    assert read.media.read == {"count": 4, "cuts": 1, "moments": 20}[sampling]
    track = read.people[0].track
    assert track is not None
    if sampling == "moments":
        assert 2 <= len(track.times_s) < 12


def test_no_moments_when_none_are_wanted(tmp_path: Path) -> None:
    agent, mllm = scripted(fusion="text", moments=0)
    assert agent.infer(moving(tmp_path)).people[0].moments == ()
    assert len([c for c in mllm.calls if c.kind == "score"]) == 2  # the judgement and its prior


def test_a_face_tool_that_fails_midway_leaves_a_gap_and_what_was_read(tmp_path: Path) -> None:
    class Failing(Changing):
        def observe(self, images: Any) -> list[list[Any]]:
            if self.calls >= 16:
                raise ToolError("the lens fell off.")
            return super().observe(images)

    agent, _ = scripted(Failing())
    read = agent.infer(moving(tmp_path))
    assert [(gap.step, gap.reason) for gap in read.gaps] == [("faces", "the lens fell off.")]
    assert read.media.read == 20
    track = read.people[0].track
    assert track is not None
    assert len(track.times_s) == 14


def test_a_clip_without_any_face_is_a_scene(tmp_path: Path) -> None:
    agent, _ = scripted(HandFaces())
    read = agent.infer(moving(tmp_path))
    assert read.scene is not None
    assert read.people[0].face is None
    assert read.people[0].moments == ()
    assert read.warnings[0] == "no face was found: the person is judged from context alone"


def test_beginning_after_the_end_is_one_sentence(tmp_path: Path) -> None:
    agent, _ = scripted(start_s=9.0)
    with pytest.raises(KuleshovError, match=r"has no frame from 9 s on: it ends at 2.0 s."):
        agent.infer(moving(tmp_path))
    agent, _ = scripted(start_s=1.5)
    assert agent.infer(moving(tmp_path)).media.frames[0].time_s == 1.5


def test_stopped_by_the_user_what_was_read_is_kept(tmp_path: Path) -> None:
    agent, _ = scripted()
    stop = threading.Event()
    told: list[tuple[float, float]] = []

    def progress(done: float, whole: float) -> None:
        told.append((done, whole))
        stop.set()

    read = agent.infer(moving(tmp_path), progress=progress, stop=stop)
    assert told == [(1.5, 2.0)]
    assert read.media.read == 16
    assert read.gaps[0].reason == (
        "stopped by the user at 1.5 s of 2.0 s; go on with --start-s 1.5"
    )
    assert "stopped by the user" in [gap.reason for gap in read.gaps if gap.step == "scene"]
    assert read.people[0].emotions is not None  # from the face, which had been read
    assert read.people[0].moments[0].emotions is not None
