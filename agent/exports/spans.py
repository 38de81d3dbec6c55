"""What of a clip has a begin and an end, for every format that has tiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kuleshov.tools.faces import facs
from kuleshov.types import Inference


@dataclass(frozen=True)
class Span:
    """`tier` is what it is of one person ("AU12"), `person` None: of the whole clip."""

    person: int | None
    tier: str
    start_s: float
    end_s: float
    text: str


def spans(inference: Inference) -> Iterator[Span]:
    """Readings of moments, unit events, blinks, speech-like movement, missing stretches, words.

    A span is at least a millisecond long, because tiers know no points.
    """
    for person in inference.people:
        for moment in person.moments:
            text = "unanswered"
            if moment.emotions is not None:
                top = moment.emotions.top
                text = f"{top} {moment.emotions.probabilities[top]:.2f}"
            yield _span(person.id, "emotion", moment.start_s, moment.end_s, text)
        track = person.track
        if track is None:
            continue
        for event in track.events:
            tier = f"AU{event.unit:02d}"
            text = f"{facs.name(event.unit)}, {event.shown or 'shown'}, apex {event.apex_s:.3f} s"
            if event.kind != "expression":
                tier, text = event.kind, f"AU{event.unit:02d} {text}"
            yield _span(person.id, tier, event.onset_s, event.offset_s, text)
        for stretch in track.speech:
            text = "mouth moves as in speech"
            yield _span(person.id, "speech movement", stretch.start_s, stretch.end_s, text)
        for stretch in track.missing:
            yield _span(person.id, "not seen", stretch.start_s, stretch.end_s, "face not seen")
    for item in inference.evidence:
        if item.kind == "transcript" and item.start_s is not None:
            end = item.end_s if item.end_s is not None else item.start_s
            yield _span(None, "words", item.start_s, end, item.text.split(": ", 1)[-1])


def _span(person: int | None, tier: str, start_s: float, end_s: float, text: str) -> Span:
    return Span(person, tier, start_s, max(end_s, start_s + 0.001), text)
