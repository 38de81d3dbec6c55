"""Delimited text tables (CSV) as programs and spreadsheets write them: one reader for all.

Read are: fields parted by comma, semicolon or tab, or by what a first line `sep=;` names; UTF-8
with or without a byte order mark, UTF-16, and Windows-1252, which is told in `Table.notes`;
decimal commas, where they cannot be mistaken; every usual spelling of a number that is none.
What cannot be read is refused in one sentence that names file and row.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kuleshov.tools.errors import KuleshovError, shorten_text

DELIMITERS = ",;\t"

# C's and Windows' printf, Python, R, pandas, SQL, Stata and SAS, and the errors of spreadsheets
_UNKNOWN = re.compile(
    r"""[+-]?(nan(\(\w*\))?|inf|infinity|∞)      # nan, -nan(ind), nan(snan), inf
    |[+-]?\d\.?\d*\#(ind|inf|qnan|snan|nan)\d*   # 1.#IND, -1.#IND00, 1.#QNAN
    |none|null|na|n/a|<na>|nat|nil|\\n|\.|-+|\?
    |\#[\w/!?. À-ÿ]{1,12}                        # #NUM!, #N/A, #DIV/0!, #ZAHL!, #NV
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_TRUTH = {
    "true": 1.0, "wahr": 1.0, "vrai": 1.0, "verdadero": 1.0, "vero": 1.0,
    "false": 0.0, "falsch": 0.0, "faux": 0.0, "falso": 0.0,
}  # fmt: skip


class TableError(KuleshovError):
    """A table that cannot be read; its text names the file, the row and what is wrong."""


def parse_number(text: str, delimiter: str = ";") -> float | None:
    """The number that a field of a table holds; None: empty or a spelling of "no number".

    Args:
        text: the field.
        delimiter: what parts the fields of the table. Where it is a comma, `1,234` may be a
            thousand or one and a bit, and is refused; elsewhere it is a decimal comma.

    Raises:
        ValueError: it is neither; its text says what it is.
    """
    text = text.strip().replace("\u2212", "-")
    if not text or _UNKNOWN.fullmatch(text):
        return None
    if _COMMA.fullmatch(text):
        if delimiter == "," and _THOUSANDS.fullmatch(text):
            raise ValueError(f"{text!r}, of which nobody can tell whether its comma is decimal")
        text = text.replace(".", "").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        raise ValueError(repr(text[:40]))
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:12]}…, which is too large")
    return number


@dataclass(frozen=True)
class TableLine:
    """One row: its number in the file, from 1, and column to text, both without outer spaces.

    problem: why it cannot be read, where `read_table` was asked to tell it; then `values` holds
    what there is. strange: see `decode_lines`, of the lines since the row before.
    """

    number: int
    values: Mapping[str, str]
    file: str
    delimiter: str = ","
    error: type[KuleshovError] = TableError
    problem: str | None = None
    strange: tuple[int, ...] = ()

    def text(self, column: str) -> str | None:
        """None: no such column, or nothing in it."""
        return self.values.get(column) or None

    def refuse(self, what: str) -> KuleshovError:
        """The error to raise for this row."""
        return self.error(f"{self.file}, row {self.number}: {what}")

    def value(self, column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A number within its range; None: empty or NaN, which is unknown and not 0.

        Raises:
            KuleshovError: neither a number nor empty, or out of its range by more than rounding.
        """
        text = self.values.get(column, "")
        if (low, high) == (0, 1) and text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        try:
            number = parse_number(text, self.delimiter)
        except ValueError as error:
            raise self.refuse(f"{column} must be a number but is {error}.") from None
        if number is None:
            return None
        if number < low - 0.01 * (1 + abs(low)) or number > high + 0.01 * (1 + abs(high)):
            raise self.refuse(
                f"{column} must lie in {low:g} to {high:g} but is {number:g}: is this file of "
                "another tool?"
            )
        return min(high, max(low, number))

    def whole(self, column: str) -> int | None:
        """A whole number. Raises KuleshovError if it is not one."""
        number = self.value(column)
        if number is None:
            return None
        if number != int(number) or abs(number) > 2**53:
            raise self.refuse(f"{column} must be a whole number but is {number:g}.")
        return int(number)


@dataclass(frozen=True)
class Table:
    """Columns in order, the row they stand in, and the rows under them (read once).

    notes: how the file was read where that had to be guessed, a sentence each.
    """

    file: str
    columns: tuple[str, ...]
    header_row: int
    lines: Iterator[TableLine]
    delimiter: str = ","
    notes: tuple[str, ...] = ()
    error: type[KuleshovError] = TableError

    def require(self, *columns: str, tool: str) -> None:
        """Raises `error`, naming what is expected, unless all `columns` are there."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            shown = ", ".join(shorten_text(column, 40) for column in self.columns[:8]) + (
                ", …" if len(self.columns) > 8 else ""
            )
            raise self.error(
                f"{self.file}, row {self.header_row}: a result file of {tool} has the columns "
                f"{shorten_text(', '.join(columns), 400)}; missing: "
                f"{shorten_text(', '.join(missing), 400)} (found: {shown[:400]})."
            )


