import pytest

from kuleshov import people
from kuleshov.tools.types import Face

from parts import face, scores


def at(x: float, **changes) -> Face:
    return face(box=(x, 10, x + 40, 60), **changes)


def test_people_are_numbered_from_left_to_right():
    found, left_out = people.targets([[at(200), at(0), at(100)]], most=9)
    assert [(p["id"], p["face"]["xyxy"][0]) for p in found] == [(1, 0), (2, 100), (3, 200)]
    assert left_out == 0
    assert found[0]["timeline"] == []


def test_of_too_many_the_largest_are_kept():
    big = face(box=(300, 0, 400, 100))
    found, left_out = people.targets([[at(0), at(100), big]], most=1)
    assert [p["face"]["xyxy"] for p in found] == [[300, 0, 400, 100]]
    assert left_out == 2


def test_a_face_is_followed_over_frames_and_never_merged_with_another():
    frames = [
        [at(0, frame=0, time_s=0.0), at(100, frame=0, time_s=0.0)],
        [at(104, frame=9, time_s=1.0), at(6, frame=9, time_s=1.0)],
        [at(110, frame=18, time_s=2.0)],
    ]
    tracks = people.linked(frames)
    assert [[f.xyxy[0] for f in track] for track in tracks] == [[0, 6], [100, 104, 110]]


def test_the_apex_is_the_least_neutral_face_and_the_mean_is_over_time():
    calm = at(0, expression=scores(neutral=0.94), time_s=0.0)
    glad = at(0, expression=scores(happiness=0.94), time_s=1.0)
    found, _ = people.targets([[calm], [], [glad]], most=9)
    assert found[0]["picture"] == 2
    assert found[0]["face"]["time_s"] == 1.0
    assert found[0]["expression"]["probabilities"]["happiness"] == pytest.approx(0.475)
    assert found[0]["expression"]["method"] == "made by hand, mean over time"
    assert [f["track"] for f in found[0]["timeline"]] == [1, 1]


def test_without_scores_there_is_no_mean():
    assert people.mean_expression([at(0, expression=None)]) is None
