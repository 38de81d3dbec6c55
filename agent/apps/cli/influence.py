"""`kuleshov influence`: how far the context moves the reading of a face."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli import infer
from kuleshov.apps.cli.options import Commands


def add_command(commands: Commands) -> None:
    command = commands.add_parser(
        "influence",
        help="read face alone, context alone and the two together, and how far they part",
    )
    infer.add_options(command)


def run_command(arguments: argparse.Namespace) -> int:
    arguments.influence = arguments.verbose = True
    return infer.run_command(arguments)
