"""`kuleshov bench NAME`: speed as ratios within one run."""

from __future__ import annotations

import argparse
from typing import Any

from kuleshov.commands.terminal import Commands


def add(commands: Commands) -> None:
    bench = commands.add_parser("bench", help="measure speed as ratios within one run")
    bench.add_argument("name", help="start, agent, annotate, context, reasoning or faces")
    bench.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    return int(_registered("bench")(arguments.name, as_json=arguments.json))


def _registered(command: str) -> Any:
    """A command of a floor above this one, registered as an entry point of the package."""
    from importlib.metadata import entry_points

    found = entry_points(group="kuleshov.commands", name=command)
    if not found:
        from kuleshov.tools.types import KuleshovError

        raise KuleshovError(f"{command} is not installed; run `pip install -e .` again.")
    return next(iter(found)).load()
