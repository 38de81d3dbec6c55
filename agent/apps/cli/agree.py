"""`kuleshov agree`: do two toolboxes agree, or a model's words with what was measured?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, make_console, say

if TYPE_CHECKING:
    from kuleshov.studies.agreement import Agreement

NUMBERS = ("n", "value", "ICC", "AC1")


def add_command(commands: Commands) -> None:
    agree = commands.add_parser(
        "agree", help="agreement of two toolboxes, or of a model's words with measured units"
    )
    agree.add_argument(
        "a",
        metavar="A",
        help="a result file, FORMAT:FILE, or records (.jsonl); records alone compare the units "
        "that explanations name with those measured",
    )
    agree.add_argument("b", metavar="B", nargs="?", help="another toolbox's file")
    agree.add_argument(
        "--codes",
        metavar="FILE.csv",
        help="people's codes (media, variable, code; person, coder): agreement of coded variables",
    )
    agree.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.studies import agreement
    from kuleshov.tools.errors import KuleshovError

    if arguments.codes:
        return _with_people(arguments)
    if arguments.b is None:
        if not arguments.a.endswith(".jsonl") or not Path(arguments.a).is_file():
            raise KuleshovError(
                "give two result files, or one file of records (.jsonl, from infer --json)."
            )
        said, seen = agreement.words_and_units(agreement.read_records(Path(arguments.a)))
        result = agreement.measure_agreement(said, seen, ("words", "units measured"))
    else:
        (name_a, a), (name_b, b) = (
            agreement.read_sightings(arguments.a),
            agreement.read_sightings(arguments.b),
        )
        if name_a == name_b:
            name_a, name_b = f"{name_a} (A)", f"{name_b} (B)"
        result = agreement.measure_agreement(a, b, (name_a, name_b))
    if arguments.json:
        sys.stdout.write(result.model_dump_json() + "\n")
    else:
        _print_agreement(result)
    return OK


def _with_people(arguments: argparse.Namespace) -> int:
    from kuleshov.studies import agreement, agreement_tables, reliability
    from kuleshov.tools.errors import KuleshovError

    if arguments.b is not None or not Path(arguments.a).is_file():
        raise KuleshovError("with --codes give one file of records (.jsonl, from code --json).")
    notes: list[str] = []
    human = reliability.read_human(arguments.codes, notes)
    for note in notes:
        say(f"kuleshov: {note}")
    rows = reliability.with_people(agreement.read_records(Path(arguments.a)), human)
    if arguments.json:
        sys.stdout.write(json.dumps([row.model_dump() for row in rows]) + "\n")
    else:
        agreement_tables.with_people(rows, make_console())
    return OK


def _print_agreement(result: Agreement) -> None:
    from rich.table import Table

    from kuleshov.tools.faces import facs

    out = make_console()
    out.print(
        f"{result.a} × {result.b}: {result.pairs} faces in common; without partner: "
        f"{result.unmatched_a} of {result.a}, {result.unmatched_b} of {result.b}"
    )
    words = result.a == "words"
    units = Table(box=None, pad_edge=False)
    for column in (
        "unit",
        "",
        "n",
        "statistic",
        "value",
        "ICC",
        "AC1",
        *(("P", "R", "F1") if words else ()),
    ):
        units.add_column(column, justify="right" if column in NUMBERS else "left")
    for unit in result.units:
        value = f"{unit.value:+.2f}" if unit.value is not None else f"– ({unit.why})"
        row = [f"AU{unit.unit}", facs.unit_name(unit.unit), str(unit.n)]
        row += ["r" if unit.statistic == "r" else "κ", value]
        row += [_format_number(unit.icc), _format_number(unit.ac1)]
        if words:
            row += [
                _format_number(unit.precision),
                _format_number(unit.recall),
                _format_number(unit.f1),
            ]
        units.add_row(*row)
    out.print(units)
    if words:
        out.print(
            f"all units: precision {_format_number(result.precision)}, recall "
            f"{_format_number(result.recall)}, "
            f"F1 {_format_number(result.f1)}, κ {_format_number(result.kappa)}, AC1 "
            f"{_format_number(result.ac1)}"
        )
        out.print("With measured units in the prompt this measures copying.")
    if result.confusion:
        columns = sorted({label for row in result.confusion.values() for label in row})
        table = Table(title=f"expressions: {result.a} (rows) × {result.b}", title_justify="left")
        table.add_column("")
        for label in columns:
            table.add_column(label, justify="right")
        for label, counts in sorted(result.confusion.items()):
            table.add_row(label, *(str(counts.get(column, 0)) for column in columns))
        out.print(table)
        out.print(f"same expression: {_format_number(result.same_expression)}")


def _format_number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
