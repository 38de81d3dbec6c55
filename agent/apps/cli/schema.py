"""`kuleshov schema`: the JSON schema of the record."""

from __future__ import annotations

import argparse
import json
import sys

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK


def add_command(commands: Commands) -> None:
    commands.add_parser("schema", help="print the JSON schema of the record")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.types import Inference

    sys.stdout.write(json.dumps(Inference.json_schema(), indent=2) + "\n")
    return OK
