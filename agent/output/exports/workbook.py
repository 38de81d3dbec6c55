"""An Excel workbook: the table, what its columns mean, and what made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kuleshov.output.exports import table
from kuleshov.output.exports.column_meanings import describe_column, round_value
from kuleshov.runs import store
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.valid_text import in_xml

MOST_ROWS, LONGEST_CELL = 1_048_576, 32_767
"""Of a sheet, and characters of a cell (Excel's specifications and limits)."""


def write_export(run: Path, out: Path) -> list[str]:
    """Sheets people, columns and run. Text is text, whatever it begins with: no cell is run."""
    try:
        from openpyxl import Workbook
    except ImportError:
        raise KuleshovError(
            "a workbook needs openpyxl: run `pip install 'kuleshov[data]'`."
        ) from None
    columns = table.survey_columns(run)
    if columns.rows >= MOST_ROWS:
        raise KuleshovError(
            f"{columns.rows:,} rows are more than a sheet holds ({MOST_ROWS:,}): use --to csv."
        )
    names, cut = columns.names(), 0
    book = Workbook(write_only=True)
    people = book.create_sheet("people")
    people.freeze_panes = "A2"
    people.append([_cell(people, name) for name in names])
    for row in table.table_rows(run):
        cut += sum(len(str(row.get(name) or "")) > LONGEST_CELL for name in names)
        people.append([_cell(people, _rounded(name, row.get(name))) for name in names])
    meanings = book.create_sheet("columns")
    meanings.append(["column", "meaning", "values"])
    for name in names:
        one = describe_column(name)
        meanings.append([_cell(meanings, text) for text in (one.name, one.meaning, one.values)])
    meanings.append(["", "An empty cell: not measured, or not known.", ""])
    made = book.create_sheet("run")
    for name, value in sorted(_flat(store.read_description(run))):
        made.append([_cell(made, name), _cell(made, str(value))])
    book.save(out)
    lines = [f"{out}: {columns.rows:,} rows, {len(names)} columns, sheets people, columns, run"]
    if cut:
        lines.append(f"{cut:,} cells were longer than Excel allows and are cut; --to csv has all")
    return lines


def _rounded(name: str, value: Any) -> Any:
    return round_value(name, value) if isinstance(value, int | float) else value


def _cell(sheet: Any, value: Any) -> Any:
    """Numbers and truth values as such, anything else as text that is never taken for a formula."""
    from openpyxl.cell import WriteOnlyCell

    if value is None or isinstance(value, int | float):
        return int(value) if isinstance(value, bool) else value
    cell = WriteOnlyCell(sheet, value=in_xml(str(value))[:LONGEST_CELL].replace("\x00", ""))
    cell.data_type = "s"
    return cell


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Nested descriptions as lines of dotted names."""
    if isinstance(value, dict):
        return [
            line for key, one in value.items() for line in _flat(one, f"{name}.{key}".strip("."))
        ]
    return [(name, value)] if value not in (None, [], ()) else []
