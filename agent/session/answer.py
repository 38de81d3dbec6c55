"""Answers to free questions, and whether what they cite exists and bears them out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from kuleshov.evidence import grounding
from kuleshov.tools.types import Face, Record
from kuleshov.types import Cue, Evidence

CITED = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\s\[])|\n+")


class CitedAnswer(Record):
    """What was answered to a question about a reading."""

    question: str
    text: str
    by: Literal["mllm", "record"]
    cues: tuple[Cue, ...] = ()
    unknown: tuple[int, ...] = ()
    finished: bool = True
    note: str | None = None


def check_answer(
    question: str,
    text: str,
    evidence: Sequence[Evidence],
    face: Face | None,
    *,
    by: Literal["mllm", "record"],
    finished: bool = True,
    note: str | None = None,
) -> CitedAnswer:
    """The answer with a cue for each evidence number that its sentences cite.

    `unknown`: numbers cited that no evidence has. `finished`: False where it was cut off.
    """
    known = {item.n: item for item in evidence}
    cues: dict[tuple[int, str], Cue] = {}
    unknown: dict[int, None] = {}
    for sentence in SENTENCE.split(text):
        end = 0
        for match in CITED.finditer(sentence):
            words = _cited_clause(sentence[end : match.start()]) or _cited_clause(
                CITED.sub("", sentence)
            )
            end = match.end()
            for number in map(int, match[1].split(",")):
                if number not in known:
                    unknown[number] = None
                elif by == "record":  # the words are the item's own
                    item = known[number]
                    own = item.kind in grounding.MEASURED
                    cues[number, item.text] = Cue(
                        evidence=number,
                        text=item.text,
                        status="confirmed" if own else "unconfirmed",
                    )
                else:
                    cues[number, words] = grounding.check_cue(words, known[number], face)
    return CitedAnswer(
        question=question,
        text=text.strip(),
        by=by,
        cues=tuple(cues.values()),
        unknown=tuple(unknown),
        finished=finished,
        note=note,
    )


def _cited_clause(text: str) -> str:
    """The words that a citation stands behind."""
    return re.sub(r"^(?:and|but|while)\s+", "", _tidy_text(text).strip(" .,;:"))


def _tidy_text(text: str) -> str:
    return re.sub(r"\s+([,.;:])", r"\1", " ".join(text.split()))
