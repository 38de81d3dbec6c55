"""`kuleshov demo`: the first look."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli.options import Commands, tell_settings
from kuleshov.output.terminal import make_console


def add_command(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo", help="read two photographs and a clip with the bundled models, write a report"
    )
    demo.add_argument(
        "--report",
        default="kuleshov-demo.html",
        metavar="FILE.html",
        help="where the report is written (default: kuleshov-demo.html)",
    )
    demo.add_argument("--settings", metavar="FILE.toml", help="a settings file")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.apps.cli import first_look

    tell_settings(arguments.settings)
    return first_look.show_demo(arguments.report, make_console(), arguments.settings)
