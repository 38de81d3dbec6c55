"""Words with their times: what was said in a transcript's file, by whom and when.

SubRip, WebVTT, SBV, LRC and the tables of speech recognisers are read here, because what was *not*
said must not become speech: cue identifiers, notes, style blocks, markup, times of single words,
and the lines that rolling captions show again. What is said or done in brackets or braces
("[laughter]", "{sighs}") is kept. Files of annotation programs are read in
`transcript_annotations`; every other subtitle format goes through pysubs2.
"""

from __future__ import annotations

import csv
import html
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import transcript_annotations, transcript_text
from kuleshov.tools.types import Record

MOST_LINES, LINE_LENGTH = 40, 400  # of the prompt alone; the record holds every line
TOUCH_S = 0.1  # captions that follow one another within this roll on; a choice of ours

TWICE = (
    "words come from a transcript or from speech recognition, not from both: leave out "
    "--transcript, or --speech (setting `speech`)."
)


class TranscriptLine(Record):
    """What was said, when and by whom, seconds of the clip; None: the file does not tell."""

    start_s: float | None = Field(None, ge=0)
    end_s: float | None = Field(None, ge=0)
    text: str
    speaker: str | None = Field(None, description="who says it, as the file names them")


Cue = TranscriptLine
"""The name of before. The record has a `Cue` of its own: in its schema a class of the same name
would be told apart by the module it lies in."""


CLOCK = r"(?:\d{1,3}:)?\d{1,3}:\d{1,2}(?:[.,]\d{1,6})?"
ARROW = re.compile(rf"^\s*(-?{CLOCK})\s*-+>\s*(-?{CLOCK})(?:\s.*)?$")
SBV = re.compile(
    rf"^\s*({CLOCK.replace('[.,]', '[.]')})\s*,\s*({CLOCK.replace('[.,]', '[.]')})\s*$"
)
LINE_TIMES = (  # of plain text: "[00:00.000 --> 00:04.000] words", "(0:01) words", "0:01 words"
    re.compile(rf"^\s*[\[(]?({CLOCK})\s*(?:-+>|[-–—])\s*({CLOCK})[\])]?:?(?:\s+(.*)|)$"),
    re.compile(rf"^\s*\[({CLOCK})\]():?\s*(.*)$"),
    re.compile(rf"^\s*\(({CLOCK})\)():?\s*(.*)$"),
    re.compile(rf"^\s*({CLOCK})():?(?:\s+(?:[-–—]\s+)?(.*)|)$"),
)
WORD_TIME = re.compile(rf"<{CLOCK}>")
MARKUP = re.compile(r"</?(?:i|b|u|s|c|v|lang|ruby|rt|font|span|p|div|em|strong)\b[^<>]*>", re.I)
BREAK = re.compile(r"<br\s*/?>", re.I)
VOICE = re.compile(r"<v(?:\.[^\s>]*)*[ \t]+([^>]+)>")
OVERRIDE = re.compile(r"\{\\[^{}]*\}")
DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0[^{}]*\}|$)", re.S)
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.I)
NUMBERED = r"(?i:speaker|person|participant|spk)[ _-]?\d+"
SPEAKER = re.compile(
    rf"^(?:[-–—]|>>+)?\s*(?:\[({NUMBERED})\]:?|({NUMBERED}):|"
    r"([A-ZÀ-Þ][A-ZÀ-Þ0-9.'’-]+(?: [A-ZÀ-Þ0-9.'’-]+){0,3}):(?=\s)|"
    r"([A-ZÀ-Þ][\w.'’-]*(?: [A-ZÀ-Þ][\w.'’-]*){0,3}):(?=\s))\s*(.+)$",
    re.S,
)
SURE = ("srt", "ass", "ssa", "vtt", "ttml", "sami")  # forms that their own marks tell
WEBVTT_BLOCKS = re.compile(r"^(?:NOTE|STYLE|REGION)(?:\s|$)|^Region:")


