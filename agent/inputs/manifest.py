"""Manifests: tables with a column `path`, as CSV, TSV, JSONL or Parquet; read a row at a time."""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.tools.structured_text import parse_json
from kuleshov.tools.tables import decode_lines, read_table
from kuleshov.tools.types import plain_label
from kuleshov.tools.valid_text import out_of_csv

# names that other tools give to these columns
PATHS = ("path", "file_name", "filename", "file", "image", "image_path", "filepath", "video")
IDS = ("id", "item_id", "key")
LABEL_NAMES = ("label_name", "label_text")  # beside a `label` that is the number of a class
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ManifestRow:
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


def read_rows(path: str) -> Iterator[ManifestRow]:
    """The rows of a manifest, from 1; relative paths hold from the manifest's own folder.

    Raises:
        KuleshovError: it is empty, has no column `path`, or is not what its suffix says.
    """
    base = os.path.dirname(os.path.abspath(path))
    lower = path.lower()
    if lower.endswith(".parquet"):
        return _read_parquet(path, base)
    if lower.endswith((".jsonl", ".ndjson")):
        return _read_jsonl(path, base)
    return _read_csv(path, base)


def count_rows(path: str) -> int | None:
    """Rows of a manifest, without reading what is in them; None if it cannot be told."""
    try:
        if path.lower().endswith(".parquet"):
            return int(_import_pyarrow().ParquetFile(path).metadata.num_rows)
        with open(path, "rb") as file:
            found = sum(1 for line in file if line.strip())
        return found if path.lower().endswith((".jsonl", ".ndjson")) else max(0, found - 1)
    except (OSError, ValueError):
        return None


def parse_row(
    number: int, cells: Mapping[str, Any], base: str, notes: tuple[str, ...] = ()
) -> ManifestRow:
    """One row from its cells by column name; what is wrong with it is its `problem`."""
    left = {str(name).strip(): value for name, value in cells.items() if name is not None}
    problems: list[str] = []

    def read(what: Callable[[], Any], none: Any = ()) -> Any:
        try:
            return what()
        except (KuleshovError, ValueError, TypeError, OverflowError, RecursionError) as error:
            told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            problems.append(told.rstrip("."))
            return none

    named, given = _take_cell(left, PATHS), _take_cell(left, IDS)
    name = read(lambda: _parse_scalar(named, "path"), "")
    key = read(lambda: _parse_scalar(given, "id"), "") or name
    if not name and not problems:
        problems.append("no path")
    boxes = read(lambda: _parse_boxes(left))
    context = read(lambda: _parse_texts(left.pop("context", None), "context"))
    said = read(lambda: _parse_texts(left.pop("said", None), "said"))
    label = read(lambda: plain_label(_named_class(left)), None)
    extra = read(lambda: _extra_columns(left), {})
    for text in (name, key, *context, *said, *(label or ()), *extra, *extra.values()):
        if isinstance(text, str) and not _is_whole(text):
            problems.append("it holds half a character (a lone surrogate)")
            break
    key, name = _replace_halves(key), _replace_halves(name)
    path = find_file(base, name) if name and not problems else os.path.join(base, name)
    return ManifestRow(
        number=number,
        id=key,
        source=path if name else None,
        name=path if name else None,
        context=context if not problems else (),
        said=said if not problems else (),
        boxes=boxes,
        label=label if not problems else None,
        extra=extra if not problems else {},
        problem=f"row {number}: {'; '.join(problems)}." if problems else None,
        notes=notes,
    )


def find_file(base: str, name: str) -> str:
    """The path of the file that a table names, also where it is spelled in another way on disk.

    Macs decompose accents (NFD) where tables compose them (NFC); Windows divides folders by \\.
    A name that is there as it is written is taken as it is; one that is nowhere stays so.
    """
    path = os.path.join(base, name)
    if os.path.exists(path):
        return path
    for spelled in dict.fromkeys((name, name.replace("\\", "/"), out_of_csv(name))):
        if os.path.exists(os.path.join(base, spelled)):
            return os.path.join(base, spelled)
        if not spelled.isascii():
            found = _find_composed(os.path.join(base, spelled))
            if found is not None:
                return found
    return path


def _find_composed(path: str) -> str | None:
    """The file whose name equals this one in NFC; folders above may be spelled otherwise too."""
    if os.path.exists(path):
        return path
    folder, last = os.path.split(path)
    if not last or folder == path:
        return None
    there = _find_composed(folder) if folder else "."
    if there is None:
        return None
    found = _names_in(there, _changed_at(there)).get(unicodedata.normalize("NFC", last))
    return None if found is None else os.path.join(there if folder else "", found)


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=16)
def _names_in(folder: str, changed: int) -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return {unicodedata.normalize("NFC", entry.name): entry.name for entry in entries}
    except OSError:
        return {}


