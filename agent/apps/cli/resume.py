"""The command to run next: for the rest of a clip after Ctrl-C, or for what failed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

OUTPUTS = ("--export", "--report")


def resume_command(argv: Sequence[str], at_s: float) -> str:
    """The same call from `at_s` seconds on, its files beside those that were written.

    `argv` is what stood behind `kuleshov`.
    """
    rest, told = iter(argv), ["kuleshov"]
    for word in rest:
        name, equals, value = word.partition("=")
        if name == "--start-s":
            if not equals:
                next(rest, None)
        elif name in OUTPUTS:
            told += [name, _path_beside(value if equals else next(rest, ""), at_s)]
        else:
            told.append(word)
    return shlex.join([*told, "--start-s", f"{at_s:.1f}"])


def retry_command(argv: Sequence[str]) -> str:
    """The same call that also tries again what failed."""
    told = [word for word in argv if word != "--retry-failed"]
    return shlex.join(["kuleshov", *told, "--retry-failed"])


def _path_beside(path: str, at_s: float) -> str:
    """`out` becomes `out-from-7.6s`, `reading.html` `reading-from-7.6s.html`."""
    place = Path(path)
    return str(place.with_name(f"{place.stem}-from-{at_s:.1f}s{place.suffix}"))
