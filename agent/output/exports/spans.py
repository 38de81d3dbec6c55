"""What of a clip has a begin and an end, for every format that has tiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from kuleshov.evidence.collection import quote_text
from kuleshov.evidence.timeline import event_name
from kuleshov.output import view
from kuleshov.tools.faces.tracking import timelines
from kuleshov.tools.valid_text import in_xml
from kuleshov.types import Inference


@dataclass(frozen=True)
class Span:
    """`tier` is what it is of one person ("AU12"), `person` None: of the whole clip.

    An emotion has its `label`; an action unit its `unit`, and `apex_s` where it is an expression.
    """

    person: int | None
    tier: str
    start_s: float
    end_s: float
    text: str
    label: str | None = None
    unit: int | None = None
    apex_s: float | None = None


def list_spans(inference: Inference) -> Iterator[Span]:
    """Readings of moments, unit events, blinks, speech-like movement, missing stretches, words.

    A span is at least a millisecond long, because tiers know no points.
    """
    for person in inference.people:
        for moment in person.moments:
            text = top = "unanswered"
            if moment.emotions is not None:
                top = moment.emotions.top
                text = f"{top} {moment.emotions.probabilities[top]:.2f}"
            yield _make_span(person.id, "emotion", moment.start_s, moment.end_s, text, label=top)
        track = person.track
        if track is None:
            continue
        blinks = len({event.onset_s for event in track.events if event.kind == "blink"})
        for event in track.events:
            tier = f"AU{event.unit:02d}"
            text = f"{event_name(event)}, {event.shown or 'shown'}, apex {event.apex_s:.3f} s"
            apex_s: float | None = event.apex_s
            if event.kind != "expression":
                tier, text, apex_s = event.kind, f"AU{event.unit:02d} {text}", None
            if event.kind == "blink" and not timelines.sees_every_blink(track):
                text += f", one of at least {blinks} (some fall between frames)"
            known = {"unit": event.unit, "apex_s": apex_s}
            yield _make_span(person.id, tier, event.onset_s, event.offset_s, text, **known)
        for stretch in track.speech:
            text = "mouth moves as in speech"
            if not timelines.sees_all_speech(track):
                text += f", as seen up to {track.rate / 2:.1f} Hz"
            yield _make_span(person.id, "speech movement", stretch.start_s, stretch.end_s, text)
        for stretch in track.missing:
            yield _make_span(person.id, "not seen", stretch.start_s, stretch.end_s, "face not seen")
    for line in view.said_lines(inference):
        if line.start_s is not None:
            end = line.end_s if line.end_s is not None else line.start_s
            tier = f"words {line.speaker}" if line.speaker else "words"
            yield _make_span(None, tier, line.start_s, end, quote_text(line.text))


def assign_lanes(
    inference: Inference, key: Callable[[Span], str] = attrgetter("tier")
) -> Iterator[tuple[Span, str]]:
    """Each span with the tier it goes to, in order of time, to the millisecond.

    Where spans of one person and `key` overlap, the later one goes to a further tier ("… (2)"),
    because neither ELAN nor BORIS can hold both on one.
    """
    ends: dict[tuple[int | None, str], float] = {}
    for span in sorted(list_spans(inference), key=lambda span: span.start_s):
        lane, copy = key(span), 1
        while ends.get((span.person, lane), -1.0) > span.start_s:
            copy += 1
            lane = f"{key(span)} ({copy})"
        ends[span.person, lane] = span.end_s
        yield span, lane


def _make_span(
    person: int | None, tier: str, start_s: float, end_s: float, text: str, **known: Any
) -> Span:
    begin = round(start_s, 3)
    end = max(round(end_s, 3), round(begin + 0.001, 3))
    if known.get("label") is not None:
        known["label"] = in_xml(known["label"])
    return Span(person, in_xml(tier), begin, end, in_xml(text), **known)