# ---------------------------------------------------------------------------------- formats


def _strange_note(strange: Sequence[int]) -> tuple[str, ...]:
    notes = []
    if some := ", ".join(str(line) for line in strange if line > 0):
        notes.append(f"line {some} of the manifest is not UTF-8: read as Windows-1252")
    if some := ", ".join(str(-line) for line in strange if line < 0):
        notes.append(f"line {some} of the manifest holds characters that are cut or damaged")
    return tuple(notes)


def _read_csv(path: str, base: str) -> Iterator[ManifestRow]:
    table = read_table(
        Path(path),
        prefers=lambda names: any(name in PATHS for name in names),
        tell_rows=True,
        error=KuleshovError,
    )
    _check_columns(path, list(table.columns))

    def all_of_them() -> Iterator[ManifestRow]:
        for number, line in enumerate(table.lines, start=1):
            if line.problem is not None and not line.values:
                yield ManifestRow(number, "", None, problem=f"row {number}: {line.problem}.")
                continue
            made = parse_row(number, line.values, base, _strange_note(line.strange))
            if line.problem is not None:
                problem = f"row {number}: {line.problem}."
                made = ManifestRow(number, made.id, None, made.name, problem=problem)
            yield made

    return all_of_them()


def _read_jsonl(path: str, base: str) -> Iterator[ManifestRow]:
    strange: list[int] = []
    lines = (
        (number, line)
        for number, line in enumerate(decode_lines(Path(path), strange, error=KuleshovError), 1)
        if line.strip()
    )
    first = next(lines, None)
    if first is None:
        raise KuleshovError(f"{path} is empty.")

    def taken() -> tuple[str, ...]:
        notes = _strange_note(strange)
        strange.clear()
        return notes

    before: list[ManifestRow] = []  # what stands before the first row that shows the columns

    def read(number: int, line: str) -> dict[str, Any] | ManifestRow:
        try:
            cells = json.loads(line)
            if not isinstance(cells, dict):
                raise ValueError("not an object")
        except RecursionError:
            problem = f"row {number} is not a JSON object that can be read: nested too deeply."
        except ValueError as error:
            problem = f"row {number} is not a JSON object: {error}."
        else:
            return cells
        return ManifestRow(number, "", None, problem=problem)

    pending = None
    for number, line in chain([first], lines):
        cells = read(number, line)
        if isinstance(cells, ManifestRow):
            before.append(cells)
            continue
        _check_columns(path, list(cells))
        pending = parse_row(number, cells, base, taken())
        break

    def all_of_them() -> Iterator[ManifestRow]:
        yield from before
        if pending is not None:
            yield pending
        for number, line in lines:
            cells = read(number, line)
            yield (
                cells if isinstance(cells, ManifestRow) else parse_row(number, cells, base, taken())
            )

    return all_of_them()


def _import_pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise KuleshovError("Parquet needs pyarrow: run `pip install 'kuleshov[data]'`.") from None
    return pyarrow.parquet


def _read_parquet(path: str, base: str) -> Iterator[ManifestRow]:
    parquet = _import_pyarrow()
    from pyarrow.lib import ArrowException

    # damage shows as any of these: in the footer, in a page, in one value
    damage = (OSError, ValueError, OverflowError, ArrowException)
    try:
        file = parquet.ParquetFile(path)
        columns, facts = list(file.schema_arrow.names), file.metadata
        groups = [facts.row_group(n).num_rows for n in range(facts.num_row_groups)]
        classes = _class_names(file.schema_arrow.metadata)
    except damage as error:
        raise KuleshovError(f"{path} is not a Parquet file: {_first_line(error)}.") from None
    _check_columns(path, columns)

    def all_of_them() -> Iterator[ManifestRow]:
        end = 0
        for group, count in enumerate(groups):
            number, end = end, end + count
            try:
                for batch in file.iter_batches(1000, row_groups=[group]):
                    for place in range(batch.num_rows):
                        number += 1
                        try:
                            (cells,) = batch.slice(place, 1).to_pylist()
                        except damage as error:
                            problem = f"row {number}: {_first_line(error)}."
                            yield ManifestRow(number, "", None, problem=problem)
                            continue
                        yield parse_row(number, _with_classes(cells, classes), base)
            except damage as error:
                what = f"rows {number + 1}-{end}" if number + 1 < end else f"row {end}"
                problem = f"{what}: this part of {path} is damaged: {_first_line(error)}."
                yield ManifestRow(number + 1, what, None, problem=problem)

    return all_of_them()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names of class columns, as Hugging Face `datasets` keeps them in a Parquet file."""
    try:
        told = parse_json((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in told.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _with_classes(cells: dict[str, Any], classes: Mapping[str, list[str]]) -> dict[str, Any]:
    for column, names in classes.items():
        cells[column] = class_name(cells.get(column), names)
    return cells


def class_name(value: Any, names: Sequence[str]) -> Any:
    """The name of a class index; None of −1, which says that there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else None if value == -1 else value
    return value


