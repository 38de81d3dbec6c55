"""Transcripts of Praat, ELAN, CHAT and iTunes: what was said and done, by whom, when."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.transcript import Cue, read_transcript


def read(folder: Path, name: str, text: str, encoding: str = "utf-8") -> list[Cue]:
    (folder / name).write_text(text, encoding)
    return read_transcript(folder / name)


def told(cues: list[Cue]) -> list[tuple[float | None, float | None, str | None, str]]:
    return [(cue.start_s, cue.end_s, cue.speaker, cue.text) for cue in cues]


def textgrid(*tiers: tuple[str, list[tuple[float, float, str]]]) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", "xmax = 9"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for k, (name, marks) in enumerate(tiers, 1):
        lines += [f"    item [{k}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", "        xmax = 9", f"        intervals: size = {len(marks)}"]
        for n, (begin, end, text) in enumerate(marks, 1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{n}]:", f"            xmin = {begin}"]
            lines += [f"            xmax = {end}", f'            text = "{quoted}"']
    return "\n".join(lines) + "\n"


def test_a_textgrid_names_its_speakers_and_leaves_silences_and_phones_out(tmp_path: Path) -> None:
    pytest.importorskip("pympi")
    grid = textgrid(
        ("Anna", [(0, 1, ""), (1, 2.5, 'You said "no".'), (2.5, 9, " ")]),
        ("Ben", [(0, 3, ""), (3, 4, "[laughs]"), (4, 9, "")]),
        ("phones", [(0, 1, "sil"), (1, 1.2, "j"), (1.2, 9, "u")]),
    )
    expected = [(1.0, 2.5, "Anna", 'You said "no".'), (3.0, 4.0, "Ben", "[laughs]")]
    assert told(read(tmp_path, "a.TextGrid", grid)) == expected
    assert told(read(tmp_path, "b.textgrid", grid, "utf-16")) == expected


def test_an_aligners_single_words_are_speech_where_nothing_else_is(tmp_path: Path) -> None:
    pytest.importorskip("pympi")
    words = ("Anna - words", [(0, 1, "hello"), (1, 2, "there")])
    phones = ("Anna - phones", [(0, 1, "HH"), (1, 2, "DH")])
    found = told(read(tmp_path, "a.TextGrid", textgrid(words, phones)))
    assert found == [(0.0, 1.0, "Anna", "hello"), (1.0, 2.0, "Anna", "there")]
    whole = ("Anna", [(0, 2, "Hello there.")])
    found = told(read(tmp_path, "b.TextGrid", textgrid(whole, words, phones)))
    assert found == [(0.0, 2.0, "Anna", "Hello there.")]


def test_elans_own_file_is_read(tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi.Elan")
    eaf = elan.Eaf()
    eaf.remove_tier("default")
    eaf.add_tier("speech-1", part="Mother")
    eaf.add_tier("Child")
    eaf.add_annotation("speech-1", 500, 1500, "Look & listen <there>")
    eaf.add_annotation("Child", 1600, 2000, "no")
    eaf.to_file(str(tmp_path / "a.eaf"))
    assert told(read_transcript(tmp_path / "a.eaf")) == [
        (0.5, 1.5, "Mother", "Look & listen <there>"),
        (1.6, 2.0, "Child", "no"),
    ]


def test_an_annotation_that_is_not_aligned_yet_has_no_time(tmp_path: Path) -> None:
    pytest.importorskip("pympi")
    text = """<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0"
 VERSION="3.0"><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"></HEADER><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="Anna"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"
 TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>Hi</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>"""
    assert told(read(tmp_path, "a.eaf", text)) == [(0.5, None, "Anna", "Hi")]


CHAT = """@UTF8
@Begin
@Languages:\teng
@Participants:\tCHI Ross Target_Child, MOT Mother
@Media:\tboys85, video
*MOT:\twhat is (.) <the the> [/] the doggie@c doing [= pointing]
\tthere ? \x151000_2500\x15
%mor:\tpro:int|what cop|be&3S
%com:\tthe dog barks
*CHI:\t&-um he runn(ing) [* m] &=laughs away [=! whispers] . \x152600_4000\x15
*CHI:\t0 [=! cries] . \x154000_4500\x15
*MOT:\tgood_night xxx +...
@Comment:\tthey leave
@End
"""


def test_chat_keeps_what_is_said_and_done_and_drops_codes(tmp_path: Path) -> None:
    assert told(read(tmp_path, "a.cha", CHAT)) == [
        (1.0, 2.5, "Mother", "what is the the the doggie doing there?"),
        (2.6, 4.0, "Ross", "um he running [laughs] away [whispers]."),
        (4.0, 4.5, "Ross", "[cries]."),
        (None, None, "Mother", "good night [unintelligible]"),
    ]


ITT = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
 {parameters} xml:lang="en"><body><div>
<p begin="{begin}" end="{end}">Hello<br/>there</p></div></body></tt>"""


@pytest.mark.parametrize(
    ("parameters", "begin", "end", "times"),
    [
        ('ttp:timeBase="smpte" ttp:frameRate="25"', "00:00:01:05", "00:00:02:10", (1.2, 2.4)),
        (
            'ttp:timeBase="smpte" ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001"',
            "00:10:00:00",
            "00:10:01:12",
            (600.6, 602.102),
        ),
        (
            'ttp:timeBase="smpte" ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001"'
            ' ttp:dropMode="dropNTSC"',
            "00:10:00:00",
            "00:10:01:00",
            (600.0, 601.001),
        ),
        ('ttp:frameRate="25"', "00:00:01:05", "50f", (1.2, 2.0)),
        ('ttp:tickRate="10000000"', "12000000t", "00:00:02.400", (1.2, 2.4)),
    ],
)
def test_times_that_count_frames_become_seconds(
    tmp_path: Path, parameters: str, begin: str, end: str, times: tuple[float, float]
) -> None:
    pytest.importorskip("pysubs2")
    text = ITT.format(parameters=parameters, begin=begin, end=end)
    for name in ("a.itt", "a.ttml"):
        (cue,) = read(tmp_path, name, text)
        assert cue.text == "Hello there"
        assert (cue.start_s, cue.end_s) == pytest.approx(times, abs=0.002)


@pytest.mark.parametrize("name", ["a.TextGrid", "a.eaf", "a.itt", "a.cha"])
@pytest.mark.parametrize("text", ["", "hello", "<a>", '"\n' * 20, "*CHI: ", "\x15"])
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(KuleshovError) as refused:
        read(tmp_path, name, text)
    assert "\n" not in str(refused.value)
