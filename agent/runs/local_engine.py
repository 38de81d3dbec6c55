"""The local engine: many graphs at once on one agent, one writer."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from kuleshov.inputs import items
from kuleshov.inputs.items import Work
from kuleshov.runs import fingerprints
from kuleshov.runs.fingerprints import Changes
from kuleshov.runs.store import RunDirectory
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.mllm.base import Mllm, ServerRefusedError
from kuleshov.types import Inference

PACE = (
    "allow_remote",
    "concurrency",
    "requests_per_minute",
    "price_in",
    "price_out",
    "server_timeout_s",
    "server_proxy",
)
"""Settings that change how fast a run is or what it costs, not what its records say."""

log = logging.getLogger("kuleshov")


class ReaderParts(Protocol):
    """The parts of an agent that a run looks at."""

    mllm: Mllm
    faces: FaceTool
    provenance: dict[str, Any]


class AgentReader(Protocol):
    """What a run asks of an agent, which stands on a floor above."""

    @property
    def crew(self) -> ReaderParts: ...

    def infer(
        self,
        source: Any,
        *,
        context: str | Sequence[str] = (),
        said: str | Sequence[str] = (),
        boxes: Sequence[Sequence[float]] = (),
    ) -> Inference: ...

    def with_model(self, mllm: Mllm) -> AgentReader: ...

    def again(self) -> Callable[[], AgentReader]: ...


@dataclass
class Progress:
    """How far a run is. `total` is None where the data set does not tell its length.

    changed: items that were done, and are no longer what they were then.
    """

    total: int | None
    done: int = 0
    failed: int = 0
    skipped: int = 0
    begun: float = field(default_factory=time.monotonic)
    last_failure: str | None = None
    notes: list[str] = field(default_factory=list)
    changed: Changes = field(default_factory=Changes)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    @property
    def rate(self) -> float:
        """Items a second in this session, those skipped left out."""
        return (self.done + self.failed) / max(self.seconds, 1e-9)

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None where that is not known."""
        if self.total is None or not self.done + self.failed:
            return None
        return max(0, self.total - self.skipped - self.done - self.failed) / self.rate


Watcher = Callable[[Progress], None]


@dataclass(frozen=True)
class ItemAnswer:
    """What became of one item: a line of JSON, or the reason why there is none.

    given: the item's fingerprint. passing: the cause of the failure may be gone next time.
    """

    work: Work
    line: str | None
    reason: str | None = None
    given: dict[str, Any] | None = None
    passing: bool = False


def plan_run(agent: AgentReader, source: Any, context: Sequence[str]) -> dict[str, Any]:
    """All that decides what the records of a run say."""
    provenance = dict(agent.crew.provenance)
    provenance.pop("settings_files", None)  # which file said it decides nothing: what it said does
    provenance["settings"] = {
        name: value for name, value in provenance["settings"].items() if name not in PACE
    }
    provenance["mllm"] = {
        name: value for name, value in provenance["mllm"].items() if name != "batch"
    }
    named = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "paths given by name"
    return {"input": named, "context": list(context), **provenance}


def read_one(agent: AgentReader, work: Work, context: Sequence[str]) -> ItemAnswer:
    """One item from its source to its line; whatever goes wrong with it is its failure.

    Raises:
        ServerRefusedError: what goes wrong is not the item's, and ends the run.
    """
    given = fingerprints.take_fingerprint(
        work
    )  # before it is read: what is edited meanwhile is noticed later

    def failure(reason: str, *, passing: bool = False) -> ItemAnswer:
        given["sha256"] = fingerprints.file_digest(work)
        return ItemAnswer(work, None, reason, given, passing)

    if work.problem is not None or work.source is None:
        return failure(work.problem or "there is nothing to read.")
    try:
        inference = agent.infer(
            work.source,
            context=[*context, *work.context],
            said=list(work.said),
            boxes=list(work.boxes),
        )
    except ServerRefusedError:
        raise
    except KuleshovError as error:
        return failure(str(error), passing=bool(getattr(error, "passing", False)))
    except Exception as error:  # one item's trouble is not the run's
        log.debug("item %s failed", work.key, exc_info=error)
        first = str(error).strip().splitlines()[:1]
        return failure(": ".join([type(error).__name__, *first]))
    passing = [gap for gap in inference.gaps if gap.passing]
    if passing:
        return failure(f"{passing[0].step}: {passing[0].reason}", passing=True)
    given["sha256"] = inference.media.sha256
    return ItemAnswer(work, line_of(work, inference), None, given)


