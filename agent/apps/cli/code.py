"""`kuleshov code`: the context of pictures and clips as coded variables."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from kuleshov.apps.cli.options import Commands, add_choices, expand_patterns, load_agent
from kuleshov.output.terminal import FAILED, OK, USAGE, make_console, say


def add_command(commands: Commands) -> None:
    code = commands.add_parser("code", help="code the context as variables with probabilities")
    code.add_argument("paths", nargs="+", metavar="PATH", help="pictures, clips or globs")
    add_choices(code)
    code.add_argument(
        "--said",
        action="append",
        default=[],
        metavar="TEXT",
        help="words that are heard; may be repeated",
    )
    code.add_argument("--json", action="store_true", help="one JSON record per line on stdout")
    code.add_argument(
        "--csv", metavar="FILE", help="long-format CSV, one row per option ('-' for stdout)"
    )
    code.add_argument(
        "--repeat",
        action="store_true",
        help="repeat with rephrased questions and report self-consistency",
    )
    code.add_argument(
        "--batch-calibration",
        action="store_true",
        help="divide categories and ordinals by their mean over the pictures given (at least 10, "
        "among which the answers are spread; Zhou et al. 2024); shown once all are coded",
    )


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.output import card, coded_table
    from kuleshov.studies import agreement_tables, batch_calibration, reliability
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.types import Inference

    paths, failed = expand_patterns(arguments.paths)
    if not paths:
        return USAGE
    # before the model is loaded: a table that cannot be written would cost all that was coded
    with ExitStack() as open_files:
        out = None
        if arguments.csv == "-":
            out = sys.stdout
        elif arguments.csv:
            out = open_files.enter_context(coded_table.open_csv(arguments.csv))
        agent = load_agent(arguments, **({} if arguments.scheme else {"scheme": "default"}))
        terminal = make_console(stderr=arguments.csv == "-" or arguments.json)
        repeats = reliability.Repeats()
        done = []

        def tell(inference: Inference) -> None:
            if arguments.json:
                sys.stdout.write(inference.to_json() + "\n")
                sys.stdout.flush()
            elif arguments.csv != "-":
                card.print_coded(inference, terminal)

        for path in paths:
            try:
                inference = agent.code(path, said=arguments.said)
                if arguments.repeat:
                    repeats.add(path, reliability.code_versions(agent, path, arguments.said))
            except KuleshovError as error:
                say(f"kuleshov: {error}")
                failed += 1
                continue
            done.append(inference)
            if not arguments.batch_calibration:
                tell(inference)
        if arguments.batch_calibration and done:
            try:
                done = batch_calibration.calibrate_batch(done)
            except KuleshovError as error:  # what was coded is told as it is
                say(f"kuleshov: {error} The answers are told without it.")
                failed += 1
            for inference in done:
                tell(inference)
        if out is not None:
            coded_table.write_long(done, out)
    if arguments.csv and arguments.csv != "-":
        say(f"table: {arguments.csv}")
    if arguments.repeat and done:
        assert agent.crew.scheme is not None
        agreement_tables.print_reliability(
            reliability.measure_reliability(repeats, agent.crew.scheme), terminal
        )
    if not done:
        return USAGE if len(paths) == 1 and failed == 1 else FAILED
    return FAILED if failed else OK
