"""`kuleshov bench NAME`: speed as ratios within one run; how well a context alone is read."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli.options import Commands, find_command

OPTIONS = (
    "model", "table", "split", "question", "prompts", "labels", "device", "readings", "items",
)  # fmt: skip


def add_command(commands: Commands) -> None:
    bench = commands.add_parser("bench", help="measure speed as ratios, or readings")
    bench.add_argument(
        "name",
        help="start, agent, annotate, context, reasoning, faces, clips, long-life or "
        "context-reading",
    )
    bench.add_argument("--json", action="store_true", help="JSON on stdout")
    reading = bench.add_argument_group("of context-reading")
    reading.add_argument("--model", help="as for `infer`; pocket if not given")
    reading.add_argument(
        "--table",
        metavar="FILE",
        help="situations: isear.tsv, event2mind_dev.tsv.gz, or columns label and situation; "
        "the shipped ones if not given",
    )
    reading.add_argument("--split", choices=("tune", "held", "all"), help="of the table (held)")
    reading.add_argument(
        "--question",
        choices=("own", "situation", "direct"),
        help="own: as the model is asked in a reading (default); direct: the labels listed; "
        "situation: none listed",
    )
    reading.add_argument("--prompts", choices=("auto", "brief", "full", "review"))
    reading.add_argument("--labels", help="what the table is labelled with (ekman-7)")
    reading.add_argument("--device", help="as for `infer`")
    life = bench.add_argument_group("of long-life")
    life.add_argument("--readings", type=int, metavar="N", help="requests to the server (1000)")
    life.add_argument("--items", type=int, metavar="N", help="pictures to annotate (10000)")


def run_command(arguments: argparse.Namespace) -> int:
    given = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    return int(find_command("bench")(arguments.name, as_json=arguments.json, **given))
