"""Action units over time: events, blinks, speech, and nothing invented where nothing was seen."""

from __future__ import annotations

import numpy as np
import pytest
from tracks import track

from kuleshov.evidence import moments, timeline
from kuleshov.evidence.collection import as_taught
from kuleshov.tools.faces.tracking.timelines import analyse_track, smooth_values, speech_like
from kuleshov.tools.faces.tracking.types import Stretch, UnitSeries
from kuleshov.types import Evidence


def bump(count: int, onset: int, apex: int, offset: int, peak: float = 0.9) -> list[float]:
    return list(np.interp(range(count), [onset - 1, apex, offset + 1], [0.0, peak, 0.0]))


def test_an_event_has_onset_apex_and_offset() -> None:
    made = analyse_track(track({12: bump(60, 10, 20, 40)}))
    (event,) = made.events
    assert (event.unit, event.kind, event.shown) == (12, "expression", "very probable")
    # slight from 0.3 on: a third of the way up and two thirds of the way down
    assert event.onset_s == pytest.approx(1.27, abs=0.15)
    assert event.apex_s == pytest.approx(2.0, abs=0.15)
    assert event.offset_s == pytest.approx(3.4, abs=0.15)
    assert 0.75 < event.peak <= 0.9
    assert timeline.event_text(event) == (
        f"AU12 lip corner puller: from {event.onset_s:.1f} s, peak {event.apex_s:.1f} s "
        f"(very probable), ends {event.offset_s:.1f} s"
    )


def test_a_single_wrong_frame_is_no_event() -> None:
    values = [0.05] * 30
    values[14] = 0.95
    assert analyse_track(track({12: values})).events == ()


def test_a_unit_there_from_the_start_to_the_end_says_so() -> None:
    (event,) = analyse_track(track({4: [0.9] * 20})).events
    assert not event.onset_seen
    assert not event.offset_seen
    assert timeline.event_text(event) == (
        "AU4 brow lowerer: already present at the start, peak 0.0 s (very probable), "
        "until the face is last visible"
    )
    line = Evidence(n=1, source="faces:t", kind="event", text=timeline.event_text(event))
    (taught,) = as_taught([line])  # the bundled model keeps the words that it was trained on
    assert taught.text.endswith(
        "from before it was seen, apex 0.0 s (very probable), to the last that was seen"
    )


def test_nothing_is_filled_in_where_the_face_was_away() -> None:
    times = [k / 10 for k in range(20)] + [5 + k / 10 for k in range(20)]
    made = analyse_track(track({12: [0.9] * 40}, times=times))
    assert [(e.onset_s, e.offset_s) for e in made.events] == [(0.0, 1.9), (5.0, 6.9)]
    holes = track({12: [0.9] * 5 + [None] * 5 + [0.9] * 5})
    assert np.isnan(smooth_values(holes, holes.units[0].values)[5:10]).all()
    assert [(e.onset_s, e.offset_s) for e in analyse_track(holes).events] == [
        (0.0, 0.4),
        (1.0, 1.4),
    ]


def test_a_scale_without_steps_yields_no_events() -> None:
    assert analyse_track(track({12: [0.9] * 20}, scale="activation")).events == ()


def test_a_blink_is_not_an_expression_and_a_held_closure_is_not_a_blink() -> None:
    values = [0.0] * 60
    values[10:12] = [0.9, 0.9]
    values[30:45] = [0.9] * 15
    made = analyse_track(track({45: values}))
    assert [(e.kind, e.onset_s) for e in made.events] == [("blink", 1.0), ("expression", 3.0)]
    texts = [e.text for e in timeline.collect_timeline(made, person=1, first=1)]
    assert texts[0].startswith("AU45 eye closure, longer than a blink: from 3.0 s")
    assert texts[1] == (
        "blinks: at least 1 in 5.9 s (at 10.0 frames a second some fall between frames)"
    )


def test_at_a_low_rate_blinks_are_not_told_and_that_is_said() -> None:
    values = [0.0] * 10 + [0.9] + [0.0] * 10
    made = analyse_track(track({45: values}, rate=2))
    assert [e.kind for e in made.events] == ["expression"]
    assert made.untold == (
        "blinks and speech-like movement cannot be detected at 2.0 frames per second",
    )


def blinking(rate: float, seconds: float = 60.0):
    """Sixty blinks a minute of 0.1 to 0.4 s, closing and opening as a raised cosine."""
    times = np.arange(0, seconds, 1 / rate)
    lids = np.zeros(len(times))
    random = np.random.default_rng(0)
    begins = np.arange(1, seconds - 1, 1.0) + random.uniform(0, 0.4, int(seconds) - 2)
    for begin, length in zip(begins, random.uniform(0.1, 0.4, len(begins)), strict=True):
        phase = (times - begin) / length
        near = np.abs(phase) < 0.5
        lids[near] = np.maximum(lids[near], np.cos(np.pi * phase[near]) ** 2)
    return len(begins), analyse_track(track({45: list(lids), 25: [0.1] * len(lids)}, rate=rate))


