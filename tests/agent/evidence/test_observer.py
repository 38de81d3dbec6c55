"""The fitted observer: its rule, its file, and what it must refuse."""

import numpy as np
import pytest

from kuleshov.evidence.observer import Observer, load_observer, pool_log_linear, shipped_observer
from kuleshov.tools.errors import KuleshovError

FACE = {"happiness": 0.9, "sadness": 0.05, "neutral": 0.05}
CONTEXT = {"happiness": 0.1, "sadness": 0.8, "neutral": 0.1}


def observer(**changes):
    facts = {
        "name": "t",
        "face_weight": 1.0,
        "context_weight": 1.0,
        "judgements": 10,
        "source": "made",
        "command": "none",
    }
    return Observer(**{**facts, **changes})


def test_weights_of_one_are_the_product():
    both = observer().combine(FACE, CONTEXT)
    product = {name: FACE[name] * CONTEXT[name] for name in FACE}
    total = sum(product.values())
    assert both == pytest.approx({name: value / total for name, value in product.items()})


def test_a_prior_is_divided_out_and_a_lapse_is_mixed_in():
    prior = {"happiness": 0.5, "sadness": 0.25, "neutral": 0.25}
    both = observer(prior=prior, prior_weight=1.0, lapse=0.3).combine(FACE, CONTEXT)
    raw = {name: FACE[name] * CONTEXT[name] / prior[name] for name in FACE}
    total = sum(raw.values())
    assert both == pytest.approx({name: 0.7 * raw[name] / total + 0.1 for name in FACE})


def test_a_cue_that_says_nothing_leaves_the_other_alone():
    flat = dict.fromkeys(FACE, 1 / 3)
    assert observer().combine(FACE, flat) == pytest.approx(FACE)


def test_the_weights_hold_on_every_scale():
    """Face, context and outcome to one power: the same weights."""
    people = shipped_observer()
    a, b = np.array([list(FACE.values())]), np.array([list(CONTEXT.values())])

    def power(p, t):
        return p**t / (p**t).sum(axis=1, keepdims=True)

    sharp = pool_log_linear(power(a, 2), power(b, 2), people.face_weight, people.context_weight)
    plain = pool_log_linear(a, b, people.face_weight, people.context_weight)
    assert sharp == pytest.approx(power(plain, 2))


def test_labels_that_differ_are_refused():
    with pytest.raises(ValueError, match="same labels"):
        observer().combine(FACE, {"happiness": 1.0})
    with pytest.raises(ValueError, match="no prior of sadness"):
        observer(prior={"happiness": 1.0, "neutral": 0.5}).combine(FACE, CONTEXT)


def test_the_shipped_observer_says_what_it_rests_on():
    people = shipped_observer()
    assert people.name == "people"
    assert "Ong, Zaki & Goodman (2015)" in people.source
    assert people.judgements == 4650
    assert people.raters == 465
    assert 0 < people.context_weight < people.face_weight < 1
    # two cues that agree sharpen a little, not as independent witnesses would
    assert 1.0 < people.face_weight + people.context_weight < 1.3


def test_the_file_comes_back_as_it_was(tmp_path):
    made = observer(prior={"happiness": 0.5, "sad or down": 0.5}, labels=("happiness", 'a "b"'))
    path = tmp_path / "o.toml"
    path.write_text(made.to_toml(), "utf-8")
    assert load_observer(path) == made


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot read the observer"),
        ("a = [", "is not TOML"),
        ("a = 1", "is not an observer"),
        ('schema = "kuleshov/observer@9"', "is not an observer"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path, text, says):
    path = tmp_path / "o.toml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(KuleshovError, match=says):
        load_observer(path)
