"""Who looks at the page: sessions, their readings, and the events that their pages listen to."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuleshov.web.folders import Folders
from kuleshov.web.line import Job, Line
from kuleshov.web.readings import Reading

COOKIE = "kuleshov"
GRACE_S = 120.0  # from the last page that closed to the end of its session
MOST = 1000
MOST_READINGS = 16  # of one session; the oldest goes when one more comes
MOST_EVENTS = 2000  # for a page that does not fetch them; then words are left out

Event = tuple[str, dict[str, Any]]


@dataclass(eq=False)
class Session:
    """One browser's visit: its uploads, readings and jobs. `id` is the secret in the cookie."""

    id: str
    user: str | None
    readings: dict[str, Reading] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    pages: set[asyncio.Queue[Event]] = field(default_factory=set)
    folder: Path | None = None
    seen: float = field(default_factory=time.monotonic)  # a page was open or something was asked
    used: float = field(default_factory=time.monotonic)  # something was asked
    count: int = 0
    over: bool = False

    @property
    def works(self) -> bool:
        return any(job.state in ("waiting", "running") for job in self.jobs.values())


class Sessions:
    """All sessions. Events come from the worker's thread and are handed to the pages' loop."""

    def __init__(self, folders: Folders, line: Line, idle_s: float) -> None:
        self.folders, self.line, self.idle_s = folders, line, idle_s
        self.loop: asyncio.AbstractEventLoop | None = None
        self._all: dict[str, Session] = {}
        self._lock = threading.RLock()

    def find(self, id: str | None, user: str | None) -> Session | None:
        """The session of this cookie and user; None where there is none any more."""
        session = self._all.get(id or "")
        if session is None or session.user != user:
            return None
        return session

    def begin(self, user: str | None) -> Session:
        session = Session(secrets.token_urlsafe(32), user)
        with self._lock:
            if len(self._all) >= MOST:
                idle = [s for s in self._all.values() if not s.works and not s.pages]
                for old in sorted(idle, key=lambda s: s.seen)[: MOST // 10]:
                    self.end(old)
            self._all[session.id] = session
        return session

    def use(self, session: Session) -> None:
        """Something is asked: the session stays."""
        session.used = session.seen = time.monotonic()

    def folder(self, session: Session) -> Path:
        with self._lock:
            if session.folder is None:
                session.folder = self.folders.new()
            return session.folder

    def add(self, session: Session, reading: Reading) -> None:
        """Keep a reading; the oldest that no other was made from goes when there are too many."""
        with self._lock:
            session.readings[reading.id] = reading
            while len(session.readings) > MOST_READINGS:
                self.drop(session, next(iter(session.readings)))

    def drop(self, session: Session, id: str) -> None:
        """Forget a reading, and its upload with the last reading of it."""
        with self._lock:
            gone = session.readings.pop(id, None)
            if gone is None or session.folder is None:
                return
            folder = gone.path.parent
            if session.folder in folder.parents and all(
                other.path.parent != folder for other in session.readings.values()
            ):
                self.folders.remove(folder)

    def end(self, session: Session, why: str | None = None) -> None:
        """Stop its jobs, remove its folder, and tell pages that are still open."""
        with self._lock:
            if self._all.pop(session.id, None) is None:
                return
            session.over = True
        for job in list(session.jobs.values()):
            self.line.cancel(job)
        self.publish(session, "ended", {"sentence": why or "The session has ended."})
        if session.folder is not None:
            self.folders.remove(session.folder)
        session.readings.clear()

    def sweep(self) -> None:
        """End what nobody looks at any more, and what was left open without use."""
        now = time.monotonic()
        for session in list(self._all.values()):
            if session.works:
                continue
            if session.pages:
                session.seen = now
            if now - session.seen > GRACE_S:
                self.end(session)
            elif now - session.used > self.idle_s:
                self.end(
                    session,
                    f"The session has ended after {self.idle_s / 60:g} minutes without use, and "
                    "what was uploaded is removed. Reload the page to begin anew.",
                )

    def close(self) -> None:
        for session in list(self._all.values()):
            self.end(session, "The server has been closed down.")

    @contextlib.contextmanager
    def listening(self, session: Session) -> Iterator[asyncio.Queue[Event]]:
        """A page's queue of events, as long as the page is open."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        session.pages.add(queue)
        session.seen = time.monotonic()
        try:
            yield queue
        finally:
            session.pages.discard(queue)
            session.seen = time.monotonic()

    def watch(self, session: Session, job: Job, kind: str, data: dict[str, Any]) -> None:
        result = {"result": job.result} if kind == "done" else {}
        self.publish(session, kind, {"job": job.id, **data, **result})

    def publish(self, session: Session, kind: str, data: dict[str, Any]) -> None:
        """Tell all pages of the session; from any thread."""
        if self.loop is None or self.loop.is_closed():
            return

        def deliver() -> None:
            for queue in session.pages:
                if queue.qsize() < MOST_EVENTS or kind not in ("token", "progress"):
                    queue.put_nowait((kind, data))

        with contextlib.suppress(RuntimeError):  # the loop was closed just now
            self.loop.call_soon_threadsafe(deliver)
