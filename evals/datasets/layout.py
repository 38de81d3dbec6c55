"""What readers share: folders at the right level, tables with the right columns, what is missing.

Everything here that complains does so in one sentence: what was found, what was expected.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import CLIP_SUFFIXES


def expect_level(root: Path, markers: Sequence[str], name: str, layout: str) -> Path:
    """`root` itself if it holds every marker, else an error that says where the right level is.

    Args:
        markers: files or folders that lie directly in the data set's folder.
    """
    if not root.is_dir():
        raise KuleshovError(f"{root} is a file, and {name} is a folder: {_one_line(layout)}.")
    if all((root / marker).exists() for marker in markers):
        return root
    other = find_elsewhere(root, markers)
    if other is not None:
        raise KuleshovError(
            f"{root} is the wrong level of {name}: it lacks {markers[0]}, and {other} has it; "
            f"give that folder."
        )
    there = sorted(entry.name for entry in root.iterdir())
    missing = [marker for marker in markers if not (root / marker).exists()]
    raise KuleshovError(
        f"{root} is not {name}: there is no {list_names(missing)} in it; it holds "
        f"{list_names(there) or 'nothing'}; expected {_one_line(layout)}."
    )


def find_elsewhere(root: Path, markers: Sequence[str]) -> Path | None:
    """The folder that holds every marker, up to three levels above or two below."""
    for other in (*root.resolve().parents[:3], *_folders_below(root, 2)):
        if other != Path(other.anchor) and all((other / marker).exists() for marker in markers):
            return other
    return None


def _folders_below(root: Path, depth: int) -> Iterator[Path]:
    """Folders down to a depth; at most 200 of a folder, for a folder of pictures has no more."""
    if depth == 0:
        return
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir())[:200]
    yield from folders
    for folder in folders:
        yield from _folders_below(folder, depth - 1)


def _one_line(layout: str) -> str:
    return re.sub(r"\s*\n\s*", " · ", layout.strip()).rstrip(".")


def list_names(names: Sequence[str], most: int = 5) -> str:
    """'a, b, c and 4 more'."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def complain_of_missing(missing: Sequence[str | Path], total: int, name: str, what: str) -> None:
    """KuleshovError that counts and names the files that a half download lacks, if any."""
    if missing:
        names = list_names([str(path) for path in missing], 3)
        raise KuleshovError(
            f"{len(missing)} of {total} {what} of {name} are missing: {names}; finish the "
            "download, or leave their rows out of the annotations."
        )


def expect_columns(path: Path, found: Sequence[str], wanted: Sequence[str], name: str) -> None:
    """KuleshovError if the table lacks a column: it is of another version or another file."""
    lacking = [column for column in wanted if column not in found]
    if lacking:
        raise KuleshovError(
            f"{path} is not the annotation file of {name} that is read here: it lacks the column "
            f"{list_names(lacking)}; found {list_names(list(found), 12) or 'none'}; expected "
            f"{list_names(list(wanted), 12)}."
        )


def expect_labels(found: Sequence[str], known: Sequence[str], name: str, where: str) -> None:
    """KuleshovError if a label occurs that the data set does not have."""
    strange = sorted(set(found) - set(known))
    if strange:
        raise KuleshovError(
            f"{where} has {len(strange)} class{'es' if len(strange) > 1 else ''} that {name} does "
            f"not have: {list_names(strange)}; expected {list_names(list(known), 12)}."
        )


def read_rows(path: Path, wanted: Sequence[str], name: str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, cells stripped. Raises KuleshovError."""
    if not path.is_file():
        raise KuleshovError(f"{path}, the annotation file of {name}, is missing.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            table.fieldnames = [str(cell).strip() for cell in table.fieldnames or []]
            expect_columns(path, table.fieldnames, wanted, name)
            return [
                {key: (cell or "").strip() for key, cell in row.items() if isinstance(key, str)}
                for row in table
            ]
    except UnicodeDecodeError:
        raise KuleshovError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from None


def parse_number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise KuleshovError(f"{where}: {text!r} is not a number.") from None


def names_in(folder: Path) -> set[str]:
    """Names of what lies directly in a folder; empty where there is none."""
    return {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()


def clips_below(folder: Path) -> dict[str, Path]:
    """Clips at any depth by their name without ending; the first by path where names repeat."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in CLIP_SUFFIXES:
            found.setdefault(path.stem, path)
    return found


def first_there(root: Path, *names: str) -> Path | None:
    """The first of several possible places that exists."""
    return next((root / name for name in names if (root / name).exists()), None)
