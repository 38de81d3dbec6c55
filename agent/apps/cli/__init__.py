"""The commands of `kuleshov`, one module each, in the order of `kuleshov --help`.

A module `name` has `add_command(commands)`, which declares its options, and
`run_command(arguments)`, which does the work and returns the exit code. Heavy imports happen inside
`run_command`, so that `--help` answers at once. Packages add commands, modules of the same form, by
the entry-point group ``kuleshov.commands``.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any, Protocol

from kuleshov.tools.registry import COMMANDS as PLUG_INS
from kuleshov.tools.registry import Registry


class CommandModule(Protocol):
    """What a module of this package is, and what a plug-in of ``kuleshov.commands`` is."""

    def add_command(self, commands: Any) -> None:
        """Declare the command and its options by ``commands.add_parser``."""
        ...

    def run_command(self, arguments: argparse.Namespace) -> int:
        """Do the work; the exit code."""
        ...


class OwnCommand:
    """A module of this package as a command, imported when it is used."""

    def __init__(self, name: str) -> None:
        self.module = f"kuleshov.apps.cli.{name}"

    def add_command(self, commands: Any) -> None:
        importlib.import_module(self.module).add_command(commands)

    def run_command(self, arguments: argparse.Namespace) -> int:
        return int(importlib.import_module(self.module).run_command(arguments))


NAMES = (
    "demo",
    "infer",
    "chat",
    "influence",
    "contrast",
    "match",
    "annotate",
    "export",
    "corrections",
    "code",
    "contexts",
    "associations",
    "agree",
    "facs",
    "labels",
    "calibrate",
    "study",
    "integrate",
    "serve",
    "models",
    "doctor",
    "forget",
    "graph",
    "schema",
    "completion",
    "eval",
    "bench",
)

COMMANDS: Registry[CommandModule] = Registry(
    "command", {name: OwnCommand(name) for name in NAMES}, group=PLUG_INS
)
