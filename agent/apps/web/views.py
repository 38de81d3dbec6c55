"""What a turn looks like: two readings side by side, or an answer whose citations are links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kuleshov.apps.web.open_readings import Reading
from kuleshov.output import view
from kuleshov.session.answer import CITED, CitedAnswer
from kuleshov.session.compare import ReadingComparison
from kuleshov.session.session import Step
from kuleshov.tools.structured_text import parse_count
from kuleshov.types import Inference

MOST_LABELS = 8
HEADS = {"what_if": "Supposing: ", "context": "Knowing: ", "settings": "Read again: "}


def view_turns(reading: Reading) -> list[dict[str, Any]]:
    """The turns of a reading in plain values, for `fragment.html.jinja`."""
    found = []
    for step in reading.turns:
        place = reading.talk.readings
        about = place[step.reading] if step.reading is not None else reading.talk.current
        found.append(_view_turn(reading.number, step, about))
    return found


def _view_turn(number: int, step: Step, about: Inference) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "head": HEADS.get(step.kind, ""),
        "asked": view.clean_line(step.asked),
        "shifts": _view_shifts(step.comparison) if step.comparison else [],
        "answer": _view_answer(number, step.answer, about) if step.answer else None,
    }


def _view_shifts(comparison: ReadingComparison) -> list[dict[str, Any]]:
    return [
        {
            "person": shift.person,
            "before": shift.top_before,
            "after": shift.top_after,
            "js": shift.js,
            "rows": [
                {
                    "label": view.clean_line(label),
                    "before": _view_share(before),
                    "after": _view_share(after),
                    "points": None
                    if before is None or after is None
                    else f"{round(100 * (after - before)):+d}".replace("-", "−").replace("+0", "0"),
                }
                for label, before, after in shift.rows
                if max(before or 0, after or 0) >= 0.01
            ][:MOST_LABELS],
        }
        for shift in comparison.shifts
    ]


def _view_share(p: float | None) -> dict[str, Any] | None:
    return None if p is None else {"p": p, "percent": view.format_percent(p)}


def _view_answer(number: int, answer: CitedAnswer, about: Inference) -> dict[str, Any]:
    anchors = _evidence_anchors(number, about)
    return {
        "pieces": _split_citations(answer.text, anchors),
        "cues": [{"cue": cue, "anchor": anchors.get(cue.evidence)} for cue in answer.cues],
        "by": answer.by,
        "note": answer.note,
        "unknown": answer.unknown,
        "finished": answer.finished,
    }


def _split_citations(text: str, anchors: Mapping[int, str]) -> list[tuple[str, str | None]]:
    """The words, and each cited number with the id of its evidence (None: there is none)."""
    pieces: list[tuple[str, str | None]] = []
    last = 0
    for match in CITED.finditer(text):
        pieces.append((text[last : match.start()] + "[", None))
        for place, told in enumerate(match[1].split(",")):
            if place:
                pieces.append((", ", None))
            pieces.append((told.strip(), anchors.get(parse_count(told) or 0)))
        pieces.append(("]", None))
        last = match.end()
    return [*pieces, (text[last:], None)]


def _evidence_anchors(number: int, about: Inference) -> dict[int, str]:
    """Where each evidence stands on the page; what is about all, with the first person."""
    first = about.people[0].id if about.people else None
    there = {person.id for person in about.people}
    found = {}
    for item in about.evidence:
        person = item.person if item.person in there else first if item.person is None else None
        panel = f"r{number}" if person is None else f"r{number}-p{person}"
        found[item.n] = f"{panel}-e{item.n}"
    return found
