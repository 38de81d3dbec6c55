"""Manifests: tables with a column `path`, as CSV, TSV, JSONL or Parquet; read a row at a time."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kuleshov.tools.types import KuleshovError, nearest

# names that other tools give to these columns
PATHS = ("path", "file_name", "filename", "file", "image", "image_path", "filepath", "video")
IDS = ("id", "item_id", "key")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Row:
    """One row of a data set; `problem` says what is wrong with it."""

    number: int
    id: str
    source: str | bytes | None
    name: str | None = None
    context: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    label: str | dict[str, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    notes: tuple[str, ...] = ()


def rows(path: str) -> Iterator[Row]:
    """The rows of a manifest, from 1; relative paths hold from the manifest's own folder.

    Raises:
        KuleshovError: it is empty, has no column `path`, or is not what its suffix says.
    """
    base = os.path.dirname(os.path.abspath(path))
    lower = path.lower()
    if lower.endswith(".parquet"):
        return _parquet(path, base)
    if lower.endswith((".jsonl", ".ndjson")):
        return _jsonl(path, base)
    return _csv(path, base)


def count(path: str) -> int | None:
    """Rows of a manifest, without reading what is in them; None if it cannot be told."""
    try:
        if path.lower().endswith(".parquet"):
            return int(_pyarrow().ParquetFile(path).metadata.num_rows)
        with open(path, "rb") as file:
            found = sum(1 for line in file if line.strip())
        return found if path.lower().endswith((".jsonl", ".ndjson")) else max(0, found - 1)
    except (OSError, ValueError):
        return None


def row(number: int, cells: Mapping[str, Any], base: str, notes: tuple[str, ...] = ()) -> Row:
    """One row from its cells by column name."""
    left = {str(name).strip(): value for name, value in cells.items() if name is not None}
    where = _take(left, PATHS)
    name = str(where).strip() if where is not None else ""
    given = _take(left, IDS)
    problems: list[str] = []
    key = str(given).strip() if given is not None and str(given).strip() else name
    if not name:
        problems.append("no path")
    try:
        boxes = _boxes(left)
    except ValueError as error:
        boxes = ()
        problems.append(str(error))
    context = left.pop("context", None)
    said = left.pop("said", None)
    label = _label(left.pop("label", None), problems)
    extra = {column: _plain(value) for column, value in left.items() if _plain(value) is not None}
    return Row(
        number=number,
        id=key,
        source=os.path.join(base, name) if name else None,
        name=os.path.join(base, name) if name else None,
        context=_texts(context),
        said=_texts(said),
        boxes=boxes,
        label=label,
        extra=extra,
        problem=f"row {number}: {'; '.join(problems)}." if problems else None,
        notes=notes,
    )


# ---------------------------------------------------------------------------------- formats


def _decoded(path: str, strange: list[int]) -> Iterator[str]:
    """Lines as text: UTF-8 (UTF-16 with its mark), a line that is not as Windows-1252.

    The numbers of the latter are added to `strange`.
    """
    with open(path, "rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            with open(path, encoding="utf-16", newline="") as text:
                yield from text
            return
        file.seek(0)
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                yield line.decode("utf-8").replace("\0", "")
            except UnicodeDecodeError:
                strange.append(number)
                yield line.decode("cp1252", "replace").replace("\0", "")


def _note(strange: list[int]) -> tuple[str, ...]:
    if not strange:
        return ()
    lines = ", ".join(map(str, strange))
    strange.clear()
    return (f"line {lines} of the manifest is not UTF-8: read as Windows-1252",)


def _csv(path: str, base: str) -> Iterator[Row]:
    strange: list[int] = []
    text = _decoded(path, strange)
    head = next(text, "")
    if not head.strip():
        raise KuleshovError(f"{path} is empty.")
    delimiter = max("\t,;", key=head.count)
    columns = [name.strip() for name in next(csv.reader([head], delimiter=delimiter))]
    _check(path, columns)

    def all_of_them() -> Iterator[Row]:
        reader = csv.reader(text, delimiter=delimiter)
        number = 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield Row(number, "", None, problem=f"row {number}: {error}.")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            number += 1
            made = row(number, dict(zip(columns, cells, strict=False)), base, _note(strange))
            if len(cells) != len(columns):
                what = f"{len(cells)} cells for {len(columns)} columns"
                made = Row(number, made.id, None, made.name, problem=f"row {number}: {what}.")
            yield made

    return all_of_them()


def _jsonl(path: str, base: str) -> Iterator[Row]:
    strange: list[int] = []
    some = False
    for number, line in enumerate(_decoded(path, strange), start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
            if not isinstance(cells, dict):
                raise ValueError("not an object")
        except ValueError as error:
            yield Row(number, "", None, problem=f"row {number} is not a JSON object: {error}.")
            continue
        if not some:
            _check(path, list(cells))
            some = True
        yield row(number, cells, base, _note(strange))


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise KuleshovError("Parquet needs pyarrow: run `pip install 'kuleshov[data]'`.") from None
    return pyarrow.parquet


def _parquet(path: str, base: str) -> Iterator[Row]:
    parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise KuleshovError(
            f"{path} is not a Parquet file: {str(error).splitlines()[0]}."
        ) from None
    _check(path, list(file.schema_arrow.names))

    def all_of_them() -> Iterator[Row]:
        number = 0
        for batch in file.iter_batches(1000):
            for cells in batch.to_pylist():
                number += 1
                yield row(number, cells, base)

    return all_of_them()


def _check(path: str, columns: list[str]) -> None:
    if not any(name in columns for name in PATHS):
        close = next((nearest(name, PATHS) for name in columns if nearest(name, PATHS)), "")
        raise KuleshovError(
            f"{path} has no column 'path'{close and ': rename the column'}{close}; "
            f"its columns are {', '.join(columns[:12])}."
        )


# ---------------------------------------------------------------------------------- cells


def _take(cells: dict[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if name in cells:
            return cells.pop(name)
    return None


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(str(text) for text in value if str(text).strip())
    return (str(value),) if str(value).strip() else ()


def _boxes(cells: dict[str, Any]) -> tuple[Box, ...]:
    """`box`: four numbers or a list of boxes, as JSON or divided by blanks; or x0, y0, x1, y1."""
    value = cells.pop("box", None)
    if value is None:
        value = cells.pop("boxes", None)
    corners = ("x0", "y0", "x1", "y1")
    if value is None and all(name in cells for name in corners):
        value = [cells.pop(name) for name in corners]
        if all(corner in (None, "") for corner in value):
            return ()
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        text = value.strip().strip("()")
        value = json.loads(text) if text.startswith("[") else text.replace(",", " ").split()
    if len(value) and not isinstance(value[0], (list, tuple)):
        value = [value]
    boxes = []
    for box in value:
        try:
            x0, y0, x1, y1 = (float(number) for number in box)
        except (TypeError, ValueError):
            raise ValueError(f"the box {box} is not four numbers x0 y0 x1 y1") from None
        if not (x0 < x1 and y0 < y1 and math.isfinite(x0 + y0 + x1 + y1)):
            raise ValueError(f"the box {box} is not x0 < x1, y0 < y1 in pixels")
        boxes.append((x0, y0, x1, y1))
    return tuple(boxes)


def _label(value: Any, problems: list[str]) -> str | dict[str, float] | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            problems.append("its label begins with { and is not JSON")
            return None
    if isinstance(value, Mapping):
        try:
            return {str(k): float(v) for k, v in value.items() if v is not None}
        except (TypeError, ValueError):
            problems.append("its label is not a distribution: numbers by label")
            return None
    return str(value).strip()


def _plain(value: Any) -> str | int | float | bool | None:
    if value is None or value == "":
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
