"""`kuleshov bench NAME`: speed as ratios within one run."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli.options import Commands, registered


def add(commands: Commands) -> None:
    bench = commands.add_parser("bench", help="measure speed as ratios within one run")
    bench.add_argument("name", help="start, agent, annotate, context, reasoning or faces")
    bench.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    return int(registered("bench")(arguments.name, as_json=arguments.json))
