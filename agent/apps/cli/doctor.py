"""`kuleshov doctor`: what is installed, what is missing, licences."""

from __future__ import annotations

import argparse
import json
import sys

from kuleshov.apps.cli.options import Commands, tell_settings
from kuleshov.output.terminal import OK, make_console


def add_command(commands: Commands) -> None:
    doctor = commands.add_parser("doctor", help="what is installed, what is missing, licences")
    doctor.add_argument("--json", action="store_true", help="JSON on stdout")
    doctor.add_argument("--settings", metavar="FILE.toml", help="a settings file")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.apps.cli import NAMES, status_tables
    from kuleshov.output.exports import FORMS
    from kuleshov.settings import Settings
    from kuleshov.tools import doctor
    from kuleshov.tools.registry import COMMANDS, EXPORTS

    tell_settings(arguments.settings)
    rows = doctor.doctor_rows(
        Settings.load(arguments.settings).paths, {EXPORTS: list(FORMS.own), COMMANDS: NAMES}
    )
    if arguments.json:
        sys.stdout.write(json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n")
    else:
        status_tables.print_doctor(rows, make_console())
        _tell_kept()
    return OK


def _tell_kept() -> None:
    """Where chats lie, and that nothing else is kept unasked."""
    from kuleshov.apps.chat import conversations

    kept = conversations.kept_files()
    lie = "No chats are kept"
    if kept:
        size = sum(path.stat().st_size for path in kept)
        lie = f"Chats and typed lines are kept in {kept[0].parent} ({size / 1e6:.1f} MB)"
    make_console().print(
        f"{lie}; `kuleshov forget` deletes them, and what killed runs left in the folder for "
        "temporary files. Records and reports are written only where a command is told to.",
        markup=False,
    )
