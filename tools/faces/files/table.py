"""Result files of toolboxes are tables that `kuleshov.tools.tables` reads; this is their error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kuleshov.tools.faces.base import ToolError
from kuleshov.tools.tables import DELIMITERS, Line, Table, read_table


class FileError(ToolError):
    """A result file that cannot be read; its text names the file, the row and what is expected."""


def read(
    path: Path,
    *,
    delimiters: str = DELIMITERS,
    is_header: Callable[[Sequence[str]], bool] = lambda fields: any(fields),
) -> Table:
    """As `read_table`. Raises FileError."""
    return read_table(path, delimiters=delimiters, is_header=is_header, error=FileError)


__all__ = ["FileError", "Line", "Table", "read"]
