"""Any text into a format's text: one function for each kind of file that is written.

Names of files, labels, words of models and transcripts may hold anything: control characters, half
an emoji, what a spreadsheet would run. What a format cannot hold becomes U+FFFD, the replacement
character, so that it is seen that something stood there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

# XML 1.0, production [2] Char: what it leaves out cannot even be written as a reference. The two
# noncharacters and lone surrogates have no place in UTF-8 files of the other kinds either.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COMMANDS = ("Cc", "Cf", "Cs", "Zl")
_SURROGATE = re.compile("[\ud800-\udfff]")
_RUNS = re.compile(r"[(|!&={]|\bDDE\b", re.I)
_SEPARATORS = re.compile("([;\t])")


def in_xml(text: str) -> str:
    """Characters that XML 1.0 knows (ELAN, Label Studio); markup is escaped by who writes it."""
    return _NO_XML.sub("\ufffd", text)


def in_terminal(text: str) -> str:
    """Without control and direction characters, tabs and new lines kept.

    A file's name, a model's or a server's words could otherwise move the cursor, name the window,
    or turn a line around (ESC …).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\t\n" or unicodedata.category(c) not in _COMMANDS)


def in_vtt(text: str) -> str:
    """One line of a WebVTT cue: no markup, no arrow of times, no empty line."""
    line = " ".join(in_xml(text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def in_csv(text: str) -> tuple[str, bool]:
    """A cell on one line that no spreadsheet runs, and whether an apostrophe was put into it.

    Spreadsheets take what begins with = or + for a formula, and with - or @ where it calls a
    function or a program; some take the full-width forms as well (CSV injection, OWASP). A
    spreadsheet that separates cells by semicolons or tabs takes what stands behind one for a cell.
    A name such as `-1_a.jpg` or `@home.jpg` calls nothing and stays as it is: tables are joined by
    it. Numbers stay numbers.
    """
    text = _SURROGATE.sub("\ufffd", text).replace("\0", "\ufffd")
    line = " ".join(text.split("\n")).replace("\r", " ")
    guarded = "".join(f"'{part}" if _runs(part) else part for part in _SEPARATORS.split(line))
    if line.startswith("\t"):
        guarded = f"'{guarded}"
    return guarded, guarded != line


def _runs(part: str) -> bool:
    """Whether a spreadsheet would run a cell that begins so."""
    bare = unicodedata.normalize("NFKC", part.lstrip()[:1]) + part.lstrip()[1:]
    try:
        float(bare)
    except ValueError:
        pass
    else:
        return False
    return bare.startswith(("=", "+")) or (bare.startswith(("-", "@")) and bool(_RUNS.search(bare)))


def csv_row(cells: list[object]) -> list[object]:
    """The cells of a row: text as `in_csv` gives it, all else as it is."""
    return [in_csv(cell)[0] if isinstance(cell, str) else cell for cell in cells]


def csv_cells(cells: Mapping[str, object]) -> dict[str, object]:
    """A row by column: text as `in_csv` gives it, all else as it is."""
    return dict(zip(cells, csv_row([*cells.values()]), strict=True))


def out_of_csv(text: str) -> str:
    """The text of a cell as it was before `in_csv`: tables that were written here are joined."""
    if text.startswith("'\t"):
        text = text[1:]
    return "".join(
        part[1:] if part.startswith("'") and _runs(part[1:]) else part
        for part in _SEPARATORS.split(text)
    )


def in_json(value: Any) -> Any:
    """A value for JSON that others read: the characters of `in_xml` in every text, names too."""
    if isinstance(value, str):
        return in_xml(value)
    if isinstance(value, dict):
        return {in_json(name): in_json(item) for name, item in value.items()}
    return [in_json(item) for item in value] if isinstance(value, (list, tuple)) else value
