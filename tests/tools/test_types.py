import pytest
from pydantic import ValidationError

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import ActionUnit, EmotionScores, Face


@pytest.mark.parametrize(
    ("unit", "shown", "scale", "value"),
    [
        (ActionUnit(unit=12, probability=0.93), "very probable", "probability", 0.93),
        (ActionUnit(unit=12, probability=0.5), "probable", "probability", 0.5),
        (ActionUnit(unit=12, probability=0.0), "absent", "probability", 0.0),
        (ActionUnit(unit=12, intensity=0.4), "absent", "intensity", 0.4),
        (ActionUnit(unit=12, intensity=3.5, presence=True), "strong", "intensity", 3.5),
        (ActionUnit(unit=28, presence=False), "absent", "presence", 0.0),
        (
            ActionUnit(unit=12, activation=0.3, thresholds=(0.1, 0.2, 0.5)),
            "above its threshold",
            "activation",
            0.3,
        ),
        (
            ActionUnit(
                unit=12, activation=0.1, thresholds=(0.1, 0.2, 0.5), thresholds_of="calm faces"
            ),
            "above 80% of calm faces",
            "activation",
            0.1,
        ),
        # presence decides whether, intensity how much
        (ActionUnit(unit=4, presence=False, intensity=2.1), "absent", "intensity", 2.1),
        (ActionUnit(unit=4, presence=True, intensity=0.2), "present", "intensity", 0.2),
        (ActionUnit(unit=6, probability=0.9, intensity=2.0), "clear", "intensity", 2.0),
        (ActionUnit(unit=6, probability=0.1, intensity=2.0), "absent", "intensity", 2.0),
        (ActionUnit(unit=6, log_odds=0.2), "probable", "log_odds", 0.2),
        (ActionUnit(unit=12, activation=0.3), None, "activation", 0.3),
        (ActionUnit(unit=12), None, None, None),
    ],
)
def test_an_action_unit_says_what_its_number_is(unit, shown, scale, value):
    assert (unit.shown, unit.scale, unit.value) == (shown, scale, value)


def test_what_is_no_sign_is_neither_shown_nor_absent():
    calm = {"thresholds": (0.1, 0.2, 0.5), "thresholds_of": "calm faces"}
    shown = [ActionUnit(unit=12, activation=v, **calm).is_shown for v in (0.05, 0.15, 0.25)]
    assert shown == [False, None, True]
    assert [ActionUnit(unit=12, probability=p).is_shown for p in (0.2, 0.4, 0.6)] == [
        False,
        None,
        True,
    ]


def test_two_halves_are_one_unit_unless_one_moves_alone():
    steps = {"thresholds": (0.05, 0.1, 0.4), "thresholds_of": "calm faces"}

    def read(left, right):
        halves = [
            ActionUnit(unit=14, side=side, activation=value, **steps)
            for side, value in (("left", left), ("right", right))
        ]
        return Face(xyxy=(0, 0, 1, 1), tool="t", version="1", action_units=halves).unit(14)

    assert (read(0.2, 0.3).side, read(0.2, 0.3).value) == ("both", 0.25)
    assert (read(0.0, 0.3).side, read(0.0, 0.3).shown) == ("right", "above 95% of calm faces")
    assert read(0.07, 0.3).side == "both"  # the other half may move too


def test_a_number_out_of_its_range_is_refused_with_the_number():
    with pytest.raises(ValidationError, match=r"less than or equal to 5 .*input_value=80"):
        ActionUnit(unit=12, intensity=80)


def test_a_box_the_wrong_way_round_is_refused_with_the_box():
    with pytest.raises(ValidationError, match=r"x0<x1, y0<y1 in pixels but got \(9.0, 0.0, 3.0"):
        Face(xyxy=(9, 0, 3, 5), tool="t", version="1")


def test_a_distribution_must_sum_to_one():
    with pytest.raises(ValidationError, match=r"sum to 1 but sum to 0\.7000"):
        EmotionScores(labels="x", probabilities={"a": 0.4, "b": 0.3}, method="m")


def test_unit_that_was_not_measured_is_none_not_absent():
    face = Face(xyxy=(0, 0, 1, 1), tool="t", version="1")
    assert face.unit(12) is None


def test_the_labels_of_a_shipped_set():
    assert LabelSet.load("ekman-7").names == (
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
        "neutral",
    )


def test_unknown_label_set_names_the_nearest():
    with pytest.raises(KuleshovError, match=r"no label set 'ekman7' \(did you mean ekman-7\?\)"):
        LabelSet.load("ekman7")


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('name="x"\nsource="me"\n[[labels]]\nname="joy"\n', "needs at least two labels"),
        (
            'name="x"\nsource="me"\n[[labels]]\nname="joy"\nsynonyms=["glad"]\n'
            '[[labels]]\nname="bliss"\nsynonyms=["Glad"]\n',
            "'Glad' stands for both 'joy' and 'bliss'",
        ),
        ('name="x"\nsource=', "Invalid value"),
        ('name="x"\n', "source: Field required"),
    ],
)
def test_a_bad_label_file_gets_one_sentence(tmp_path, toml, complaint):
    path = tmp_path / "mine.toml"
    path.write_text(toml)
    with pytest.raises(KuleshovError, match=complaint) as caught:
        LabelSet.load(str(path))
    assert "\n" not in str(caught.value)


def test_a_users_own_label_set(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name="mine"\nsource="our lab"\n[[labels]]\nname="calm"\nvalence=0.6\narousal=-0.5\n'
        '[[labels]]\nname="tense"\n'
    )
    assert LabelSet.load(str(path)).names == ("calm", "tense")