@dataclass
class _Line:
    """A caption as it stands in the file. fresh: lines with times of words of their own."""

    start_s: float | None
    end_s: float | None
    lines: list[str]
    speaker: str | None = None
    fresh: set[int] = field(default_factory=set)


def read_transcript(path: str | os.PathLike[str], notes: list[str] | None = None) -> list[Cue]:
    """The lines of a transcript in order of time; without times in a text file that has none.

    Args:
        path: .srt, .vtt, .sbv, .lrc, .ass and others of pysubs2, .ttml and .itt, Praat's
            .TextGrid, ELAN's .eaf, CHAT's .cha, .json or .tsv of a speech recogniser, or text,
            with or without times at the begin of its lines.
        notes: what was done on the way, for the record, is added here.

    Raises:
        KuleshovError: it cannot be read, holds nothing, or pysubs2 is not installed.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise KuleshovError(f"cannot read the transcript {file}: {error.strerror}.") from None
    notes = [] if notes is None else notes
    text = _decode_text(data, file, notes)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    found = _parse_file(file, text, notes)
    times = [time for one in found for time in (one.start_s, one.end_s) if time is not None]
    if not all(map(math.isfinite, times)):
        raise _unreadable_error(file, "one of its times is no time")
    cues = [one for one in _unroll_captions(found) if one.lines]
    kept = []
    early = 0
    for cue in cues:
        last = cue.start_s if cue.end_s is None else cue.end_s
        if last is not None and last < 0:
            early += 1
            continue
        start = None if cue.start_s is None else max(0.0, cue.start_s)
        end = cue.end_s if start is None or cue.end_s is None else max(start, cue.end_s)
        for line, who in _by_voice("\n".join(cue.lines), cue.speaker):
            if line:
                kept.append(Cue(start_s=start, end_s=end, text=line, speaker=who))
    if early:
        notes.append(f"{early} lines of the transcript end before the clip begins: left out")
    if not kept:
        raise KuleshovError(f"the transcript {file} holds no words.")
    if all(cue.start_s is not None for cue in kept):
        kept.sort(key=lambda cue: cue.start_s or 0.0)
    return _with_speakers(kept)


def _decode_text(data: bytes, file: Path, notes: list[str]) -> str:
    """Text of UTF-8 or UTF-16; else Western European, which is noted, where it reads as that."""
    refused = KuleshovError(f"the transcript {file} is not UTF-8; save it as UTF-8.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16"
    elif data[:200].count(0) * 3 > len(data[:200]):  # UTF-16 without its mark
        codec = "utf-16-le" if data[1:200:2].count(0) >= data[0:200:2].count(0) else "utf-16-be"
    else:
        codec = "utf-8-sig"
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        if codec != "utf-8-sig":
            raise refused from None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise refused from None
    # Western text is mostly ASCII; other alphabets read so would be a row of accents
    letters = [c for c in text if c.isalpha()]
    if sum(ord(c) > 127 for c in letters) > 0.25 * len(letters) or any(
        "\x80" <= c < "\xa0" for c in text
    ):
        raise refused
    notes.append("the transcript is not UTF-8: read as Windows-1252")
    return text


# ---------------------------------------------------------------------------------- formats


def _parse_file(file: Path, text: str, notes: list[str]) -> list[_Line]:
    kind = file.suffix.lower()
    lines = text.split("\n")
    if text.lstrip().startswith("WEBVTT") or kind == ".vtt":
        return _parse_webvtt(lines)
    if kind == ".json":
        return _parse_json(file, text)
    if kind in (".tsv", ".csv"):
        return _parse_tsv(file, lines)
    if kind == ".sbv":
        return _parse_blocks(lines, SBV)
    if kind in (".srt", ".txt", ""):
        found = _parse_blocks(lines, ARROW)
        if found:
            return found
        if kind == ".srt":
            raise _unreadable_error(file, "no line of times")
    if kind == ".lrc":
        return _parse_lyrics(lines)
    if kind in (".txt", "", ".text", ".md"):
        headed = transcript_text.read_headed(lines, notes)
        if headed:
            return [_Line(one.start_s, one.end_s, one.lines, one.speaker) for one in headed]
        return _timed_text(lines) or [_Line(None, None, [line]) for line in lines if line.strip()]
    if kind in (".textgrid", ".eaf", ".cha", ".chat"):
        return _parse_annotations(file, text)
    return _through_pysubs2(file, text)


def _parse_annotations(file: Path, text: str) -> list[_Line]:
    kind = file.suffix.lower()
    readers: dict[str, Callable[[str], list[transcript_text.Passage]]] = {
        ".textgrid": transcript_annotations.read_textgrid,
        ".eaf": transcript_annotations.read_eaf,
    }
    read = readers.get(kind, transcript_annotations.read_chat)
    try:
        found = read(text)
    except KuleshovError:
        raise
    except Exception as error:  # pympi raises whatever its parsers do
        raise _unreadable_error(file, type(error).__name__) from None
    return [_Line(one.start_s, one.end_s, one.lines, one.speaker) for one in found]


def _unreadable_error(file: Path, why: str) -> KuleshovError:
    return KuleshovError(f"{file} is not a subtitle file that can be read (.srt, .vtt): {why}.")


def _clock_seconds(clock: str) -> float:
    """`1:02:03,5`, `02:03.5` or `-00:01.0` in seconds."""
    sign = -1.0 if clock.startswith("-") else 1.0
    parts = clock.lstrip("-").replace(",", ".").split(":")
    return sign * round(sum(float(p) * 60.0**k for k, p in enumerate(reversed(parts))), 6)


def _parse_blocks(lines: list[str], times: re.Pattern[str]) -> list[_Line]:
    """SubRip and SBV: a line of times, then words up to the number before the next times."""
    found: list[_Line] = []
    for line in lines:
        match = times.match(line)
        if match:
            if found:
                _drop_number(found[-1].lines)
            found.append(_Line(_clock_seconds(match[1]), _clock_seconds(match[2]), []))
        elif found:
            found[-1].lines.append(line)
    return found


def _drop_number(lines: list[str]) -> None:
    """A counter stands alone on the line before the times, after a blank line."""
    while lines and not lines[-1].strip():
        lines.pop()
    if (
        lines
        and re.fullmatch(r"\s*\d+\s*", lines[-1])
        and (len(lines) == 1 or not lines[-2].strip())
    ):
        lines.pop()


def _parse_webvtt(lines: list[str]) -> list[_Line]:
    """Cues by the W3C's rules: a block is a cue where one of its first two lines holds times."""
    found: list[_Line] = []
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip("\n") != "":
            block.append(line)
            continue
        if block:
            _webvtt_block(block, found)
        block = []
    return found


