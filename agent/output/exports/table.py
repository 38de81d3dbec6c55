"""One row a person, with readable columns: CSV that a spreadsheet opens, or Parquet.

Numbers that were not measured are empty. A picture without people has one row of
its scene, without a person and its readings (`basis` scene).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from kuleshov.output.exports.column_meanings import write_meanings
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.valid_text import in_csv

HEAD = ("item", "path", "person", "basis", "x0", "y0", "x1", "y1", "emotion", "probability")
TAIL = (
    "valence",
    "arousal",
    "face_expression",
    "explanation",
    "scene",
    "unanswered",
    "gaps",
    "warnings",
)


@dataclass
class Columns:
    """Which columns a run needs, found in a first pass."""

    labels: dict[str, None] = field(default_factory=dict)
    units: dict[tuple[int, str, str], None] = field(default_factory=dict)
    extra: dict[str, None] = field(default_factory=dict)
    people_said: bool = False
    rows: int = 0

    def names(self) -> list[str]:
        units = [unit_name(*unit) for unit in sorted(self.units)]
        said = ["people_label"] if self.people_said else []
        own = [f"extra_{name}" for name in self.extra]
        return [*HEAD, *said, *(f"p_{name}" for name in self.labels), *units, *TAIL, *own]


def unit_name(number: int, side: str, scale: str) -> str:
    """'AU12_probability', 'AU12_left_intensity': the scale is in the name."""
    return f"AU{number:02}{'' if side == 'both' else '_' + side}_{scale}"


def _unit_scales(unit: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for scale in ("intensity", "probability", "presence", "activation", "log_odds"):
        if unit.get(scale) is not None:
            yield scale, unit[scale]


def survey_columns(run: Path) -> Columns:
    """The columns of a run."""
    found = Columns()
    for line in store.read_lines(run):
        record = orjson.loads(line)
        item = record["item"]
        found.people_said |= item["label"] is not None
        found.extra.update(dict.fromkeys(item["extra"]))
        found.rows += max(1, len(record["people"]))
        for person in record["people"]:
            emotions, face = person["emotions"], person["face"]
            found.labels.update(dict.fromkeys(emotions["probabilities"] if emotions else ()))
            for unit in face["action_units"] if face else ():
                for scale, _ in _unit_scales(unit):
                    found.units[unit["unit"], unit["side"], scale] = None
    return found


def table_rows(run: Path) -> Iterator[dict[str, Any]]:
    """One row a person, by column; what is unknown is left out."""
    for line in store.read_lines(run):
        yield from record_rows(orjson.loads(line))


def record_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One row a person of a record as JSON holds it, by column; nobody: one of the scene."""
    item = record["item"] or {"id": None, "label": None, "extra": {}}
    said = item["label"]
    if isinstance(said, dict):
        said = ", ".join(f"{name} {value:g}" for name, value in said.items())
    scene = record["scene"]
    common = {
        "item": item["id"],
        "path": record["media"]["path"],
        "people_label": said,
        "scene": scene["description"] if scene else None,
        "gaps": "; ".join(f"{gap['step']}: {gap['reason']}" for gap in record["gaps"]),
        "warnings": "; ".join(record["warnings"]),
        **{f"extra_{name}": value for name, value in item["extra"].items()},
    }
    for person in record["people"]:
        yield {**common, **_person_columns(person, record["media"])}
    if not record["people"]:
        yield {**common, "basis": "scene"}


def _in_full(box: Any, media: dict[str, Any]) -> list[float]:
    """A box in pixels of the file itself, where it was read smaller than it is."""
    if not box or not media.get("full_size"):
        return list(box or ())
    scale = [full / read for full, read in zip(media["full_size"], media["size"], strict=True)] * 2
    return [round(side * by, 1) for side, by in zip(box, scale, strict=True)]


