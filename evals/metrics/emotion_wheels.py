"""Words of one's own against words of one's own: sets mapped onto emotion wheels, hit rate.

The protocol is that of OV-MER and MER-UniBench (Lian et al. 2024, 2025): every word goes from its
form to a base form, to words of a wheel that it is a synonym of, to the wheel's sector; words with
no place are left out. The tables are the authors' and are read from the user's copy
(`MER2025/MER2025_Track23/emotion_wheel` of github.com/zeroQiaoba/MERTools); none are shipped. On
these tables both figures are equal to those of the authors' code.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kuleshov.evals.datasets.layout import expect_columns, list_names
from kuleshov.evals.metrics.base import Metric, Names, Numbers
from kuleshov.evals.text import split_words
from kuleshov.evals.types import Answer, Target
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.home import expand_path

WHEELS = 5
RUNS = 8
FORMS = "format.csv"
SYNONYMS = "synonym.xlsx"


@dataclass(frozen=True)
class Wheels:
    """The tables. bases: word form to base forms. wheel_words: base form to words of the wheels.
    sectors: for each wheel, its words to the sector (level 1).
    """

    bases: Mapping[str, tuple[str, ...]]
    wheel_words: Mapping[str, tuple[str, ...]]
    sectors: tuple[Mapping[str, str], ...]

    def sector(self, word: str, wheel: int) -> str | None:
        """The sector of a word on a wheel; None: it has no place there.

        Where several words of the wheel are reached, the first in the alphabet is taken, as the
        authors do.
        """
        reached = {
            wheel_word
            for base in self.bases.get(word.strip().lower(), ())
            for wheel_word in self.wheel_words.get(base, ())
        }
        on_wheel = self.sectors[wheel]
        return next((on_wheel[found] for found in sorted(reached) if found in on_wheel), None)

    def onto(self, words: Iterable[str], wheel: int) -> set[str]:
        return {found for word in words if (found := self.sector(word, wheel)) is not None}

    @classmethod
    def load(cls, folder: str | Path) -> Wheels:
        """Read `wheel1.xlsx` … `wheel5.xlsx`, `synonym.xlsx` and `format.csv`.

        Raises:
            KuleshovError: a file is missing or of another version; openpyxl is not installed.
        """
        root = expand_path(folder)
        names = [*(f"wheel{n}.xlsx" for n in range(1, WHEELS + 1)), SYNONYMS, FORMS]
        missing = [name for name in names if not (root / name).is_file()]
        if missing:
            raise KuleshovError(
                f"{root} lacks {list_names(missing)}: expected the folder emotion_wheel of "
                "MERTools "
                f"({list_names(names, 8)})."
            )
        sectors = tuple(_read_sectors(root / name) for name in names[:WHEELS])
        return cls(_read_forms(root / FORMS), _read_synonyms(root / SYNONYMS), sectors)


def _sheet_rows(path: Path) -> Iterator[tuple[str | None, ...]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise KuleshovError(
            "the emotion wheels need openpyxl: run `pip install 'kuleshov[evals]'`."
        ) from None
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield tuple(None if cell is None else str(cell).strip().lower() for cell in row)
    finally:
        book.close()


def _read_sectors(path: Path) -> dict[str, str]:
    rows = _sheet_rows(path)
    head = [name or "" for name in next(rows, ())]
    levels = ("level1", "level2", "level3")
    expect_columns(path, head, levels, "the emotion wheels")
    places = [head.index(level) for level in levels]
    found: dict[str, str] = {}
    above: list[str] = ["", "", ""]
    for row in rows:
        # an empty cell repeats the one above it
        above = [
            (row[place] if place < len(row) else None) or old
            for place, old in zip(places, above, strict=True)
        ]
        found |= {word: above[0] for word in above if word}
    return found


def _read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    rows = _sheet_rows(path)
    head = [name or "" for name in next(rows, ())]
    runs = [(f"word_run{n}", f"synonym_run{n}") for n in range(1, RUNS + 1)]
    expect_columns(path, head, [name for pair in runs for name in pair], "the emotion wheels")
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        cells = dict(zip(head, row, strict=False))
        for word, synonyms in runs:
            name = cells.get(word)
            for form in (name, *split_words(cells.get(synonyms) or "")):
                if name and form:
                    found.setdefault(form, {})[name] = None
    return {form: tuple(words) for form, words in found.items()}


def _read_forms(path: Path) -> dict[str, tuple[str, ...]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        expect_columns(path, table.fieldnames or [], ("name", "format"), "the emotion wheels")
        found: dict[str, dict[str, None]] = {}
        for row in table:
            base = row["name"].strip().lower()
            for form in (base, *split_words(row["format"] or "")):
                found.setdefault(form, {})[base] = None
    return {form: tuple(bases) for form, bases in found.items()}


# ---------------------------------------------------------------------------------- metrics


def _clean_words(words: Sequence[str]) -> set[str]:
    return {word.strip().lower() for word in words if word.strip()}


def set_overlap(people: set[str], said: set[str]) -> tuple[float, float]:
    """Precision and recall of one sample; NaN where people named nothing, 0 where it did not."""
    if not people:
        return math.nan, math.nan
    if not said:
        return 0.0, 0.0
    hits = len(people & said)
    return hits / len(said), hits / len(people)


def has_words(target: Target) -> bool:
    return bool(target.labels)


def f_of_sets(rows: Numbers, names: Names = ()) -> float:
    """From (precision, recall) on each wheel: means over samples, then F, then the wheels' mean."""
    scores = []
    for wheel in range(0, rows.shape[1], 2):
        known = rows[np.isfinite(rows[:, wheel])]
        if not len(known):
            continue
        p, r = known[:, wheel].mean(), known[:, wheel + 1].mean()
        scores.append(2 * p * r / (p + r) if p + r else 0.0)
    return float(np.mean(scores)) if scores else math.nan


