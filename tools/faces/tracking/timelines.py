"""Action units over time: smoothing, onset-apex-offset events, blinks, speech-like movement.

Everything works within stretches in which the face was seen without a gap: nothing is filled in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.faces.tracking.types import Stretch, Track, UnitEvent, UnitSeries

SMOOTH_S = 0.15  # standard deviation of the Gaussian; a median of three frames goes before it
BLINK_S = 0.5
"""Longest closure told as a blink: blinks last 0.1-0.4 s (Schiffman 2001), read between frames."""
BLINK_RATE = 15.0
"""Frames a second from which blinks are counted. Of simulated ones of 0.1-0.4 s 61 % were found at
5 a second, 94 % at 10, all at 15; below, some fall between frames."""
CLOSURES = (43, 45)
MOUTH = (16, 18, 20, 22, 23, 24, 25, 26, 27, 28)
"""Units that speech moves."""
JAW = (25, 26, 27)
SPEECH_HZ = 1.5
"""Turns from opening to closing and back a second, from which movement is speech-like. The mouth
opens and closes 2-7 times a second in speech (Chandrasekaran et al. 2009, PLoS Comput Biol 5:7);
sampling a few times a second sees some of it."""
SPEECH_LEAST_S = 0.8
SPEECH_MOST_HZ = 7.0  # the quickest opening and closing in speech (Chandrasekaran et al. 2009)
SPEECH_RATE = 5.0  # frames a second below which speech and blinks cannot be told
NEARLY = 0.3  # frames a second: a clip's rate is rarely whole


def analyse_track(track: Track) -> Track:
    """The track with its events, its speech-like stretches and what could not be told."""
    speech = speech_like(track)
    found = [event for series in track.units for event in unit_events(track, series)]
    events = [
        event.model_copy(update={"kind": _event_kind(event, track, speech)})
        for event in joined_halves(track, found)
    ]
    return track.model_copy(
        update={
            "events": tuple(sorted(events, key=lambda e: (e.onset_s, e.unit))),
            "speech": tuple(speech),
            "untold": list_untold(track),
        }
    )


def sees_every_blink(track: Track) -> bool:
    """Whether the frames are dense enough to count blinks, rather than to tell a lower bound."""
    return track.rate >= BLINK_RATE - NEARLY


def sees_all_speech(track: Track) -> bool:
    """Whether the quickest movement of speech is below the Nyquist frequency of the frames."""
    return track.rate >= 2 * SPEECH_MOST_HZ - NEARLY


def list_untold(track: Track) -> tuple[str, ...]:
    """What the frames are too few to tell, of the units that the track holds."""
    rate = f"{track.rate:.1f} frames per second"
    if track.rate < SPEECH_RATE - NEARLY:
        return (f"blinks and speech-like movement cannot be detected at {rate}",)
    told = []
    units = {series.unit for series in track.units}
    if units & set(CLOSURES) and not sees_every_blink(track):
        told.append(
            f"at {rate} some blinks fall between frames: the count is a lower bound, exact from "
            f"{BLINK_RATE:.0f} on"
        )
    if units & set(JAW) and not sees_all_speech(track):
        told.append(
            f"at {rate} speech-like movement is detected up to {track.rate / 2:.1f} openings per "
            f"second (Nyquist limit); speech reaches {SPEECH_MOST_HZ:.0f}"
        )
    return tuple(told)


def smooth_values(track: Track, values: Sequence[float | None]) -> NDArray[np.float64]:
    """A column of the track, smoothed within stretches without a gap; NaN where unknown.

    A median of three frames, which takes out a single wrong frame, then a Gaussian of
    `SMOOTH_S`. At 5 frames a second the Gaussian is narrower than a frame and changes little.
    """
    from scipy.ndimage import gaussian_filter1d, median_filter

    column = np.array([math.nan if value is None else value for value in values], float)
    for places in track.stretches():
        part = column[places.start : places.stop]
        for run in _true_runs(~np.isnan(part)):
            piece = part[run]
            if len(piece) >= 3:
                piece = median_filter(piece, 3, mode="nearest")
            part[run] = gaussian_filter1d(piece, SMOOTH_S / track.interval_s, mode="nearest")
    return column


def unit_events(track: Track, series: UnitSeries) -> list[UnitEvent]:
    """Rises and falls of one unit: from its first step on, through an apex that is at least at the
    second. Where presence is coded beside an intensity, an event is a run of frames coded present.

    None for a unit whose tool does not say from which value on it is shown, or measures it
    poorly by its own figures.
    """
    steps = series.steps
    if steps is None or series.weak or series.scale is None:
        return []
    first, second = steps[0], steps[1]
    quick = series.unit in CLOSURES  # a blink is shorter than the median filter
    values = (
        np.array([math.nan if v is None else v for v in series.values], float)
        if quick or series.decided  # smoothing would carry values over from where it is absent
        else smooth_values(track, series.values)
    )
    present = _coded_present(track, series, quick) if series.decided else None
    found = []
    for places in track.stretches():
        part = values[places.start : places.stop]
        high = np.nan_to_num(part, nan=-1.0)
        runs = _true_runs(high >= first if present is None else present[places.start : places.stop])
        for run in runs:
            apex = run.start + int(np.argmax(high[run]))
            peak = float(part[apex])
            if math.isnan(peak) or (present is None and peak < second):
                continue
            onset, offset = places.start + run.start, places.start + run.stop - 1
            found.append(
                UnitEvent(
                    unit=series.unit,
                    side=series.side,
                    onset_s=round(track.times_s[onset], 3),
                    apex_s=round(track.times_s[places.start + apex], 3),
                    offset_s=round(track.times_s[offset], 3),
                    peak=round(peak, 4),
                    scale=series.scale,
                    shown=series.of(peak, places.start + apex).shown,
                    onset_seen=run.start > 0,
                    offset_seen=run.stop < len(part),
                )
            )
    return found


def _coded_present(track: Track, series: UnitSeries, quick: bool) -> NDArray[np.bool_]:
    """Whether each frame is coded present; a flicker of one frame is smoothed away."""
    coded = [series.at(place).is_shown for place in range(len(series.values))]
    column = [None if shown is None else float(shown) for shown in coded]
    if quick:
        return np.array([value == 1.0 for value in column], bool)
    from scipy.ndimage import median_filter

    found = np.zeros(len(column), bool)
    for places in track.stretches():
        part = np.array([v or 0.0 for v in column[places.start : places.stop]], float)
        found[places.start : places.stop] = (
            median_filter(part, 3, mode="nearest") if len(part) >= 3 else part
        ) >= 0.5
    return found


def joined_halves(track: Track, events: Sequence[UnitEvent]) -> list[UnitEvent]:
    """Events of a unit's two halves that go together as one of both.

    An event keeps its side only where the other half is absent at its apex.
    """
    found: list[UnitEvent] = []
    right = [event for event in events if event.side == "right"]
    for event in events:
        if event.side == "right":
            continue
        twin = next(
            (
                other
                for other in right
                if event.side == "left"
                and other.unit == event.unit
                and other.onset_s <= event.offset_s
                and event.onset_s <= other.offset_s
            ),
            None,
        )
        if twin is None:
            found.append(_find_side(track, event))
            continue
        right.remove(twin)
        high = event if event.peak >= twin.peak else twin
        first = min((event, twin), key=lambda e: e.onset_s)
        last = max((event, twin), key=lambda e: e.offset_s)
        found.append(
            high.model_copy(
                update={
                    "side": "both",
                    "onset_s": first.onset_s,
                    "onset_seen": first.onset_seen,
                    "offset_s": last.offset_s,
                    "offset_seen": last.offset_seen,
                }
            )
        )
    return found + [_find_side(track, event) for event in right]


def _find_side(track: Track, event: UnitEvent) -> UnitEvent:
    if event.side == "both":
        return event
    place = track.nearest(event.apex_s)
    other = [s for s in track.units if s.unit == event.unit and s.side not in ("both", event.side)]
    alone = not other or place is None or other[0].at(place).is_shown is False
    return event if alone else event.model_copy(update={"side": "both"})


def speech_like(track: Track) -> list[Stretch]:
    """Stretches in which mouth opening goes up and down as it does in speech."""
    series = [unit for unit in track.units if unit.unit in JAW and unit.steps and not unit.weak]
    if not series or track.rate < SPEECH_RATE - NEARLY:
        return []
    found: list[Stretch] = []
    for unit in series:
        steps = unit.steps
        assert steps is not None
        column = np.array([math.nan if v is None else v for v in unit.values], float)
        for places in track.stretches():
            part = column[places.start : places.stop]
            times = np.array(track.times_s[places.start : places.stop])
            found += _find_swings(part, times, least=0.5 * (steps[1] - steps[0]) + 1e-6)
    return _join_stretches(found, 2 * track.interval_s)


def _find_swings(values: NDArray[Any], times: NDArray[Any], least: float) -> list[Stretch]:
    """Stretches with at least `SPEECH_HZ` full swings a second, each of at least `least`."""
    known = ~np.isnan(values)
    values, times = values[known], times[known]
    turns: list[int] = []  # places of alternating highs and lows that differ by `least`
    low = high = 0
    rising: bool | None = None
    for i in range(1, len(values)):
        low = i if values[i] < values[low] else low
        high = i if values[i] > values[high] else high
        if rising is not False and values[high] - values[i] >= least:
            turns.append(high)
            rising, low, high = False, i, i
        elif rising is not True and values[i] - values[low] >= least:
            turns.append(low)
            rising, low, high = True, i, i
    stretches = []
    begin = 0
    longest = 1 / SPEECH_HZ  # half a swing may take no longer than this
    for k in range(1, len(turns) + 1):
        if k < len(turns) and times[turns[k]] - times[turns[k - 1]] <= longest / 2 + 0.25:
            continue
        some = turns[begin:k]
        begin = k
        if len(some) < 4:
            continue
        span = float(times[some[-1]] - times[some[0]])
        if span >= SPEECH_LEAST_S and (len(some) - 1) / 2 / span >= SPEECH_HZ:
            stretches.append(
                Stretch(
                    start_s=round(float(times[some[0]]), 3), end_s=round(float(times[some[-1]]), 3)
                )
            )
    return stretches


def _event_kind(
    event: UnitEvent, track: Track, speech: Sequence[Stretch]
) -> Literal["expression", "blink", "speech"]:
    # it may have begun and ended anywhere up to the neighbouring frames
    longest = event.offset_s - event.onset_s + 2 * track.interval_s
    whole = event.onset_seen and event.offset_seen
    if event.unit in CLOSURES and whole and longest <= BLINK_S:
        return "blink"
    if event.unit in MOUTH:
        length = event.offset_s - event.onset_s + track.interval_s
        within = sum(
            max(0.0, min(event.offset_s, s.end_s) - max(event.onset_s, s.start_s)) for s in speech
        )
        if within >= 0.5 * length or (within > 0 and length <= 3 * track.interval_s):
            return "speech"
    return "expression"


def _true_runs(mask: NDArray[np.bool_]) -> list[slice]:
    """Slices of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _join_stretches(stretches: Sequence[Stretch], gap_s: float) -> list[Stretch]:
    joined: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda s: s.start_s):
        if joined and stretch.start_s <= joined[-1].end_s + gap_s:
            last = joined.pop()
            stretch = Stretch(start_s=last.start_s, end_s=max(last.end_s, stretch.end_s))
        joined.append(stretch)
    return joined
