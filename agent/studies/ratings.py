"""People's judgements of faces, contexts and both together, from a table.

Two forms are read. Wide: a row a judgement, a column of ratings a label. Long: a row a judgement
and label, with the columns `label` and `rating`; `lowest` and `highest` may declare the scale. A
column `choice` holds one label a judgement instead of ratings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kuleshov.tools.errors import KuleshovError, suggest_word

if TYPE_CHECKING:
    import pandas as pd

Cue = Literal["face", "context", "both"]
CUES: tuple[Cue, ...] = ("face", "context", "both")
COLUMNS: dict[str, tuple[str, ...]] = {
    "condition": ("condition", "shown", "cue"),
    "face": ("face",),
    "context": ("context", "wheel", "scene", "outcome", "situation"),
    "rater": ("rater", "participant", "pid", "subject"),
}
"""What a column may be called where the caller names none."""
ABOVE_FLOOR = 0.1
"""Added to what a mean rating has above the floor of the scale, in points of the scale: a label
that nobody rated above the floor keeps a share."""
CHOSEN_BY_NOBODY = 0.01
"""The same for shares of choices."""
MISSING = "pandas, scipy, statsmodels and matplotlib: run `pip install 'kuleshov[analysis]'`"


@dataclass(frozen=True)
class Ratings:
    """Judgements as numbers.

    face, context: which face and which context each judgement was of; "" where none was shown.
    rater: who judged, None where the table does not say.
    values: (judgements, labels), points above the floor of the scale, or 0 and 1 for choices.
    """

    labels: tuple[str, ...]
    cue: np.ndarray
    face: np.ndarray
    context: np.ndarray
    rater: np.ndarray | None
    values: np.ndarray
    chosen: bool = False
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.cue)

    @property
    def lift(self) -> float:
        """What is added to a mean, so that no label's share is 0."""
        return CHOSEN_BY_NOBODY if self.chosen else ABOVE_FLOOR

    def where(self, rows: np.ndarray) -> Ratings:
        """The judgements of `rows` (a mask or indices)."""
        return Ratings(
            self.labels,
            self.cue[rows],
            self.face[rows],
            self.context[rows],
            self.rater[rows] if self.rater is not None else None,
            self.values[rows],
            self.chosen,
        )


@dataclass(frozen=True)
class Cells:
    """Distributions of the mean judge: a row a pair of face and context that was judged.

    face, context, both: (pairs, labels), each row summing to 1. n: judgements of both, (pairs,).
    face_names, context_names: (pairs,).
    """

    labels: tuple[str, ...]
    face: np.ndarray
    context: np.ndarray
    both: np.ndarray
    n: np.ndarray
    face_names: np.ndarray
    context_names: np.ndarray
    left_out: int = field(default=0)

    def where(self, rows: np.ndarray) -> Cells:
        return Cells(
            self.labels,
            self.face[rows],
            self.context[rows],
            self.both[rows],
            self.n[rows],
            self.face_names[rows],
            self.context_names[rows],
        )