def _person_columns(person: dict[str, Any], media: dict[str, Any]) -> dict[str, Any]:
    emotions, face, told = person["emotions"], person["face"], person["explanation"]
    row: dict[str, Any] = {
        "person": person["id"],
        "basis": person.get("basis") or ("face" if face else "context"),
        **dict(zip(("x0", "y0", "x1", "y1"), _in_full(person["box_xyxy"], media), strict=False)),
        "valence": person["valence"],
        "arousal": person["arousal"],
        "unanswered": person["unanswered"],
        "explanation": told["text"] if told else None,
    }
    if emotions:
        chances = emotions["probabilities"]
        row["emotion"] = max(chances, key=chances.__getitem__)
        row["probability"] = chances[row["emotion"]]
        row |= {f"p_{name}": value for name, value in chances.items()}
    if face:
        seen = face["expression"] and face["expression"]["probabilities"]
        row["face_expression"] = max(seen, key=seen.__getitem__) if seen else None
        for unit in face["action_units"]:
            for scale, value in _unit_scales(unit):
                row[unit_name(unit["unit"], unit["side"], scale)] = value
    return row


def write_export(run: Path, out: Path) -> list[str]:
    columns = survey_columns(run)
    if out.suffix.lower() == ".parquet":
        return _write_parquet(run, out, columns)
    return _write_csv(run, out, columns)


def _write_csv(run: Path, out: Path, columns: Columns) -> list[str]:
    names, guarded, renamed = columns.names(), 0, 0
    # the mark at the start makes spreadsheets read it as UTF-8
    with out.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        head = [in_csv(name) for name in names]
        writer.writerow([text for text, _ in head])
        guarded += sum(changed for _, changed in head)
        for row in table_rows(run):
            cells = [_format_cell(row.get(name)) for name in names]
            guarded += sum(changed for _, changed in cells)
            renamed += cells[0][1]
            writer.writerow([text for text, _ in cells])
    meanings = write_meanings(names, out)
    lines = [f"{out}: {columns.rows:,} rows, {len(names)} columns; what they mean: {meanings.name}"]
    if guarded:
        cells_were = "cell began" if guarded == 1 else "cells began"
        lines.append(
            f"{guarded:,} {cells_were} like a formula: written with an apostrophe before it"
        )
    if renamed:
        lines.append(
            f"{renamed:,} rows have an id (column item) that a spreadsheet would run: take the "
            "apostrophe away before joining by it, or use --to parquet"
        )
    return lines


def _format_cell(value: Any) -> tuple[str, bool]:
    if value is None:
        return "", False
    if isinstance(value, bool):
        return str(int(value)), False
    if isinstance(value, (int, float)):
        return repr(value), False
    return in_csv(str(value))


def _write_parquet(run: Path, out: Path, columns: Columns) -> list[str]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise KuleshovError("Parquet needs pyarrow: run `pip install 'kuleshov[data]'`.") from None
    names = columns.names()
    text = {"item", "path", "basis", "emotion", "people_label", *TAIL[2:]}
    kinds = {
        name: pyarrow.string()
        if name in text or name.startswith("extra_")
        else pyarrow.bool_()
        if name.endswith("_presence")
        else pyarrow.int32()
        if name == "person"
        else pyarrow.float64()
        for name in names
    }
    schema = pyarrow.schema(list(kinds.items()))
    part: list[dict[str, Any]] = []
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for row in table_rows(run):
            part.append(
                {
                    name: str(value)
                    if value is not None and kinds[name] == pyarrow.string()
                    else value
                    for name, value in ((name, row.get(name)) for name in names)
                }
            )
            if len(part) >= 5000:
                writer.write_table(pyarrow.Table.from_pylist(part, schema))
                part = []
        writer.write_table(pyarrow.Table.from_pylist(part, schema))
    told = f"what they mean: {write_meanings(names, out).name}"
    return [f"{out}: {columns.rows:,} rows, {len(names)} columns; {told}"]
