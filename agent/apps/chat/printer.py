"""What the chat prints: the reading, two readings side by side, an answer as it is written."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kuleshov.output import view
from kuleshov.output.card import STATUS_STYLE, Card
from kuleshov.session.answer import CitedAnswer
from kuleshov.session.compare import ReadingComparison, Shift
from kuleshov.session.session import Step

if TYPE_CHECKING:
    from rich.console import Console

    from kuleshov.types import Inference, Person

LEAST = 0.01  # labels below this before and after are named together


class ShownReading(Card):
    """Prints to one console."""

    def reading(self, inference: Inference) -> None:
        """The reading without its evidence and units, which commands show."""
        self.title(inference)
        self.wrapped(" · ".join(view.media_facts(inference)), style="dim")
        scene = inference.scene
        self.heading("Scene", view.scene_source(inference) or "")
        self.wrapped(view.clean_line(scene.description) if scene else "not described", 2)
        for person in inference.people:
            self.brief(person)
        if not inference.people:
            self.line()
            self.wrapped("Nobody was found whose emotion could be read.", style="italic")
        self.notes("Gaps", [f"{gap.step}: {gap.reason}" for gap in inference.gaps])
        self.notes("Warnings", inference.warnings)
        self.line()

    def brief(self, person: Person) -> None:
        scores = person.emotions
        self.heading(f"Person {person.id}", "" if scores is None else view.score_headline(scores))
        if scores is None:
            self.wrapped(
                f"unanswered: {view.clean_line(person.unanswered or 'no reason given')}", 2
            )
        else:
            self.distribution(scores)
            self.field("based on", view.fusion_text(scores), 8)
        if person.explanation is not None:
            numbers = dict.fromkeys(cue.evidence for cue in person.explanation.cues)
            cited = " ".join(f"[{number}]" for number in numbers)
            self.wrapped(f"{view.clean_line(person.explanation.text)} {cited}".rstrip(), 2)

    def all_units(self, people: Sequence[Person]) -> None:
        for person in people:
            self.heading(f"Person {person.id}")
            if person.face is None:
                self.wrapped(f"{view.NO_FACE}; nothing was measured", 2)
            else:
                self.units(person)
        self.line()

    def whole_scene(self, inference: Inference) -> None:
        self.heading("Scene", view.scene_source(inference) or "")
        scene = inference.scene
        self.wrapped(view.clean_line(scene.description) if scene else "not described", 2)
        for name, text in view.scene_details(inference):
            self.field(name, text, 10)
        if inference.coded is not None:
            self.coded(inference)
        self.line()

    def influences(self, people: Sequence[Person]) -> None:
        for person in people:
            if person.influence is not None:
                self.heading(f"Person {person.id}")
                self.influence(person.influence)
                self.incongruence(person)
        self.line()

    def comparison(self, found: ReadingComparison) -> None:
        """Before and after side by side, a bar for what is now."""
        self.heading("Supposed" if found.supposed else "Changed", view.clean_line(found.what))
        for shift in found.shifts:
            self.shift(shift, "supposed" if found.supposed else "now")
        self.line()

    def shift(self, shift: Shift, after: str) -> None:
        self.subheading(f"Person {shift.person}", _shift_text(shift))
        if not shift.rows:
            self.wrapped("unanswered before and after", 4)
            return
        rows = [row for row in shift.rows if max(row[1] or 0, row[2] or 0) >= LEAST]
        rest = [row[0] for row in shift.rows if row not in rows]
        column = max(5, self.column(label for label, _, _ in rows))
        room = min(30, self.width - column - 30)
        self.line(f"    {'':{column}}  {'before':>6}  {after:>8}  {'':>5}")
        for label, old, new in rows:
            name = set_cell_size(view.clean_line(label), column)
            self.line(
                f"    {name}  {_share_text(old):>6}  ",
                (f"{_share_text(new):>8}", "bold" if label == shift.top_after else ""),
                f"  {_points_text(old, new):>5}  ",
                self.bar(new, room) if new else "",
            )
        if rest:
            self.wrapped(
                f"below 1%: {', '.join(view.clean_line(label) for label in rest)}", 4, "dim"
            )

    def steps(self, steps: Sequence[Step]) -> None:
        """What was said so far, the first reading left out."""
        for step in steps[1:]:
            self.wrapped(
                f"> {step.kind.replace('_', ' ')}: {view.clean_line(step.asked)}", style="dim"
            )
            if step.answer is not None:
                self.wrapped(view.clean_line(step.answer.text), 2)
            for shift in step.comparison.shifts if step.comparison else ():
                self.wrapped(f"person {shift.person}: {_shift_text(shift)}", 2)
        self.line()

    def answer(self, found: CitedAnswer) -> None:
        """What stands below an answer: whether its cues hold, and how it came about."""
        if found.by == "mllm":
            for cue in found.cues:
                head = Text(f"  {cue.status:<12}  ", STATUS_STYLE[cue.status])
                other = " (seen on the face, but cites the wrong evidence)" if cue.elsewhere else ""
                self.wrapped(
                    Text.assemble(
                        head, f"[{cue.evidence}] ", view.clean_line(cue.text), (other, "dim")
                    ),
                    hang=16,
                )
            for number in found.unknown:
                self.wrapped(f"[{number}]: there is no such evidence", 2, "bold red")
        if found.note:
            self.wrapped(f"({view.clean_line(found.note)})", 2, "dim")
        self.line()


def _shift_text(shift: Shift) -> str:
    if shift.top_before is None or shift.top_after is None:
        return "unanswered " + ("before" if shift.top_before is None else "now")
    before, after = view.clean_line(shift.top_before), view.clean_line(shift.top_after)
    told = f"still {after}" if before == after else f"{before} → {after}"
    return told if shift.js is None else f"{told}, {shift.js:.2f} bit apart"


def _share_text(p: float | None) -> str:
    return "–" if p is None else view.format_percent(p)


def _points_text(old: float | None, new: float | None) -> str:
    """Percentage points between the two."""
    if old is None or new is None:
        return ""
    points = round(100 * new) - round(100 * old)
    return f"{points:+d}".replace("-", "−") if points else "="


class Written:
    """Words as they come, broken at the console's width; control characters are left out."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = max(30, console.width)
        self._word = ""
        self._column = 0
        self._space = False  # owed before the next word

    def add(self, text: str) -> None:
        for letter in text:
            if letter in " \t\r\n":
                self._flush()
                if letter == "\n":
                    self._break()
                else:
                    self._space = self._column > 0
            elif unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                self._word += letter
        self.console.file.flush()

    def end(self) -> None:
        """Close the last line."""
        self._flush()
        if self._column:
            self._break()

    def _flush(self) -> None:
        if not self._word:
            return
        size = cell_len(self._word)
        if self._column and self._column + self._space + size > self.width:
            self._break()
        if self._space:
            self._out(" ")
            self._column += 1
        self._out(self._word)
        self._column += size
        self._word, self._space = "", False

    def _break(self) -> None:
        self._out("\n")
        self._column, self._space = 0, False

    def _out(self, text: str) -> None:
        encoding = self.console.encoding
        self.console.file.write(text.encode(encoding, "replace").decode(encoding))
