"""Action units over time for the report of a clip: one small plot a unit, all on one time axis.

What was not measured is not drawn: a line ends where the face was away or the unit could not be
told, and those stretches are hatched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kuleshov.evidence.timeline import event_text
from kuleshov.output import view
from kuleshov.tools.faces import facs
from kuleshov.tools.faces.tracking.types import Track, UnitSeries
from kuleshov.types import Inference, Person

MOST_POINTS = 400  # of a line
LEAST_WIDTH = 0.4  # percent of the axis: what is shorter could not be seen


def unit_plots(
    inference: Inference, person: Person, shots: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """What the template draws in boxes of 100 × 100, time from left to right; None: no track.

    Units with an event come first, in order of their first onset, then those that at some time
    were shown a little; the others are named in `quiet`.
    """
    track = person.track
    if track is None or not track.times_s or not track.units:
        return None
    end = end_s(inference, person)
    onsets: dict[tuple[int, str], float] = {}
    for event in track.events:
        onsets.setdefault((event.unit, event.side), event.onset_s)
    drawn = [series for series in track.units if _is_shown(series, onsets)]

    def begins(series: UnitSeries) -> float:
        return min(onsets.get((series.unit, side), end) for side in (series.side, "both"))

    drawn.sort(key=lambda s: (begins(s), s.unit, s.side))
    quiet = [series for series in track.units if series not in drawn]
    missing = [_bar_place(s.start_s, s.end_s, end) for s in track.missing]
    rows = [_unit_row(track, series, end) for series in drawn]
    kinds = {event.kind for event in track.events}
    return {
        "rows": rows,
        "missing": missing,
        "moments": _moment_bars(inference, person, shots, end),
        "words": _word_bars(inference, end),
        "recognised": any(item.source == "speech" for item in inference.evidence),
        "speech": [_bar_place(s.start_s, s.end_s, end) for s in track.speech],
        "kinds": [kind for kind in ("expression", "blink", "speech") if kind in kinds],
        "ticks": [{"x": 100 * time / end, "text": f"{time:g}"} for time in time_ticks(end)],
        "gaps": bool(missing),
        "weak": any(row["weak"] for row in rows),
        "level": any(row["slight"] is not None for row in rows),
        "quiet": [f"AU{s.unit} {_series_name(s)}" for s in quiet],
        "untold": [view.clean_line(text) for text in track.untold],
        "scale": ", ".join(
            dict.fromkeys(view.SCALES[s.scale] for s in drawn if s.scale is not None)
        ),
    }


def _is_shown(series: UnitSeries, onsets: Mapping[tuple[int, str], float]) -> bool:
    known = [value for value in series.values if value is not None]
    if any((series.unit, side) in onsets for side in (series.side, "both")):
        return True
    steps = series.steps
    return bool(known) and (steps is None or max(known) >= steps[0])


def _unit_row(track: Track, series: UnitSeries, end: float) -> dict[str, Any]:
    known = [value for value in series.values if value is not None]
    top = {"intensity": 5.0, "probability": 1.0, "activation": 1.0, "presence": 1.0}
    high = top.get(series.scale or "", max(known, default=1.0))
    low = min(0.0, *known) if series.scale == "log_odds" and known else 0.0
    if series.scale != "intensity" and known:  # several tools never near the end of their scale
        steps = series.steps
        high = min(high, max(*known, *(steps or (0.0,)))) or 1.0

    def y(value: float) -> float:
        return 96 - 92 * (value - low) / ((high - low) or 1.0)

    events = [e for e in track.events if e.unit == series.unit and e.side in (series.side, "both")]
    strongest = max(events, key=lambda e: e.peak, default=None)
    steps = series.steps
    return {
        "unit": series.unit,
        "name": _series_name(series),
        "weak": series.weak,
        "paths": [
            " L".join(f"{x:.2f} {y(value):.1f}" for x, value in run)
            for run in _series_lines(track, series, end)
        ],
        "slight": None if steps is None else y(steps[0]),
        "high": f"{high:.2g}",
        "events": [
            {
                "kind": event.kind,
                **_bar_place(event.onset_s, event.offset_s, end),
                "apex": 100 * event.apex_s / end,
                "text": event_text(event),
            }
            for event in events
        ],
        "told": "shown, no event"
        if strongest is None
        else f"{strongest.shown or 'shown'}, apex {strongest.apex_s:.1f} s",
        "text": "; ".join(event_text(event) for event in events) or "no event",
    }


def _series_name(series: UnitSeries) -> str:
    return facs.unit_name(series.unit) + ("" if series.side == "both" else f", {series.side}")


def _series_lines(track: Track, series: UnitSeries, end: float) -> list[list[tuple[float, float]]]:
    """Lines without a gap as (x, value), each step as its largest value, so that no peak is lost.

    A value on its own is a line as wide as can be seen.
    """
    runs: list[list[tuple[float, float]]] = [[]]
    away = iter(track.missing)
    gap = next(away, None)
    before = None
    for time, value in zip(track.times_s, series.values, strict=True):
        while gap is not None and before is not None and gap.start_s < before:
            gap = next(away, None)
        if value is None or (gap is not None and before is not None and gap.start_s < time):
            runs.append([])
        if value is not None:
            runs[-1].append((100 * time / end, value))
        before = time
    count = sum(map(len, runs))
    step = max(1, -(-count // MOST_POINTS))
    drawn = []
    for run in filter(None, runs):
        points = [max(run[i : i + step], key=lambda p: p[1]) for i in range(0, len(run), step)]
        if len(points) == 1:
            ((x, value),) = points
            points = [(x - 0.3, value), (x + 0.3, value)]
        drawn.append(points)
    return drawn


def _bar_place(start_s: float, end_s: float, end: float) -> dict[str, float]:
    width = max(LEAST_WIDTH, 100 * (end_s - start_s) / end)
    return {"x": min(100 * start_s / end, 100 - width), "width": width}


def _moment_bars(
    inference: Inference, person: Person, shots: Sequence[Mapping[str, Any]], end: float
) -> list[dict[str, Any]]:
    """The moments as bars that lead to the frame each was read from."""
    places = {frame.index: place for place, frame in enumerate(inference.media.frames)}
    known = {shot["place"]: shot["id"] for shot in shots}
    return [
        {
            "shot": known.get(places.get(moment.frame, -1)) if moment.frame is not None else None,
            **_bar_place(moment.start_s, moment.end_s, end),
            "apex": 100 * moment.time_s / end,
            "label": view.clean_line(moment.emotions.top) if moment.emotions else "unanswered",
            "text": f"{moment.start_s:.1f}–{moment.end_s:.1f} s: "
            + (view.brief_scores(moment.emotions, 3) if moment.emotions else "unanswered"),
        }
        for moment in person.moments
    ]


def _word_bars(inference: Inference, end: float) -> list[dict[str, Any]]:
    """What is said, where its time is known."""
    return [
        {
            **_bar_place(line.start_s, line.end_s if line.end_s is not None else line.start_s, end),
            "text": view.clean_line(f"{line.speaker}: {line.text}" if line.speaker else line.text),
        }
        for line in view.said_lines(inference)
        if line.start_s is not None
    ]


def end_s(inference: Inference, person: Person) -> float:
    """Where the time axis of every plot of a person ends, seconds."""
    times = person.track.times_s[-1:] if person.track is not None else ()
    seen = (face.time_s for face in person.timeline if face.time_s is not None)
    return max(inference.media.duration_s or 0.0, *times, *seen, 0.0) or 1.0


def time_ticks(end: float) -> list[float]:
    """Round times from 0 to `end`, seconds, four to eight of them."""
    step = next(
        (s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if end / s <= 6),
        end / 5,
    )
    return [round(i * step, 2) for i in range(int(end / step) + 1)]
