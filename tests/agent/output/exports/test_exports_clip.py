"""What a read clip is written to, read back by the libraries of the field."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from tracks import write_clip

from kuleshov import Agent, Inference, Settings
from kuleshov.apps.cli import resume
from kuleshov.apps.cli.main import main
from kuleshov.output.exports import clip as exports
from kuleshov.output.exports.spans import assign_lanes
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import transcript
from kuleshov.tools.mllm import ScriptedMllm

from parts import SMILE, HandFaces, face, scores

SRT = """1
00:00:00,200 --> 00:00:00,900
You won't <i>believe</i> it.

2
00:00:09,000 --> 00:00:10,000
Long after the end.
"""


class Smiling(HandFaces):
    calls = 0

    def observe(self, images):
        found = []
        for _ in images:
            self.calls += 1
            unit = SMILE.model_copy(update={"probability": 0.9 if 8 <= self.calls < 14 else 0.05})
            glad = scores(happiness=0.9) if self.calls >= 8 else scores(sadness=0.9)
            one = face(expression=glad).model_copy(update={"action_units": (unit,)})
            found.append([] if self.calls in (3, 4) else [one])
        return found


@pytest.fixture
def read(tmp_path: Path) -> Inference:
    pytest.importorskip("pysubs2")
    still = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    clip = write_clip(tmp_path / "talk.mp4", [np.roll(still, k, 1) for k in range(20)])
    words = tmp_path / "talk.srt"
    words.write_text(SRT)

    def answer(call):
        return "" if call.schema else "A room."

    mllm = ScriptedMllm(answer, lambda call: [0.0] * len(call.answers))
    agent = Agent(mllm, Smiling(), Settings.load(rate=10))
    return agent.infer(clip, transcript=words)


def test_words_are_evidence_with_times_and_the_late_ones_are_said(read: Inference) -> None:
    (said,) = [item for item in read.evidence if item.kind == "transcript"]
    assert (said.text, said.start_s, said.end_s) == (
        'said 0.2-0.9 s: "You won\'t believe it."',
        0.2,
        0.9,
    )
    assert "1 lines of the transcript begin after the clip's end" in read.warnings


def test_elan_reads_the_tiers(read: Inference, tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi").Elan
    exports.write_all(read, tmp_path / "out")
    document = elan.Eaf(str(tmp_path / "out" / "talk.eaf"))
    (linked,) = document.media_descriptors
    assert linked["MEDIA_URL"].startswith("file:///")
    assert (tmp_path / "out" / linked["RELATIVE_MEDIA_URL"]).resolve() == Path(
        read.media.path
    ).resolve()
    assert {"person 1 AU12", "person 1 emotion", "person 1 not seen", "words"} <= set(
        document.get_tier_names()
    )
    (unit,) = document.get_annotation_data_for_tier("person 1 AU12")
    (event,) = read.people[0].track.events
    assert unit[:2] == (round(1000 * event.onset_s), round(1000 * event.offset_s))
    assert document.get_annotation_data_for_tier("person 1 not seen") == [
        (200, 400, "face not seen")
    ]
    assert document.get_annotation_data_for_tier("words")[0][:2] == (200, 900)


def test_the_tables_and_the_captions(read: Inference, tmp_path: Path) -> None:
    exports.write_all(read, tmp_path / "out")
    from feat.utils.io import read_feat

    fex = read_feat(str(tmp_path / "out" / "talk.fex.csv"))
    assert len(fex) == 18  # of 20 frames two were without the face
    assert list(fex["frame"])[:4] == [0, 1, 4, 5]
    assert fex["AU12"].max() == pytest.approx(0.9)
    with (tmp_path / "out" / "talk.events.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["unit"], row["kind"], row["scale"]) == ("12", "expression", "probability")
    with (tmp_path / "out" / "talk.moments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["top"] for row in rows] == ["sadness", "happiness"]
    import pysubs2

    captions = pysubs2.load(str(tmp_path / "out" / "talk.vtt"))
    assert [event.text.split(" 0.")[0] for event in captions] == [
        "person 1: sadness",
        "person 1: happiness",
    ]


def test_the_boris_project(read: Inference, tmp_path: Path) -> None:
    """Fields as BORIS 8.27 and 10.0 read them."""
    exports.write_all(read, tmp_path / "out")
    project = json.loads((tmp_path / "out" / "talk.boris").read_text("utf-8"))
    assert project["project_format_version"] == "7.0"
    assert [one["name"] for one in project["subjects_conf"].values()] == ["person 1"]
    kinds = {one["code"]: one["type"] for one in project["behaviors_conf"].values()}
    assert kinds == {
        "AU12": "State event",
        "AU12 apex": "Point event",
        "emotion sadness": "State event",
        "emotion happiness": "State event",
        "not seen": "State event",
        "words": "State event",
    }
    for one in project["behaviors_conf"].values():
        assert one["category"] in project["behavioral_categories"]
        assert set(one) == {
            "type", "key", "code", "description", "color", "category", "modifiers", "excluded",
            "coding map",
        }  # fmt: skip
    assert list(project["observations"]) == ["talk"]
    observation = project["observations"]["talk"]
    assert observation["type"] == "MEDIA"
    (file,) = observation["file"]["1"]
    assert Path(file).is_absolute()
    assert Path(file).is_file()
    facts = observation["media_info"]
    assert facts["length"] == {file: 2.0}
    assert facts["fps"] == {file: 10.0}
    assert (facts["hasVideo"], facts["hasAudio"]) == ({file: True}, {file: False})
    events = observation["events"]
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    assert {len(event) for event in events} == {6}
    assert {event[1] for event in events if event[2] != "words"} == {"person 1"}
    for code, kind in kinds.items():
        times = [event[0] for event in events if event[2] == code]
        assert len(times) == (1 if kind == "Point event" else 2)
    (unit,) = read.people[0].track.events
    assert [event[0] for event in events if event[2] == "AU12"] == [unit.onset_s, unit.offset_s]
    assert [event[0] for event in events if event[2] == "AU12 apex"] == [unit.apex_s]
    (words,) = [event for event in events if event[2] == "words" and event[4]]
    assert words[:2] == [0.2, ""]
    assert words[4] == '"You won\'t believe it."'


def test_spans_that_overlap_are_on_tiers_of_their_own(read: Inference) -> None:
    """BORIS pairs a start with the next entry of its behaviour; ELAN has no overlap on a tier."""
    person = read.people[0]
    event = person.track.events[0]
    later = event.model_copy(
        update={"onset_s": event.onset_s + 0.1, "offset_s": event.offset_s + 0.1}
    )
    track = person.track.model_copy(update={"events": (event, later)})
    changed = read.model_copy(update={"people": (person.model_copy(update={"track": track}),)})
    lanes = [lane for span, lane in assign_lanes(changed) if span.unit == 12]
    assert lanes == ["AU12", "AU12 (2)"]


def test_transcripts_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("pysubs2")
    for name, data, sentence in (
        ("empty.srt", b"", "is not a subtitle file that can be read"),
        ("latin.srt", b"caf\xe9\x81", "is not UTF-8"),
        ("blank.txt", b"\n \n", "holds no words"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(KuleshovError, match=sentence):
            transcript.read_transcript(path)
    with pytest.raises(KuleshovError, match="cannot read the transcript"):
        transcript.read_transcript(tmp_path / "gone.srt")


def test_long_transcripts_are_joined() -> None:
    cues = [transcript.Cue(start_s=k, end_s=k + 1, text=f"line {k}") for k in range(100)]
    joined = transcript.condense_cues(cues)
    assert len(joined) <= transcript.MOST_LINES
    assert (joined[0].start_s, joined[-1].end_s) == (0, 100)
    assert sum(cue.text.count("line") for cue in joined) == 100


INTERRUPTED = """
import os, signal, sys
from kuleshov.apps.cli import main as cli
from kuleshov.tools.pocket import detector

