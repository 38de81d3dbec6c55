"""Transcripts: what was said, by whom and when, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import transcript

YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:01.500 align:start position:0%
\x20
I<00:00:00.300><c> got</c><00:00:00.600><c> the</c><00:00:00.900><c> job</c>

00:00:01.500 --> 00:00:01.510 align:start position:0%
I got the job
\x20

00:00:01.510 --> 00:00:03.000 align:start position:0%
I got the job
and<00:00:01.800><c> I</c><00:00:02.100><c> am</c><00:00:02.400><c> afraid</c>

00:00:03.000 --> 00:00:03.010 align:start position:0%
and I am afraid
\x20
"""
VTT = """WEBVTT

STYLE
::cue { color: red }

0f3c1a2b/12-0
00:00:00.400 --> 00:00:01.200
<v Person One>I lost my keys</v>

NOTE the coder was happy
here

13-0
00:01.300 --> 00:02.500 align:start
<v.loud Person Two>Salt &amp; pepper {laughs} [music] &lt;sighs&gt;</v>
"""
ASS = r"""[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,X,0,0,0,,not said
Dialogue: 0,0:00:00.50,0:00:01.00,Default,Anna,0,0,0,,{\b1}Hello{a note}\Nyou{\p1}m 0 0{\p0}
"""
SRT = """1
00:00:01,000 --> 00:00:02,000
{\\an8}<i>ANNA:</i> No. (sighs)

2
00:00:02,000 --> 00:00:03,000
No. (sighs)

3
-00:00:01,000 --> 00:00:00,500 X1:1
{cries} 42

4
-00:00:03,000 --> -00:00:02,000
before
"""


def line(start_s, end_s, text, speaker=None):
    return (start_s, end_s, speaker, text)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("youtube.vtt", YOUTUBE, [line(0, 1.5, "I got the job"), line(1.51, 3, "and I am afraid")]),
        (
            "ids.vtt",
            VTT,
            [
                line(0.4, 1.2, "I lost my keys", "Person One"),
                line(1.3, 2.5, "Salt & pepper {laughs} [music] <sighs>", "Person Two"),
            ],
        ),
        ("talk.ass", ASS, [line(0.5, 1, "Hello you", "Anna")]),
        (
            "talk.srt",
            SRT,
            [
                line(0, 0.5, "{cries} 42"),
                line(1, 2, "No. (sighs)", "ANNA"),
                line(2, 3, "No. (sighs)"),  # said twice is not rolling
            ],
        ),
        (
            "whisper.txt",
            "[00:00.400 --> 00:01.200]  I lost\n[00:00:01.300 --> 00:00:02.200]  but found\n",
            [line(0.4, 1.2, "I lost"), line(1.3, 2.2, "but found")],
        ),
        (
            "copied.txt",
            "0:00\nhello there\n0:04\nso (sighs) yes\n",
            [line(0, 4, "hello there"), line(4, None, "so (sighs) yes")],
        ),
        (
            "prose.txt",
            "10:30 we met.\nThen we talked.\nRemember: be nice.\n",
            [
                line(None, None, "10:30 we met."),
                line(None, None, "Then we talked."),
                line(None, None, "Remember: be nice."),
            ],
        ),
        (
            "names.txt",
            "Anna: hi\nSpeaker 1: hello\nBen: bye\n",
            [
                line(None, None, "hi", "Anna"),
                line(None, None, "hello", "Speaker 1"),
                line(None, None, "bye", "Ben"),
            ],
        ),
        ("mac.srt", "1\r00:00:00,400 --> 00:00:01,200\rI lost\r\r", [line(0.4, 1.2, "I lost")]),
        ("a.sbv", "0:00:00.000,0:00:01.000\nhi\n>> BEN: yes\n", [line(0, 1, "hi >> BEN: yes")]),
        (
            "a.lrc",
            "[ar: X]\n[00:01.00][00:05.00]la\n[00:02.50]lo",
            [line(1, 2.5, "la"), line(2.5, 5, "lo"), line(5, None, "la")],
        ),
        (
            "whisper.json",
            '{"segments":[{"start":0,"end":1.5,"text":" Hi","speaker":"SPEAKER_00"}]}',
            [line(0, 1.5, "Hi", "SPEAKER_00")],
        ),
        ("whisper.tsv", "start\tend\ttext\n0\t1500\tHi\n", [line(0, 1.5, "Hi")]),
    ],
)
def test_only_what_is_said_is_read(tmp_path: Path, name: str, content: str, lines: list) -> None:
    if name.endswith(".ass"):
        pytest.importorskip("pysubs2")
    (tmp_path / name).write_bytes(content.encode())
    read = transcript.read_transcript(tmp_path / name)
    assert [(c.start_s, c.end_s, c.speaker, c.text) for c in read] == lines


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path: Path, codec: str) -> None:
    notes: list[str] = []
    (tmp_path / "a.srt").write_bytes("1\n00:01,0 --> 00:02,0\nCafé ist zu\n".encode(codec))
    (read,) = transcript.read_transcript(tmp_path / "a.srt", notes)
    assert read.text == "Café ist zu"
    assert bool(notes) == (codec == "cp1252")


