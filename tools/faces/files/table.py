"""Result files of toolboxes are tables that `kuleshov.tools.tables` reads; this is their error."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from kuleshov.tools.errors import shorten_text
from kuleshov.tools.faces.base import ToolError
from kuleshov.tools.structured_text import parse_count
from kuleshov.tools.tables import DELIMITERS, Table, TableLine, read_table


class FileError(ToolError):
    """A result file that cannot be read; its text names the file, the row and what is expected."""


def read_result_table(
    path: Path,
    *,
    delimiters: str = DELIMITERS,
    is_header: Callable[[Sequence[str]], bool] = lambda fields: any(fields),
) -> Table:
    """As `read_table`. Raises FileError."""
    return read_table(path, delimiters=delimiters, is_header=is_header, error=FileError)


def find_units(table: Table, pattern: str) -> list[int]:
    """The action units that a table has columns of, in the order of the columns, each once.

    Args:
        pattern: of a column's whole name, its first group the unit's number.

    Raises:
        FileError: a column is named after a unit that FACS does not have (1-99).
    """
    found: dict[int, None] = {}
    for column in table.columns:
        match = re.fullmatch(pattern, column)
        if match is None:
            continue
        unit = parse_count(match[1])
        if unit is None or not 1 <= unit <= 99:
            raise FileError(
                f"{table.file}, row {table.header_row}: the column {shorten_text(column)!r} names "
                "no "
                "action unit (1-99)."
            )
        found[unit] = None
    return list(found)


__all__ = ["FileError", "Table", "TableLine", "find_units", "read_result_table"]
