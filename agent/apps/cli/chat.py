"""`kuleshov chat`: a conversation about a picture or clip."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from kuleshov.apps.cli.options import Commands, add_choices, add_words, given_words, load_agent
from kuleshov.output.terminal import FAILED, OK, make_console, say

if TYPE_CHECKING:
    from kuleshov.apps.chat.chat import Chat
    from kuleshov.apps.chat.conversations import KeptConversation, Memory

LIST = ""  # what --resume is without a name


def add_command(commands: Commands) -> None:
    chat = commands.add_parser(
        "chat",
        help="talk about a picture or clip: ask, suppose, compare",
        description="Reads PATH, then answers questions, judges again under a what-if and takes "
        "slash commands (/help). Lines may be piped in. Conversations are kept on this machine; "
        "KULESHOV_DATA names the folder.",
    )
    chat.add_argument("path", nargs="?", metavar="PATH", help="a picture or clip")
    add_words(chat)
    add_choices(chat)
    chat.add_argument(
        "--transcript",
        metavar="FILE",
        help="clips: what is said (.srt, .vtt, .TextGrid, .eaf, .cha, .txt …)",
    )
    chat.add_argument(
        "--resume",
        nargs="?",
        const=LIST,
        metavar="N",
        help="go on with conversation N, 1 being the latest; without N: list them",
    )
    chat.add_argument("--private", action="store_true", help="keep nothing of this conversation")
    chat.add_argument("--no-picture", action="store_true", help="never draw in the terminal")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.apps.chat import inline
    from kuleshov.tools.errors import KuleshovError

    if arguments.resume is not None and (arguments.private or arguments.path):
        other = "--private" if arguments.private else "a path"
        raise KuleshovError(f"--resume goes with neither a path nor --private; got {other}.")
    memory = None if arguments.private else _open_memory(resuming=arguments.resume is not None)
    kept = None
    if memory is not None and arguments.resume is not None:
        kept = _choose_conversation(memory, arguments.resume)
        if kept is None:
            return OK
    if arguments.path:
        from kuleshov.tools import media

        (arguments.path,) = media.expand_paths([arguments.path])
        media.check_medium(arguments.path)  # a mistake is told before a model is loaded
    chat = _begin_chat(arguments, memory)
    if sys.stdout.isatty() and not arguments.no_picture:
        chat.picture = inline.find_protocol()
    if kept is not None:
        chat.resume(kept)
    elif arguments.path:
        chat.open(arguments.path, **_given_situation(arguments))
    try:
        for line in _input_lines(chat, memory):
            chat.line(line)
            if chat.over:
                break
    finally:
        if memory is not None:
            memory.close()
    if sys.stdin.isatty():
        return OK
    return FAILED if chat.failed else OK


def _open_memory(*, resuming: bool) -> Memory | None:
    """Where the conversation is kept; None, and it is said, where there is no such place.

    Raises:
        KuleshovError: a place that the user chose, or a conversation to go on with, is not to be
            had.
    """
    from kuleshov.apps.chat.conversations import FOLDER, Memory
    from kuleshov.tools.errors import KuleshovError

    try:
        return Memory()
    except KuleshovError as error:
        if resuming or os.environ.get(FOLDER):
            raise
        say(f"kuleshov: {str(error).rstrip('.')}. This one is private: nothing of it is kept.")
        return None


def _begin_chat(arguments: argparse.Namespace, memory: Memory | None) -> Chat:
    from kuleshov.apps.chat.chat import Chat

    terminal = make_console()
    busy = terminal.status("loading the model …") if terminal.is_terminal else nullcontext()
    with busy:
        agent = load_agent(arguments)
    return Chat(agent, terminal, memory=memory)


def _given_situation(arguments: argparse.Namespace) -> dict[str, object]:
    """What the options say of the situation, as a session takes it."""
    from kuleshov.session.open_medium import Words

    told = given_words(arguments)
    known = Words(tuple(told["context"]), tuple(told["said"]), tuple(told["who"].items()))
    return {"words": known, "transcript": arguments.transcript}


def _input_lines(chat: Chat, memory: Memory | None) -> Iterator[str]:
    """Typed in a terminal, or piped: then each line is shown as it is taken."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        from kuleshov.apps.chat import prompt
        from kuleshov.apps.chat.conversations import HISTORY

        yield from prompt.read_lines(chat, memory.where / HISTORY if memory else None)
        return
    from kuleshov.output import view

    before: list[str] = []
    for raw in sys.stdin:
        line = raw.rstrip("\r\n")
        if line.endswith("\\"):
            before.append(line[:-1])
            continue
        whole = "\n".join([*before, line])
        before = []
        if whole.strip():
            chat.shown.wrapped(f"> {view.clean_line(whole)}", hang=2)
            yield whole
    if before:
        yield "\n".join(before)


def _choose_conversation(memory: Memory, name: str) -> KeptConversation | None:
    """The conversation that --resume names; without a name they are listed to choose from."""
    if name != LIST:
        return memory.find(name)
    from kuleshov.apps.chat.printer import ShownReading
    from kuleshov.output import view

    found = memory.listing()
    if memory.damaged:
        say(f"kuleshov: damaged, left out: {', '.join(memory.damaged)}.")
    if not found:
        say("kuleshov: no conversation is kept yet.")
        return None
    shown = ShownReading(make_console())
    for place, kept in enumerate(found, 1):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.at))
        asked = [step["asked"] for step in kept.session.get("steps", ())[1:]]
        last = f": {view.clean_line(asked[-1])}" if asked else ""
        turns = "1 turn" if len(asked) == 1 else f"{len(asked)} turns"
        shown.wrapped(f"{place:>3}  {when}  {view.clean_line(kept.title)}, {turns}{last}", hang=5)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        typed = input("Which one (Enter: none)? ").strip()
    except (EOFError, KeyboardInterrupt):
        return None
    return memory.find(typed) if typed else None
