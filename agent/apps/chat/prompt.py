"""Lines typed in a terminal: history, several lines, completion (prompt_toolkit)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings

from kuleshov.apps.chat.chat import COMMANDS
from kuleshov.output import view
from kuleshov.tools.labels import shipped_label_sets

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyPressEvent

    from kuleshov.apps.chat.chat import Chat

PATHS = ("open", "compare", "examples", "save")


class SlashCompleter(Completer):
    """Commands after a slash; then paths, label sets and people, as the command takes them."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/"):
            return
        name, space, rest = text[1:].partition(" ")
        if not space:
            for command, known in COMMANDS.items():
                if command.startswith(name):
                    yield Completion(f"/{command}", -len(text), display_meta=known.help)
        elif name in PATHS:
            yield from self._paths.get_completions(Document(rest), event)
        else:
            for word in self._words(name):
                if word.startswith(rest):
                    yield Completion(word, -len(rest))

    def _words(self, name: str) -> list[str]:
        if name == "labels":
            return list(shipped_label_sets())
        if name == "person" and self.chat.session is not None:
            return [*(str(person.id) for person in self.chat.session.current.people), "all"]
        return []


def read_lines(chat: Chat, history: Path | None) -> Iterator[str]:
    """What is typed, line by line, until /quit, Ctrl-D or a closed terminal.

    Args: history: the file that typed lines are kept in; None keeps them for this run only.
    """
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    kept: Any = InMemoryHistory() if history is None else FileHistory(str(history))
    prompt: PromptSession[str] = PromptSession(
        history=kept,
        completer=SlashCompleter(chat),
        complete_while_typing=False,
        key_bindings=keys,
        multiline=True,
        prompt_continuation="  … ",
    )
    while not chat.over:
        try:
            yield prompt.prompt(f"{prompt_label(chat)}> ")
        except KeyboardInterrupt:
            chat.shown.wrapped("(/quit or Ctrl-D leaves)", style="dim")
        except (EOFError, OSError):  # Ctrl-D, or the terminal is gone
            return


def prompt_label(chat: Chat) -> str:
    """What is spoken of: the file, the person, and whether something is supposed."""
    if chat.session is None:
        return "kuleshov"
    told = view.media_title(chat.session.current.media)
    if chat.session.person is not None and len(chat.session.current.people) > 1:
        told += f", person {chat.session.person.id}"
    return told + (", supposed" if chat.session.supposing else "")
