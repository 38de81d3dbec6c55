"""`kuleshov demo`: the first look."""

from __future__ import annotations

import argparse

from kuleshov.commands.terminal import Commands, console, tell_settings


def add(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo", help="read two photographs and a clip with the bundled models, write a report"
    )
    demo.add_argument("--report", default="kuleshov-demo.html", metavar="FILE.html")
    demo.add_argument("--settings", metavar="FILE.toml", help="a settings file")


def run(arguments: argparse.Namespace) -> int:
    from kuleshov import demo

    tell_settings(arguments.settings)
    return demo.run(arguments.report, console(), arguments.settings)