@pytest.mark.parametrize("rate", [5, 10, 14, 14.985, 15, 30])
def test_blinks_are_counted_where_the_frames_allow_else_at_least_so_many(rate: float) -> None:
    true, made = blinking(rate)
    found = sum(event.kind == "blink" for event in made.events)
    (line,) = [
        e.text for e in timeline.collect_timeline(made, person=1, first=1) if e.kind == "blinks"
    ]
    if rate > 14.5:
        assert abs(found - true) <= 1
        assert line.startswith(f"blinks: {found} in ")
        assert not any("blinks" in text for text in made.untold)
    else:
        assert found < true or rate == 14
        assert line.startswith(f"blinks: at least {found} in ")
        assert any(f"at {rate:.1f} frames per second some blinks fall" in t for t in made.untold)
    nyquist = [text for text in made.untold if "Nyquist" in text]
    assert len(nyquist) == (rate < 13.7)
    assert all(f"up to {rate / 2:.1f} openings per second" in text for text in nyquist)
    # what is not measured needs no note
    assert analyse_track(track({12: [0.1] * 60}, rate=rate)).untold == ()


def test_speech_seen_at_a_low_rate_names_its_limit() -> None:
    seconds = np.arange(0, 6, 1 / 5)
    talk = list(np.clip(0.45 + 0.4 * np.sin(2 * np.pi * 2.2 * seconds + 0.4), 0, 1))
    made = analyse_track(track({25: talk}, rate=5))
    (line,) = [e.text for e in timeline.collect_timeline(made, person=1, first=1)]
    assert line.startswith("mouth moves as in speech: ")
    assert "movement above 2.5 Hz, the Nyquist limit of 5.0 frames a second, is not seen" in line


@pytest.mark.parametrize("rate", [5, 10, 25])
def test_talking_is_speech_and_a_yawn_is_not(rate: int) -> None:
    seconds = np.arange(0, 6, 1 / rate)
    # three syllables a second, their strength uneven
    talk = 0.45 + 0.4 * np.sin(2 * np.pi * (2.2 if rate == 5 else 3.0) * seconds + 0.4)
    made = track({25: list(np.clip(talk, 0, 1))}, rate=rate)
    (stretch,) = speech_like(made)
    assert stretch.start_s < 0.8
    assert stretch.end_s > 5.0
    assert {e.kind for e in analyse_track(made).events} <= {"speech"}
    yawn = track({26: list(np.interp(seconds, [1, 2.5, 3.5, 5], [0, 0.9, 0.9, 0]))}, rate=rate)
    assert speech_like(yawn) == []
    assert [e.kind for e in analyse_track(yawn).events] == ["expression"]


def test_segments_follow_the_leading_label_without_its_flickers() -> None:
    sad = [0.8] * 20 + [0.2] * 2 + [0.8] * 8 + [0.1] * 30
    glad = [1 - p for p in sad]
    made = track(expression={"sadness": sad, "happiness": glad})
    found = moments.cut_segments(made)
    assert [s.label for s in found] == ["sadness", "happiness"]
    assert made.times_s[found[1].first] == pytest.approx(3.0, abs=0.15)
    assert timeline.course_text(made) == "over time: sadness 0.0 s, happiness 3.0 s"
    assert timeline.before_text(made, 3.0) == "before: sadness 0.0-2.9 s"
    assert timeline.before_text(made, 0.0) is None
    assert [s.label for s in moments.choose_segments(made, 1)] in (["sadness"], ["happiness"])


def test_without_expressions_the_moments_are_bursts_of_units() -> None:
    made = analyse_track(
        track({12: bump(80, 10, 20, 30), 6: bump(80, 12, 22, 32), 4: bump(80, 50, 60, 70)})
    )
    found = moments.cut_segments(made)
    assert [made.times_s[s.peak] for s in found] == pytest.approx([2.0, 6.0], abs=0.3)
    assert timeline.course_text(made) is None


def test_missing_stretches_are_a_line() -> None:
    made = track({12: [0.0] * 20}, missing=(Stretch(start_s=2.4, end_s=6.4),))
    assert [e.text for e in timeline.collect_timeline(made, person=1, first=5)] == [
        "face not seen: 2.4-6.4 s"
    ]


def test_a_coded_presence_decides_when_an_event_is() -> None:
    """High values where the unit is coded absent are no event; low ones coded present are one."""
    values = [2.0] * 10 + [0.3] * 10 + [0.0] * 10
    presence = [False] * 10 + [True] * 10 + [False] * 10
    series = UnitSeries(unit=12, scale="intensity", values=values, presence=presence)
    made = track({4: [0.0] * 30}).model_copy(update={"units": (series,)})
    (event,) = analyse_track(made).events
    assert (event.onset_s, event.offset_s, event.shown) == (1.0, 1.9, "present")


def test_halves_that_move_together_are_one_event_and_one_alone_keeps_its_side() -> None:
    steps = {"scale": "activation", "thresholds": (0.05, 0.1, 0.4), "thresholds_of": "calm faces"}
    rise = bump(60, 10, 20, 40)
    left = UnitSeries(unit=12, side="left", values=tuple(rise), **steps)
    right = UnitSeries(unit=12, side="right", values=tuple(v * 0.9 for v in rise), **steps)
    still = UnitSeries(unit=14, side="left", values=(0.0,) * 60, **steps)
    alone = UnitSeries(unit=14, side="right", values=tuple(rise), **steps)
    both = track({4: [0.0] * 60}).model_copy(update={"units": (left, right, still, alone)})
    made = analyse_track(both)
    assert [(e.unit, e.side) for e in made.events] == [(12, "both"), (14, "right")]
    assert "AU14 dimpler, right side: from" in timeline.event_text(made.events[1])
