"""Text in the terminal: lines that fit the console's width, in whatever it can show.

Lines are laid out here rather than by rich's tables, so that a pipe gets plain text without
frames or trailing blanks. Text of models and users is put into `Text` objects, never parsed as
markup, and is rid of control characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from kuleshov.output import view

if TYPE_CHECKING:
    from rich.console import Console

BAR_WIDTH = 40  # columns, at most
LABEL_WIDTH = 24
# for terminals whose encoding lacks these
ASCII = str.maketrans({"×": "x", "·": "-", "–": "-", "−": "-", "…": "...", "’": "'"})


class Lines:
    """Prints lines that fit the console's width."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = max(30, console.width)
        self.unicode = console.encoding.lower().replace("-", "").startswith("utf")
        self.lines = self.unicode and console.is_terminal and not console.no_color

    def heading(self, name: str, what: str = "", style: str = "") -> None:
        self.line()
        self.line((name, f"bold {style}"), (f": {what}" if what else "", "bold cyan"))

    def subheading(self, name: str, what: str = "") -> None:
        self.line()
        self.wrapped(
            Text.assemble((f"  {name}", "bold"), (f"  {what}" if what else "", "dim")), hang=4
        )

    def field(self, name: str, text: str, column: int, indent: int = 2, style: str = "") -> None:
        head = (f"{'':{indent}}{name:<{column}}", "dim")
        self.wrapped(
            Text.assemble(head, "  ", (view.clean_line(text), style)),
            hang=indent + column + 2,
        )

    def column(self, labels: Iterable[str]) -> int:
        """Columns of the widest label, within reason."""
        return min(
            LABEL_WIDTH, max((cell_len(view.clean_line(label)) for label in labels), default=0)
        )

    def bar(self, p: float, room: int) -> tuple[str, str]:
        """A bar of at most `room` columns; half columns where lines may be drawn."""
        if room < 5:
            return "", ""
        if not self.lines:
            return "#" * max(1, round(p * room)), ""
        halves = max(1, round(2 * p * room))
        return "━" * (halves // 2) + "╸" * (halves % 2), "cyan"

    def wrapped(
        self, text: str | Text, indent: int = 0, style: str = "", hang: int | None = None
    ) -> None:
        """Words broken into lines; all but the first begin at `hang`."""
        words = Text(" " * indent, "").append_text(
            text if isinstance(text, Text) else Text(text, style)
        )
        hang = indent if hang is None else hang
        if hang > self.width // 2:  # too little room beside a long name
            hang = 4
        first = words.wrap(self.console, self.width, no_wrap=False)
        if len(first) < 2:
            self._print(words)
            return
        self._print(first[0])
        rest = words[len(first[0].plain) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
        for line in rest.wrap(self.console, self.width - hang):
            self._print(Text(" " * hang).append_text(line))

    def line(self, *parts: str | tuple[str, str]) -> None:
        self.wrapped(Text.assemble(*parts))

    def _print(self, text: Text) -> None:
        text.rstrip()
        if not self.unicode:
            encoding = self.console.encoding
            plain = text.plain.translate(ASCII).encode(encoding, "replace").decode(encoding)
            text = Text(plain)
        self.console.print(text, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def command(self, text: str | None) -> None:
        """A command in one piece however long, so that it can be copied."""
        if text:
            self._print(Text.assemble(("  to get it", "dim"), "  ", view.clean_line(text)))

    def end(self) -> None:
        self.line()