def read_table(
    path: Path,
    *,
    delimiters: str = DELIMITERS,
    is_header: Callable[[Sequence[str]], bool] = any,
    prefers: Callable[[Sequence[str]], bool] = lambda fields: False,
    short_rows: bool = False,
    tell_rows: bool = False,
    error: type[KuleshovError] = TableError,
) -> Table:
    """Open a delimited text file; see the module for what is understood.

    Args:
        path: the file.
        delimiters: those that may part the fields: the one that gives the header row most fields.
        is_header: tells the header row; the rows before it are left out. Of two columns of one
            name the first counts.
        prefers: tells a header row that goes before one with more fields.
        short_rows: what is missing at the end of a row is empty.
        tell_rows: a row that cannot be read is one with a `problem`, and a line that is not UTF-8
            is alone read as Windows-1252: people's tables, of which one bad row is not the whole.
        error: what is raised.

    Raises:
        KuleshovError: `error`: not text, or no header row; else a row that cannot be read.
    """
    encoding, notes = find_encoding(path, error, lines=tell_rows)
    strange: list[int] | None = [] if tell_rows else None
    first = next(_decoded_lines(path, encoding, error, strange), "").strip().strip('"')
    named = re.fullmatch(r"sep=(.|\\t)", first, re.IGNORECASE)
    skip = 0
    if named or first.lower() == "sep=":  # Excel's own line; its tab is lost in trimming
        delimiters = "\t" if named is None or named[1] == "\\t" else named[1]
        skip = 1
    best: tuple[tuple[bool, int], int, list[str], str] | None = None
    for delimiter in delimiters:
        for number, fields, problem in _cleaned_rows(
            path, encoding, delimiter, error, skip, strange
        ):
            if problem:
                raise error(f"the first line of {path} is no header: {problem}.")
            if is_header(fields):
                width = prefers(fields), sum(map(bool, fields))
                if best is None or width > best[0]:
                    best = (width, number, fields, delimiter)
                break
    if best is None:
        if is_header is any:
            raise error(f"{path} is empty.")
        raise error(f"{path} has no header row that could be of this tool, or is empty.")
    _, header, fields, delimiter = best
    if strange is not None:
        strange.clear()
    lines = _cleaned_rows(path, encoding, delimiter, error, skip, strange)
    for number, *_ in lines:
        if number == header:
            break
    columns = tuple(fields)
    rows = _table_rows(path, columns, header, lines, delimiter, error, short_rows, strange)
    return Table(str(path), columns, header, rows, delimiter, notes, error)


def find_encoding(
    path: Path, error: type[KuleshovError] = TableError, *, lines: bool = False
) -> tuple[str, tuple[str, ...]]:
    """How a text file is encoded, and a note where that is a guess. Raises `error`: no text.

    lines: its lines are decoded one by one, so that UTF-8 need not hold throughout.
    """
    try:
        with path.open("rb") as file:
            head = file.read(65536)
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "utf-16", ()
            pairs = head[:400]
            for encoding, zeros in (("utf-16-le", pairs[1::2]), ("utf-16-be", pairs[::2])):
                if len(pairs) >= 8 and not any(zeros):
                    return encoding, ()
            if lines:
                return "utf-8-sig", ()
            if b"\0" in head:
                raise error(f"{path} is not a text table (CSV): it holds binary data.")
            decoder = codecs.getincrementaldecoder("utf-8")()
            try:
                while head:
                    decoder.decode(head)
                    head = file.read(1 << 20)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return "cp1252", (f"{path.name} is not text in UTF-8: read as Windows-1252",)
    except OSError as why:
        raise error(f"cannot read {path}: {why.strerror}.") from None
    return "utf-8-sig", ()


