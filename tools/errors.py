"""The error that a user reads, and what helps to word it."""

from __future__ import annotations

import difflib


class KuleshovError(Exception):
    """A user's mistake or a missing thing: its text is one sentence that says what to do."""


def suggest_word(word: str, known: list[str] | tuple[str, ...]) -> str:
    """' (did you mean X?)' for the closest known word, or nothing."""
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def first_line(error: Exception) -> str:
    """A pydantic error shortened to its first complaint, for a one-sentence message."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def shorten_text(text: str, most: int = 80) -> str:
    """A text from outside on one line of at most `most` characters, for a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
