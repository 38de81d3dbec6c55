"""Fitting temperatures on a user's labelled sample, and telling honestly what that gains."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kuleshov.asking import combining
from kuleshov.evidence import temperatures
from kuleshov.evidence.temperatures import Calibration, CalibrationFigure, Fit
from kuleshov.inputs import items
from kuleshov.studies.statistics import brier_score, calibration_error, classwise_ece
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet, mappings
from kuleshov.tools.labels.left_out import NO_LABEL, SEVERAL, LeftOut
from kuleshov.tools.types import EmotionScores
from kuleshov.types import Judgement, Person

if TYPE_CHECKING:
    from kuleshov.agent import Agent
    from kuleshov.asking.parts import Crew
    from kuleshov.inputs.items import Work

Probabilities = NDArray[np.float64]

FEWEST = 5  # items of a label: as many as there are folds
FOLDS = 5
RESAMPLES = 1000
COLDEST, HOTTEST = 0.05, 50.0  # temperatures that are searched
ASKED = {"both": "explained", "face": "expression"}
"""How the model was asked for its reading under a condition; for the context the crew knows."""


@dataclass(frozen=True)
class LabelledItem:
    """One picture or clip of the sample and the label that people gave it.

    group: the person or video that it is of, where the sample tells.
    """

    work: Work
    label: str
    group: str | None = None


def read_sample(
    source: str | os.PathLike[str],
    labels: LabelSet,
    mapped_from: str | None = None,
    left_out: LeftOut | None = None,
    passed: media.PassedOver | None = None,
) -> list[LabelledItem]:
    """The sample, checked as a whole before anything is loaded.

    Args:
        source: a table (CSV, TSV, JSONL, Parquet) with columns path and label, or a folder with
            a folder for each label.
        labels: what the labels must be names or synonyms of.
        mapped_from: the set that the sample is labelled with, where that is another one; carried
            over by the published table.
        left_out: is told the rows that have no label, several, or one that the set does not know:
            they are left out.
        passed: counts files of a folder that are no pictures or clips.

    Raises:
        KuleshovError: the set does not exclude its labels one another, a file cannot be read, no
            label or one label only, or too few of one; one sentence.
    """
    if labels.mode != "single":
        raise KuleshovError(
            f"calibrate needs labels that exclude one another, and {labels.name} is "
            f"{labels.mode}-label."
        )
    name = os.fspath(source)
    folders = os.path.isdir(name)
    found: list[LabelledItem] = []
    table = mappings.require_mapping(mapped_from, labels.name) if mapped_from else None
    theirs = LabelSet.load(mapped_from) if mapped_from else labels
    left_out = LeftOut("", ()) if left_out is None else left_out
    left_out.labels, left_out.names = theirs.name, theirs.names
    for work in items.read_items(name, passed):
        if work.problem:
            raise KuleshovError(work.problem)
        told = os.path.dirname(work.key).split("/")[0] if folders else work.item.label
        read = theirs.read_label(told or None)
        label = None
        if read.unknown:
            left_out.add_word(read.unknown[0], work.item.id)
        elif read.votes is not None:
            left_out.add(SEVERAL, work.item.id)
        elif read.name is None:
            reason = "that lies in no folder named after a label" if folders else NO_LABEL
            left_out.add(reason, work.item.id)
        elif table is None:
            label = read.name
        else:
            label = table.of(read.name)
            if label is None:
                left_out.add(f"whose label has no place in {labels.name}", work.item.id)
        if label is not None:
            found.append(LabelledItem(work, label))
    found = _group_items(found)
    _check_counts(Counter(example.label for example in found), name, left_out)
    _check_files(found, name)
    return found


def _group_items(found: Sequence[LabelledItem]) -> list[LabelledItem]:
    """With the person or video of each item, by the first column that tells it of every item."""
    extras = [example.work.item.extra for example in found]
    for name in items.REPEATED:
        told = {str(extra.get(name) or "") for extra in extras}
        if len(told) > 1 and "" not in told:
            return [replace(e, group=str(e.work.item.extra[name])) for e in found]
    return list(found)


def _check_counts(counts: Counter[str], name: str, left_out: LeftOut) -> None:
    without = f" ({left_out})" if left_out.rows else ""
    if len(counts) < 2:
        only = next(iter(counts), None)
        raise KuleshovError(
            f"{name} holds {'the label ' + only + ' alone' if only else 'no labelled item'}"
            f"{without}; a temperature needs at least two labels: in a column label, or as folders."
        )
    few = [f"{label} ({n})" for label, n in counts.items() if n < FEWEST]
    if few:
        raise KuleshovError(
            f"{name} holds too few items of {', '.join(few)}{without}; each label that occurs "
            f"needs at least {FEWEST}."
        )


def _check_files(found: Sequence[LabelledItem], name: str) -> None:
    bad = []
    for example in found:
        try:
            media.open_media(example.work.source, frames=1)
        except KuleshovError as error:
            bad.append(str(error))
    if bad:
        raise KuleshovError(f"{len(bad)} of {len(found)} items of {name} cannot be read: {bad[0]}")


# ------------------------------------------------------------------------- readings


def fit_calibration(
    agent: Agent,
    sample: Sequence[LabelledItem],
    watch: Callable[[int, int], None] | None = None,
    left_out: LeftOut | None = None,
) -> Calibration:
    """Read the sample with the agent, fit a temperature for each way the model was asked.

    Where a picture shows several people and the sample gives no box, the largest face counts.

    Args:
        agent: without a calibration of its own.
        sample: from `read_sample`.
        watch: told how many items of how many have been read.
        left_out: what `read_sample` left out; it is written beside the counts.

    Raises:
        KuleshovError: the model cannot score labels, or leaves too much unanswered.
    """
    crew = agent.crew
    if agent.settings.calibration:
        raise KuleshovError("a calibration is fitted on readings without one: leave it out.")
    if crew.writer.stated:
        raise KuleshovError(
            f"{crew.mllm.info.id} states its numbers and scores no labels: there is no "
            "log-likelihood to divide by a temperature."
        )
    if crew.fusion == "face":
        raise KuleshovError("fusion 'face' asks the model for no label: use another --fusion.")
    people: list[tuple[Person, LabelledItem]] = []
    for done, example in enumerate(sample, start=1):
        inference = agent.infer(
            example.work.source, context=example.work.context, boxes=example.work.boxes
        )
        if inference.people:
            people.append((max(inference.people, key=_face_area), example))
        if watch:
            watch(done, len(sample))
    labels, seed = crew.labels, agent.settings.seed
    fits: dict[str, Fit] = {}
    fused = None
    context = crew.context_asked
    for asked in sorted({key for person, _ in people for key in model_readings(person, context)}):
        both = [
            (found[asked], person, example)
            for person, example in people
            if asked in (found := model_readings(person, context))
        ]
        _check_answered(Counter(example.label for *_, example in both), asked)
        given = _score_table([scores for scores, *_ in both], labels.names)
        truth = np.array([labels.names.index(example.label) for *_, example in both])
        groups = _group_numbers([example.group for *_, example in both])
        folds = _make_folds(truth, seed, groups)
        temperature, at_edge = fit_temperature(given, truth)
        held_out = _fold_temperatures(given, truth, folds)
        apart = _held_out(given, truth, folds)
        fits[asked] = _fit_figures(temperature, at_edge, given, apart, truth, seed, groups)
        if crew.fusion in combining.COMPUTED and asked == context:
            before = _score_table([person.emotions for _, person, _ in both], labels.names)
            after = _score_table(
                [
                    _fuse_tempered(crew, person, t)
                    for (_, person, _), t in zip(both, held_out, strict=True)
                ],
                labels.names,
            )
            known = ~np.isnan(before).any(axis=1) & ~np.isnan(after).any(axis=1)
            fused = _fit_figures(
                temperature,
                at_edge,
                before[known],
                after[known],
                truth[known],
                seed,
                groups[known],
            )
    if not fits:
        raise KuleshovError("the model gave no reading of any item of the sample.")
    groups_of_sample = len({e.group for e in sample if e.group is not None}) or None
    return Calibration(
        **temperatures.calibration_basis(crew.provenance),
        labels=labels.name,
        names=labels.names,
        fusion=crew.fusion,
        counts=dict(Counter(example.label for example in sample)),
        left_out=_count_left_out(left_out),
        folds=min(FOLDS, groups_of_sample or FOLDS),
        groups=groups_of_sample,
        fits=fits,
        fused=fused,
    )


def _count_left_out(left_out: LeftOut | None) -> dict[str, int]:
    told = left_out.to_dict() if left_out else {}
    return {**told.get("words", {}), **told.get("others", {})}


def _face_area(person: Person) -> float:
    return person.face.area if person.face else 0.0


def model_readings(person: Person, context_asked: str) -> dict[str, EmotionScores]:
    """The model's own readings of a person, by how it was asked; `context_asked`: of a crew."""
    return {
        ASKED.get(judgement.condition, context_asked): judgement.emotions
        for judgement in person.judgements
        if judgement.emotions and judgement.source == "mllm" and judgement.part is None
    }


