"""The alternative annotator test: worked by hand, and on simulated people."""

from __future__ import annotations

import numpy as np
import pytest

from kuleshov.studies.alternative_annotator import compare_annotators
from kuleshov.tools.errors import KuleshovError

LABELS = ("anger", "happiness", "sadness", "neutral")


def noisy(truth: list[str], noise: float, seed: int) -> dict[int, str]:
    """The truth, with other labels in a share of the items."""
    rng = np.random.default_rng(seed)
    told = {}
    for item, label in enumerate(truth):
        others = [other for other in LABELS if other != label]
        told[item] = str(rng.choice(others)) if rng.random() < noise else label
    return told


def people_of(truth: list[str], noise: float) -> dict[str, dict[int, str]]:
    return {f"rater {n}": noisy(truth, noise, n) for n in range(4)}


def truth_of(items: int) -> list[str]:
    return [str(label) for label in np.random.default_rng(99).choice(LABELS, items)]


def test_a_machine_as_good_as_people_passes_and_a_guessing_one_does_not():
    truth = truth_of(300)
    people = people_of(truth, 0.3)
    good = compare_annotators(noisy(truth, 0.1, 7), people)
    assert good.winning_rate == 1
    assert good.passes
    guess = compare_annotators(noisy(truth, 0.75, 7), people)
    assert guess.winning_rate == 0
    assert not guess.passes
    assert guess.advantage < good.advantage


def test_the_figures_worked_by_hand():
    """40 items; a says x, b says x, c says y in the first 10 and x else; the machine says x."""
    items = range(40)
    people = {
        "a": dict.fromkeys(items, "x"),
        "b": dict.fromkeys(items, "x"),
        "c": {item: "y" if item < 10 else "x" for item in items},
    }
    found = compare_annotators(dict.fromkeys(items, "x"), people, epsilon=0.1)
    a, _, c = found.annotators
    # a and the machine say the same: no difference ever, so the machine loses by less than .1
    assert (a.n, a.advantage, a.p, a.won) == (40, 1.0, 0.0, True)
    # c agrees less with the others in 10 of 40: mean difference -.25
    differences = np.array([-1.0] * 10 + [0.0] * 30)
    t = (differences.mean() - 0.1) / (differences.std(ddof=1) / np.sqrt(40))
    from scipy.stats import t as student

    assert c.p == pytest.approx(student.cdf(t, 39))
    assert found.winning_rate == 1
    same = compare_annotators(people["c"], people, epsilon=0.0)
    # beside c itself there is never a difference, which is not below 0
    assert (same.annotators[2].p, same.annotators[2].won) == (1.0, False)


def test_too_few_items_are_told_as_such_and_not_as_lost():
    truth = truth_of(40)
    people = people_of(truth, 0.2)
    people["rater 3"] = {item: people["rater 3"][item] for item in range(29)}
    found = compare_annotators(noisy(truth, 0.2, 8), people)
    last = found.annotators[3]
    assert (last.n, last.p, last.won) == (29, None, None)
    nobody = compare_annotators({}, people)
    assert (nobody.winning_rate, nobody.passes) == (None, None)


@pytest.mark.parametrize(
    ("people", "epsilon", "said"),
    [({"a": {1: "x"}}, 0.1, "at least two annotators"), ({"a": {}, "b": {}}, 1.0, "epsilon")],
)
def test_what_cannot_be_tested_is_refused(people, epsilon, said):
    with pytest.raises(KuleshovError, match=said):
        compare_annotators({1: "x"}, people, epsilon)