def set_f(wheels: Wheels) -> Metric:
    """The published metric, on the wheels' sectors."""

    def row(target: Target, answer: Answer, names: Names) -> list[float] | None:
        if answer.labels is None:
            return None
        return [
            number
            for wheel in range(len(wheels.sectors))
            for number in set_overlap(
                wheels.onto(target.labels or (), wheel), wheels.onto(answer.labels, wheel)
            )
        ]

    def missed(target: Target, names: Names) -> list[float]:
        return [
            number
            for wheel in range(len(wheels.sectors))
            for number in set_overlap(wheels.onto(target.labels or (), wheel), set())
        ]

    return Metric(
        "set_f",
        "F of word sets on five wheels",
        "mean over the wheels of F from mean precision and recall (Lian et al. 2024, OV-MER)",
        has_words,
        row,
        f_of_sets,
        missed=missed,
    )


def _same_words(target: Target, answer: Answer, names: Names) -> tuple[float, float] | None:
    if answer.labels is None:
        return None
    return set_overlap(_clean_words(target.labels or ()), _clean_words(answer.labels))


SET_F_WORDS = Metric(
    "set_f_words",
    "F of word sets, same words",
    "as set_f, without wheels: only the same word counts; not comparable with published results",
    has_words,
    _same_words,
    f_of_sets,
    missed=lambda target, names: (0.0, 0.0),
)


def _mean_of_wheels(rows: Numbers, names: Names) -> float:
    """Mean over the wheels of the mean over the samples that have a place there."""
    wheels = [column[np.isfinite(column)] for column in rows.T]
    means = [column.mean() for column in wheels if len(column)]
    return float(np.mean(means)) if means else math.nan


def wheel_hit_rate(wheels: Wheels) -> Metric:
    """Hit rate with both sides on the wheels, mean over the wheels."""

    def row(target: Target, answer: Answer, names: Names) -> list[float] | None:
        if answer.labels is None:
            return None
        found = []
        for wheel in range(len(wheels.sectors)):
            people = wheels.onto([target.label or ""], wheel)
            hit = bool(people & wheels.onto(answer.labels, wheel))
            found.append(float(hit) if people else math.nan)
        return found

    return Metric(
        "wheel_hit_rate",
        "Hit rate on five wheels",
        "share of samples whose label's sector is among the answer's (MER-UniBench, Lian et al. "
        "2025)",
        lambda target: target.label is not None,
        row,
        _mean_of_wheels,
        missed=lambda target, names: [
            0.0 if wheels.onto([target.label or ""], wheel) else math.nan
            for wheel in range(len(wheels.sectors))
        ],
    )


def _wheel_hit(target: Target, answer: Answer, names: Names) -> tuple[float] | None:
    said = answer.several
    if said is None:
        return None
    return (float((target.label or "").strip().lower() in _clean_words(said)),)


HIT_RATE = Metric(
    "hit_rate",
    "Hit rate",
    "share of samples whose label is among the words of the answer, in the same word",
    lambda target: target.label is not None,
    _wheel_hit,
    lambda rows, names: float(rows.mean()),
    missed=lambda target, names: (0.0,),
)