def _fuse_tempered(crew: Crew, person: Person, temperature: float) -> EmotionScores | None:
    """What face and context of a record come to with the context's readings at a temperature."""
    if person.emotions is None or person.emotions.fusion != crew.fusion:
        return None
    face = next(
        (j.emotions for j in person.judgements if j.condition == "face" and j.source != "mllm"),
        None,
    )
    found: dict[str, Judgement] = {
        j.part or j.condition: j for j in person.judgements if j.condition == "context"
    }
    told = [cue.part for cue in person.emotions.cues if cue.cue == "context"] == ["told"]
    parts = combining.context_parts(found, told)
    if face is None or not parts:
        return None
    return combining.combine_scores(crew, face, parts, context_temperature=temperature)


def _check_answered(counts: Counter[str], asked: str) -> None:
    if len(counts) < 2 or min(counts.values()) < FEWEST:
        told = ", ".join(f"{label} {n}" for label, n in counts.items()) or "none"
        raise KuleshovError(
            f"too few items were answered ({asked}: {told}); each label needs at least {FEWEST}."
        )


def _score_table(found: Sequence[EmotionScores | None], names: Sequence[str]) -> Probabilities:
    """(items, labels); a row of NaN where there is no reading."""
    unknown = dict.fromkeys(names, math.nan)
    return np.array(
        [[(s.probabilities if s else unknown)[name] for name in names] for s in found], float
    )


