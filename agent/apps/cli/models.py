"""`kuleshov models`: what is here, what can be had, what the bundled ones are."""

from __future__ import annotations

import argparse
import sys

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, make_console


def add_command(commands: Commands) -> None:
    models = commands.add_parser("models", help="list, download and explain models")
    what = models.add_subparsers(dest="what", metavar="ACTION")
    pull = what.add_parser("pull", help="download a model from the Hugging Face Hub")
    pull.add_argument("id", help="Hub id, e.g. llava-hf/llava-onevision-qwen2-0.5b-ov-hf")
    card = what.add_parser("card", help="print the model cards of the bundled models")
    card.add_argument("id", choices=["pocket"])
    models.set_defaults(what="list")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools import mllm, pocket

    if arguments.what == "pull":
        sys.stdout.write(f"{mllm.pull_model(arguments.id)}\n")
        return OK
    if arguments.what == "card":
        for path in sorted((pocket.weights_folder() / "cards").glob("*.md")):
            sys.stdout.write(path.read_text("utf-8") + "\n")
        return OK
    from kuleshov.apps.cli import status_tables

    status_tables.print_models(mllm.list_models(), make_console())
    return OK
