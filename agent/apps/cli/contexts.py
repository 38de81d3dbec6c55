"""`kuleshov contexts`: from a face back to the situation that it belongs in."""

from __future__ import annotations

import argparse
import sys

from kuleshov.apps.cli.options import Commands, add_choices, expand_patterns, load_agent
from kuleshov.output.terminal import FAILED, OK, USAGE, make_console, say


def add_command(commands: Commands) -> None:
    contexts = commands.add_parser(
        "contexts", help="in which of your candidate situations does each face belong?"
    )
    contexts.add_argument("paths", nargs="+", metavar="PATH", help="pictures, clips or globs")
    contexts.add_argument(
        "--candidates",
        required=True,
        metavar="FILE.toml",
        help="the situations: [[situation]] with name and text",
    )
    add_choices(contexts)
    contexts.add_argument("--json", action="store_true", help="one JSON record per line on stdout")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.asking.coding import candidates
    from kuleshov.output import card
    from kuleshov.tools.errors import KuleshovError

    situations = candidates.load_candidates(arguments.candidates)
    paths, failed = expand_patterns(arguments.paths)
    if not paths:
        return USAGE
    agent = load_agent(arguments)
    terminal = make_console()
    done = 0
    for path in paths:
        try:
            inference = agent.contexts(path, situations)
        except KuleshovError as error:
            say(f"kuleshov: {error}")
            failed += 1
            continue
        done += 1
        if arguments.json:
            sys.stdout.write(inference.to_json() + "\n")
            sys.stdout.flush()
        else:
            card.print_contexts(inference, terminal)
    if not done:
        return USAGE if len(paths) == 1 and failed == 1 else FAILED
    return FAILED if failed else OK