def _webvtt_block(block: list[str], found: list[_Line]) -> None:
    if WEBVTT_BLOCKS.match(block[0]) and not ARROW.match(block[0]):
        return
    open_: _Line | None = None
    for place, line in enumerate(block):
        match = ARROW.match(line)
        if match:
            # a cue that follows without a blank line begins with its identifier or its times
            open_ = _Line(_clock_seconds(match[1]), _clock_seconds(match[2]), [])
            found.append(open_)
        elif open_ is not None:
            follows = place + 1 < len(block) and ARROW.match(block[place + 1])
            if not (follows and re.fullmatch(r"\s*\d+\s*", line)):
                open_.lines.append(line)


def _timed_text(lines: list[str]) -> list[_Line]:
    """Text whose lines begin with times, or follow a line of them; empty where it has none."""
    words = [line for line in lines if line.strip()]
    found: list[_Line] = []
    timed = 0
    for line in words:
        match = next((m for form in LINE_TIMES if (m := form.match(line))), None)
        if match:
            end = _clock_seconds(match[2]) if match[2] else None
            found.append(_Line(_clock_seconds(match[1]), end, [match[3]] if match[3] else []))
            timed += 1
        elif not found:
            return []  # words before any time
        else:
            found[-1].lines.append(line)
    starts = [one.start_s or 0.0 for one in found]
    # "10:30 we met" in a text of many other lines is a time of day
    if 2 * timed < len(words) or starts != sorted(starts):
        return []
    _until_next(found)
    return found


