import math

import pytest

from kuleshov.evidence import fusion
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.types import EmotionScores


def made(**probabilities: float) -> EmotionScores:
    return EmotionScores(labels="x", probabilities=probabilities, method="m")


def test_bayes_by_hand():
    # 0.6*0.2 : 0.4*0.8 = 0.12 : 0.32
    fused = fusion.fuse_bayes(made(a=0.6, b=0.4), made(a=0.2, b=0.8))
    assert fused == pytest.approx({"a": 0.12 / 0.44, "b": 0.32 / 0.44})


def test_bayes_divides_by_the_prior():
    # context equal to the prior says nothing: the face is left as it is
    fused = fusion.fuse_bayes(made(a=0.6, b=0.4), made(a=0.9, b=0.1), prior={"a": 0.9, "b": 0.1})
    assert fused == pytest.approx({"a": 0.6, "b": 0.4})


def test_weight_zero_leaves_the_face_alone():
    fused = fusion.fuse_bayes(made(a=0.6, b=0.4), made(a=0.01, b=0.99), weight=0)
    assert fused == pytest.approx({"a": 0.6, "b": 0.4})


def test_bayes_refuses_other_labels():
    with pytest.raises(ValueError, match="same labels"):
        fusion.fuse_bayes(made(a=1), made(b=1))


def test_a_mixed_reading_stays_mixed():
    fused = fusion.fuse_bayes(made(anger=0.51, disgust=0.49), made(anger=0.5, disgust=0.5))
    assert fused["anger"] == pytest.approx(0.51)


def test_softmax_of_large_negative_logs():
    assert fusion.softmax([-1000.0, -1000.0 + math.log(3)]) == pytest.approx([0.25, 0.75])


def test_onto_a_smaller_set_renormalises_and_says_what_it_left_out():
    eight = dict.fromkeys(LabelSet.load("ekman-8").names, 0.1)
    eight["contempt"] = 0.3
    scores, note = fusion.map_scores(
        EmotionScores(labels="ekman-8", probabilities=eight, method="m"), LabelSet.load("ekman-7")
    )
    assert scores is not None
    assert scores.probabilities["anger"] == pytest.approx(1 / 7)
    assert note == "contempt (30 %) is not in ekman-7: left out"
    assert scores.method == "m, without contempt"
    eight["contempt"] = 0.01
    eight["neutral"] = 0.39
    _, note = fusion.map_scores(
        EmotionScores(labels="ekman-8", probabilities=eight, method="m"), LabelSet.load("ekman-7")
    )
    assert note is None


def test_a_label_that_the_tool_does_not_score_is_unknown_not_zero():
    scores, note = fusion.map_scores(made(anger=0.5, disgust=0.5), LabelSet.load("ekman-6"))
    assert scores is None
    assert note == "the face tool does not score fear, happiness, sadness, surprise"
