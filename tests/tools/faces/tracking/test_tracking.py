"""Following faces: gaps, crossings, cuts, and never two faces of a frame in one track."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kuleshov.tools import faces, media
from kuleshov.tools.faces.tracking.tracker import Tracker
from kuleshov.tools.types import Face

from parts import face

RNG = np.random.default_rng(5)
LOOKS = [RNG.integers(0, 255, (50, 40, 3), np.uint8) for _ in range(3)]


def scene(*places: tuple[int, int, int]) -> tuple[np.ndarray, list[Face]]:
    """A picture with faces, each (which look, x, y), 40 × 50 pixels."""
    image = np.full((300, 600, 3), 100, np.uint8)
    found = []
    for which, x, y in places:
        image[y : y + 50, x : x + 40] = LOOKS[which]
        found.append(face(box=(x, y, x + 40, y + 50)))
    return image, found


def numbers(*frames, rate: float = 5.0, cuts: tuple[int, ...] = ()) -> list[list[int]]:
    tracker = Tracker()
    found = []
    for k, (image, here) in enumerate(frames):
        found.append(tracker.add(here, image, k, k / rate, k in cuts))
    return found


def test_two_faces_that_cross_keep_their_numbers() -> None:
    frames = [scene((0, 50 + 20 * k, 100), (1, 350 - 20 * k, 110)) for k in range(16)]
    assert numbers(*frames) == [[0, 1]] * 16


def test_the_order_in_which_a_tool_lists_faces_does_not_matter() -> None:
    one, two = (0, 50, 100), (1, 300, 100)
    frames = [scene(one, two), scene(two, one), scene(one, two)]
    assert numbers(*frames) == [[0, 1], [1, 0], [0, 1]]


def test_a_short_gap_is_survived_a_long_one_is_not() -> None:
    here, empty = scene((0, 100, 100)), scene()
    assert numbers(here, *[empty] * 7, here)[-1] == [0]
    assert numbers(here, *[empty] * 12, here)[-1] == [1]


def test_over_a_cut_place_and_look_must_both_agree() -> None:
    first, other = scene((0, 100, 100)), scene((1, 100, 100))
    assert numbers(first, other, cuts=(1,)) == [[0], [1]]
    # shot and reverse shot: the same camera again, the same face
    assert numbers(first, other, first, other, cuts=(1, 2, 3)) == [[0], [1], [0], [1]]


def test_no_two_faces_of_one_frame_share_a_track() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        frames = [
            scene(*[(0, int(x), int(y)) for x, y in rng.integers(0, 240, (rng.integers(0, 5), 2))])
            for _ in range(6)
        ]
        for found in numbers(*frames):
            assert len(set(found)) == len(found)


def test_columns_hold_what_was_measured_and_missing_stretches_stay_missing() -> None:
    tracker = Tracker()
    image, (seen,) = scene((0, 100, 100))
    blind = seen.model_copy(update={"expression": None, "action_units": (), "score": None})
    for k, here in enumerate([[seen], [blind], [], [], [seen], []]):
        tracker.add(here, image, 7 * k, k / 5, cut=False)
    (track,) = tracker.tracks(1.2)
    assert track.frames == (0, 7, 28)
    assert [(s.start_s, s.end_s) for s in track.missing] == [(0.4, 0.8), (1.0, 1.2)]
    assert track.scores == (0.9, None, 0.9)
    assert track.expression["happiness"][0] == pytest.approx(0.8)
    assert track.expression["happiness"][1] is None
    assert track.scores_at(1) is None
    back = track.face(0)
    assert back.expression.probabilities == pytest.approx(seen.expression.probabilities)
    same = {"time_s", "frame", "track", "expression"}
    assert back.model_dump(exclude=same) == seen.model_dump(exclude=same)
    assert (back.time_s, back.frame, back.track) == (0.0, 0, 1)


def test_a_real_clip_is_one_track(feat_data: Path) -> None:
    tool = faces.load("pocket")
    stream = media.open_clip(feat_data / "face_noface.mov")
    assert stream is not None
    tracker = Tracker()
    for sample in stream.samples(rate=2):
        (found,) = tool.observe([sample.image])
        tracker.add(found, sample.image, sample.frame.index, sample.frame.time_s, sample.cut)
    stream.close()
    longest = max(tracker.tracks(stream.duration_s), key=lambda t: len(t.times_s))
    # the face is there in the first shot, which ends at 2.4 s
    assert stream.cuts_s == [pytest.approx(2.4, abs=0.05)]
    assert longest.times_s == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0], abs=0.05)
    assert longest.missing[-1].end_s > 5.5
