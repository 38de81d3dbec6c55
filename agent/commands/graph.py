"""`kuleshov graph`: the agent's graph as Mermaid text."""

from __future__ import annotations

import argparse
import sys

from kuleshov.commands.terminal import OK, Commands


def add(commands: Commands) -> None:
    commands.add_parser("graph", help="print the agent's graph as Mermaid text")


def run(arguments: argparse.Namespace) -> int:
    from kuleshov import graph

    sys.stdout.write(graph.mermaid())
    return OK
