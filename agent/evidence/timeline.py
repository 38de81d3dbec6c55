"""Evidence about time: how a face changes over a clip, when its units peak, what was said when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov.evidence.collection import quote_text
from kuleshov.evidence.moments import cut_segments
from kuleshov.tools.faces import facs
from kuleshov.tools.faces.tracking import timelines
from kuleshov.tools.faces.tracking.types import Track, UnitEvent
from kuleshov.tools.types import LEVELS
from kuleshov.types import Evidence

MOST_EVENTS = 12  # lines; all events are in the track


def course_text(track: Track) -> str | None:
    """`over time: sadness 0.0 s, happiness 9.8 s`: the leading label from that time on."""
    parts = [f"{s.label} {track.times_s[s.first]:.1f} s" for s in cut_segments(track) if s.label]
    return "over time: " + ", ".join(parts) if parts else None


def event_text(event: UnitEvent) -> str:
    """`AU12 lip corner puller: from 1.2 s, peak 2.0 s (strong), ends 3.4 s`."""
    side = "" if event.side == "both" else f", {event.side} side"
    begin = f"from {event.onset_s:.1f} s" if event.onset_seen else "already present at the start"
    end = f"ends {event.offset_s:.1f} s" if event.offset_seen else "until the face is last visible"
    shown = f" ({event.shown})" if event.shown else ""
    name = f"AU{event.unit} {event_name(event)}{side}"
    return f"{name}: {begin}, peak {event.apex_s:.1f} s{shown}, {end}"


def event_name(event: UnitEvent) -> str:
    """The unit's name; AU45 that lasts is no blink."""
    if event.unit == 45 and event.kind != "blink":
        return "eye closure, longer than a blink"
    return facs.unit_name(event.unit)


def collect_timeline(track: Track, *, person: int, first: int) -> list[Evidence]:
    """The evidence that a track gives of a person, numbered from `first`.

    The course of the expression, the strongest events of action units in order of time, blinks,
    speech-like movement, and when the face was not to be seen.
    """
    source = f"faces:{track.tool}"
    items: list[dict[str, object]] = []
    course = course_text(track)
    if course:
        items.append({"kind": "expression", "text": course})
    shown = [event for event in track.events if event.kind == "expression"]

    def weight(event: UnitEvent) -> float:
        length = event.offset_s - event.onset_s + track.interval_s
        return LEVELS.get(event.shown or "", 1) * min(length, 5.0)

    strongest = sorted(shown, key=weight, reverse=True)[:MOST_EVENTS]
    for event in sorted(strongest, key=lambda event: (event.onset_s, event.unit)):
        items.append(
            {
                "kind": "event",
                "unit": event.unit,
                "side": event.side,
                "shown": event.shown,
                "text": event_text(event),
                "start_s": event.onset_s,
                "apex_s": event.apex_s,
                "end_s": event.offset_s,
            }
        )
    blinks = [event for event in track.events if event.kind == "blink"]
    if blinks:
        count = len({event.onset_s for event in blinks})
        away = sum(stretch.end_s - stretch.start_s for stretch in track.missing)
        seen = max(track.times_s[-1] - track.times_s[0] - away, track.interval_s)
        items.append({"kind": "blinks", "text": blinks_text(track, count, seen)})
    if track.speech:
        text = f"mouth moves as in speech: {_stretches_text(track.speech)}"
        if not timelines.sees_all_speech(track):
            text += (
                f" (movement above {track.rate / 2:.1f} Hz, the Nyquist limit of "
                f"{track.rate:.1f} frames a second, is not seen)"
            )
        items.append({"kind": "speech_movement", "text": text})
    if track.missing:
        items.append(
            {"kind": "missing", "text": f"face not seen: {_stretches_text(track.missing)}"}
        )
    return [
        Evidence.model_validate({"n": first + i, "source": source, "person": person, **item})
        for i, item in enumerate(items)
    ]


def blinks_text(track: Track, count: int, seen_s: float) -> str:
    """`blinks: 7 in 24.0 s`, or a least number where some may have fallen between frames."""
    if timelines.sees_every_blink(track):
        return f"blinks: {count} in {seen_s:.1f} s"
    return (
        f"blinks: at least {count} in {seen_s:.1f} s (at {track.rate:.1f} frames a second some "
        "fall between frames)"
    )


def before_text(track: Track, time_s: float) -> str | None:
    """`before: sadness 0.2-6.0 s, fear 6.0-7.3 s`: what led up to a moment; None: nothing did."""
    parts = [
        f"{s.label} {track.times_s[s.first]:.1f}-{track.times_s[s.last]:.1f} s"
        for s in cut_segments(track)
        if s.label and track.times_s[s.last] < time_s
    ][-3:]
    return "before: " + ", ".join(parts) if parts else None


def going_on(track: Track, time_s: float) -> list[UnitEvent]:
    """The events of action units that a moment lies in, expressions only."""
    return [
        event
        for event in track.events
        if event.kind == "expression" and event.onset_s <= time_s <= event.offset_s
    ]


def collect_words(
    cues: Sequence[dict[str, Any]], *, first: int, source: str = "transcript"
) -> list[Evidence]:
    """What is said as evidence with times, numbered from `first`; `source`: or speech."""
    return [
        Evidence(
            n=first + i,
            source=source,
            kind="transcript",
            text=said_text(cue["text"], cue["start_s"], cue["end_s"], cue.get("speaker")),
            speaker=cue.get("speaker"),
            start_s=cue["start_s"],
            end_s=cue["end_s"],
        )
        for i, cue in enumerate(cues)
    ]


def said_text(
    text: str, start_s: float | None, end_s: float | None, speaker: str | None = None
) -> str:
    """`said 1.2-3.4 s by Anna: "…"`: words are data, inside quotation marks of their own."""
    when = "" if start_s is None else f" {start_s:.1f}-{end_s or start_s:.1f} s"
    who = f" by {speaker}" if speaker else ""
    return f"said{when}{who}: {quote_text(text)}"


def _stretches_text(stretches: Sequence[object], most: int = 6) -> str:
    shown = [f"{s.start_s:.1f}-{s.end_s:.1f} s" for s in stretches[:most]]  # type: ignore[attr-defined]
    more = len(stretches) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