detect, seen = detector.detect_faces, []

def ninth(*given, **named):
    seen.append(0)
    if len(seen) == 9:
        os.kill(os.getpid(), signal.SIGINT)
    return detect(*given, **named)

detector.detect_faces = ninth
sys.exit(cli.main())
"""


def test_the_command_that_goes_on_writes_beside_what_was_written() -> None:
    given = ["infer", "my clip.mp4", "--start-s", "2", "--export", "out/", "--report=a/r.html"]
    assert resume.resume_command(given, 7.64) == (
        "kuleshov infer 'my clip.mp4' --export out-from-7.6s --report a/r-from-7.6s.html "
        "--start-s 7.6"
    )


def test_an_export_into_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "talk.mp4", [np.zeros((64, 96, 3), np.uint8)] * 3)
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    assert main(["infer", str(clip), "--export", str(taken), "--model", "pocket"]) == 2
    assert capsys.readouterr().err == (
        f"kuleshov: --export {taken} is a file: name a folder, or a file that ends in .mp4.\n"
    )
    assert taken.read_text() == "mine"


def test_clips_of_one_name_are_written_apart(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("pysubs2")
    still = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for number, name in enumerate(("glad/talk.mp4", "sad/talk.mp4", "sad/other.mp4"), 2):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / name, [np.roll(still, k, 1) for k in range(number)])

    def load(settings=None, **choices):
        mllm = ScriptedMllm(
            lambda call: "" if call.schema else "A room.", lambda call: [0.0] * len(call.answers)
        )
        return Agent(mllm, Smiling(), Settings.load(settings, **choices))

    monkeypatch.setattr(Agent, "load", staticmethod(load))
    monkeypatch.chdir(tmp_path)
    clips = ["glad/talk.mp4", "sad/talk.mp4", "sad/other.mp4"]
    main(["infer", *clips, "--export", "out", "--json"])
    written = sorted(path.name for path in (tmp_path / "out").glob("*.eaf"))
    assert written == ["glad-talk.eaf", "other.eaf", "sad-talk.eaf"]
    for name in ("glad", "sad"):
        told = (tmp_path / "out" / f"{name}-talk.eaf").read_text("utf-8")
        assert f"{name}/talk.mp4" in told


def test_a_later_call_does_not_write_over_another_clips_files(
    tmp_path, monkeypatch, capsys
) -> None:
    pytest.importorskip("pysubs2")
    still = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for number, name in enumerate(("glad/talk.mp4", "sad/talk.mp4"), 2):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / name, [np.roll(still, k, 1) for k in range(number)])
    out = tmp_path / "out"
    call = ["infer", "talk.mp4", "--export", str(out), "--model", "pocket", "--faces", "pocket"]
    for folder in ("glad", "sad", "glad"):  # the third is the first again: its files are renewed
        monkeypatch.chdir(tmp_path / folder)
        assert main(call) == 0
    said = capsys.readouterr().err
    assert said.count("talk.* in") == 1
    assert f"talk.* in {out} is of another clip and stays; this one is talk-2.*" in said
    assert sorted(path.name for path in out.glob("*.eaf")) == ["talk-2.eaf", "talk.eaf"]
    assert "glad/talk.mp4" in (out / "talk.eaf").read_text("utf-8")
    assert "sad/talk.mp4" in (out / "talk-2.eaf").read_text("utf-8")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x.mp4", "b/y.mp4"], ["x", "y"]),
        (["a/x.mp4", "b/x.mov", "c/y.mp4"], ["a-x", "b-x", "y"]),
        (["a/x.mp4", "b/X.mp4"], ["a-x", "b-X"]),
        (["/p/a/x.mp4", "/q/a/x.mp4"], ["p-a-x", "q-a-x"]),
        (["/a/x.mp4", "/a/x.mov", "/a/y.mov"], ["a-x", "a-x-2", "y"]),
        (["/a/x.mp4", "/b/x.mp4", "/c/a-x.mp4"], ["a-x", "b-x", "c-a-x"]),
    ],
)
def test_names_are_told_apart_by_their_folders(paths: list[str], names: list[str]) -> None:
    found = exports.name_apart(paths)
    assert len(set(found)) == len(paths)
    if "/c/a-x.mp4" not in paths:
        assert found == names


def test_two_items_of_one_clip_have_a_folder_each(read: Inference, tmp_path: Path) -> None:
    from kuleshov.runs.store import RunDirectory
    from kuleshov.types import Item

    with RunDirectory(tmp_path / "run").open({"input": "x"}) as run:
        for key in ("one", "two"):
            run.add(read.model_copy(update={"item": Item(id=key)}).to_json())
    exports.write_export(tmp_path / "run", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*/talk.eaf"))) == 2


def test_ctrl_c_keeps_what_was_read(feat_data: Path, tmp_path: Path) -> None:
    """A real process, a real SIGINT; it comes with the ninth picture that the detector is given."""
    clip = str(feat_data / "WolfgangLanger_Pexels.mp4")
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    command = [
        sys.executable, str(script), "infer", clip, clip, "--json", "--rate", "24",
        "--model", "pocket", "--faces", "pocket",
    ]  # fmt: skip
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    told = ran.stderr
    assert ran.returncode == 130, told
    assert "stopping; what was read is kept" in told
    assert "Traceback" not in told
    assert f"not read: {clip}" in told
    assert f"to resume {clip}: the same command for it alone, with --start-s " in told
    (line,) = ran.stdout.splitlines()
    kept = Inference.from_json(line)
    assert kept.gaps[0].reason.startswith("stopped by the user at ")
    assert 0 < kept.media.read < 472
    assert kept.people[0].emotions is not None


def test_every_line_of_a_long_transcript_reaches_elan(read: Inference, tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi").Elan
    lines = [
        transcript.Cue(start_s=k / 500, end_s=(k + 1) / 500, text=f"line \x00{k}\x1b \ud800")
        for k in range(800)
    ]
    exports.write_all(read.model_copy(update={"transcript": tuple(lines)}), tmp_path / "out")
    ElementTree.parse(tmp_path / "out" / "talk.eaf")  # as any reader of XML would
    document = elan.Eaf(str(tmp_path / "out" / "talk.eaf"))
    said = [
        text
        for tier in document.get_tier_names()
        if tier.startswith("words")
        for _, _, text in document.get_annotation_data_for_tier(tier)
    ]
    assert len(said) == 800
    assert {f'"line \ufffd{k}\ufffd \ufffd"' for k in range(800)} == set(said)
    assert "\x00" not in (tmp_path / "out" / "talk.boris").read_text("utf-8")


def test_a_name_with_control_characters_is_cleaned_for_boris(
    read: Inference, tmp_path: Path
) -> None:
    from kuleshov.output.exports import boris

    media = read.media.model_copy(update={"path": "talk\x1b\udc80.mp4"})
    boris.write_boris(read.model_copy(update={"media": media}), tmp_path / "talk.boris")
    told = json.loads((tmp_path / "talk.boris").read_text("utf-8"))
    assert told["project_name"] == "talk\ufffd\ufffd"
    assert "\\udc80" not in (tmp_path / "talk.boris").read_text("utf-8")
