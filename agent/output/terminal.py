"""What a command tells on the terminal: its exit code, a line on stderr, a console."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kuleshov.tools.valid_text import in_terminal

if TYPE_CHECKING:
    from rich.console import Console

_told = ""  # what `working` shows now

OK, FAILED, USAGE = 0, 1, 2
CLEAR = "\r\x1b[K"


def say(text: str) -> None:
    """A line to stderr."""
    sys.stderr.write(f"{CLEAR if _told else ''}{in_terminal(text.rstrip())}\n")
    if _told:
        _show(_told)


def make_console(stderr: bool = False) -> Console:
    """A console on which no text is a command to the terminal; `rich` passes ESC on."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                if segment.control:
                    yield segment
                else:
                    yield Segment(in_terminal(segment.text), segment.style)

    return PlainConsole(stderr=stderr, highlight=False, soft_wrap=False)


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
    _told = text = in_terminal(" ".join(text.split()))
    room = shutil.get_terminal_size().columns - 3
    sys.stderr.write(f"{CLEAR}{text[:room]} …" if text else CLEAR)
    sys.stderr.flush()