A, B = ("Hello there.", "Hi.")
EXPORTS: dict[str, tuple[str, list[tuple[float | None, float | None, str | None, str]]]] = {
    "premiere.txt": (
        "00;00;01;05 - 00;00;03;10\nSpeaker 1\nHello there.\n\n"
        "00;00;04;00 - 00;00;06;00\nUnknown\nHi.\n",
        [(1, 4, "Speaker 1", A), (4, 6, None, B)],
    ),
    "otter.txt": (
        "Anna Smith  0:01  \nHello there.\n\nBob  0:04  \nHi.\n\nTranscribed by https://otter.ai\n",
        [(1, 4, "Anna Smith", A), (4, None, "Bob", B)],
    ),
    "rev.txt": (
        "Speaker 1 (00:01):\nHello there.\n\nSpeaker 2 (00:04):\nHi.\n",
        [(1, 4, "Speaker 1", A), (4, None, "Speaker 2", B)],
    ),
    "meet.txt": (
        "Weekly - Transcript\nAttendees\nAnna, Bob\n00:00:00\n\nAnna: Hello there.\nBob: Hi.\n"
        "00:05:00\nAnna: Bye.\n",
        [(0, 300, "Anna", A), (0, 300, "Bob", B), (300, None, "Anna", "Bye.")],
    ),
    "elan.txt": (
        "anna\t00:00:01.000\t1.0\t00:00:03.000\t3.0\t00:00:02.000\t2.0\tHello there.\n"
        "default\t00:00:04.000\t4.0\t00:00:05.000\t5.0\t00:00:01.000\t1.0\tHi.\n",
        [(1, 3, "anna", A), (4, 5, None, B)],
    ),
    "chat.txt": (
        "[02.05.24, 10:01:05] Anna: Hello there.\n[02.05.24, 10:01:09] Bob: Hi.\n",
        [(None, None, "Anna", A), (None, None, "Bob", B)],
    ),
    "table.csv": ('start,end,text\n1000,3000," Hello there."\n', [(1, 3, None, A)]),
    "aws.json": (
        '{"results": {"items": [{"type": "pronunciation", "start_time": "1.0", "end_time": "1.4", '
        '"alternatives": [{"content": "Hello"}]}, {"type": "pronunciation", "start_time": "1.4", '
        '"end_time": "3", "alternatives": [{"content": "there"}]}, {"type": "punctuation", '
        '"alternatives": [{"content": "."}]}]}}',
        [(1, 3, None, A)],
    ),
    "assembly.json": (
        '{"utterances": [{"speaker": "A", "start": 1000, "end": 3000, "text": "Hello there."}]}',
        [(1, 3, "A", A)],
    ),
    # what only looks so stays prose: a name and a time of day end its line
    "prose.txt": ("We met Anna at 10:30\nand Bob, 11:15\nthen we left.\n", []),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_of_editors_and_meeting_tools(tmp_path: Path, name: str) -> None:
    text, expected = EXPORTS[name]
    (tmp_path / name).write_text(text, "utf-8")
    cues = transcript.read_transcript(tmp_path / name)
    if not expected:
        assert [cue.text for cue in cues] == text.strip().split("\n")
        return
    assert [(c.start_s, c.end_s, c.speaker, c.text) for c in cues] == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.stl", "00:00:01:00 , 00:00:03:00 , Hello there\n", "not known by its ending"),
        ("a.sub", "{25}{75}Hello\n", "numbers of frames"),
        ("a.json", '{"results": {"x": 1}}', "no speech recogniser"),
    ],
)
def test_transcripts_of_forms_that_are_not_read(tmp_path, name, text, says) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(KuleshovError, match=says):
        transcript.read_transcript(tmp_path / name)
