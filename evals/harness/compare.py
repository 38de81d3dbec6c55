"""Two systems on the same samples: differences with intervals, and McNemar's exact test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from kuleshov.evals.datasets.base import Task
from kuleshov.evals.harness import evaluate
from kuleshov.evals.harness.evaluate import RUNS, Evaluation
from kuleshov.evals.metrics import classes, registry
from kuleshov.evals.metrics.base import RESAMPLES, Difference, measure_difference
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record


class McNemar(Record):
    """Right and wrong answers of two systems on the samples that both answered.

    p: exact two-sided test that the discordant samples fall to either side alike (McNemar 1947,
    Psychometrika 12; binomial, scipy). odds: only_b / only_a, how many times more often b alone is
    right than a alone, with a Clopper-Pearson interval; None where one of them is 0.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    odds: float | None = None
    odds_low: float | None = None
    odds_high: float | None = None


class SystemComparison(Record):
    """System b against system a."""

    a: str
    b: str
    task: str
    samples: int = Field(description="that both evaluations hold, with the same answer of people")
    left_out: int = Field(description="samples of one evaluation alone")
    differences: tuple[Difference, ...]
    mcnemar: McNemar | None = None
    notes: tuple[str, ...] = ()


def compare_systems(
    a: str,
    b: str,
    find: Callable[[str, str | Path | None], Task],
    *,
    metrics: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    wheels: str | Path | None = None,
) -> SystemComparison:
    """Compare two systems.

    Args:
        a, b: FOLDER:SYSTEM of an evaluation, e.g. runs/ferplus:text; FOLDER where it holds one.
        find: a task by its name and data.

    Raises:
        KuleshovError: no such evaluation or system, two tasks, no sample in common.
    """
    first, one = _open_side(a, find)
    second, other = _open_side(b, find)
    if first.task.name != second.task.name or first.labels.names != second.labels.names:
        raise KuleshovError(
            f"{a} evaluates {first.task.name} with {first.labels.name}, {b} {second.task.name} "
            f"with {second.labels.name}: only the same task can be compared."
        )
    at_b = {sample.id: place for place, sample in enumerate(second.known)}
    ours, theirs = first.read(one), second.read(other)
    pairs = [
        (place, at_b[sample.id])
        for place, sample in enumerate(first.known)
        if sample.id in at_b
        and second.known[at_b[sample.id]].target == sample.target
        and "missing" not in (ours[place].state, theirs[at_b[sample.id]].state)
    ]
    if not pairs:
        raise KuleshovError(f"{a} and {b} have no sample in common.")
    targets = [first.known[i].target for i, _ in pairs]
    groups = [first.known[i].group for i, _ in pairs]
    of_a, of_b = [ours[i].answer for i, _ in pairs], [theirs[j].answer for _, j in pairs]
    labels = first.labels.names
    found, notes = [], []
    for name in metrics or first.task.metrics:
        try:
            metric = registry.find_metric(name, wheels)
            found.append(
                measure_difference(
                    metric,
                    targets,
                    of_a,
                    of_b,
                    labels,
                    groups=groups,
                    resamples=resamples,
                    seed=seed,
                )
            )
        except KuleshovError as error:
            notes.append(str(error))
    if any(group is not None for group in groups):
        notes.append(
            "McNemar's test takes samples as independent, and here some share a subject or video: "
            "go by the intervals, which draw whole groups"
        )
    return SystemComparison(
        a=f"{first.out.name}:{one}",
        b=f"{second.out.name}:{other}",
        task=first.task.name,
        samples=len(pairs),
        left_out=len(first.known) + len(second.known) - 2 * len(pairs),
        differences=tuple(found),
        mcnemar=mcnemar_test(targets, of_a, of_b, labels),
        notes=tuple(notes),
    )


def mcnemar_test(
    targets: Sequence[Target],
    a: Sequence[Answer | None],
    b: Sequence[Answer | None],
    labels: Sequence[str],
) -> McNemar | None:
    """The test over samples with one label that both answered; None where there are none."""
    from scipy.stats import binomtest

    names = tuple(labels)
    counts = {(x, y): 0 for x in (True, False) for y in (True, False)}
    for target, one, other in zip(targets, a, b, strict=True):
        if target.label is None or one is None or other is None:
            continue
        pairs = [classes.label_pair(target, answer, names) for answer in (one, other)]
        if pairs[0] is None or pairs[1] is None:
            continue
        counts[pairs[0][0] == pairs[0][1], pairs[1][0] == pairs[1][1]] += 1
    if not sum(counts.values()):
        return None
    only_a, only_b = counts[True, False], counts[False, True]
    told = {"both": counts[True, True], "neither": counts[False, False]}
    if only_a + only_b == 0:
        return McNemar(only_a=0, only_b=0, p=1.0, **told)
    test = binomtest(only_b, only_a + only_b)
    bounds = test.proportion_ci(method="exact")
    odds = dict.fromkeys(("odds", "odds_low", "odds_high"))
    if only_a and only_b:
        odds = {
            "odds": only_b / only_a,
            "odds_low": bounds.low / (1 - bounds.low),
            "odds_high": bounds.high / (1 - bounds.high),
        }
    return McNemar(only_a=only_a, only_b=only_b, p=float(test.pvalue), **told, **odds)


def _open_side(text: str, find: Callable[[str, str | Path | None], Task]) -> tuple[Evaluation, str]:
    folder, colon, system = text.rpartition(":")
    if not colon or not Path(folder).is_dir():
        folder, system = text, ""
    path = Path(folder)
    if path.parent.name == RUNS and (path.parent.parent / evaluate.FACTS).is_file():
        path, system = path.parent.parent, system or path.name
    found = evaluate.open_evaluation(path, find)
    held = list(found.held)
    if not system and len(held) == 1:
        system = held[0]
    if system not in held:
        what = f"holds no answers of {system}" if system else "holds several systems"
        raise KuleshovError(
            f"{path} {what}: give FOLDER:SYSTEM, SYSTEM one of {', '.join(held) or 'none'}."
        )
    return found, system
