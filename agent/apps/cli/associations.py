"""`kuleshov associations`: which contexts go with which expressions and units."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, make_console, say
from kuleshov.tools.valid_text import csv_row

SHOWN = 15


def add_command(commands: Commands) -> None:
    found = commands.add_parser(
        "associations", help="context variables against expressions and units, over a run"
    )
    found.add_argument("run", metavar="RUN", help="a run directory of `annotate --scheme …`")
    found.add_argument("--out", metavar="FOLDER", help="default: RUN/associations")
    found.add_argument(
        "--outcomes",
        default="face,units",
        metavar="LIST",
        help="any of face, units, reading; a reading already uses the context; default face,units",
    )
    found.add_argument(
        "--mixed", action="store_true", help="a mixed model with random intercepts for the groups"
    )
    found.add_argument(
        "--group",
        default="auto",
        metavar="COLUMN",
        help="grouping variable for repeated measures: media, or a manifest column, e.g. video; "
        "default: a column person, subject, participant, video or clip, else media",
    )
    found.add_argument(
        "--correction",
        default="fdr_by",
        help="fdr_by (default; holds under dependence), fdr_bh, holm or bonferroni",
    )


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.studies import associations
    from kuleshov.tools.errors import KuleshovError, suggest_word

    wanted: list[Any] = [name.strip() for name in arguments.outcomes.split(",")]
    for name in wanted:
        if name not in associations.OUTCOMES:
            known = associations.OUTCOMES
            raise KuleshovError(
                f"there is no outcome {name!r}{suggest_word(name, known)}; known: "
                f"{', '.join(known)}."
            )
    data, contexts, outcomes = associations.build_frame(
        associations.read_run(arguments.run), wanted, arguments.group
    )
    found = associations.measure_associations(
        data, contexts, outcomes, mixed=arguments.mixed, correction=arguments.correction
    )
    out = Path(arguments.out or Path(arguments.run) / "associations")
    try:
        out.mkdir(parents=True, exist_ok=True)
        words = found.select_dtypes(exclude="number").columns
        plain = found.assign(**{name: csv_row([*found[name]]) for name in words})
        plain.to_csv(out / "associations.csv", index=False)
        if found["estimate"].notna().any():
            associations.heat_map(found, out / "associations.png")
            say(f"heat map: {out / 'associations.png'}")
    except OSError as error:
        raise KuleshovError(f"cannot write to {out}: {error.strerror}.") from None
    say(f"table: {out / 'associations.csv'}")
    _print_associations(found, len(data))
    return OK


def _print_associations(found: Any, people: int) -> None:
    from rich.table import Table

    terminal = make_console()
    tested = found[found["p"].notna()]
    sure = tested[tested["p_corrected"] < 0.05]
    terminal.print(
        f"{people} faces by {found['grouped_by'].iloc[0]}, {len(found)} pairs, {len(tested)} "
        f"tested, {len(sure)} with corrected p < .05 ({found['correction'].iloc[0]})"
    )
    for reason, count in found["unanswered"].dropna().value_counts().head(5).items():
        terminal.print(f"  not tested, {reason}: {count}")
    if tested.empty:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("context", "outcome", "n", "estimate", "95% interval", "p", "corrected"):
        table.add_column(name, justify="left" if name in ("context", "outcome") else "right")
    strongest = tested.reindex(tested["estimate"].abs().sort_values(ascending=False).index)
    for row in strongest.head(SHOWN).itertuples():
        table.add_row(
            row.context,
            row.outcome + ("*" if row.shares_context else ""),
            str(row.n),
            f"{row.estimate:+.2f}",
            f"{row.ci_low:+.2f} to {row.ci_high:+.2f}",
            f"{row.p:.3f}",
            f"{row.p_corrected:.3f}",
        )
    terminal.print(table)
    if tested["shares_context"].any():
        terminal.print("* this reading has seen the context: the model itself makes part of it")
