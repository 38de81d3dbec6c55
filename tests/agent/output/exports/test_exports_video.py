"""The annotated clip, read back from its file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracks import track, write_clip

from kuleshov import Inference
from kuleshov.output.exports import video
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.tracking import timelines
from kuleshov.tools.faces.tracking.types import Stretch
from kuleshov.tools.media import open_media
from kuleshov.types import FusedScores, Moment, Person, Provenance

BOX = (60, 40, 160, 140)
GREY = 128


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    frame = np.full((180, 321, 3), GREY, np.uint8)  # H.264 takes even sides only
    return write_clip(tmp_path / "grey.mkv", [frame] * 20, codec="ffv1")


def reading(clip: Path) -> Inference:
    """A face from 0 to 0.5 s and from 1.0 to 1.5 s, a smile in the first; the rest not read."""
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    up = [0.9 if 0.1 < time < 0.45 else 0.05 for time in times]
    seen = track(
        {12: up},
        times=times,
        boxes_xyxy=(BOX,) * len(times),
        missing=(Stretch(start_s=0.6, end_s=1.0),),
    )
    glad = FusedScores(
        labels="ekman-7",
        probabilities={"happiness": 0.8, "neutral": 0.2},
        method="m",
        fusion="face",
    )
    person = Person(
        id=1,
        track=timelines.analyse_track(seen),
        moments=(Moment(time_s=0.2, start_s=0.0, end_s=0.5, emotions=glad),),
    )
    media = open_media(clip).media
    return Inference(media=media, people=(person,), provenance=Provenance(kuleshov="0"))


def frames(path: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    import av

    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def boxed(rgb: np.ndarray[Any, Any]) -> bool:
    """Whether the left side of the box is in the first person's colour."""
    side = rgb[80:120, BOX[0] : BOX[0] + 2].reshape(-1, 3).mean(0)
    return bool(np.abs(side - video.COLOURS[0]).max() < 60)


def changed(part: np.ndarray[Any, Any]) -> bool:
    return bool((np.abs(part.astype(int) - GREY) > 60).any())


def test_every_frame_comes_back_at_its_time_with_its_box_or_with_why_there_is_none(
    clip: Path, tmp_path: Path
) -> None:
    out = video.write_video(reading(clip), clip, tmp_path / "out.mp4")
    found = frames(out)
    assert [time for time, _ in found] == pytest.approx([k / 10 for k in range(20)])
    assert found[0][1].shape == (180, 320, 3)
    assert [boxed(rgb) for _, rgb in found] == [k <= 5 or 10 <= k <= 15 for k in range(20)]
    corner = [changed(rgb[:16, :40]) for _, rgb in found]
    assert corner == [not (k <= 5 or 10 <= k <= 15) for k in range(20)]
    units = [changed(rgb[40:60, 166:200]) for _, rgb in found]  # beside the box
    assert units[3]
    assert not any(units[6:])
    assert not list(tmp_path.glob(".*"))


def test_what_is_drawn_says_what_was_read(clip: Path) -> None:
    found = reading(clip)
    (person,) = found.people
    course = person.track
    assert course is not None
    assert video.reading_at(person, 0.2) == "happiness 80%"
    assert video.reading_at(person, 1.2) == "no reading"
    assert video.unit_lines(course, 0.3) == ["AU12 probable"]
    assert video.unit_lines(course, 1.2) == []
    assert video.why_no_box(course, 0.8) == "face not seen"
    assert video.why_no_box(course, 1.8) == "not looked at"


def test_between_frames_far_apart_no_box_is_made_up() -> None:
    boxes = ((0, 0, 10, 10), (20, 0, 30, 10))
    near = track({12: [0.1, 0.1]}, times=[0.0, 0.2], rate=5.0, boxes_xyxy=boxes)
    assert video.box_at(near, 0.1) == (10, 0, 20, 10)
    far = track({12: [0.1, 0.1]}, times=[0.0, 2.0], rate=0.5, boxes_xyxy=boxes)
    assert video.box_at(far, 1.0) is None
    assert video.box_at(far, 1.9) == boxes[1]


def test_stopped_what_was_written_is_a_clip(clip: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def progress(done_s: float, _: float) -> None:
        if done_s > 0.45:
            stop.set()

    out = video.write_video(reading(clip), clip, tmp_path / "out.mp4", progress=progress, stop=stop)
    assert len(frames(out)) == 6


def test_what_would_be_lost_or_wrong_is_refused(clip: Path, tmp_path: Path) -> None:
    read = reading(clip)
    before = clip.read_bytes()
    with pytest.raises(KuleshovError, match="is the clip itself"):
        video.write_video(read, clip, clip)
    assert clip.read_bytes() == before
    with pytest.raises(KuleshovError, match="there is no folder"):
        video.write_video(read, clip, tmp_path / "none" / "out.mp4")
    with pytest.raises(KuleshovError, match="is a folder"):
        video.write_video(read, clip, tmp_path)
    other = write_clip(tmp_path / "other.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    with pytest.raises(KuleshovError, match="has changed since it was read"):
        video.write_video(read, other, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
