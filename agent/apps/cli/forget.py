"""`kuleshov forget`: delete kept chats, and what killed runs left of pictures."""

from __future__ import annotations

import argparse
import sys

from kuleshov.apps.cli.options import Commands
from kuleshov.output.terminal import OK, say


def add_command(commands: Commands) -> None:
    forget = commands.add_parser(
        "forget",
        help="delete kept chats, typed lines and what killed runs left behind",
        description="Deletes the kept chats, the lines typed in them, and temporary folders that "
        "killed runs left behind. Records, tables and reports in folders that you named are yours "
        "and stay.",
    )
    forget.add_argument("--yes", action="store_true", help="do not ask")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.apps.chat import conversations
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.scratch import remove_left_behind

    kept = conversations.kept_files()
    if kept and not arguments.yes:
        if not sys.stdin.isatty():
            raise KuleshovError(f"chats in {kept[0].parent} would be deleted: say --yes.")
        say(f"Kept chats and typed lines lie in {kept[0].parent}.")
        sys.stderr.write("Delete them? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            say("Nothing was deleted.")
            return OK
    for path in kept:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise KuleshovError(f"{path} cannot be deleted: {error.strerror}.") from None
    left = remove_left_behind()
    told = [f"{len(kept)} files of chats in {kept[0].parent}"] if kept else []
    told += [f"{len(left)} temporary folder{'s'[: len(left) != 1]} of killed runs"] if left else []
    say(f"Deleted: {' and '.join(told)}." if told else "Nothing was kept.")
    return OK
