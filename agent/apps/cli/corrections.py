"""`kuleshov corrections`: where people disagree with a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, make_console


def add_command(commands: Commands) -> None:
    corrections = commands.add_parser(
        "corrections", help="compare a run with people: Krippendorff's alpha, confusion, cases"
    )
    corrections.add_argument("run", metavar="RUN/")
    corrections.add_argument(
        "file",
        nargs="?",
        metavar="EXPORT.json",
        help="Label Studio's JSON export of corrected tasks; without it the manifest's labels",
    )
    corrections.add_argument(
        "--epsilon",
        type=float,
        default=0.1,
        metavar="0-1",
        help="what the machine's lower cost is worth in the alternative annotator test: .2 beside "
        "experts, .15 beside trained annotators, .1 (default) beside crowd workers",
    )
    corrections.add_argument("--json", action="store_true", help="JSON on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.output.exports import label_studio
    from kuleshov.runs import store
    from kuleshov.studies import corrections as people

    store.read_description(arguments.run)
    folder = Path(arguments.run)
    said: Any
    skipped: Counter[str] = Counter()
    if arguments.file:
        shown = label_studio.regions_of(folder)
        said = label_studio.read_corrections(Path(arguments.file), shown, skipped)
    else:
        said = people.manifest_labels(folder)
    found = people.compare_run(folder, said, epsilon=arguments.epsilon)
    if arguments.json:
        sys.stdout.write(
            json.dumps({**found.to_dict(), "skipped": dict(skipped)}, ensure_ascii=False) + "\n"
        )
    else:
        _show_agreement(found, make_console())
        for why, count in skipped.items():
            make_console().print(f"left out, {count:,} times: {why}", markup=False)
    return OK


def _show_agreement(found: Any, terminal: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    terminal.print(
        f"{found.people:,} people, {found.annotators} annotator"
        f"{'s' if found.annotators > 1 else ''}: machine and people agree in "
        f"{100 * found.agree:.1f} % of the answers"
    )
    for name, alpha in (
        ("machine and people", found.alpha),
        ("people alone", found.alpha_people),
    ):
        told = "not defined" if alpha is None else f"{alpha:.3f}"
        terminal.print(f"Krippendorff's alpha, {name}: {told}")
    if found.alternative is not None:
        _show_alternative(found.alternative, terminal)
    if found.taken_away:
        terminal.print(f"{found.taken_away:,} boxes were taken away by people")
    if found.without_label:
        terminal.print(f"{found.without_label:,} answers are none (no label, or unknown)")
    for word, where in found.unread.items():
        named = ", ".join(where[:3]) + (" …" if len(where) > 3 else "")
        terminal.print(
            escape(f"{word!r} is not in the run's label set, {len(where):,} times: {named}")
        )
    table = Table(title="rows: people, columns: machine", title_justify="left")
    table.add_column("")
    for label in found.labels:
        table.add_column(escape(label), justify="right")
    for label, row in zip(found.labels, found.confusion, strict=True):
        table.add_row(escape(label), *(str(count) if count else "·" for count in row))
    terminal.print(table)
    for case in found.disagreements[:10]:
        said = ", ".join(f"{who}: {label}" for who, label in case["people"].items())
        terminal.print(
            escape(f"  {case['item']}, person {case['person']}: machine {case['machine']}; {said}")
        )


def _show_alternative(found: Any, terminal: Any) -> None:
    from kuleshov.studies.alternative_annotator import LEAST_ITEMS

    name = "alternative annotator test (Calderon et al. 2025)"
    short = [one for one in found.annotators if one.won is None]
    if found.winning_rate is None:
        terminal.print(f"{name}: not done, no annotator shares {LEAST_ITEMS} answers with another")
        return
    verdict = "could" if found.passes else "could not"
    tested = len(found.annotators) - len(short)
    terminal.print(
        f"{name}: the machine {verdict} stand in for one of them: it holds against "
        f"{found.winning_rate:.0%} of {tested} annotators (from 50 % on it passes) and is as good "
        f"as the one left out in {found.advantage:.0%} of the answers, epsilon {found.epsilon:g}"
    )
    if short:
        terminal.print(
            f"left out of it, with fewer than {LEAST_ITEMS} shared answers: {len(short)} annotators"
        )
