"""Reading the tables that toolboxes write: headers cleaned, every complaint names its row."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kuleshov.tools.faces.base import ToolError


class FileError(ToolError):
    """A result file that cannot be read; its text names the file, the row and what is expected."""


@dataclass(frozen=True)
class Line:
    """One row: its number in the file, from 1, and column to text, both without outer spaces."""

    number: int
    values: Mapping[str, str]
    file: str

    def text(self, column: str) -> str | None:
        """None: no such column, or nothing in it."""
        return self.values.get(column) or None

    def value(self, column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A number within its range; None: empty or NaN, which is unknown and not 0.

        Raises:
            FileError: neither a number nor empty, or out of its range by more than rounding.
        """
        text = self.values.get(column, "")
        if text.lower() in ("", "nan", "none", "null", "na", "n/a"):
            return None
        try:
            number = float(text)
        except ValueError:
            raise FileError(
                f"{self.file}, row {self.number}: {column} must be a number but is {text[:40]!r}."
            ) from None
        if not math.isfinite(number):
            return None
        if number < low - 0.01 * (1 + abs(low)) or number > high + 0.01 * (1 + abs(high)):
            raise FileError(
                f"{self.file}, row {self.number}: {column} must lie in {low:g} to {high:g} but is "
                f"{number:g}: is this file of another tool?"
            )
        return min(high, max(low, number))

    def whole(self, column: str) -> int | None:
        """A whole number. Raises FileError if it is not one."""
        number = self.value(column)
        if number is None:
            return None
        if number != int(number):
            raise FileError(
                f"{self.file}, row {self.number}: {column} must be a whole number but is "
                f"{number:g}."
            )
        return int(number)


@dataclass(frozen=True)
class Table:
    """Columns in order, the row they stand in, and the rows under them (read once)."""

    file: str
    columns: tuple[str, ...]
    header_row: int
    lines: Iterator[Line]

    def require(self, *columns: str, tool: str) -> None:
        """Raises FileError, naming what is expected, unless all `columns` are there."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            shown = ", ".join(self.columns[:8]) + (", …" if len(self.columns) > 8 else "")
            raise FileError(
                f"{self.file}, row {self.header_row}: a result file of {tool} has the columns "
                f"{', '.join(columns)}; missing: {', '.join(missing)} (found: {shown})."
            )


def read(
    path: Path,
    *,
    delimiters: str = ",",
    is_header: Callable[[Sequence[str]], bool] = lambda fields: any(fields),
) -> Table:
    """Open a delimited text file (UTF-8, with or without a byte order mark).

    Args:
        path: the file.
        delimiters: the first of these that the header row contains separates the fields.
        is_header: tells the header row; the rows before it are left out. Of two columns of one
            name the first counts.

    Raises:
        FileError: not text, or no header row.
    """
    try:
        head = path.read_bytes()[:65536]
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}.") from None
    if b"\0" in head:
        raise FileError(f"{path} is not a text table (CSV): it holds binary data.")
    for delimiter in delimiters:
        lines = _lines(path, delimiter)
        for number, fields in lines:
            if is_header(fields):
                columns = tuple(fields)
                return Table(str(path), columns, number, _rows(path, columns, number, lines))
    raise FileError(f"{path} has no header row that could be of this tool, or is empty.")


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Row number and cleaned fields; rows without any content are left out."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        try:
            for number, fields in enumerate(reader, 1):
                cleaned = [field.strip() for field in fields]
                if any(cleaned):
                    yield number, cleaned
        except UnicodeDecodeError:
            raise FileError(f"{path} is not text in UTF-8; save it as UTF-8.") from None
        except csv.Error as error:
            raise FileError(f"{path}, row {reader.line_num}: {error}.") from None


def _rows(
    path: Path, columns: Sequence[str], header: int, lines: Iterator[tuple[int, list[str]]]
) -> Iterator[Line]:
    width = len(columns)
    while width and not columns[width - 1]:
        width -= 1
    for number, fields in lines:
        if len(fields) < width or any(fields[len(columns) :]):
            raise FileError(
                f"{path}, row {number}: has {len(fields)} fields but row {header} names {width} "
                f"columns ({columns[0]} … {columns[width - 1]}): the file was cut off or damaged."
            )
        values: dict[str, str] = {}
        for column, field in zip(columns, fields, strict=False):
            values.setdefault(column, field)
        yield Line(number, values, str(path))
