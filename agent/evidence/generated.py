"""Text that a model wrote, before it becomes evidence: loops, refusals, a last sentence cut off."""

from __future__ import annotations

import re
import zlib

LOOPED = 2.4
"""Bytes of text for one byte of zlib from which a text repeats itself: Whisper's threshold (Radford
et al. 2022, section 4.5)."""
LEAST = 80  # characters: shorter text says nothing by its compression
REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?m|i am|we are)(?: \w+)? sorry\b|sorry,|(?:as|being) an? (?:ai|artificial|"
    r"(?:large )?language model)\b|i (?:cannot|can['’]?t|can not|am unable to|am not able to|"
    r"won['’]?t|don['’]?t have enough)\b)",
    re.I,
)
END = re.compile(r"[.!?…](?:[\"'”’)\]]+)?(?=\s|$)|\n")


def why_unanswered(text: str) -> str | None:
    """Why what was written is no answer; None: it is one."""
    if REFUSAL.match(text):
        return "the model declined: unanswered"
    data = text.strip().encode("utf-8", "replace")
    if len(data) >= LEAST and len(data) / len(zlib.compress(data)) > LOOPED:
        return "the model repeated itself: unanswered"
    return None


def to_last_sentence(text: str) -> str:
    """A text that the limit cut, back to the end of its last whole sentence; else as it is."""
    ends = [match.end() for match in END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else text