# ------------------------------------------------------------------------- the fit


def temper_table(given: Probabilities, temperature: float) -> Probabilities:
    """The distributions (items, labels) at a temperature."""
    logs = np.log(np.maximum(given, 1e-300)) / temperature
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    tempered: Probabilities = weights / weights.sum(axis=1, keepdims=True)
    return tempered


def log_losses(given: Probabilities, truth: NDArray[np.intp]) -> Probabilities:
    """Negative log-likelihood of each item's label, nats, (items,)."""
    return -np.log(np.maximum(given[np.arange(len(truth)), truth], 1e-300))


def fit_temperature(given: Probabilities, truth: NDArray[np.intp]) -> tuple[float, bool]:
    """The temperature of the least mean NLL, and whether it lies at the edge of the search."""
    from scipy.optimize import minimize_scalar

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    found = minimize_scalar(
        lambda log: float(log_losses(temper_table(given, math.exp(log)), truth).mean()),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-5},
    )
    at_edge = bool(min(found.x - bounds[0], bounds[1] - found.x) < 1e-3)
    return float(math.exp(found.x)), at_edge


def _group_numbers(groups: Sequence[str | None]) -> NDArray[np.intp]:
    """A number for each group; an item without one is a group of its own."""
    keys = [
        ("item", str(i)) if group is None else ("group", group) for i, group in enumerate(groups)
    ]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], np.intp)


