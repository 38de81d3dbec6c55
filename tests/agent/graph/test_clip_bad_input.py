"""Clips that are not as they should be, through the whole streaming reading."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracks import write_clip

from kuleshov import Agent, Inference, Settings
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import MediaError
from kuleshov.tools.mllm import ScriptedMllm

from parts import HandFaces, face, scores


class Everywhere(HandFaces):
    """A glad face in every frame; remembers the frames' sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[tuple[int, ...]] = set()

    def observe(self, images: Any) -> list[list[Any]]:
        self.sizes |= {image.shape for image in images}
        return [[face(expression=scores(happiness=0.9))] for _ in images]


def read(source: Any, faces: Any = None, **words: Any) -> Inference:
    mllm = ScriptedMllm(
        lambda call: "" if call.schema else "A room.", lambda call: [0.0] * len(call.answers)
    )
    return Agent(mllm, faces or Everywhere(), Settings.load(rate=10)).infer(source, **words)


def stills(count: int, width: int = 96, height: int = 64) -> list[np.ndarray[Any, Any]]:
    still = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return [np.roll(still, k, 1) for k in range(count)]


def test_frames_of_8k_are_read_at_a_size_that_fits(tmp_path: Path) -> None:
    faces = Everywhere()
    frames = [np.full((4320, 7680, 3), 90 + k, np.uint8) for k in range(2)]
    found = read(write_clip(tmp_path / "8k.mkv", frames, codec="mjpeg"), faces)
    assert faces.sizes == {(1080, 1920, 3)}
    assert found.media.size == (1920, 1080)
    assert "read at 1920×1080 of 7680×4320 pixels" in found.media.notes
    assert found.people[0].emotions is not None


def test_timestamps_that_run_backwards_are_left_out_and_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "back.mkv", stills(10), codec="mpeg4")
    data = bytearray(path.read_bytes())
    # a Matroska block: track 1 as 0x81, its time in milliseconds as int16, no key frame as 0
    for time in (400, 500):
        old = b"\x81" + struct.pack(">h", time) + b"\0"
        assert data.count(old) == 1
        at = data.index(old)
        data[at : at + 4] = b"\x81" + struct.pack(">h", time - 350) + b"\0"
    path.write_bytes(data)
    found = read(path)
    assert "the timestamps run backwards: 2 of 10 frames were left out" in found.media.notes
    course = found.people[0].track
    assert course is not None
    assert course.times_s == (0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9)


def test_a_clip_that_is_cut_off_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.mkv", stills(40), codec="mjpeg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = read(path)
    (note,) = found.media.notes
    assert note.startswith("the clip is cut off: it ends at ")
    assert note.endswith(" s of 4.00 s")
    course = found.people[0].track
    assert course is not None
    assert 1.5 < course.times_s[-1] < 3.0


def sound(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path


def subtitles(path: Path) -> Path:
    import av

    words = path.with_suffix(".srt")
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n\n")
    with av.open(str(words)) as source, av.open(str(path), "w") as container:
        stream: Any = container.add_stream_from_template(source.streams.subtitles[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


def no_frames(path: Path) -> Path:
    """A video stream whose one frame is zeros."""
    write_clip(path, stills(1), codec="mpeg4")
    data = path.read_bytes()
    at = data.index(b"movi00dc") + 12
    size = struct.unpack("<I", data[at - 4 : at])[0]
    path.write_bytes(data[:at] + bytes(size) + data[at + size :])
    return path


def still(path: Path) -> Path:
    from PIL import Image

    Image.fromarray(stills(1)[0]).save(path, format="PNG")
    return path


@pytest.mark.parametrize(
    ("make", "name", "sentence"),
    [
        (sound, "sound.mp4", "has no video stream: it holds only sound."),
        (subtitles, "words.mkv", "has no video stream: it holds only subtitles."),
        (no_frames, "none.avi", "has a video stream but no frame that can be read."),
        (still, "still.mp4", "is not a clip: it holds a still picture (PNG)"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, make: Any, name: str, sentence: str
) -> None:
    path = make(tmp_path / name)
    with pytest.raises(MediaError) as raised:
        read(path)
    assert isinstance(raised.value, KuleshovError)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_transcript_longer_than_the_clip_is_cut_and_said(tmp_path: Path) -> None:
    pytest.importorskip("pysubs2")
    words = tmp_path / "long.srt"
    lines = "".join(f"{k + 1}\n00:00:0{k},000 --> 00:00:0{k},900\nline {k}\n\n" for k in range(9))
    words.write_text(lines)
    found = read(write_clip(tmp_path / "short.mp4", stills(20)), transcript=words)
    said = [item for item in found.evidence if item.kind == "transcript"]
    assert [(item.start_s, item.end_s) for item in said] == [(0.0, 0.9), (1.0, 1.9)]
    assert "7 lines of the transcript begin after the clip's end" in found.warnings


def test_clips_of_an_annotated_run_are_exported_each_to_a_folder(tmp_path: Path) -> None:
    """Two clips of the same name, and a picture."""
    pytest.importorskip("pysubs2")
    elan = pytest.importorskip("pympi").Elan
    from PIL import Image

    from kuleshov.output.exports import export

    folder = tmp_path / "in"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    write_clip(folder / "a" / "talk.mp4", stills(8))
    write_clip(folder / "b" / "talk.mp4", stills(6, 64, 64))
    Image.fromarray(stills(1)[0]).save(folder / "still.png")
    mllm = ScriptedMllm(
        lambda call: "" if call.schema else "A room.", lambda call: [0.0] * len(call.answers)
    )
    agent = Agent(mllm, Everywhere(), Settings.load(rate=10))
    sources = [folder / "a" / "talk.mp4", folder / "b" / "talk.mp4", folder / "still.png"]
    agent.annotate(sources, tmp_path / "run")
    export(tmp_path / "run", "clips", tmp_path / "out")
    found = sorted((tmp_path / "out").rglob("talk.eaf"))
    assert len(found) == 2
    for path in found:
        tiers = elan.Eaf(str(path)).get_tier_names()
        assert "person 1 emotion" in tiers
    assert not list((tmp_path / "out").rglob("still*"))
