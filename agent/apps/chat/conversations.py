"""Conversations that are kept, through LangGraph's SQLite checkpointer, on this machine only.

A conversation is a thread of the checkpointer. Its state is plain values: the path, a title, and
what `Session.plain` gives; no pixels. Only the latest state of each conversation is kept.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from kuleshov.tools.errors import KuleshovError, shorten_text
from kuleshov.tools.home import expand_path
from kuleshov.tools.structured_text import parse_count

FOLDER = "KULESHOV_DATA"
FILE = "conversations.sqlite"
HISTORY = "lines"  # typed in a terminal


class _State(TypedDict, total=False):
    path: str
    title: str
    at: float
    session: dict[str, Any]


@dataclass(frozen=True)
class KeptConversation:
    """A conversation that can be continued. `at`: seconds since 1970, of its last turn."""

    id: str
    path: str
    title: str
    at: float
    session: dict[str, Any]


def conversation_folder() -> Path:
    """Where conversations and typed lines are kept: `KULESHOV_DATA`, or the user's data folder.

    Raises:
        KuleshovError: the user has none.
    """
    from platformdirs import user_data_path

    chosen = os.environ.get(FOLDER)
    if chosen:
        return expand_path(chosen)
    try:
        return user_data_path("kuleshov", appauthor=False)
    except (RuntimeError, KeyError):  # neither a home nor an entry in the list of users
        raise KuleshovError(
            "conversations cannot be kept, for there is no home folder here; choose a folder with "
            f"{FOLDER}, or use --private."
        ) from None


def kept_files() -> list[Path]:
    """All files of conversations and typed lines that there are; none where there is no folder."""
    try:
        where = conversation_folder()
    except KuleshovError:
        return []
    names = (FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", HISTORY)
    return [where / name for name in names if (where / name).is_file()]


class Memory:
    """The conversations of one folder; several programs may use it at once."""

    def __init__(self, where: Path | None = None) -> None:
        """Raises KuleshovError where the folder cannot be written."""
        self.where = where or conversation_folder()
        self.damaged: list[str] = []
        try:
            self.where.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.where / FILE
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
            self.saver = SqliteSaver(self._connection)
            self.saver.setup()
        except (OSError, sqlite3.Error) as error:
            why = shorten_text(getattr(error, "strerror", None) or str(error))
            raise KuleshovError(
                f"conversations cannot be kept in {self.where} ({why}); choose another folder "
                f"with {FOLDER}, or use --private."
            ) from None
        plan = StateGraph(_State)
        plan.add_node("turn", lambda state: {})
        plan.add_edge(START, "turn")
        plan.add_edge("turn", END)
        self._graph = plan.compile(checkpointer=self.saver)

    @staticmethod
    def new() -> str:
        """The id of a conversation that begins."""
        return uuid.uuid4().hex[:12]

    def keep(self, id: str, path: str, title: str, session: dict[str, Any]) -> None:
        """Keep the state after a turn. Raises KuleshovError where it cannot be written."""
        state = {"path": path, "title": title, "at": time.time(), "session": session}
        try:
            kept = self._graph.update_state(
                {"configurable": {"thread_id": id}}, state, as_node="turn"
            )
            last = kept["configurable"]["checkpoint_id"]
            # each checkpoint holds the whole conversation: the earlier ones only take room
            with self.saver.cursor() as cursor:
                for table in ("checkpoints", "writes"):
                    cursor.execute(
                        f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id <> ?",
                        (id, last),
                    )
        except sqlite3.Error as error:
            raise self._unusable("this turn was not kept", error) from None

    def listing(self) -> list[KeptConversation]:
        """All conversations, the latest first; those that are damaged go to `damaged`.

        Raises:
            KuleshovError: the file cannot be read.
        """
        found, self.damaged = [], []
        try:
            with self.saver.cursor(transaction=False) as cursor:
                rows = cursor.execute("SELECT DISTINCT thread_id FROM checkpoints").fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._unusable("the conversations cannot be read", error) from None
        for (name,) in rows:
            values = self._state_of(name)
            if values is None:
                self.damaged.append(shorten_text(str(name)))
            else:
                found.append(KeptConversation(str(name), **values))
        return sorted(found, key=lambda kept: -kept.at)

    def _state_of(self, name: Any) -> dict[str, Any] | None:
        """The latest state of a conversation; None: it cannot be read."""
        try:
            point = self.saver.get_tuple({"configurable": {"thread_id": name, "checkpoint_ns": ""}})
        except Exception:  # msgpack's, LangGraph's and SQLite's errors: its bytes are damaged
            return None
        return None if point is None else _kept_values(point.checkpoint.get("channel_values"))

    def _unusable(self, what: str, error: Exception) -> KuleshovError:
        return KuleshovError(
            f"{what}: {self.where / FILE} is locked or damaged ({shorten_text(str(error))}); where "
            "nobody else uses it, move it away to begin a new one."
        )

    def find(self, name: str) -> KeptConversation:
        """By its place in `listing` (1 is the latest) or its id. KuleshovError if there is none."""
        found = self.listing()
        place = parse_count(name)
        if place is not None and 1 <= place <= len(found):
            return found[place - 1]
        for kept in found:
            if kept.id == name:
                return kept
        raise KuleshovError(
            f"there is no conversation {shorten_text(name)!r}: `kuleshov chat --resume` lists them."
        )

    def forget(self, id: str) -> None:
        """Delete a conversation. Raises KuleshovError where the file cannot be written."""
        try:
            self.saver.delete_thread(id)
        except sqlite3.Error as error:
            raise self._unusable("the conversation was not deleted", error) from None

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _kept_values(state: Any) -> dict[str, Any] | None:
    """What a checkpoint says, if it is one of a conversation."""
    kinds: dict[str, Any] = {"path": str, "title": str, "at": (int, float), "session": dict}
    if not isinstance(state, dict):
        return None
    whole = all(isinstance(state.get(name), kind) for name, kind in kinds.items())
    return {name: state[name] for name in kinds} if whole else None