def _until_next(found: list[_Line]) -> None:
    """Where only begins are known, a line lasts until the next; the last has no known end."""
    for one, after in itertools.pairwise(found):
        if one.end_s is None:
            one.end_s = after.start_s


def _parse_lyrics(lines: list[str]) -> list[_Line]:
    """LRC: every time before a line is one at which it is sung; [ar: …] and its like are not."""
    found = []
    for line in lines:
        stamps = re.match(r"^\s*((?:\[\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?\]\s*)+)(.*)$", line)
        if stamps:
            words = re.sub(r"<\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?>", "", stamps[2])
            for at in re.findall(r"\[(\d{1,3}:\d{1,2})(?:[.:](\d{1,3}))?\]", stamps[1]):
                found.append(_Line(_clock_seconds(f"{at[0]}.{at[1] or 0}"), None, [words]))
    found.sort(key=lambda one: one.start_s or 0.0)
    _until_next(found)
    return found


def _parse_json(file: Path, text: str) -> list[_Line]:
    """Whisper, WhisperX, whisper.cpp, faster-whisper's lists, and YouTube's events."""
    try:
        told = orjson.loads(text)
        if isinstance(told, dict) and "transcription" in told:
            return [
                _Line(e["offsets"]["from"] / 1000, e["offsets"]["to"] / 1000, [_words_of(e)])
                for e in told["transcription"]
            ]
        if isinstance(told, dict) and "events" in told:
            return [
                _Line(
                    e["tStartMs"] / 1000,
                    (e["tStartMs"] + e.get("dDurationMs", 0)) / 1000,
                    ["".join(s.get("utf8", "") for s in e["segs"])],
                )
                for e in told["events"]
                if e.get("segs")
            ]
        if isinstance(told, dict) and isinstance(told.get("results"), dict):
            return _of_words(told["results"])  # Amazon Transcribe
        if isinstance(told, dict) and "utterances" in told:  # AssemblyAI: milliseconds
            return [
                _Line(e["start"] / 1000, e["end"] / 1000, [_words_of(e)], _speaker_of(e))
                for e in told["utterances"]
            ]
        rows = told["segments"] if isinstance(told, dict) else told
        return [
            _Line(
                _parse_number(e["start"]), _parse_number(e["end"]), [_words_of(e)], _speaker_of(e)
            )
            for e in rows
        ]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        pass
    try:
        return _through_pysubs2(file, text)
    except KuleshovError:
        raise _unreadable_error(file, "its JSON is of no speech recogniser that is known") from None


def _of_words(results: dict[str, Any]) -> list[_Line]:
    """Amazon Transcribe's and Deepgram's results: utterances, or sentences of single words."""
    if "utterances" in results or "channels" in results:
        return [
            _Line(
                _parse_number(e["start"]),
                _parse_number(e["end"]),
                [str(e["transcript"])],
                _speaker_of(e),
            )
            for e in results["utterances"]
        ]
    found: list[_Line] = []
    ended = True
    for item in results["items"]:
        word = str(item["alternatives"][0]["content"])
        if item["type"] == "punctuation":
            if found:
                found[-1].lines[0] += word
            ended = ended or word in ".?!"
            continue
        start, end = float(item["start_time"]), float(item["end_time"])
        who = item.get("speaker_label")
        if ended or found[-1].speaker != who:
            found.append(_Line(start, end, [word], who))
        else:
            found[-1].lines[0] += f" {word}"
            found[-1].end_s = end
        ended = False
    return found


def _words_of(entry: dict[str, object]) -> str:
    """The words of a recogniser's entry. Raises KeyError or TypeError: it has none."""
    words = entry["text"]
    if not isinstance(words, str):
        raise TypeError("no text")
    return words