def line_of(work: Work, inference: Inference) -> str:
    changes: dict[str, Any] = {"item": work.item}
    if inference.media.path is None and work.name:
        changes["media"] = inference.media.model_copy(update={"path": work.name})
    if work.notes:
        changes["warnings"] = (*inference.warnings, *work.notes)
    return inference.model_copy(update=changes).to_json()


def to_do(run: RunDirectory, found: Iterable[Work], progress: Progress) -> Iterator[Work]:
    """The items that are not done yet; an id that is used again becomes a failure.

    Those that are done and have changed since are counted in `progress.changed`.
    """
    for work in found:
        state = run.meet(work.key)
        if state == "again":
            work = items.repeated_item(work)
            state = run.meet(work.key)
        if state == "new":
            yield work
            continue
        progress.skipped += 1
        old = run.given(work.key) if state == "done" else None
        if old is not None:
            what, fresh = fingerprints.compare_fingerprints(old, work)
            if what:
                progress.changed.add(work.key, what)
            elif fresh is not None:
                run.note_given(fresh)


def take_out_changed(run: RunDirectory, found: Iterable[Work]) -> Changes:
    """Take the lines of changed items out of a run, so that they are done again."""
    looked = Progress(total=None)
    looked.changed = keys = _Keys()
    for _ in to_do(run, found, looked):
        pass  # what is new is done in its turn
    run.take_out(keys.all)
    return keys


class _Keys(Changes):
    """Changes with the key of every item."""

    def __init__(self) -> None:
        super().__init__()
        self.all: set[str] = set()

    def add(self, key: str, what: list[str]) -> None:
        super().add(key, what)
        self.all.add(key)


def store_answer(run: RunDirectory, answer: ItemAnswer, progress: Progress) -> None:
    work = answer.work
    if answer.line is not None:
        run.add(answer.line, answer.given)
        progress.done += 1
        return
    reason = answer.reason or "failed without a message"
    facts = {"passing": True} if answer.passing else {}
    run.fail(work.key, reason, answer.given, id=work.item.id, path=work.name, **facts)
    progress.failed += 1
    progress.last_failure = reason


def run_locally(
    agent: AgentReader,
    run: RunDirectory,
    found: Iterable[Work],
    progress: Progress,
    *,
    context: Sequence[str] = (),
    workers: int = 8,
    watch: Watcher | None = None,
) -> None:
    """Read the items with `workers` graphs at once; this thread alone writes.

    At most twice as many items as workers are in memory. A server that refuses everything ends
    the run with its own words: items that end are written, those not answered stay undone. An
    interruption (KeyboardInterrupt) lets the items in hand end and be written, then goes on; a
    second one does not wait.

    Raises:
        ServerRefusedError: see above.
    """
    left = to_do(run, found, progress)
    hands: set[Future[ItemAnswer | None]] = set()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="kuleshov")
    stop = threading.Event()
    refused: list[ServerRefusedError] = []

    def work_on(work: Work) -> ItemAnswer | None:
        if stop.is_set():
            return None
        try:
            return read_one(agent, work, context)
        except ServerRefusedError as error:
            stop.set()  # this item and those after it stay undone
            refused.append(error)
            return None

    def collect(timeout: float | None) -> None:
        finished, _ = wait(hands, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in finished:
            hands.discard(future)
            answer = future.result()
            if answer is not None:
                store_answer(run, answer, progress)
        if watch is not None:
            watch(progress)

    try:
        for work in left:
            if refused:
                break
            hands.add(pool.submit(work_on, work))
            while len(hands) >= 2 * workers:
                collect(0.5)
            if watch is not None and not progress.done:
                watch(progress)
        while hands:
            collect(0.5)
        if refused:
            raise refused[0]
    except KeyboardInterrupt:
        stop.set()
        while hands:
            collect(0.5)
        raise
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
