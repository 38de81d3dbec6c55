"""What each column of the table means: the data dictionary that goes with every table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kuleshov.tools.faces.facs import unit_name as facs_name
from kuleshov.tools.valid_text import csv_row

FIXED: dict[str, tuple[str, str]] = {
    "item": ("id of the item in its data set; tables are joined by it", "text"),
    "path": ("the picture or clip, as it was named", "text"),
    "person": (
        "number of the person in the record, from 1; empty: nobody was found",
        "whole number",
    ),
    "basis": (
        "what the row was read from: a face with its context; the context alone, of somebody "
        "without a face that was found; or the scene, where nobody was found to be judged",
        "face, context or scene",
    ),
    "x0": ("left edge of the face, in pixels of the file", "pixels"),
    "y0": ("upper edge of the face, in pixels of the file", "pixels"),
    "x1": ("right edge of the face, in pixels of the file", "pixels"),
    "y1": ("lower edge of the face, in pixels of the file", "pixels"),
    "emotion": ("the perceived emotion that is most probable", "a label"),
    "probability": ("its probability", "0 to 1"),
    "people_label": ("what people said, from the data set", "a label, or labels with shares"),
    "valence": ("how pleasant the state seems", "-1 (unpleasant) to 1 (pleasant)"),
    "arousal": ("how activated the state seems", "-1 (calm) to 1 (activated)"),
    "face_expression": ("the face tool's own most probable expression", "a label"),
    "explanation": ("the model's explanation; its cues are in the record", "text"),
    "scene": ("the model's description of the scene", "text"),
    "unanswered": ("why there is no reading of this person", "text"),
    "gaps": ("what could not be had for this item, and why", "text"),
    "warnings": ("what to be careful about", "text"),
}
SCALES: dict[str, tuple[str, str]] = {
    "intensity": ("how much, by the face tool (FACS intensities A to E are 1 to 5)", "0 to 5"),
    "probability": ("how probable it is that the unit is shown, by the face tool", "0 to 1"),
    "presence": ("whether the unit is shown, by the face tool", "1 yes, 0 no"),
    "activation": ("activation of the face tool's output; comparable within it only", "0 to 1"),
    "log_odds": ("log-odds that the unit is shown, by the face tool", "any number"),
}
DIGITS = {"probability": 4, "valence": 3, "arousal": 3, "x0": 1, "y0": 1, "x1": 1, "y1": 1}


@dataclass(frozen=True)
class ColumnMeaning:
    """A column of the table. An empty cell always means: not measured, or not known."""

    name: str
    meaning: str
    values: str


def describe_column(name: str) -> ColumnMeaning:
    """What the column means, and which values it has."""
    if name in FIXED:
        return ColumnMeaning(name, *FIXED[name])
    if name.startswith("p_"):
        label = name.removeprefix("p_")
        return ColumnMeaning(name, f"probability of the label {label}", "0 to 1")
    if name.startswith("extra_"):
        return ColumnMeaning(name, "column of the data set, as it came", "as it came")
    number, _, rest = name.removeprefix("AU").partition("_")
    side, _, scale = rest.rpartition("_")
    meaning, values = SCALES[scale]
    where = f", {side} side" if side else ""
    unit = f"action unit {int(number)}, {facs_name(int(number))}{where}"
    return ColumnMeaning(name, f"{unit}: {meaning}", values)


def write_meanings(names: Sequence[str], table: Path) -> Path:
    """Write `NAME-columns.csv` beside the table `NAME.csv`; returns its path."""
    path = table.with_name(f"{table.stem}-columns.csv")
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["column", "meaning", "values"])
        for name in names:
            one = describe_column(name)
            writer.writerow(csv_row([one.name, one.meaning, one.values]))
    return path


def round_value(name: str, value: float) -> float:
    """The number with the digits that mean something: four of a probability, a tenth of a pixel."""
    if isinstance(value, bool | int):
        return value
    digits = DIGITS.get(name, 4 if name.startswith("p_") else 3)
    return round(value, digits)
