"""Ong, Zaki & Goodman (2015), experiment 3: people's judgements of faces, outcomes and both.

A person has spun a wheel with three prizes and won one. People saw the face, the wheel with its
outcome, or both, and rated eight emotions from 1 to 9. A sample is a face with an outcome; people's
answers to the face alone and to the outcome alone come with it, and halves of the judges, which
say how well people predict people.

Layout and columns were checked against the released data.

Read by the bundled models (--protocol votes), Kullback-Leibler to people's judgement of both, nats,
and Pearson's r: people .372, .734; bayes 1.077, .718; face 1.153, .726; mean of face and context
.309, .697; text .607, .592; context .497, -.023. Their shift does not follow people's (r -.14 for
people, ceiling .87): the pocket LLaVA makes nothing of the sentences. Intervals:
docs/how-to/evaluate.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task
from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError

if TYPE_CHECKING:
    from kuleshov.studies.ratings import Ratings

TABLE, FACES = "experiment3.csv", "faces"
RATED = (
    "happy", "sad", "angry", "surprised", "disgusted", "afraid", "content", "disappointed",
)  # fmt: skip
SCALE = (1.0, 9.0)
SPLITS, SEED = 20, 0
LABELS: dict[str, tuple[str, ...]] = {
    "anger": ("angry",),
    "disgust": ("disgusted",),
    "fear": ("afraid",),
    "happiness": ("happy", "content"),
    "sadness": ("sad", "disappointed"),
    "surprise": ("surprised",),
}
"""Label of ekman-6 to the rated emotions whose shares it stands for. Contentment lies in the
cluster of joy and disappointment in that of sadness (Shaver, Schwartz, Kirson & O'Connor 1987,
Journal of Personality and Social Psychology 52:1061-1086)."""
SUBSET = {label: words[:1] for label, words in LABELS.items()}
"""Without content and disappointed, which ekman-6 has no label of its own for."""
LAYOUT = f"""
ong2015/ with {TABLE} (shown, face, wheel, payoff1 … win, eight ratings, rater) and {FACES}/N.png
"""


def outcome_sentence(payoffs: tuple[float, ...], win: float) -> str:
    """The outcome as a sentence of context; the prizes from low to high."""
    first, second, third = (f"${prize:g}" for prize in sorted(payoffs))
    return (
        f"The person has just spun a wheel with prizes of {first}, {second} and {third} and won "
        f"${win:g}."
    )


def read_ong2015(root: Path, split: str) -> Iterator[Sample]:
    return _split_samples(root, split, LABELS)


def read_subset(root: Path, split: str) -> Iterator[Sample]:
    return _split_samples(root, split, SUBSET)


def _split_samples(
    root: Path, split: str, table: Mapping[str, tuple[str, ...]]
) -> Iterator[Sample]:
    from kuleshov.studies.ratings import read_ratings

    root = layout.expect_level(root, (TABLE, FACES), "ong2015", LAYOUT)
    wanted = ("wheel", "payoff1", "payoff2", "payoff3", "win", *RATED)
    contexts = _wheel_contexts(layout.read_rows(root / TABLE, wanted, "ong2015"), root / TABLE)
    ratings = read_ratings(root / TABLE, labels=RATED, scale=SCALE)
    both = ratings.cue == "both"
    pairs = sorted(
        set(zip(ratings.face[both], ratings.context[both], strict=True)), key=_pair_order
    )
    missing = sorted({f"{face}.png" for face, _ in pairs} - layout.names_in(root / FACES))
    layout.complain_of_missing(missing, len({face for face, _ in pairs}), "ong2015", "faces")
    return _told_samples(root, split, table, ratings, contexts, pairs)


def _pair_order(pair: tuple[str, str]) -> tuple[Any, ...]:
    return tuple((len(name), name) for name in pair)


def _wheel_contexts(rows: list[dict[str, str]], path: Path) -> dict[str, str]:
    """The sentence of each wheel."""
    found: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{path}, line {line}"
        prizes = tuple(layout.parse_number(row[f"payoff{i}"], where) for i in (1, 2, 3))
        told = outcome_sentence(prizes, layout.parse_number(row["win"], where))
        if found.setdefault(row["wheel"], told) != told:
            raise KuleshovError(f"{where}: wheel {row['wheel']} has two outcomes.")
    return found


def _told_samples(
    root: Path,
    split: str,
    table: Mapping[str, tuple[str, ...]],
    ratings: Ratings,
    contexts: Mapping[str, str],
    pairs: list[tuple[str, str]],
) -> Iterator[Sample]:
    import numpy as np

    rng = np.random.default_rng(SEED)
    halves = [rng.random(len(ratings)) < 0.5 for _ in range(SPLITS)]
    every = np.ones(len(ratings), bool)
    alone: dict[tuple[str, str], tuple[dict[str, float], list[Any]]] = {}

    def judged(cue: str, face: str, context: str) -> tuple[dict[str, float], list[Any]]:
        """Shares of all judges times how many they are, and shares of both halves a split."""
        of = (ratings.cue == cue) & (ratings.face == face) & (ratings.context == context)
        n = int(of.sum())
        if not n:
            raise KuleshovError(
                f"{root / TABLE}: nobody judged face {face or '–'}, wheel {context or '–'} in the "
                f"condition {cue}."
            )
        whole = {
            label: share * n for label, share in _label_shares(ratings, of & every, table).items()
        }
        parted = []
        for half in halves:
            sides = [of & half, of & ~half]
            # of a pair with few judges one half may be empty: it is no half
            parted.append(
                [_label_shares(ratings, side, table) for side in sides]
                if all(side.any() for side in sides)
                else None
            )
        return whole, parted

    for face, context in pairs:
        for cue, name in (("face", (face, "")), ("context", ("", context))):
            if name not in alone:
                alone[name] = judged(cue, *name)
        of_both = judged("both", face, context)
        parts = {"both": of_both, "face": alone[face, ""], "context": alone["", context]}
        yield Sample(
            id=f"{face}-{context}",
            source=root / FACES / f"{face}.png",
            target=Target(
                votes=of_both[0],
                face_votes=parts["face"][0],
                context_votes=parts["context"][0],
                halves=tuple(
                    {cue: tuple(found[1][i]) for cue, found in parts.items()}
                    for i in range(SPLITS)
                    if all(found[1][i] is not None for found in parts.values())
                ),
            ),
            split=split,
            group=face,
            context=(contexts[context],),
        )


def _label_shares(
    ratings: Ratings, rows: Any, table: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """The mean judge's rating above the floor as shares of the labels."""
    from kuleshov.studies.ratings import as_distribution

    mean = as_distribution(ratings.values[rows].mean(axis=0), ratings.lift)
    by_word = dict(zip(ratings.labels, mean.tolist(), strict=True))
    given = {label: sum(by_word[word] for word in words) for label, words in table.items()}
    total = sum(given.values())
    return {label: round(share / total, 6) for label, share in given.items()}


TASK = Task(
    name="ong2015",
    title="Ong, Zaki & Goodman, experiment 3",
    licence="published with the paper for replication: evaluation only",
    source="Ong, Zaki & Goodman (2015), Affective cognition: Exploring lay theories of emotion, "
    "Cognition 143:141-162",
    kind="votes",
    labels="ekman-6",
    metrics=("js_divergence", "soft_cross_entropy"),
    protocol="18 drawn faces, 10 outcomes of a wheel and their 180 pairs; the outcome is told in a "
    "sentence. People's answer is the mean rating above the floor, as shares; content counts as "
    "happiness, disappointed as sadness (Shaver et al. 1987). Use it with --protocol votes.",
    splits=("experiment3",),
    split="experiment3",
    layout=LAYOUT,
    reader=read_ong2015,
)
TASK_SUBSET = replace(
    TASK,
    name="ong2015-six",
    title="Ong, Zaki & Goodman, experiment 3, six emotions",
    reader=read_subset,
    protocol="As ong2015, on the six rated emotions that ekman-6 names: content and disappointed "
    "are left out.",
)
