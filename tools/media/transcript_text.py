"""Transcripts as editors, meeting tools and annotation programs export them as plain text.

There times and speakers stand on lines of their own, or in columns, and must not become speech:
Premiere's text export, otter.ai, Rev, Google Meet, ELAN's tab-delimited text, and chats whose lines
begin with a date.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

CLOCK = r"(?:\d{1,3}:)?\d{1,3}:\d{2}(?:[.,]\d{1,6})?"
FRAMED = r"\d{1,2}[:;]\d{2}[:;]\d{2}[:;]\d{2,3}"  # hours, minutes, seconds, frames
RANGE = re.compile(rf"^\s*({FRAMED})\s*(?:-+>?|–|—)\s*({FRAMED})\s*$")
NUMBERED = r"(?i:speaker|person|participant|spk)[ _-]?\d+"
HEAD = re.compile(
    rf"^\s*(?P<who>{NUMBERED}|[^\W\d_][\w.'’-]*(?:[ ][\w.'’&()-]+){{0,3}}?)"
    rf"(?:[ \t]{{1,}}|,\s*)[\[(]?(?P<at>{CLOCK})[\])]?:?\s*$"
)
BARE = re.compile(r"^\s*(\d{1,2}:\d{2}:\d{2})\s*$")
DATED = re.compile(
    r"^\s*\[?\d{1,4}[./-]\d{1,2}[./-]\d{1,4},?\s+\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp]\.?[Mm]\.?)?"
    r"\]?\s*(?:-\s+)?([^:]{1,60}):\s+(.*)$"
)
STAMP = re.compile(r"^\d{1,2}:\d{2}:\d{2}[.,]\d{1,3}$")
FOOTER = re.compile(r"^\s*Transcribed by https?://\S+\s*$", re.I)
NOBODY = {"unknown", "unknown speaker", "unbekannt", "inconnu", "desconocido"}


@dataclass
class Passage:
    """Words that belong together; times in seconds, None: not told."""

    start_s: float | None
    end_s: float | None
    lines: list[str] = field(default_factory=list)
    speaker: str | None = None


def read_headed(lines: list[str], notes: list[str]) -> list[Passage]:
    """The passages of a text in one of these forms; empty where it has none of them."""
    kept = [line for line in lines if not FOOTER.match(line)]
    for form in (_ranges, _columns, _heads, _sections, _dated):
        found = form(kept, notes)
        if found:
            return found
    return []


def _seconds(clock: str) -> float:
    parts = clock.replace(",", ".").split(":")
    return round(sum(float(p) * 60.0**k for k, p in enumerate(reversed(parts))), 6)


def _ranges(lines: list[str], notes: list[str]) -> list[Passage]:
    """Premiere: begin and end with frames, who speaks, the words."""
    found: list[Passage] = []
    for line in lines:
        if match := RANGE.match(line):
            begin, end = (re.split("[:;]", clock) for clock in match.groups())
            start_s, end_s = (int(h) * 3600 + int(m) * 60 + int(s) for h, m, s, _ in (begin, end))
            found.append(Passage(start_s, end_s + (int(end[3]) > 0)))
        elif line.strip():
            if not found:
                return []
            found[-1].lines.append(line.strip())
    if found and all(len(one.lines) >= 2 for one in found):
        for one in found:
            _name(one, one.lines.pop(0))
    if found:
        notes.append(
            "the transcript's times count frames, whose rate it does not tell: read to the second"
        )
    return found


def _columns(lines: list[str], notes: list[str]) -> list[Passage]:
    """ELAN's tab-delimited text: tier, begin, end, duration, words."""
    found = []
    for line in lines:
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        stamps = [cell for cell in cells if STAMP.match(cell)]
        if len(cells) < 4 or len(stamps) < 2 or not cells[-1]:
            return []
        one = Passage(_seconds(stamps[0]), _seconds(stamps[1]), [cells[-1]])
        if not STAMP.match(cells[0]) and cells[0].lower() != "default":
            _name(one, cells[0])
        found.append(one)
    return found


def _heads(lines: list[str], notes: list[str]) -> list[Passage]:
    """otter.ai, Rev: who and when on a line of its own, after a blank one, then the words."""
    found: list[Passage] = []
    blank = True
    for line in lines:
        match = HEAD.match(line) if blank else None
        if match:
            found.append(Passage(_seconds(match["at"]), None))
            _name(found[-1], match["who"])
        elif line.strip():
            if not found:
                return []
            found[-1].lines.append(line.strip())
        blank = not line.strip()
    starts = [one.start_s or 0.0 for one in found]
    if len(found) < 2 or starts != sorted(starts) or not all(one.lines for one in found):
        return []
    return _until_next(found)


def _sections(lines: list[str], notes: list[str]) -> list[Passage]:
    """Google Meet: a heading, then now and then a line with the time, and lines "Anna: …"."""
    found: list[Passage] = []
    at: float | None = None
    before = times = 0
    for line in lines:
        if match := BARE.match(line):
            at, times = _seconds(match[1]), times + 1
        elif line.strip() and at is None:
            before += 1
        elif line.strip():
            found.append(Passage(at, None, [line.strip()]))
    starts = [one.start_s or 0.0 for one in found]
    if times < 2 or not before or starts != sorted(starts):
        return []  # without a heading it is text with times, which is read elsewhere
    notes.append(f"{before} lines before the transcript's first time are no speech: left out")
    ends = dict(itertools.pairwise(sorted(set(starts))))
    for one in found:
        one.end_s = ends.get(one.start_s or 0.0)
    return found


def _dated(lines: list[str], notes: list[str]) -> list[Passage]:
    """A chat: each message begins with a date, which is no time of the clip."""
    found: list[Passage] = []
    for line in lines:
        if match := DATED.match(line):
            found.append(Passage(None, None, [match[2].strip()]))
            _name(found[-1], match[1])
        elif line.strip():
            if not found:
                return []
            found[-1].lines.append(line.strip())
    if found:
        notes.append("the transcript's dates are no times of the clip: its lines have no times")
    return found


def _name(one: Passage, who: str) -> None:
    one.speaker = None if who.strip().lower() in NOBODY else who.strip()


def _until_next(found: list[Passage]) -> list[Passage]:
    for one, after in itertools.pairwise(found):
        one.end_s = after.start_s
    return found
