"""What a command tells on the terminal: its exit code, a line on stderr, a console."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


OK, FAILED, USAGE = 0, 1, 2


def say(text: str) -> None:
    """A line to stderr."""
    sys.stderr.write(text.rstrip() + "\n")


def make_console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)