def _speaker_of(entry: dict[str, object]) -> str | None:
    who = entry.get("speaker")
    return None if who is None else str(who)


def _parse_number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _parse_tsv(file: Path, lines: list[str]) -> list[_Line]:
    """Whisper's table: begin and end in milliseconds, and the words."""
    if file.suffix.lower() == ".csv":  # whisper.cpp's
        rows = [row for row in csv.reader(lines, skipinitialspace=True) if any(row)]
    else:
        rows = [line.split("\t") for line in lines if line.strip()]
    try:
        if [cell.strip().lower() for cell in rows[0][:3]] != ["start", "end", "text"]:
            raise ValueError
        return [_Line(float(r[0]) / 1000, float(r[1]) / 1000, ["\t".join(r[2:])]) for r in rows[1:]]
    except (ValueError, IndexError, csv.Error):
        raise _unreadable_error(file, "its columns are not start, end, text") from None


def _through_pysubs2(file: Path, text: str) -> list[_Line]:
    try:
        import pysubs2
    except ImportError:
        raise KuleshovError(
            "subtitle files need pysubs2: run `pip install 'kuleshov[clips]'`."
        ) from None
    try:
        kind = pysubs2.formats.FILE_EXTENSION_TO_FORMAT_IDENTIFIER.get(file.suffix.lower())
        if kind == "ttml" or file.suffix.lower() in (".itt", ".dfxp"):
            kind, text = "ttml", transcript_annotations.without_frames(text)
        subtitles = pysubs2.SSAFile.from_string(text, format_=kind)
    except pysubs2.exceptions.UnknownFPSError:
        raise _unreadable_error(
            file, "its times are numbers of frames, and it does not tell their rate"
        ) from None
    except Exception as error:
        raise _unreadable_error(file, type(error).__name__) from None
    if kind is None and subtitles.format not in SURE:
        raise _unreadable_error(file, "its form is not known by its ending or its begin")
    substation = subtitles.format in ("ass", "ssa")
    found = []
    for event in subtitles.events:
        if event.is_comment:
            continue
        # in SubStation whatever stands in braces is a command or a comment (pysubs2's own forms
        # of the other formats' markup begin with a backslash)
        words = DRAWING.sub("", event.text)
        words = re.sub(r"\{[^{}]*\}", "", words) if substation else words
        words = words.replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
        who = event.name.strip() or None if substation else None
        found.append(_Line(event.start / 1000, event.end / 1000, words.split("\n"), who))
    return found


# ---------------------------------------------------------------------------------- words


def _unroll_captions(found: list[_Line]) -> list[_Line]:
    """Rolling captions show each line twice or more: kept where it is new."""
    for one in found:
        lines = [line for line in "\n".join(one.lines).split("\n") if line.strip()]
        one.fresh = {k for k, line in enumerate(lines) if WORD_TIME.search(line)}
        one.lines = lines
    shown = [[_strip_markup(line) for line in one.lines] for one in found]
    again = [0] * len(found)
    for k in range(1, len(found)):
        one, before = found[k], found[k - 1]
        if one.start_s is None or before.end_s is None or before.start_s is None:
            continue
        if not before.start_s <= one.start_s <= before.end_s + TOUCH_S:
            continue
        for most in range(min(len(shown[k - 1]), len(shown[k])), 0, -1):
            if shown[k - 1][-most:] == shown[k][:most] and not one.fresh & set(range(most)):
                again[k] = most
                break
    several = [k for k in range(1, len(found)) if len(shown[k]) > 1]
    moved = sum(0 < again[k] < len(shown[k]) for k in several)
    flashes = sum(
        again[k] == len(shown[k]) > 0 and (found[k].end_s or 0) - (found[k].start_s or 0) <= 0.05
        for k in range(len(found))
    )
    timed = any(one.fresh for one in found)
    # said twice in a row is not rolling: it is told by the form of the whole file
    if timed or flashes or (moved >= 2 and 2 * moved >= len(several)):
        for one, drop in zip(found, again, strict=True):
            one.lines = one.lines[drop:]
    return found


