"""`kuleshov eval` on a data set of coded units: a toolbox against FACS coders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from kuleshov.evals.datasets.unit_coding import UnitSet
from kuleshov.evals.harness import unit_agreement
from kuleshov.evals.harness.unit_agreement import UnitFigures
from kuleshov.output.terminal import OK, make_console, say
from kuleshov.tools.errors import KuleshovError

COLUMNS = ("unit", "", "n", "shown", "ICC", "F1", "P", "R", "κ", "AC1")


def compare_units(arguments: argparse.Namespace, unit_set: UnitSet) -> int:
    """Run the command.

    Raises:
        KuleshovError: a mistake in the call, in the data set or in the results.
    """
    if not arguments.data:
        raise KuleshovError(
            f"{unit_set.name} needs your copy of the data: give --data DIR ({unit_set.one_line})."
        )
    coded = unit_set.read(arguments.data)
    if arguments.results:
        tool, seen = unit_agreement.read_results(arguments.results)
    else:
        from kuleshov.settings import Settings
        from kuleshov.tools import faces

        name = "pocket" if arguments.pocket else arguments.faces
        settings = Settings.load(arguments.settings, faces=name, device=arguments.device)
        pictures = [face for face in coded if face.picture is not None]
        if arguments.limit and arguments.limit < len(pictures):
            rng = np.random.default_rng(arguments.seed or 0)
            chosen = sorted(rng.choice(len(pictures), arguments.limit, replace=False).tolist())
            coded = pictures = [pictures[place] for place in chosen]
        say(f"kuleshov: {settings.faces} reads {len(pictures)} pictures of {unit_set.title}")
        tool = settings.faces
        entry = faces.find_entry(settings.faces, settings.paths, settings.tool_timeout_s)
        loaded = entry.load(device=settings.device)
        seen = list(unit_agreement.read_pictures(loaded, pictures or coded))
    found = unit_agreement.compare_with_coders(unit_set, coded, tool, seen)
    out = Path(arguments.out or f"eval-{unit_set.name}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "units.json").write_text(found.model_dump_json(indent=1) + "\n", "utf-8")
    except OSError as error:
        raise KuleshovError(f"cannot write to the folder {out}: {error.strerror}.") from None
    if arguments.json:
        sys.stdout.write(found.model_dump_json() + "\n")
    else:
        show_figures(found)
    say(f"figures: {out / 'units.json'}")
    return OK


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
