"""The command line: `kuleshov infer photo.jpg`, and what goes with it.

Results go to stdout, everything else to stderr. Exit codes: 0 all well, 1 some inputs failed,
2 usage. The commands are in `kuleshov.apps.cli`.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext

from kuleshov._version import __version__
from kuleshov.apps.cli import COMMANDS
from kuleshov.apps.cli.options import Commands
from kuleshov.apps.cli.parsing import PlainParser
from kuleshov.output.terminal import OK, USAGE, say
from kuleshov.tools.registry import PlugInError

SPINS = "10000"
"""How often an idle OpenMP thread of torch checks for work before it sleeps: about 0.1 ms in all.
With OpenMP's default of 300,000 on two cores, one of them used by another program, the demo's
clip takes 105 s instead of 17; on two idle cores both take 5 s."""


_terminated = False  # by SIGTERM: its exit code is 143, that of Ctrl-C 130


def build_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of all commands; of plug-ins, those that `argv` may mean.

    Raises:
        PlugInError: the command that `argv` names is a broken plug-in.
    """
    top = PlainParser(
        prog="kuleshov",
        description="Reads emotion from face and context with a local LLaVA and facial-expression "
        "toolboxes, and shows its evidence. Nothing leaves this machine.",
        epilog="First look, nothing downloaded:  kuleshov demo",
    )
    top.add_argument("--version", action="version", version=f"kuleshov {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks and library messages")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS.own.values():
        command.add_command(commands)
    wanted = next((word for word in argv if not word.startswith("-")), None)
    if wanted not in COMMANDS.own:
        _add_plug_ins(commands, wanted)
    return top


def _add_plug_ins(commands: Commands, wanted: str | None) -> None:
    """The commands of packages; of a broken one only who wants it hears."""
    for name in COMMANDS.plug_ins():
        try:
            with COMMANDS.telling_whose(name):
                COMMANDS[name].add_command(commands)
        except PlugInError:
            if name == wanted:
                raise


def main(argv: Sequence[str] | None = None) -> int:
    # else Python looks for garbage among all objects at exit, twice
    atexit.register(gc.freeze)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is loaded, which is later
    _end_on_sigterm()
    try:
        given = list(sys.argv[1:] if argv is None else argv)
        try:
            arguments = build_parser(given).parse_args(given)
        except PlugInError as error:
            say(f"kuleshov: {error}")
            return USAGE
        arguments.argv = given
        if not arguments.debug:
            _silence_libraries()
        return _run_command(arguments)
    except BrokenPipeError:
        # the reader of the pipe has gone; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt as stop:
        say(f"kuleshov: {str(stop) or 'interrupted.'}")
        return 143 if _terminated else 130


def _end_on_sigterm() -> None:
    """As Ctrl-C does: what is under way is put in order, and temporary files are removed."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: object) -> None:
    global _terminated
    _terminated = True
    signal.default_int_handler(number, None)


def _run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools.errors import KuleshovError

    name = arguments.command
    try:
        with nullcontext() if arguments.debug else COMMANDS.telling_whose(name):
            return int(COMMANDS.find(name).run_command(arguments))
    except KuleshovError as error:
        say(f"kuleshov: {error}")
        return USAGE


def _silence_libraries() -> None:
    """Keep the libraries' own messages and progress bars off the terminal."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


if __name__ == "__main__":
    raise SystemExit(main())
