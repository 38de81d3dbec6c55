"""`kuleshov export`: a run directory in another form."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, say


def add_command(commands: Commands) -> None:
    export = commands.add_parser("export", help="write a run as CSV, Parquet and other forms")
    export.add_argument("run", metavar="RUN/", help="as `kuleshov annotate` leaves it")
    export.add_argument(
        "--to",
        required=True,
        help="Excel and SPSS: xlsx, csv; R and Python: csv, long (a row per variable), parquet, "
        "datasets (Hugging Face); "
        "Py-Feat: fex; ELAN, BORIS, video players: clips; a browser: html; people who correct: "
        "label-studio; or that of a plug-in",
    )
    export.add_argument("--out", metavar="PATH", help="file or folder (default: a file in RUN/)")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.output import exports

    for line in exports.export(arguments.run, arguments.to, arguments.out):
        say(line)
    return OK
