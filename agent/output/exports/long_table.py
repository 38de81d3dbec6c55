"""The long table: one row per person and variable, for R's ggplot2 and mixed models.

Beside the wide one (`table`), which has one row per person and one column per variable.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kuleshov.output.exports import table
from kuleshov.output.exports.column_meanings import describe_column, round_value
from kuleshov.tools.valid_text import csv_row

COLUMNS = ("item", "path", "person", "basis", "variable", "value", "meaning")
NUMBERS = ("valence", "arousal")


def write_export(run: Path, out: Path) -> list[str]:
    """Write labels, units, valence and arousal that are known; what is not known has no row."""
    names = table.survey_columns(run).names()
    wanted = [n for n in names if n in NUMBERS or n.startswith("p_") or _is_unit(n)]
    meanings = {name: describe_column(name).meaning for name in wanted}
    count = 0
    # the mark at the start makes spreadsheets read it as UTF-8
    with out.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in table.table_rows(run):
            for name, value in _known(row, wanted):
                told = [row.get(column) for column in COLUMNS[:4]]
                cells = csv_row(["" if cell is None else cell for cell in told])
                writer.writerow([*cells, *csv_row([name]), value, *csv_row([meanings[name]])])
                count += 1
    return [f"{out}: {count:,} rows, one per person and variable"]


def _is_unit(name: str) -> bool:
    return name.startswith("AU") and name[2:4].isdigit()


def _known(row: dict[str, Any], names: list[str]) -> Iterator[tuple[str, float]]:
    for name in names:
        if row.get(name) is not None:
            yield name, round_value(name, int(row[name]) if row[name] is True else row[name])
