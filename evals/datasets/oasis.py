"""OASIS: 900 photographs with the valence and arousal that they evoke in who looks at them.

Columns of `OASIS.csv` were checked against public code that reads it; that pictures lie in `Images`
under the theme's name is from memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuleshov.evals.datasets import layout
from kuleshov.evals.datasets.base import Task, rescale_rating
from kuleshov.evals.types import Sample, Target
from kuleshov.tools.errors import KuleshovError

TABLE = "OASIS.csv"
COLUMNS = ("Theme", "Category", "Valence_mean", "Arousal_mean")
LOW, HIGH = 1, 7
LAYOUT = f"""
{TABLE} (Theme, Category, Source, Valence_mean, Valence_SD, Valence_N, Arousal_mean, …)
Images/<Theme>.jpg
"""


def read_oasis(root: Path, split: str) -> Iterator[Sample]:
    layout.expect_level(root, [TABLE], "OASIS", LAYOUT)
    rows = layout.read_rows(root / TABLE, COLUMNS, "OASIS")
    folder = layout.first_there(root, "Images", "images")
    if folder is None:
        raise KuleshovError(f"{root} has {TABLE} of OASIS but no folder Images with its pictures.")
    # themes end in a blank here and there, in the table or in the file's name
    pictures = {Path(name).stem.strip(): name for name in layout.names_in(folder)}
    missing = [f"{row['Theme']}.jpg" for row in rows if row["Theme"] not in pictures]
    layout.complain_of_missing(missing, len(rows), "OASIS", "pictures")
    samples = [
        Sample(
            id=row["Theme"],
            source=folder / pictures[row["Theme"]],
            target=Target(
                valence=_parse_rating(row, "Valence_mean", root),
                arousal=_parse_rating(row, "Arousal_mean", root),
            ),
            split=split,
            slices={"category": row["Category"]} if row["Category"] else {},
        )
        for row in rows
    ]
    return iter(samples)


def _parse_rating(row: dict[str, str], column: str, root: Path) -> float:
    where = f"{root / TABLE}, {row['Theme']}"
    try:
        return rescale_rating(layout.parse_number(row[column], where), LOW, HIGH)
    except ValueError as error:
        raise KuleshovError(f"{where}, {column}: {error}.") from None


TASK = Task(
    name="oasis",
    title="OASIS",
    licence="open, research (osf.io/6pnd7)",
    source="Kurdi, Lozano & Banaji (2017), Introducing the Open Affective Standardized Image Set "
    "(OASIS), Behavior Research Methods 49, 457-470",
    kind="affect",
    metrics=(
        "valence_pcc",
        "arousal_pcc",
        "valence_ccc",
        "arousal_ccc",
        "valence_rmse",
        "arousal_rmse",
    ),
    protocol="Pearson's r over all 900 pictures with people's mean rating, 1-7 brought to −1…1. "
    "People rated what a picture evokes in them, not what a person in it shows: two different "
    "things, and most pictures show nobody.",
    splits=("all",),
    split="all",
    layout=LAYOUT,
    reader=read_oasis,
    published=(),
    from_memory="That pictures lie in Images/<Theme>.jpg.",
)
