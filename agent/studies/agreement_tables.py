"""Tables of agreement for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kuleshov.studies.reliability import HumanAgreement, VariableReliability

if TYPE_CHECKING:
    from rich.console import Console


def print_reliability(rows: Sequence[VariableReliability], console: Console) -> None:
    """Self-agreement, a line a variable that was answered, then why others were not."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="Agreement with itself", title_justify="left")
    for name in ("variable", "units", "forms", "same", "alpha", "JS, bits", ""):
        table.add_column(name, justify="left" if name in ("variable", "") else "right")
    missing: dict[str, list[str]] = {}
    for row in rows:
        if not row.units:
            missing.setdefault(row.why or "", []).append(row.name)
            continue
        notes = ["not looking: answers as for a blank picture"] if row.not_looking else []
        notes += [row.why] if row.why else []
        table.add_row(
            row.name,
            str(row.units),
            str(row.forms),
            _format_number(row.same),
            _format_number(row.alpha),
            _format_number(row.js),
            "; ".join(notes),
        )
    if table.row_count:
        console.print(table)
    for reason, names in missing.items():
        console.print(f"{reason}: {', '.join(names)}")


def with_people(rows: Sequence[HumanAgreement], console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="Agreement with people", title_justify="left")
    for name in ("variable", "units", "same", "alpha", "people", "their alpha", ""):
        table.add_column(name, justify="left" if name in ("variable", "") else "right")
    for row in rows:
        table.add_row(
            row.name,
            str(row.units),
            _format_number(row.same),
            _format_number(row.alpha),
            str(row.people),
            _format_number(row.people_alpha),
            row.why or "",
        )
    console.print(table)


def _format_number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