def read_ratings(
    path: str | os.PathLike[str],
    *,
    labels: Sequence[str] = (),
    scale: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Ratings:
    """Read and check a table of judgements.

    Args:
        path: CSV or TSV.
        labels: the rated labels; none: all columns between which a rating may lie, that is every
            numeric column with no other part and values within `scale`.
        scale: lowest and highest rating; None: as declared by nothing, the lowest and highest that
            occur over all labels, which is said in the warnings.
        columns: other names for condition, face, context and rater.

    Raises:
        KuleshovError: a column or condition is missing, one face or one context only, a rating
            outside the declared scale, a label that one condition lacks; one sentence.
    """
    pandas = _import_pandas()
    try:
        table = pandas.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
    except OSError as error:
        raise KuleshovError(f"cannot read the ratings {path}: {error.strerror}.") from None
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KuleshovError(f"{path} is not a table of ratings: {why}.") from None
    found = {part: _find_column(table, part, (columns or {}).get(part), path) for part in COLUMNS}
    named = {part: name for part, name in found.items() if name is not None}
    table = table.dropna(how="all")
    if {"label", "rating"} <= set(table.columns):
        scale = scale or _declared(table, path)
        table, names = _from_long(table, named, path)
    elif "choice" in table.columns:
        return _of_choices(table, named, labels, path)
    else:
        names = _label_columns(table, labels, named, scale, path)
    values = table[names].apply(_column_numbers).to_numpy(float)
    return _check_ratings(table, names, values, named, scale, path)


def _column_numbers(column: pd.Series) -> pd.Series:
    """The cells of a column as numbers, NaN where they are none."""
    pandas = _import_pandas()
    try:
        return pandas.to_numeric(column, errors="coerce")
    except (OverflowError, ValueError):  # hundreds of digits: no rating
        short = column.map(lambda cell: cell if len(str(cell)) <= 30 else None)
        return pandas.to_numeric(short, errors="coerce")


def _find_column(table: pd.DataFrame, part: str, given: str | None, path: Any) -> str | None:
    if given is not None:
        if given not in table.columns:
            raise KuleshovError(
                f"{path} has no column "
                f"{given!r}{suggest_word(given, [str(c) for c in table.columns])}."
            )
        return given
    for name in COLUMNS[part]:
        if name in table.columns:
            return name
    if part == "rater":
        return None
    raise KuleshovError(
        f"{path} has no column for the {part}: it is called {' or '.join(COLUMNS[part])}, or name "
        f"it with --column {part}=NAME."
    )


def _label_columns(
    table: pd.DataFrame,
    labels: Sequence[str],
    named: Mapping[str, str],
    scale: tuple[float, float] | None,
    path: Any,
) -> list[str]:
    if labels:
        for name in labels:
            if name not in table.columns:
                known = [str(column) for column in table.columns]
                raise KuleshovError(f"{path} has no column {name!r}{suggest_word(name, known)}.")
        return list(labels)
    if scale is None:
        raise KuleshovError(
            "which columns are ratings? Name them with --labels, or the scale with --scale, "
            "e.g. --scale 1-9: every other column of whole numbers within it is a label."
        )
    names = []
    for name in table.columns.difference(list(named.values()), sort=False):
        numbers = _column_numbers(table[name]).dropna()
        whole = len(numbers) and (numbers % 1 == 0).all()
        if whole and numbers.between(*scale).all() and numbers.nunique() > 1:
            names.append(str(name))
    if len(names) < 2:
        raise KuleshovError(f"{path} has fewer than two columns of ratings within the scale.")
    return names


def _from_long(
    table: pd.DataFrame, named: Mapping[str, str], path: Any
) -> tuple[pd.DataFrame, list[str]]:
    """A row a judgement from a row a judgement and label."""
    keys = [name for name in (*named.values(), "trial") if name in table.columns]
    table = table.copy()
    table[keys] = table[keys].astype(object).where(table[keys].notna(), "")
    if table.duplicated([*keys, "label"]).any():
        raise KuleshovError(
            f"{path} rates one label twice in one judgement; a column `trial` tells judgements "
            "of one rater apart."
        )
    wide = table.pivot(index=keys, columns="label", values="rating").reset_index()
    return wide, [str(name) for name in wide.columns if name not in keys]


def _declared(table: pd.DataFrame, path: Any) -> tuple[float, float] | None:
    """The ends of the scale that the table itself names."""
    if not {"lowest", "highest"} <= set(table.columns):
        return None
    ends = table[["lowest", "highest"]].apply(_column_numbers).dropna().drop_duplicates()
    if len(ends) != 1:
        raise KuleshovError(f"{path} declares {len(ends)} scales in lowest and highest, not one.")
    return float(ends.iloc[0, 0]), float(ends.iloc[0, 1])


def _of_choices(
    table: pd.DataFrame, named: Mapping[str, str], labels: Sequence[str], path: Any
) -> Ratings:
    said = table["choice"].astype(str).str.strip()
    kept = table["choice"].notna() & (said != "")
    names = tuple(labels) or tuple(sorted(said[kept].unique()))
    unknown = sorted(set(said[kept]) - set(names))
    if unknown:
        raise KuleshovError(
            f"{path} chooses {unknown[0]!r}, which is no label{suggest_word(unknown[0], names)}."
        )
    values = np.array([[float(word == name) for name in names] for word in said[kept]])
    found = _check_ratings(table[kept], list(names), values, named, (0.0, 1.0), path)
    return Ratings(
        found.labels,
        found.cue,
        found.face,
        found.context,
        found.rater,
        found.values,
        True,
        found.warnings,
    )


def _check_ratings(
    table: pd.DataFrame,
    names: list[str],
    values: np.ndarray,
    named: Mapping[str, str],
    scale: tuple[float, float] | None,
    path: Any,
) -> Ratings:
    told: list[str] = []
    cue = table[named["condition"]].astype(str).str.strip().str.lower().to_numpy(object)
    known = np.isin(cue, CUES)
    if not known.all():
        told.append(f"{int((~known).sum())} rows are of another condition: left out")
    whole = ~np.isnan(values).any(axis=1)
    empty = [name for i, name in enumerate(names) if np.isnan(values[known, i]).all()]
    if empty:
        raise KuleshovError(f"{path} holds no rating of {empty[0]}.")
    for one in CUES:
        rows = known & (cue == one)
        if not rows.any():
            raise KuleshovError(
                f"{path} has no judgement of {'both' if one == 'both' else f'the {one} alone'}: "
                "face, context and both are needed."
            )
        for i, name in enumerate(names):
            if np.isnan(values[rows, i]).all():
                raise KuleshovError(f"{path} has no rating of {name} in the condition {one}.")
    if (known & ~whole).any():
        told.append(f"{int((known & ~whole).sum())} judgements lack a rating: left out")
    keep = known & whole
    values, cue, table = values[keep], cue[keep], table[keep]
    low, high = scale or (float(values.min()), float(values.max()))
    if scale is None:
        told.append(f"no scale was declared; ratings lie within {low:g}-{high:g}")
    if values.size and (values.min() < low or values.max() > high):
        bad = values[(values < low) | (values > high)][0]
        raise KuleshovError(f"{path} holds the rating {bad:g}, outside the scale {low:g}-{high:g}.")
    if not high > low or np.ptp(values) == 0:
        raise KuleshovError(f"all ratings of {path} are alike: nothing can be fitted.")
    constant = [name for i, name in enumerate(names) if np.ptp(values[:, i]) == 0]
    if constant:
        told.append(f"{', '.join(constant)}: rated alike throughout")
    face, context = (_column_names(table, named[part]) for part in ("face", "context"))
    face[cue == "context"] = ""
    context[cue == "face"] = ""
    both = cue == "both"
    if len(set(face[both])) < 2 or len(set(context[both])) < 2:
        which = "face" if len(set(face[both])) < 2 else "context"
        raise KuleshovError(
            f"{path} judges one {which} only: how face and context combine needs several of each."
        )
    rater = table[named["rater"]].astype(str).to_numpy(object) if "rater" in named else None
    if rater is not None and len(set(rater)) < 2:
        told.append("there is one rater only: nothing is known of other people")
    return Ratings(tuple(names), cue, face, context, rater, values - low, False, tuple(told))


def _column_names(table: pd.DataFrame, column: str) -> np.ndarray:
    """Names as text; a whole number is written without a decimal point."""

    def text(value: Any) -> str:
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:g}"
        return str(value).strip()

    return np.array([text(value) for value in table[column]], dtype=object)


