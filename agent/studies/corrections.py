"""Where machine and people disagree: Krippendorff's α, the confusion of labels, the cases."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kuleshov.runs import store
from kuleshov.runs.human_labels import Said
from kuleshov.studies.alternative_annotator import (
    EPSILON,
    AlternativeAnnotator,
    compare_annotators,
)
from kuleshov.studies.statistics import krippendorff_alpha
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

MACHINE = "machine"


@dataclass(frozen=True)
class RunAgreement:
    """How far machine and people agree on the people read by both.

    alpha: Krippendorff's α for nominal data over machine and all annotators; alpha_people: among
    the annotators alone; None where it is not defined (one rater, or one label throughout).
    confusion: rows what people said, columns what the machine said, both in the order of `labels`.
    alternative: whether the machine could stand in for one of the annotators; None: one annotator.
    taken_away: boxes that people removed; without_label: answers that are none ("unknown", a box
    whose label was switched off, a distribution without a largest share).
    unread: words that the run's label set has no place for, with the items where they stand; they
    are neither agreement nor disagreement.
    """

    people: int
    annotators: int
    agree: float
    alpha: float | None
    alpha_people: float | None
    labels: list[str]
    confusion: list[list[int]]
    taken_away: int
    without_label: int
    unread: dict[str, list[str]]
    disagreements: list[dict[str, Any]]
    alternative: AlternativeAnnotator | None = None

    def to_dict(self) -> dict[str, Any]:
        told = self.alternative.model_dump() if self.alternative else None
        return {**self.__dict__, "alternative": told}


def labels_of(run: Path) -> LabelSet | None:
    """The label set that a run was read with, as its records hold it; None: no record yet."""
    for line in store.read_lines(run):
        told = orjson.loads(line)["provenance"]["label_set"]
        try:
            return LabelSet.model_validate(told)
        except ValueError:  # of another version: by its name
            return LabelSet.load(str(told.get("name")))
    return None


def machine_labels(run: Path) -> dict[tuple[str, int], str]:
    """The most probable label of each person read, by item and number."""
    found = {}
    for line in store.read_lines(run):
        record = orjson.loads(line)
        for person in record["people"]:
            if person["emotions"]:
                chances = person["emotions"]["probabilities"]
                top = max(chances, key=chances.__getitem__)
                found[record["item"]["id"], person["id"]] = top
    return found


def manifest_labels(run: Path) -> Iterable[Said]:
    """The manifest's labels, of pictures with one person: it says nothing of which one else."""
    for line in store.read_lines(run):
        record = orjson.loads(line)
        label = record["item"]["label"]
        if label is not None and len(record["people"]) == 1:
            yield Said(record["item"]["id"], record["people"][0]["id"], "manifest", label)


def compare_run(
    run: Path, said: Iterable[Said], most: int = 200, epsilon: float = EPSILON
) -> RunAgreement:
    """Compare a run with what people said; labels are read by the run's own label set.

    Args:
        epsilon: of the alternative annotator test.

    Raises:
        KuleshovError: nothing to compare, an impossible epsilon, or a library is missing.
    """
    try:
        from sklearn.metrics import confusion_matrix
    except ImportError:
        raise KuleshovError(
            "agreement needs scikit-learn and krippendorff: run `pip install 'kuleshov[data]'`."
        ) from None
    machine = machine_labels(run)
    answers: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    labels_known = labels_of(run)
    away = without = 0
    unread: dict[str, list[str]] = defaultdict(list)
    for one in said:
        key = one.item, one.person
        if key not in machine or labels_known is None:
            continue
        if one.taken_away:
            away += 1
            continue
        try:
            read = labels_known.read_label(one.label)
        except KuleshovError:
            unread[str(one.label)].append(one.item)
            continue
        for word in read.unknown:
            unread[word].append(one.item)
        if read.name is not None:
            answers[key][one.annotator] = read.name
        elif not read.unknown:
            without += 1
    if not answers and unread:
        words = ", ".join(f"{word!r} ({len(where)})" for word, where in unread.items())
        raise KuleshovError(
            f"no label of people is in this run's label set"
            f"{labels_known and ', ' + labels_known.name}: {words}."
        )
    if not answers:
        raise KuleshovError(
            "people and machine have read nobody in common: no label of people belongs to a "
            "person of this run."
        )
    annotators = sorted({name for told in answers.values() for name in told})
    pairs = [(told[name], machine[key]) for key, told in answers.items() for name in sorted(told)]
    labels = sorted({label for pair in pairs for label in pair})
    raters = [{key: told.get(name) for key, told in answers.items()} for name in annotators]
    own: dict[Any, str | None] = {key: machine[key] for key in answers}
    different: list[dict[str, Any]] = [
        {"item": key[0], "person": key[1], "machine": machine[key], "people": dict(told)}
        for key, told in answers.items()
        if any(label != machine[key] for label in told.values())
    ]
    different.sort(key=lambda case: -max(Counter(case["people"].values()).values()))
    return RunAgreement(
        people=len(answers),
        annotators=len(annotators),
        agree=sum(a == b for a, b in pairs) / len(pairs),
        alpha=_raters_alpha([own, *raters]),
        alpha_people=_raters_alpha(raters) if len(raters) > 1 else None,
        labels=labels,
        confusion=confusion_matrix(
            [a for a, _ in pairs], [b for _, b in pairs], labels=labels
        ).tolist(),
        taken_away=away,
        without_label=without,
        unread=dict(unread),
        disagreements=different[:most],
        alternative=_test_alternative(answers, machine, annotators, epsilon),
    )


def _test_alternative(
    answers: dict[tuple[str, int], dict[str, str]],
    machine: dict[tuple[str, int], str],
    annotators: list[str],
    epsilon: float,
) -> AlternativeAnnotator | None:
    if len(annotators) < 2:
        return None
    people = {
        name: {key: told[name] for key, told in answers.items() if name in told}
        for name in annotators
    }
    return compare_annotators(machine, people, epsilon)


def _raters_alpha(raters: list[dict[Any, str | None]]) -> float | None:
    units = zip(*(rater.values() for rater in raters), strict=True)
    return krippendorff_alpha(
        [[math.nan if v is None else v for v in unit] for unit in units], "nominal"
    )[0]