def _make_folds(
    truth: NDArray[np.intp], seed: int, groups: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """The fold of each item; labels are spread evenly, and a group lies in one fold whole.

    With fewer groups than folds each group is a fold of its own. Items that are all of one person
    are folded as they are: what is found holds for that one.
    """
    random = np.random.default_rng(seed)
    folds = np.zeros(len(truth), np.intp)
    many = len(truth) if groups is None else len(np.unique(groups))
    if many in (1, len(truth)):
        for label in np.unique(truth):
            places = random.permutation(np.flatnonzero(truth == label))
            folds[places] = np.arange(len(places)) % FOLDS
        return folds
    from sklearn.model_selection import StratifiedGroupKFold

    split = StratifiedGroupKFold(min(FOLDS, many), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label with fewer items than folds
        for fold, (_, here) in enumerate(split.split(np.zeros(len(truth)), truth, groups)):
            folds[here] = fold
    return folds


def _held_out(
    given: Probabilities, truth: NDArray[np.intp], folds: NDArray[np.intp]
) -> Probabilities:
    """Each item at the temperature that was fitted without its fold."""
    found = _fold_temperatures(given, truth, folds)
    return np.concatenate([temper_table(row[None], t) for row, t in zip(given, found, strict=True)])


def _fold_temperatures(
    given: Probabilities, truth: NDArray[np.intp], folds: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Of each item the temperature that was fitted without its fold, (items,)."""
    found = np.empty(len(given))
    for fold in np.unique(folds):
        here = folds == fold
        found[here], _ = fit_temperature(given[~here], truth[~here])
    return found


def _fit_figures(
    temperature: float,
    at_edge: bool,
    before: Probabilities,
    after: Probabilities,
    truth: NDArray[np.intp],
    seed: int,
    groups: NDArray[np.intp] | None = None,
) -> Fit:
    """The figures with intervals from resampling the items, or whole groups where they repeat."""
    random = np.random.default_rng(seed)
    names, which = np.unique(
        np.arange(len(truth)) if groups is None else groups, return_inverse=True
    )
    members = [np.flatnonzero(which == number) for number in range(len(names))]
    drawn = [
        np.concatenate([members[number] for number in some])
        for some in random.integers(0, len(names), (RESAMPLES, len(names)))
    ]

    def figure(measure: Callable[[NDArray[np.intp]], float]) -> CalibrationFigure:
        low, high = np.percentile([measure(rows) for rows in drawn], [2.5, 97.5])
        value = measure(np.arange(len(truth)))
        return CalibrationFigure(
            value=round(value, 5), low=round(float(low), 5), high=round(float(high), 5)
        )

    first, second = log_losses(before, truth), log_losses(after, truth)
    return Fit(
        temperature=round(temperature, 5),
        items=len(truth),
        nll_before=figure(lambda rows: float(first[rows].mean())),
        nll_after=figure(lambda rows: float(second[rows].mean())),
        nll_change=figure(lambda rows: float((second - first)[rows].mean())),
        ece_before=figure(lambda rows: calibration_error(before[rows], truth[rows])),
        ece_after=figure(lambda rows: calibration_error(after[rows], truth[rows])),
        brier_before=figure(lambda rows: brier_score(before[rows], truth[rows])),
        brier_after=figure(lambda rows: brier_score(after[rows], truth[rows])),
        classwise_ece_before=figure(lambda rows: classwise_ece(before[rows], truth[rows])),
        classwise_ece_after=figure(lambda rows: classwise_ece(after[rows], truth[rows])),
        at_edge=at_edge,
    )
