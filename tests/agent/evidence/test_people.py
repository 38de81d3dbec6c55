import numpy as np
import pytest

from kuleshov.evidence import people
from kuleshov.tools.faces.tracking.tracker import Tracker
from kuleshov.tools.media import Frame
from kuleshov.tools.types import Face

from parts import face, scores

GREY = np.full((200, 400, 3), 127, np.uint8)


def at(x: float, **changes) -> Face:
    return face(box=(x, 10, x + 40, 60), **changes)


def test_people_are_numbered_from_left_to_right():
    found, left_out = people.choose_people([at(200), at(0), at(100)], most=9)
    assert [(p["id"], p["face"]["xyxy"][0]) for p in found] == [(1, 0), (2, 100), (3, 200)]
    assert left_out == 0
    assert found[0]["timeline"] == []


def test_of_too_many_the_largest_are_kept():
    big = face(box=(300, 0, 400, 100))
    found, left_out = people.choose_people([at(0), at(100), big], most=1)
    assert [p["face"]["xyxy"] for p in found] == [[300, 0, 400, 100]]
    assert left_out == 2


def followed(frames, most=9, shown=None):
    tracker = Tracker()
    for k, faces in enumerate(frames):
        tracker.add(faces, GREY, 10 * k, float(k), cut=False)
    shown = range(len(frames)) if shown is None else shown
    pictures = [Frame(index=10 * k, time_s=float(k)) for k in shown]
    return people.choose_followed(tracker.tracks(float(len(frames))), pictures, most)


def test_of_a_clip_the_apex_is_the_least_neutral_face_and_the_mean_is_over_time():
    calm = at(0, expression=scores(neutral=0.94))
    glad = at(0, expression=scores(happiness=0.94))
    found, left_out = followed([[calm], [], [glad]])
    assert (found[0]["picture"], found[0]["face"]["time_s"]) == (2, 2.0)
    assert found[0]["expression"]["probabilities"]["happiness"] == pytest.approx(0.475)
    assert found[0]["expression"]["method"] == "made by hand, mean over time"
    assert [(f["track"], f["frame"]) for f in found[0]["timeline"]] == [(1, 0), (1, 20)]
    assert found[0]["track"]["missing"] == [{"start_s": 1.0, "end_s": 2.0}]
    assert left_out == []


def test_a_face_in_no_kept_picture_is_still_a_person():
    found, _ = followed([[at(0)], [at(1)], [at(2)], []], shown=[3])
    assert (found[0]["picture"], found[0]["timeline"], found[0]["face"]["frame"]) == (0, [], 10)


def test_a_face_seen_too_briefly_is_left_out_and_said():
    found, left_out = followed([[at(0)], [at(1), at(300)], [at(2)], [at(3)]])
    assert [p["id"] for p in found] == [1]
    assert people.left_out_text(left_out) == (
        "1 face was seen too briefly or too small to be read: 1.0-1.0 s"
    )


def test_without_scores_there_is_no_mean():
    assert followed([[at(0, expression=None)]])[0][0]["expression"] is None
