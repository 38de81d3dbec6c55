"""`kuleshov models`: what is here, what can be had, what the bundled ones are."""

from __future__ import annotations

import argparse
import json
import sys

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, make_console


def add_command(commands: Commands) -> None:
    models = commands.add_parser("models", help="list, suggest, download and explain models")
    what = models.add_subparsers(dest="what", metavar="ACTION")
    pull = what.add_parser("pull", help="download a model from the Hugging Face Hub")
    pull.add_argument("id", help="Hub id, e.g. llava-hf/llava-onevision-qwen2-0.5b-ov-hf")
    card = what.add_parser("card", help="print the model cards of the bundled models")
    card.add_argument("id", choices=["pocket"])
    suggest = what.add_parser("suggest", help="name a model for this machine, and why")
    suggest.add_argument("--device", help="cpu, cuda, cuda:1, mps (the best there is)")
    suggest.add_argument("--json", action="store_true", help="JSON on stdout")
    models.set_defaults(what="list")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools import mllm, pocket

    if arguments.what == "pull":
        sys.stdout.write(f"{mllm.pull_model(arguments.id)}\n")
        return OK
    if arguments.what == "suggest":
        return _suggest_model(arguments)
    if arguments.what == "card":
        for path in sorted((pocket.weights_folder() / "cards").glob("*.md")):
            sys.stdout.write(path.read_text("utf-8") + "\n")
        return OK
    from kuleshov.apps.cli import status_tables

    status_tables.print_models(mllm.list_models(), make_console())
    return OK


def _suggest_model(arguments: argparse.Namespace) -> int:
    from kuleshov.tools.mllm import suggestion

    found = suggestion.suggest_model(arguments.device)
    if arguments.json:
        sys.stdout.write(json.dumps(found.to_dict()) + "\n")
        return OK
    from rich.padding import Padding
    from rich.text import Text

    console = make_console()
    console.print(found.options, markup=False, highlight=False, soft_wrap=True)
    others = [f"{name}{'' if way == 'none' else f' ({way})'}" for name, way in found.others.items()]
    beside = [f"These fit as well: {', '.join(others)}."] if others else []
    for reason in (*found.reasons, *beside):
        console.print(Padding(Text(reason), (0, 0, 0, 2)))
    if not found.here:
        console.print(
            f"  It is not here: kuleshov models pull {found.model}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return OK
