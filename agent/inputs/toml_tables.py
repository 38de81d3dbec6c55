"""Arrays of tables in a TOML file, each with its line, so that a mistake can be pointed at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuleshov.tools import structured_text
from kuleshov.tools.errors import KuleshovError

KEY = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


@dataclass(frozen=True)
class TomlTable:
    """One ``[[name]]``: its values, the line it begins on, and the line of each of its keys."""

    values: Mapping[str, Any]
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)

    def at(self, key: str | None) -> int:
        """The line of a key; where it has none, that of the table."""
        return self.lines.get(key or "", self.line)


def read_text(path: str | Path, what: str) -> str:
    """The text of a file. Raises KuleshovError if it cannot be read; `what` names its kind."""
    return structured_text.read_text(path, what, largest=structured_text.LARGEST_TOML)


def read_toml(text: str, array: str, where: str) -> tuple[dict[str, Any], list[TomlTable]]:
    """What a TOML text says besides the array of tables, and the tables.

    Args:
        text: the file's.
        array: name of the array, e.g. "variable".
        where: how messages call the file.

    Raises:
        KuleshovError: it is not TOML, or `array` is not an array of tables.
    """
    told = structured_text.parse_toml(text, where)
    found = told.pop(array, [])
    lines = _table_lines(text, array)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        line = next((n for n, row in enumerate(text.splitlines(), 1) if array in row), 1)
        raise KuleshovError(f"{where}, line {line}: write each {array} under [[{array}]].")
    if len(lines) != len(found):  # written inline, as {name = …}: the file's line is all there is
        lines = [(1, {})] * len(found)
    return told, [
        TomlTable(values, line, keys) for values, (line, keys) in zip(found, lines, strict=True)
    ]


def _table_lines(text: str, array: str) -> list[tuple[int, dict[str, int]]]:
    header = re.compile(rf"^\s*\[\[\s*{array}\s*\]\]")
    found: list[tuple[int, dict[str, int]]] = []
    inside: dict[str, int] | None = None
    quoted = ""  # the quotes of a string over several lines that is open
    for number, line in enumerate(text.splitlines(), 1):
        if not quoted:
            if header.match(line):
                inside = {}
                found.append((number, inside))
            elif line.lstrip().startswith("["):
                inside = None
            elif inside is not None and (key := KEY.match(line)):
                inside.setdefault(key[1], number)
        for marks in ('"""', "'''"):
            if (not quoted or quoted == marks) and line.count(marks) % 2:
                quoted = "" if quoted else marks
    return found
