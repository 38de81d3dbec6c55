"""Could the machine stand in for one of the people? The alternative annotator test.

Each annotator is left out in turn: who agrees more with the others, the one left out or the
machine? Calderon, Reichart & Dror (2025), The alternative annotator test for LLM-as-a-judge: how to
statistically justify replacing human annotators with LLMs, ACL 2025, pp. 16051-16081. Rules, bounds
and defaults are those of the authors' code and its README (github.com/nitaytech/AltTest).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from pydantic import Field

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

Item = TypeVar("Item", bound=Hashable)

LEAST_ITEMS = 30
"""Items that an annotator shares with others, below which the t-test does not hold."""
EPSILON = 0.1
"""What the machine's lower cost is worth, in the share of items: .2 beside experts, .15 beside
trained annotators, .1 beside crowd workers."""
LEVEL = 0.05  # of false discoveries among the annotators
PASSES = 0.5  # of the annotators


class AnnotatorComparison(Record):
    """One annotator left out.

    n: items that others judged too. advantage: share of them where the machine agrees with the
    others at least as much. p: one-sided t-test of the annotator's lead being epsilon or more;
    None: too few items. won: the lead is below epsilon, false discoveries controlled.
    """

    annotator: str
    n: int
    advantage: float | None = None
    p: float | None = None
    won: bool | None = None


class AlternativeAnnotator(Record):
    """The test over all annotators; figures are None where nobody has `LEAST_ITEMS` items."""

    epsilon: float
    winning_rate: float | None = Field(description="share of annotators against whom it won")
    advantage: float | None = Field(description="mean of the annotators' advantages")
    passes: bool | None = Field(description="winning rate of .5 or more")
    annotators: tuple[AnnotatorComparison, ...]


def compare_annotators(
    machine: Mapping[Item, str],
    people: Mapping[str, Mapping[Item, str]],
    epsilon: float = EPSILON,
) -> AlternativeAnnotator:
    """The test for labels, scored by the share of the others who gave the same one.

    Args:
        machine: label by item.
        people: by annotator, label by item. Items are taken as independent of one another.
        epsilon: 0-1.

    Raises:
        KuleshovError: fewer than two annotators, or an impossible epsilon.
    """
    if not 0 <= epsilon < 1:
        raise KuleshovError(f"epsilon is a share from 0 to below 1, and it is {epsilon:g}.")
    if len(people) < 2:
        raise KuleshovError("the alternative annotator test needs at least two annotators.")
    found = [_leave_out(name, machine, people, epsilon) for name in people]
    tested = [one for one in found if one.p is not None]
    if not tested:
        return AlternativeAnnotator(
            epsilon=epsilon, winning_rate=None, advantage=None, passes=None, annotators=tuple(found)
        )
    won = _control_discoveries([one.p for one in tested if one.p is not None])
    verdict = {one.annotator: is_won for one, is_won in zip(tested, won, strict=True)}
    rate = sum(won) / len(won)
    return AlternativeAnnotator(
        epsilon=epsilon,
        winning_rate=rate,
        advantage=fmean(one.advantage for one in tested if one.advantage is not None),
        passes=rate >= PASSES,
        annotators=tuple(
            one.model_copy(update={"won": verdict.get(one.annotator)}) for one in found
        ),
    )


def _leave_out(
    name: str,
    machine: Mapping[Item, str],
    people: Mapping[str, Mapping[Item, str]],
    epsilon: float,
) -> AnnotatorComparison:
    ours, differences = [], []
    for item, label in people[name].items():
        others = [told[item] for other, told in people.items() if other != name and item in told]
        if item not in machine or not others:
            continue
        own, theirs = (sum(o == given for o in others) for given in (machine[item], label))
        ours.append(own >= theirs)
        differences.append(float(theirs >= own) - float(own >= theirs))
    if len(ours) < LEAST_ITEMS:
        return AnnotatorComparison(annotator=name, n=len(ours))
    return AnnotatorComparison(
        annotator=name, n=len(ours), advantage=fmean(ours), p=_less_than(differences, epsilon)
    )


def _less_than(differences: Sequence[float], epsilon: float) -> float:
    """p of a mean of `epsilon` or more."""
    from scipy.stats import ttest_1samp

    if len(set(differences)) == 1:  # no spread, so no t
        return 0.0 if differences[0] < epsilon else 1.0
    return float(ttest_1samp(differences, epsilon, alternative="less").pvalue)


def _control_discoveries(values: Sequence[float]) -> list[bool]:
    """Benjamini & Yekutieli (2001): valid as the annotators' tests depend on one another."""
    from scipy.stats import false_discovery_control

    return [bool(p <= LEVEL) for p in false_discovery_control(values, method="by")]