def _strip_markup(line: str) -> str:
    return " ".join(MARKUP.sub("", WORD_TIME.sub("", OVERRIDE.sub("", line))).split())


def _by_voice(text: str, speaker: str | None) -> Iterator[tuple[str, str | None]]:
    """The words of a cue, by the voices that it names."""
    pieces = VOICE.split(text)
    yield _cue_words(pieces[0]), _speaker_name(speaker)
    for who, words in zip(pieces[1::2], pieces[2::2], strict=True):
        yield _cue_words(words), _speaker_name(html.unescape(who))


def _cue_words(text: str) -> str:
    """What of a cue is said: without markup, entities decoded, lines joined."""
    text = OVERRIDE.sub("", WORD_TIME.sub("", BREAK.sub(" ", text)))
    text = ENTITY.sub(lambda match: html.unescape(match[0]), MARKUP.sub("", text))
    return " ".join(re.sub("[\u200b\u200e\u200f\u2060\ufeff]", "", text).split())


def _speaker_name(speaker: object) -> str | None:
    """A name on one line that can end neither a quotation nor a sentence of the evidence."""
    if not isinstance(speaker, str):
        return None
    return " ".join(re.sub(r"[^\w .'’&/()-]", " ", speaker).split())[:60] or None


def _with_speakers(cues: list[Cue]) -> list[Cue]:
    """ "ANNA: …" and "Speaker 1: …" told apart from what they say.

    A name in ordinary letters ("Anna: …") counts where it comes again or where most lines begin
    so: "Remember: …" is no speaker.
    """
    heads = [None if cue.speaker else _speaker_head(cue.text) for cue in cues]
    often = Counter(head[0] for head in heads if head)
    most = 2 * sum(head is not None for head in heads) > len(cues) > 1
    return [
        cue.model_copy(update={"speaker": _speaker_name(head[0]), "text": head[1]})
        if head and (head[2] or often[head[0]] > 1 or most)
        else cue
        for cue, head in zip(cues, heads, strict=True)
    ]


def _speaker_head(text: str) -> tuple[str, str, bool] | None:
    """Name, words, and whether the form alone tells a speaker."""
    match = SPEAKER.match(text)
    if not match:
        return None
    sure = match[1] or match[2] or match[3]
    return sure or match[4], match[5].strip(), bool(sure)


# ---------------------------------------------------------------------------------- prompt


def condense_cues(cues: list[Cue], most: int = MOST_LINES) -> list[Cue]:
    """For the prompt: neighbours joined into at most `most`; what is long is cut with an …"""
    joined = []
    for first, last in joined_spans(len(cues), most):
        some = cues[first - 1 : last]
        who = {cue.speaker for cue in some}
        text = " ".join(
            cue.text if len(who) == 1 or not cue.speaker else f"{cue.speaker}: {cue.text}"
            for cue in some
        )
        text = text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 1] + "…"
        ends = [cue.end_s for cue in some if cue.end_s is not None]
        joined.append(
            Cue(
                start_s=some[0].start_s,
                end_s=max(ends) if ends else None,
                text=text,
                speaker=some[0].speaker if len(who) == 1 else None,
            )
        )
    return joined


def joined_spans(count: int, most: int = MOST_LINES) -> list[tuple[int, int]]:
    """First and last line, from 1, of each line that `condense_cues` makes of `count` lines."""
    size = max(1, -(-count // most))
    return [(begin + 1, min(begin + size, count)) for begin in range(0, count, size)]


def count_joined(count: int, most: int = MOST_LINES) -> int:
    return len(joined_spans(count, most))


def cues_within(cues: list[Cue], end_s: float) -> tuple[list[Cue], int]:
    """The lines that begin before the end of the clip, and how many do not."""
    kept = [cue for cue in cues if cue.start_s is None or cue.start_s < end_s]
    return kept, len(cues) - len(kept)
