"""The line in front of the model: whose turn it is, fair between those who wait.

Those who wait are served in turn, one job each, however many jobs one of them has lined up.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from kuleshov.asking.gate import STOPPED
from kuleshov.tools.errors import KuleshovError

State = Literal["waiting", "running", "done", "failed", "stopped"]
Work = Callable[["Job"], Any]
Watcher = Callable[["Job", str, dict[str, Any]], None]

MOST_OF_ONE = 16  # jobs of one owner, a user or an address, that may wait
MOST = 256  # jobs that may wait at all
MOST_TOLD = 400  # events kept for a page that comes back
PASSING = ("token", "progress", "place")  # events that mean nothing later
LONGEST_S = 900.0  # one job, where the server is not told otherwise

log = logging.getLogger("kuleshov")


class BusyError(KuleshovError):
    """The line is full: come back later."""


@dataclass(eq=False)
class Job:
    """Something that the model is to do for somebody.

    `told` is what has happened, in order, as (kind, data). `result` is what `work` returned.
    """

    owner: str
    kind: str
    title: str
    work: Work
    watch: Watcher
    about: str | None = None  # id of the reading that it is about
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: State = "waiting"
    stop: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    sentence: str | None = None
    late: bool = False  # stopped by the line, because it took too long
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ended: float | None = None  # time.monotonic()

    def tell(self, kind: str, **data: Any) -> None:
        """Something has happened; kinds in `PASSING` are not kept."""
        if kind not in PASSING and len(self.told) < MOST_TOLD:
            self.told.append((kind, data))
        try:
            self.watch(self, kind, data)
        except Exception:  # whoever watched has gone; the worker goes on
            log.debug("nobody watches %s", self.kind, exc_info=True)


class JobQueue:
    """One worker in front of the model, because the model answers one question at a time.

    A job that runs longer than `longest_s` seconds is stopped, as its user would stop it.
    """

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self.longest_s = longest_s
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: Job | None = None
        self._wake = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="kuleshov-line", daemon=True)
        self._thread.start()

    def join(self, job: Job) -> Job:
        """Line the job up.

        Raises:
            BusyError: too many wait already, of this owner or of all.
        """
        with self._wake:
            if not self._open:
                raise BusyError("the server is closing down.")
            own = self._waiting.get(job.owner, ())
            if len(own) >= MOST_OF_ONE:
                raise BusyError(
                    f"{len(own)} of your readings wait already; wait for one of them, or stop it."
                )
            if sum(map(len, self._waiting.values())) >= MOST:
                raise BusyError(f"{MOST} readings wait already; try again in a minute.")
            self._waiting.setdefault(job.owner, deque()).append(job)
            self._wake.notify_all()
        self._tell_places()
        return job

    def ahead(self, job: Job) -> int | None:
        """How many jobs come before this one, the running one among them; None: not waiting."""
        with self._wake:
            return self._ahead(job)

    def _ahead(self, job: Job) -> int | None:
        own = self._waiting.get(job.owner, deque())
        if job not in own:
            return None
        round_ = own.index(job)
        count = int(self._running is not None) + round_
        earlier = True  # those before the owner in the round have one turn more
        for owner, jobs in self._waiting.items():
            if owner == job.owner:
                earlier = False
                continue
            count += min(len(jobs), round_ + int(earlier))
        return count

    def cancel(self, job: Job) -> None:
        """Take it out of the line, or stop it where it runs: it ends at its next word or step."""
        with self._wake:
            own = self._waiting.get(job.owner)
            waited = own is not None and job in own
            if waited and own is not None:
                own.remove(job)
                if not own:
                    del self._waiting[job.owner]
        job.stop.set()
        if waited:
            self._end(job, "stopped", STOPPED)
            self._tell_places()
        elif job.state == "running":
            job.tell("stopping")

    @property
    def waiting(self) -> int:
        with self._wake:
            return sum(map(len, self._waiting.values()))

    @property
    def busy(self) -> bool:
        return self._running is not None

    def close(self, patience_s: float = 5.0) -> None:
        """Stop what runs, drop what waits, and wait a little for the worker to come to its end."""
        with self._wake:
            self._open = False
            left = list(itertools.chain.from_iterable(self._waiting.values()))
            self._waiting.clear()
            if self._running is not None:
                self._running.stop.set()
            self._wake.notify_all()
        for job in left:
            self._end(job, "stopped", "the server was closed down")
        self._thread.join(patience_s)

    # ------------------------------------------------------------------ the worker's thread

    def _serve(self) -> None:
        while True:
            with self._wake:
                while self._open and not self._waiting:
                    self._wake.wait()
                if not self._open:
                    return
                owner, jobs = self._waiting.popitem(last=False)
                job = jobs.popleft()
                if jobs:
                    self._waiting[owner] = jobs  # to the end of the round
                self._running = job
                job.state = "running"
            try:
                self._tell_places()
                job.tell("begun")
                self._do(job)
            finally:
                with self._wake:
                    self._running = None
                self._tell_places()

    def _do(self, job: Job) -> None:
        clock = threading.Timer(self.longest_s, _expire_job, [job])
        clock.daemon = True
        clock.start()
        try:
            result = job.work(job)
        except KuleshovError as error:
            if job.late:
                self._end(job, "failed", self._too_long())
            else:
                self._end(job, "stopped" if job.stop.is_set() else "failed", str(error))
        except Exception as error:  # one job's trouble is not the server's
            log.exception("job %s failed", job.kind)
            first = str(error).strip().splitlines()[:1]
            told = ": ".join([type(error).__name__, *first])
            self._end(job, "failed", f"something went wrong that should not have: {told}")
        else:
            if job.late:
                self._end(job, "failed", self._too_long())
            elif job.stop.is_set():
                self._end(job, "stopped", STOPPED)
            else:
                job.result = result
                self._end(job, "done", None)
        finally:
            clock.cancel()

    def _too_long(self) -> str:
        return (
            f"it took longer than the {self.longest_s / 60:.3g} minutes that one reading may take "
            "on this server (--job-minutes); give a shorter clip or fewer people."
        )

    def _end(self, job: Job, state: State, sentence: str | None) -> None:
        job.state, job.sentence, job.ended = state, sentence, time.monotonic()
        job.work = _ignore_job  # what it held on to, a file's folder for one, is let go
        job.tell(state, sentence=sentence)

    def _tell_places(self) -> None:
        with self._wake:
            places = [(job, self._ahead(job)) for jobs in self._waiting.values() for job in jobs]
        for job, ahead in places:
            job.tell("place", ahead=ahead)


def _expire_job(job: Job) -> None:
    job.late = not job.stop.is_set()
    job.stop.set()


def _ignore_job(job: Job) -> None:
    return None
