"""What a command tells on the terminal: its exit code, a line on stderr, a console."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_told = ""  # what `working` shows now

OK, FAILED, USAGE = 0, 1, 2
CLEAR = "\r\x1b[K"


def say(text: str) -> None:
    """A line to stderr."""
    sys.stderr.write(f"{CLEAR if _told else ''}{text.rstrip()}\n")
    if _told:
        _show(_told)


def make_console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


@contextlib.contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """On a terminal, one line of stderr that says what is being done, gone when it is done.

    Yields how to say something else. Nothing is written into a pipe or a file.
    """
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    _show(what)
    try:
        yield _show
    finally:
        _show("")


def _show(text: str) -> None:
    global _told
    _told = text
    room = shutil.get_terminal_size().columns - 3
    sys.stderr.write(f"{CLEAR}{text[:room]} …" if text else CLEAR)
    sys.stderr.flush()
