"""The table of a toolbox against FACS coders."""

from __future__ import annotations

from kuleshov.evals.harness.unit_agreement import UnitFigures
from kuleshov.output.terminal import make_console

COLUMNS = ("unit", "", "n", "shown", "ICC", "F1", "P", "R", "κ", "AC1")


def show_figures(found: UnitFigures) -> None:
    """The table, on the terminal."""
    from rich.table import Table

    from kuleshov.tools.faces import facs

    out = make_console()
    out.print(
        f"{found.tool} against the coders of {found.data}: {found.read:,} of {found.coded:,} coded "
        f"faces, {found.subjects} subjects"
        + (f"; {found.unread:,} faces of the toolbox were not coded" if found.unread else ""),
        markup=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("unit", "") else "right")
    for unit in found.units:
        figures = (unit.icc, unit.f1, unit.precision, unit.recall, unit.kappa, unit.ac1)
        table.add_row(
            f"AU{unit.unit}",
            facs.unit_name(unit.unit),
            f"{unit.n:,}",
            f"{unit.shown:.0%}",
            *map(_format_number, figures),
        )
    table.add_row(
        *("mean", "", "", ""),
        _format_number(found.mean_icc),
        _format_number(found.mean_f1),
        *("", "", ""),
        _format_number(found.mean_ac1),
    )
    out.print(table)
    if found.not_measured:
        units = ", ".join(f"AU{unit}" for unit in found.not_measured)
        out.print(f"coded, but not measured by this toolbox: {units}")
    out.print(
        f"{found.note}. ICC(3,1): of intensities; F1, P, R, κ, AC1: of shown or not. Faces of one "
        "subject are not independent.",
        markup=False,
    )


def _format_number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