def _check_columns(path: str, columns: list[str]) -> None:
    if not any(name in columns for name in PATHS):
        close = next(
            (suggest_word(name, PATHS) for name in columns if suggest_word(name, PATHS)), ""
        )
        listed = ", ".join(name[:60] for name in columns[:12])
        raise KuleshovError(
            f"{path} has no column 'path'{close and ': rename the column'}{close}; "
            f"its columns are {listed}."
        )


# ---------------------------------------------------------------------------------- cells


def _take_cell(cells: dict[str, Any], names: Iterable[str]) -> Any:
    for name in names:
        if name in cells:
            return cells.pop(name)
    return None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parse_scalar(value: Any, what: str) -> str:
    """A cell that is one word or number, as text; empty where it is missing."""
    if _is_missing(value):
        return ""
    if isinstance(value, (str, int, float, bool)):
        return str(value).strip()
    raise ValueError(f"its {what} is neither text nor a number")


def _parse_texts(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(text for text in (_parse_scalar(one, what) for one in value) if text)
    if _is_missing(value):
        return ()
    return (str(value),) if _parse_scalar(value, what) else ()


BOX_FORMS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
)
"""How tools name the sides of a box; the last two may be sizes."""


def _parse_boxes(cells: dict[str, Any]) -> tuple[Box, ...]:
    """`box`: four numbers, a list of boxes, or objects that name the sides; or x0, y0, x1, y1.

    Numbers may stand as JSON or be divided by blanks, commas or semicolons.
    """
    value = cells.pop("box", None)
    if _is_missing(value):
        value = cells.pop("boxes", None)
    corners = BOX_FORMS[0]
    if value is None and all(name in cells for name in corners):
        value = [cells.pop(name) for name in corners]
        if all(_is_missing(corner) or corner == "" for corner in value):
            return ()
    if _is_missing(value):
        return ()
    if isinstance(value, str):
        text = value.strip().strip("()").strip()
        if not text or text.lower() in ("nan", "none", "null"):
            return ()
        value = _box_text(text)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"the box {_shorten_value(value)} is not four numbers x0 y0 x1 y1")
    if len(value) and not isinstance(value[0], (list, tuple, Mapping)):
        value = [value]
    return tuple(_parse_box(box) for box in value)


def _box_text(text: str) -> Any:
    if text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError(f"the box {_shorten_value(text)} is not JSON") from None
    if ";" in text:  # then a comma is a decimal one
        return text.replace(",", ".").replace(";", " ").split()
    return text.replace(",", " ").split()


def _parse_box(box: Any) -> Box:
    sizes = False
    sides = box
    if isinstance(box, Mapping):
        names = {str(name).lower(): value for name, value in box.items()}
        form = next((form for form in BOX_FORMS if set(form) == set(names)), None)
        if form is None:
            raise ValueError(
                f"the box {_shorten_value(box)} names neither x0 y0 x1 y1 nor x y width height "
                "alone"
            )
        sides, sizes = [names[name] for name in form], form[2] in ("width", "w")
    try:
        if isinstance(sides, str) or any(isinstance(number, bool) for number in sides):
            raise ValueError
        x0, y0, x1, y1 = (float(number) for number in sides)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the box {_shorten_value(box)} is not four numbers x0 y0 x1 y1") from None
    if sizes:
        x1, y1 = x0 + x1, y0 + y1
    if not (x0 < x1 and y0 < y1 and math.isfinite(x0 + y0 + x1 + y1)):
        raise ValueError(f"the box {_shorten_value(box)} is not x0 < x1, y0 < y1 in pixels")
    return x0, y0, x1, y1


def _shorten_value(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _named_class(cells: dict[str, Any]) -> Any:
    """The cell of people's answer; where it is a class number and the table names it, the name."""
    label = cells.pop("label", None)
    number = isinstance(label, int) or (isinstance(label, str) and label.strip().isdecimal())
    if number:
        named = next((cells[name] for name in LABEL_NAMES if cells.get(name)), None)
        if isinstance(named, str) and not named.strip().isdecimal():
            return named
    return label


def _extra_columns(cells: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    plain = {column: _plain_value(value) for column, value in cells.items()}
    return {column: value for column, value in plain.items() if value is not None}


def _plain_value(value: Any) -> str | int | float | bool | None:
    if value is None or value == "":
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)  # no reader of JSON keeps such a number
    if isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_whole(text: str) -> bool:
    return text.isascii() or _replace_halves(text) == text


def _replace_halves(text: str) -> str:
    """Half of a character that takes two, as JSON may hold it, cannot be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
