"""One inference in a few lines: who seems to feel what, why, and what to be careful about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.text import Text

from kuleshov.output import view
from kuleshov.output.terminal_text import Lines
from kuleshov.types import no_face

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from kuleshov.types import Inference, Person

MOST_CARES = 3
BAR = 20
SENTENCE = re.compile(r".+?[.!?](?=\s|$)")


def print_short(inference: Inference, console: Console) -> None:
    """Print a line a person, a sentence why, and what was unusual; `print_card` has the rest."""
    lines = Lines(console)
    facts = " · ".join(view.media_facts(inference))
    lines.wrapped(
        Text.assemble((view.media_title(inference.media), "bold"), (f"  {facts}", "dim")), hang=4
    )
    if not inference.people:
        lines.wrapped(no_face(inference.gaps), 2, style="italic")
        if inference.scene is not None:
            source = view.scene_source(inference)
            told = f"scene ({source}): " if source else "scene: "
            lines.wrapped(told + view.clean_line(inference.scene.description), 2)
    column = lines.column(_label_of(person) for person in inference.people)
    for person in inference.people:
        _print_person(lines, person, column)
    _print_cares(lines, _cares_of(inference))


def print_closing(inferences: Sequence[Inference], console: Console) -> None:
    """What holds of all of them, once: what they are, and how to see the rest."""
    if not inferences:
        return
    lines = Lines(console)
    caveats = dict.fromkeys(view.clean_line(one.caveat) for one in inferences)
    lines.line()
    for told in dict.fromkeys(c for one in inferences for c in _of_tools(one)):
        lines.wrapped(Text.assemble(("! ", "yellow"), told), hang=2)
    for caveat in caveats:
        lines.wrapped(caveat, style="dim italic")
    lines.wrapped("With units, evidence and models: -v; all as JSON: --json.", style="dim")


def _label_of(person: Person) -> str:
    return "unanswered" if person.emotions is None else view.clean_line(person.emotions.top)


def _print_person(lines: Lines, person: Person, column: int) -> None:
    head = f"  {person.id:>2}  "
    if person.emotions is None:
        why = view.clean_line(person.unanswered or "no reason given")
        lines.wrapped(Text.assemble((head, "dim"), f"unanswered: {why}"), hang=6)
        return
    label, probability = person.emotions.ranked()[0]
    name = f"{view.clean_line(label):<{column}}"
    bar = lines.bar(probability, min(BAR, lines.width - column - 22))
    parts: list[str | tuple[str, str]] = [
        (head, "dim"),
        (name, "bold cyan"),
        f"  {100 * probability:3.0f} %  ",
        bar,
    ]
    if person.face is None:
        parts.append(("  no face: from the context alone", "italic"))
    lines.wrapped(Text.assemble(*parts), hang=6)
    if person.explanation is not None:
        told = view.clean_line(person.explanation.text)
        first = SENTENCE.match(told)
        lines.wrapped(first[0] if first else told, 6)
    if person.influence is not None and (moved := view.shift_text(person.influence)):
        lines.wrapped(f"context: {moved}", 6)
    for candidate in person.incongruence or ():
        lines.wrapped(
            f"face and context disagree ({candidate.kind}): {view.clean_line(candidate.pattern)}", 6
        )


def _cares_of(inference: Inference) -> list[str]:
    """Gaps and warnings, a line each; a reason that several steps share stands once."""
    steps: dict[str, list[str]] = {}
    for gap in inference.gaps:
        steps.setdefault(gap.reason, []).append(gap.step)
    found = [f"{', '.join(dict.fromkeys(names))}: {why}" for why, names in steps.items()]
    general = _of_tools(inference)
    told = [view.clean_line(text) for text in (*found, *inference.warnings)]
    return [text for text in told if text not in general]


def _of_tools(inference: Inference) -> list[str]:
    """What model and face tool say of themselves: alike for all that they read."""
    used = (inference.provenance.mllm, inference.provenance.faces)
    return [view.clean_line(one["caveat"]) for one in used if one and one.get("caveat")]


def _print_cares(lines: Lines, cares: list[str]) -> None:
    for text in cares[:MOST_CARES]:
        lines.wrapped(Text.assemble(("  ! ", "yellow"), text), hang=4)
    if (more := len(cares) - MOST_CARES) > 0:
        lines.wrapped(f"  ! and {more} more: -v", style="yellow")
