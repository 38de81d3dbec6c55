"""Words with their times: .srt, .vtt and other subtitle files through pysubs2, and plain text."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from kuleshov.tools.types import KuleshovError, Record

MOST_LINES, LINE_LENGTH = 40, 400

TWICE = (
    "words come from a transcript or from speech recognition, not from both: leave out "
    "--transcript, or --speech (setting `speech`)."
)


class Cue(Record):
    """What was said, and when, seconds of the clip; None: the file has no times."""

    start_s: float | None = Field(None, ge=0)
    end_s: float | None = Field(None, ge=0)
    text: str


def read(path: str | os.PathLike[str]) -> list[Cue]:
    """The lines of a transcript in order of time. A .txt is a line of text each, without times.

    Raises:
        KuleshovError: it cannot be read, holds nothing, or pysubs2 is not installed.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise KuleshovError(f"cannot read the transcript {file}: {error.strerror}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KuleshovError(f"the transcript {file} is not UTF-8; save it as UTF-8.") from None
    if file.suffix.lower() in (".txt", ""):
        cues = [Cue(text=line.strip()) for line in text.splitlines() if line.strip()]
    else:
        try:
            import pysubs2
        except ImportError:
            raise KuleshovError(
                "subtitle files need pysubs2: run `pip install 'kuleshov[clips]'`."
            ) from None
        try:
            events = pysubs2.SSAFile.from_string(text).events
        except Exception as error:
            raise KuleshovError(
                f"{file} is not a subtitle file that can be read (.srt, .vtt): "
                f"{type(error).__name__}."
            ) from None
        cues = [
            Cue(start_s=e.start / 1000, end_s=max(e.start, e.end) / 1000, text=e.plaintext.strip())
            for e in sorted(events, key=lambda e: e.start)
            if e.plaintext.strip() and e.start >= 0
        ]
    if not cues:
        raise KuleshovError(f"the transcript {file} holds no words.")
    return cues


def condensed(cues: list[Cue], most: int = MOST_LINES) -> list[Cue]:
    """Neighbouring lines joined until there are at most `most`; what is long is cut with an …"""
    size = max(1, -(-len(cues) // most))
    joined = []
    for begin in range(0, len(cues), size):
        some = cues[begin : begin + size]
        text = " ".join(cue.text for cue in some)
        text = text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 1] + "…"
        joined.append(Cue(start_s=some[0].start_s, end_s=some[-1].end_s, text=text))
    return joined


def within(cues: list[Cue], end_s: float) -> tuple[list[Cue], int]:
    """The lines that begin before the end of the clip, and how many do not."""
    kept = [cue for cue in cues if cue.start_s is None or cue.start_s < end_s]
    return kept, len(cues) - len(kept)
