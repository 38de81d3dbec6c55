"""Jobs of the HTTP API: lined up, asked for by their id, forgotten after a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kuleshov.apps.web import readings
from kuleshov.apps.web.job_queue import Job, JobQueue
from kuleshov.apps.web.readings import Agents, Wish
from kuleshov.apps.web.uploads import Folders
from kuleshov.tools.errors import KuleshovError

KEPT_S = 3600.0  # a record that nobody has fetched
MOST_KEPT = 1000


class Jobs:
    """By id. An upload is removed as soon as it has been read."""

    def __init__(self, agents: Agents, line: JobQueue, folders: Folders) -> None:
        self.agents, self.line, self.folders = agents, line, folders
        self._all: dict[str, tuple[Job, str | None]] = {}
        self._lock = threading.Lock()

    def join(
        self,
        owner: str,
        user: str | None,
        folder: Path,
        path: Path,
        name: str,
        wish: Wish,
        ended: Callable[[], None] = lambda: None,
    ) -> Job:
        """Line up the reading of `path`; its `folder` is removed afterwards.

        Raises:
            BusyError: too many wait already.
        """

        def work(job: Job) -> Any:
            return readings.read_medium(self.agents, path, name, wish, job)

        def watch(job: Job, kind: str, data: dict[str, Any]) -> None:
            if kind in ("done", "failed", "stopped"):
                self.folders.remove(folder)
                ended()

        job = Job(owner, "infer", name, work, watch)
        try:
            self.line.join(job)
        except KuleshovError:
            self.folders.remove(folder)
            raise
        with self._lock:
            self._all[job.id] = job, user
            over = [id for id, (one, _) in self._all.items() if one.ended is not None]
            for id in over[:-MOST_KEPT]:
                del self._all[id]
        return job

    def find(self, id: str, user: str | None) -> Job | None:
        job, owner = self._all.get(id, (None, None))
        return job if owner == user else None

    def forget(self, job: Job) -> None:
        with self._lock:
            self._all.pop(job.id, None)

    def sweep(self) -> None:
        """Forget what has lain here for long."""
        now = time.monotonic()
        with self._lock:
            for id, (job, _) in list(self._all.items()):
                if job.ended is not None and now - job.ended > KEPT_S:
                    del self._all[id]
