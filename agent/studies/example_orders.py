"""Does the order of the examples decide the answer? One picture, read under several orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov.agent import Agent
from kuleshov.evidence.influence import js_divergence
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record
from kuleshov.types import Inference


class Spread(Record):
    """How far the readings of one person lie apart over the orders.

    `mean_js`, `most_js`: Jensen-Shannon divergence in bits between two orders, over all pairs.
    """

    person: int
    orders: int
    tops: tuple[str, ...]
    least: dict[str, float]
    most: dict[str, float]
    mean_js: float
    most_js: float


def under_orders(agent: Agent, source: Any, seeds: Sequence[int], **given: Any) -> list[Inference]:
    """One inference for each seed of the examples' order; `given` as `Agent.infer` takes it.

    Raises:
        KuleshovError: the agent has no examples, or fewer than two seeds.
    """
    if agent.crew.examples is None:
        raise KuleshovError("there is no order to shuffle: give examples with --examples.")
    if len(set(seeds)) < 2:
        raise KuleshovError("give at least two different seeds, e.g. --shuffle-seeds 0,1,2.")
    found = []
    for seed in seeds:
        found.append(agent.with_settings(shot_seed=seed).infer(source, **given))
    return found


def measure_spread(readings: Sequence[Inference]) -> list[Spread]:
    """How far the readings of each person lie apart; people without a distribution are left out."""
    found = []
    for number in [person.id for person in readings[0].people]:
        scores = [
            person.emotions
            for reading in readings
            for person in reading.people
            if person.id == number and person.emotions is not None
        ]
        if len(scores) < 2:
            continue
        every = [one.probabilities for one in scores]
        apart = [js_divergence(p, q) for i, p in enumerate(every) for q in every[i + 1 :]]
        found.append(
            Spread(
                person=number,
                orders=len(scores),
                tops=tuple(one.top for one in scores),
                least={label: min(one[label] for one in every) for label in every[0]},
                most={label: max(one[label] for one in every) for label in every[0]},
                mean_js=sum(apart) / len(apart),
                most_js=max(apart),
            )
        )
    return found