def decode_lines(
    path: Path,
    strange: list[int],
    encoding: str | None = None,
    error: type[KuleshovError] = TableError,
) -> Iterator[str]:
    """Lines of a text of which some may be damaged: UTF-8, and as Windows-1252 one that is not.

    The numbers of the latter go to `strange`, and, below 0, those of lines of UTF-16 that are cut
    or damaged. Zero bytes, which a power cut leaves, are dropped.
    """
    encoding = encoding or find_encoding(path, error, lines=True)[0]
    try:
        if encoding.startswith("utf-16"):
            with path.open(encoding=encoding, errors="replace", newline="") as text:
                for number, line in enumerate(text, start=1):
                    if "\ufffd" in line:
                        strange.append(-number)
                    yield line
            return
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if number == 1:
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                try:
                    yield raw.decode("utf-8").replace("\0", "")
                except UnicodeDecodeError:
                    strange.append(number)
                    yield raw.decode("cp1252", "replace").replace("\0", "")
    except OSError as why:
        raise error(f"{path} cannot be read: {why.strerror or why}.") from None


def _decoded_lines(
    path: Path, encoding: str, error: type[KuleshovError], strange: list[int] | None
) -> Iterator[str]:
    if strange is not None:
        yield from decode_lines(path, strange, encoding, error)
        return
    errors = "replace" if encoding == "cp1252" else "strict"
    with path.open(newline="", encoding=encoding, errors=errors) as file:
        try:
            yield from file
        except UnicodeError:
            raise error(
                f"{path} is cut off or damaged: its text ({encoding}) breaks off."
            ) from None


def _cleaned_rows(
    path: Path,
    encoding: str,
    delimiter: str,
    error: type[KuleshovError],
    skip: int,
    strange: list[int] | None = None,
) -> Iterator[tuple[int, list[str], str | None]]:
    """Row number, cleaned fields, and what is wrong with the row where that is told (`strange`).

    Rows without any content are left out.
    """
    text = _decoded_lines(path, encoding, error, strange)
    for _ in range(skip):
        next(text, None)
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
    number = skip
    while True:
        number += 1
        try:
            cleaned = [field.strip() for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as why:
            if strange is None:
                raise error(f"{path}, row {reader.line_num + skip}: {why}.") from None
            yield number, [], str(why)
            continue
        if any("\0" in field for field in cleaned):
            raise error(f"{path}, row {number}: holds binary data: the file is damaged.")
        if any(cleaned):
            yield number, cleaned, None


def _table_rows(
    path: Path,
    columns: Sequence[str],
    header: int,
    lines: Iterator[tuple[int, list[str], str | None]],
    delimiter: str,
    error: type[KuleshovError],
    short_rows: bool,
    strange: list[int] | None,
) -> Iterator[TableLine]:
    width = len(columns)
    while width and not columns[width - 1]:
        width -= 1
    for number, fields, problem in lines:
        too_few = len(fields) < width and not short_rows
        if strange is not None and not problem and (too_few or any(fields[len(columns) :])):
            problem = f"{len(fields)} cells for {len(columns)} columns"
        elif strange is None and (too_few or any(fields[len(columns) :])):
            why = "the file was cut off or damaged"
            if len(fields) > width and delimiter == ",":
                why = (
                    "where its numbers have decimal commas, save it with semicolons between the "
                    "fields; else the file was damaged"
                )
            raise error(
                f"{path}, row {number}: has {len(fields)} fields but row {header} names {width} "
                f"columns ({columns[0][:40]} … {columns[width - 1][:40]}): {why}."
            )
        values: dict[str, str] = {}
        for column, field in zip(columns, fields, strict=False):
            values.setdefault(column, field)
        odd = tuple(strange or ())
        if strange:
            strange.clear()
        yield TableLine(number, values, str(path), delimiter, error, problem, odd)