def mean_cells(ratings: Ratings) -> Cells:
    """Mean judges of each face, each context and each pair, as distributions.

    A mean rating becomes a share by what it has above the floor of the scale.

    Raises:
        KuleshovError: no pair was judged whose face and context were judged alone, too.
    """
    alone: dict[str, dict[str, np.ndarray]] = {}
    for one, names in (("face", ratings.face), ("context", ratings.context)):
        rows = ratings.cue == one
        alone[one] = {
            name: as_distribution(ratings.values[rows & (names == name)].mean(axis=0), ratings.lift)
            for name in sorted(set(names[rows]))
        }
    rows = ratings.cue == "both"
    pairs = sorted(set(zip(ratings.face[rows], ratings.context[rows], strict=True)))
    kept = [(f, c) for f, c in pairs if f in alone["face"] and c in alone["context"]]
    if not kept:
        raise KuleshovError(
            "no pair was judged whose face and context were judged alone, too; are they called "
            "alike in all conditions?"
        )
    both, n = [], []
    for f, c in kept:
        of = rows & (ratings.face == f) & (ratings.context == c)
        both.append(as_distribution(ratings.values[of].mean(axis=0), ratings.lift))
        n.append(int(of.sum()))
    return Cells(
        ratings.labels,
        np.array([alone["face"][f] for f, _ in kept]),
        np.array([alone["context"][c] for _, c in kept]),
        np.array(both),
        np.array(n, float),
        np.array([f for f, _ in kept], dtype=object),
        np.array([c for _, c in kept], dtype=object),
        len(pairs) - len(kept),
    )


def as_distribution(above: np.ndarray, lift: float = ABOVE_FLOOR) -> np.ndarray:
    """Shares from mean points above the floor, (…, labels)."""
    lifted = above + lift
    shares: np.ndarray = lifted / lifted.sum(axis=-1, keepdims=True)
    return shares


def _import_pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise KuleshovError(f"a study needs {MISSING}.") from None
    return pandas
