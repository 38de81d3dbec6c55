"""`kuleshov graph`: the agent's graph as Mermaid text."""

from __future__ import annotations

import argparse
import sys

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK


def add_command(commands: Commands) -> None:
    commands.add_parser("graph", help="print the agent's graph as Mermaid text")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.graph import builder

    sys.stdout.write(builder.draw_mermaid())
    return OK
