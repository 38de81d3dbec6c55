"""Who looks at the page: visits, their readings, and the events that their pages listen to."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kuleshov.apps.web.job_queue import BusyError, Job, JobQueue
from kuleshov.apps.web.open_readings import Reading
from kuleshov.apps.web.uploads import Folders

COOKIE = "kuleshov"
GRACE_S = 120.0  # from the last page that closed to the end of its visit
MOST, MOST_OF_ONE = 1000, 64  # visits at once, of all and of one address
MOST_READINGS = 16  # of one visit; the oldest goes when one more comes
MOST_EVENTS = 2000  # for a page that does not fetch them; then words are left out

Event = tuple[str, dict[str, Any]]


@dataclass(eq=False)
class Visit:
    """One browser's visit: its uploads, readings and jobs. `id` is the secret in the cookie."""

    id: str
    user: str | None
    owner: str  # whose turn it is in the line: a user's, else that of an address
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


class Visits:
    """All visits. Events come from the worker's thread and are handed to the pages' loop."""

    def __init__(
        self, folders: Folders, line: JobQueue, idle_s: float, close: Callable[[Reading], None]
    ) -> None:
        self.folders, self.line, self.idle_s, self.close_reading = folders, line, idle_s, close
        self.loop: asyncio.AbstractEventLoop | None = None
        self._all: dict[str, Visit] = {}
        self._lock = threading.RLock()

    def find(self, id: str | None, user: str | None) -> Visit | None:
        """The visit of this cookie and user; None where there is none any more."""
        visit = self._all.get(id or "")
        if visit is None or visit.user != user:
            return None
        return visit

    def begin(self, user: str | None, owner: str) -> Visit:
        """A new visit.

        Raises:
            BusyError: so many of this owner are open and looked at that there is no room.
        """
        visit = Visit(secrets.token_urlsafe(32), user, owner)
        with self._lock:
            own = [other for other in self._all.values() if other.owner == owner]
            if len(own) >= MOST_OF_ONE:
                idle = [other for other in own if not other.works and not other.pages]
                if not idle:
                    raise BusyError(
                        f"{len(own)} pages are open from your address; close one of them."
                    )
                self.end(min(idle, key=lambda other: other.seen))
            if len(self._all) >= MOST:
                idle = [s for s in self._all.values() if not s.works and not s.pages]
                for old in sorted(idle, key=lambda s: s.seen)[: MOST // 10]:
                    self.end(old)
            self._all[visit.id] = visit
        return visit

    def use(self, visit: Visit) -> None:
        """Something is asked: the visit stays."""
        visit.used = visit.seen = time.monotonic()

    def folder(self, visit: Visit) -> Path:
        with self._lock:
            if visit.folder is None:
                visit.folder = self.folders.new()
            return visit.folder

    def add(self, visit: Visit, reading: Reading) -> None:
        """Keep a reading; the oldest that no other was made from goes when there are too many."""
        with self._lock:
            visit.readings[reading.id] = reading
            while len(visit.readings) > MOST_READINGS:
                self.drop(visit, next(iter(visit.readings)))

    def drop(self, visit: Visit, id: str) -> None:
        """Forget a reading, and its upload with the last reading of it."""
        with self._lock:
            gone = visit.readings.pop(id, None)
            if gone is not None:
                self.close_reading(gone)
            if gone is None or visit.folder is None:
                return
            folder = gone.path.parent
            if visit.folder in folder.parents and all(
                other.path.parent != folder for other in visit.readings.values()
            ):
                self.folders.remove(folder)

    def end(self, visit: Visit, why: str | None = None) -> None:
        """Stop its jobs, remove its folder, and tell pages that are still open."""
        with self._lock:
            if self._all.pop(visit.id, None) is None:
                return
            visit.over = True
        for job in list(visit.jobs.values()):
            self.line.cancel(job)
        self.publish(visit, "ended", {"sentence": why or "The session has ended."})
        if visit.folder is not None:
            self.folders.remove(visit.folder)
        for id in list(visit.readings):
            self.drop(visit, id)

    def sweep(self) -> None:
        """End what nobody looks at any more, and what was left open without use."""
        now = time.monotonic()
        for visit in list(self._all.values()):
            if visit.works:
                continue
            if visit.pages:
                visit.seen = now
            if now - visit.seen > GRACE_S:
                self.end(visit)
            elif now - visit.used > self.idle_s:
                self.end(
                    visit,
                    f"The session has ended after {self.idle_s / 60:g} minutes without use, and "
                    "what was uploaded is removed. Reload the page to begin anew.",
                )

    def close(self) -> None:
        for visit in list(self._all.values()):
            self.end(visit, "The server has been closed down.")

    @contextlib.contextmanager
    def listening(self, visit: Visit) -> Iterator[asyncio.Queue[Event]]:
        """A page's queue of events, as long as the page is open."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        visit.pages.add(queue)
        visit.seen = time.monotonic()
        try:
            yield queue
        finally:
            visit.pages.discard(queue)
            visit.seen = time.monotonic()

    def watch(self, visit: Visit, job: Job, kind: str, data: dict[str, Any]) -> None:
        result = {"result": job.result} if kind == "done" else {}
        self.publish(visit, kind, {"job": job.id, **data, **result})

    def publish(self, visit: Visit, kind: str, data: dict[str, Any]) -> None:
        """Tell all pages of the visit; from any thread."""
        if self.loop is None or self.loop.is_closed():
            return

        def deliver() -> None:
            for queue in visit.pages:
                if queue.qsize() < MOST_EVENTS or kind not in ("token", "progress"):
                    queue.put_nowait((kind, data))

        with contextlib.suppress(RuntimeError):  # the loop was closed just now
            self.loop.call_soon_threadsafe(deliver)
