"""`kuleshov integrate`: how do people combine a face and its context?"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kuleshov.apps.cli.options import Commands, make_folder
from kuleshov.output.terminal import OK, make_console, say
from kuleshov.tools.valid_text import csv_row

if TYPE_CHECKING:
    from kuleshov.studies.integrate import Integration, Interval


def add_command(commands: Commands) -> None:
    integrate = commands.add_parser(
        "integrate",
        help="fit how people combine face and context, from their judgements",
        description="Reads people's judgements of faces alone, contexts alone and both together, "
        "fits and compares rules of combination, cross-validated over faces and over contexts, "
        "and writes integration.csv, integration.json, integration.png and observer.toml (for "
        "--observer) into the folder --out.",
    )
    integrate.add_argument(
        "ratings",
        metavar="RATINGS.csv",
        help="columns condition (face, context or both), face, context, rater, and a column of "
        "ratings for each label; or label and rating, a row each; or choice",
    )
    integrate.add_argument("--out", metavar="DIR", help="folder for tables, plot and observer")
    integrate.add_argument(
        "--labels", metavar="A,B,…", help="the columns that are ratings; none: those within --scale"
    )
    integrate.add_argument("--scale", metavar="LOW-HIGH", help="of the ratings, e.g. 1-9")
    integrate.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=NAME",
        help="the column of condition, face, context or rater, if it is called otherwise",
    )
    integrate.add_argument("--name", default="own", help="name of the observer in records (own)")
    integrate.add_argument("--source", help="where the judgements are from, for the observer")
    integrate.add_argument("--seed", type=int, default=0, help="of the splits and the bootstrap")
    integrate.add_argument("--json", action="store_true", help="everything as JSON on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.studies.integrate import fit_integration
    from kuleshov.studies.ratings import COLUMNS, read_ratings
    from kuleshov.tools.errors import KuleshovError

    columns = {}
    for given in arguments.column:
        part, equals, name = given.partition("=")
        if not equals or part not in COLUMNS:
            raise KuleshovError(
                f"--column {given}: give PART=NAME, with {', '.join(COLUMNS)} as PART."
            )
        columns[part] = name
    out = make_folder(arguments.out) if arguments.out else None
    labels = [name.strip() for name in (arguments.labels or "").split(",") if name.strip()]
    ratings = read_ratings(
        arguments.ratings, labels=labels, scale=_parse_scale(arguments.scale), columns=columns
    )
    say(f"{len(ratings):,} judgements of {len(ratings.labels)} labels; fitting")
    found = fit_integration(
        ratings,
        source=arguments.source or os.path.basename(arguments.ratings),
        command=f"kuleshov integrate {os.path.basename(arguments.ratings)}",
        name=arguments.name,
        seed=arguments.seed,
    )
    if out is not None:
        from kuleshov.studies.integration_plot import plot_integration

        try:
            _write_table(out / "integration.csv", found)
            (out / "integration.json").write_text(found.model_dump_json(indent=1), "utf-8")
            (out / "observer.toml").write_text(found.observer.to_toml(), "utf-8")
        except OSError as error:
            raise KuleshovError(f"cannot write to the folder {out}: {error.strerror}.") from None
        plot_integration(found, ratings, out / "integration.png")
    if arguments.json:
        sys.stdout.write(found.model_dump_json() + "\n")
    else:
        _print_integration(found)
    if out is not None:
        say(f"written: {out}; use the observer with --observer {out / 'observer.toml'}")
    return OK


def _parse_scale(text: str | None) -> tuple[float, float] | None:
    from kuleshov.tools.errors import KuleshovError

    if text is None:
        return None
    low, dash, high = text.strip().rpartition("-")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (1.0, 0.0)
    if not dash or not found[0] < found[1]:
        raise KuleshovError(f"--scale {text}: give the lowest and highest rating, e.g. 1-9.")
    return found


def _write_table(path: Path, found: Integration) -> None:
    rows = found.table()
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(csv_row([*names]))
        table.writerows(csv_row([row.get(name) for name in names]) for row in rows)


def _print_integration(found: Integration) -> None:
    from kuleshov.output.terminal_text import Lines

    lines = Lines(make_console())
    people = f", {found.raters} people" if found.raters else ""
    lines.line(
        ("How people combine face and context", "bold"),
        f"  {found.faces} faces × {found.contexts} contexts, {found.pairs} pairs{people}",
    )
    lines.line()
    lines.line(f"  {'rule':<30}{'KL over faces':>24}{'over contexts':>15}{'r':>8}")
    for fit in sorted(found.rules, key=lambda fit: fit.over_faces.value):
        lines.line(
            f"  {fit.says:<30}{_interval_text(fit.over_faces):>24}{fit.over_contexts:>15.3f}"
            f"{fit.r.value:>8.2f}"
        )
    if found.ceiling is not None:
        lines.line(
            (f"  {'noise ceiling':<30}", "dim"),
            (f"{found.ceiling.divergence:>8.3f}{'':>31}{found.ceiling.r:>8.2f}", "dim"),
        )
    lines.line()
    observer = found.observer
    lines.line(
        f"  the observer: face^{observer.face_weight:.2f} · context^{observer.context_weight:.2f}"
    )
    if (spread := found.spread) is not None:
        lines.line(
            f"  {len(found.by_rater)} raters one by one: face ± {spread['face_weight']:.2f}, "
            f"context ± {spread['context_weight']:.2f} (standard deviation)"
        )
    lines.line()
    lines.line(f"  {'label':<16}{'face':>22}{'context':>22}{'r':>8}")
    for one in found.emotions:
        r = "–" if one.r_both is None else f"{one.r_both:.2f}"
        lines.line(
            f"  "
            f"{one.label[:15]:<16}{_interval_text(one.face):>22}{_interval_text(one.context):>22}{r:>8}"
        )
    lines.line()
    lines.wrapped(
        "KL: Kullback-Leibler divergence from people's mean judgement, nats, below is better, "
        "faces (contexts) left out one at a time; in brackets the 95 % interval over faces. Noise "
        "ceiling: from halves of the judges. Labels: regression of the mean rating of both.",
        indent=2,
        style="dim",
    )
    for warning in found.warnings:
        lines.wrapped(warning, indent=2, style="yellow")


def _interval_text(one: Interval | None) -> str:
    if one is None:
        return "–"
    if one.low is None or one.high is None:
        return f"{one.value:.3f}"
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
