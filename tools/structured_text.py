"""JSON and TOML from outside: one way to read them, whatever is wrong with the text.

Both standard readers raise more than they name: nesting beyond the stack is a RecursionError, a
number of thousands of digits a plain ValueError, another encoding a UnicodeDecodeError.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import KuleshovError

LARGEST_TOML = 2_000_000  # bytes; a file that people write has a few thousand


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is not JSON, not text, nested too deeply, or holds a number too long to read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_toml(text: str, where: str, be: str = "is") -> dict[str, Any]:
    """What a TOML text says; `where` names the file in messages, "are" several things.

    Raises:
        KuleshovError: it is not TOML, nested too deeply, or holds a number too long to read.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KuleshovError(f"{where} {be} not TOML: {error}.") from None
    except RecursionError:
        raise KuleshovError(f"{where} {be} nested too deeply.") from None
    except ValueError:  # Python's own limit, which its reader of TOML does not name
        raise KuleshovError(f"a number in {where} is too long to be read.") from None


def read_text(path: str | os.PathLike[str], what: str, *, largest: int | None = None) -> str:
    """The text of a file in UTF-8, a mark at its begin left out.

    Args:
        what: its kind in messages, e.g. "coding scheme".
        largest: bytes that a file of this kind may have.

    Raises:
        KuleshovError: it cannot be read, is larger, or is not UTF-8.
    """
    try:
        if largest is not None and Path(path).stat().st_size > largest:
            raise KuleshovError(
                f"the {what} {os.fspath(path)} is larger than {largest // 1_000_000} MB: that is "
                f"no {what}."
            )
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise KuleshovError(
            f"cannot read the {what} {os.fspath(path)}: {error.strerror or error}."
        ) from None
    except UnicodeDecodeError:
        raise KuleshovError(f"the {what} {os.fspath(path)} is not text in UTF-8.") from None
    except ValueError:  # a name with a NUL in it
        raise KuleshovError(f"cannot read the {what}: its name is no name of a file.") from None


def read_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """What a TOML file says. Raises KuleshovError; `what` names its kind."""
    text = read_text(path, what, largest=LARGEST_TOML)
    return parse_toml(text, f"the {what} {os.fspath(path)}")


def parse_count(text: str) -> int | None:
    """A whole number from 0 that is written in digits; None: it is another text.

    What has more than 18 digits counts nothing, and Python reads no number of thousands of them.
    """
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
