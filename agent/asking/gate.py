"""The gate: every call of the agent to its model passes here, and nowhere else.

So one rule holds for all of them: after a stop no call is made, one that is being answered is left
at its next word or layer, its words go to whoever listens, what it costs is counted for its
reading, and it is known whether the model answered at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from langgraph.config import get_config, get_stream_writer

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm import usage
from kuleshov.tools.mllm.base import Conversation, Generation, Mllm, MllmError
from kuleshov.tools.mllm.local import packing
from kuleshov.tools.stopping import STOPPED, StoppedError, heeding

__all__ = ["STOPPED", "StoppedError"]

LOOK_S = 0.1  # between looks at the stop while another thread asks for the same prior

log = logging.getLogger("kuleshov")


@dataclass
class ReadingRun:
    """One reading on its way: whether it is to stop, what it cost, whether the model answered."""

    stop: threading.Event | None = None
    usage: usage.Usage = field(default_factory=usage.Usage)
    answered: int = 0
    failure: Exception | None = None  # of the first call that failed
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def check_answered(self) -> None:
        """Raises the model's own sentence where it was asked and every call to it failed."""
        if self.failure is None or self.answered or self.stopped:
            return
        if isinstance(self.failure, KuleshovError):
            raise self.failure
        raise MllmError(error_sentence(self.failure)) from self.failure


_outside: ContextVar[ReadingRun | None] = ContextVar("kuleshov_reading_run", default=None)


@contextmanager
def reading_run(stop: threading.Event | None = None) -> Iterator[ReadingRun]:
    """What is asked within belongs to one run; for questions that no graph asks."""
    run = ReadingRun(stop)
    token = _outside.set(run)
    try:
        yield run
    finally:
        _outside.reset(token)


def current_run() -> ReadingRun | None:
    """The run that the caller works for: the graph's, else that of `reading_run`, else None."""
    try:
        # the graph's config reaches the threads of its nodes; two readings whose steps alternate
        # in one thread keep theirs apart
        found: ReadingRun | None = get_config().get("configurable", {}).get("run")
    except RuntimeError:  # no graph is running
        found = None
    return found if found is not None else _outside.get()


def stop_asked() -> bool:
    """Whether the user has asked to stop what the caller works for."""
    run = current_run()
    return run is not None and run.stopped


def check_stop() -> None:
    """Raises StoppedError once the user has asked to stop: it becomes the gap of the step."""
    if stop_asked():
        raise StoppedError


def heeding_stop() -> AbstractContextManager[None]:
    """What is computed within, such as faces, is left soon after a stop: StoppedError."""
    run = current_run()
    return heeding(run.stop if run is not None else None)


# ------------------------------------------------------------------------------- the calls


def generate_text(
    mllm: Mllm,
    talk: Conversation,
    *,
    step: str,
    person: int | None = None,
    on_token: Callable[[str], None] | None = None,
    **options: Any,
) -> Generation:
    """As `Mllm.generate`; its words also go to the graph's stream when somebody listens.

    Args:
        mllm: the model.
        talk: the conversation.
        step: for the stream: what is being asked for, and `person`: about whom.
        on_token: is given each piece as well.
        options: of `Mllm.generate`.

    Raises:
        StoppedError: before or while it is written.
        MllmError: as the model.
    """
    run = current_run()
    write = _stream_writer()
    hear: Callable[[str], None] | None = None
    if write is not None or on_token is not None or (run is not None and run.stop is not None):

        def hear(text: str) -> None:
            if run is not None and run.stopped:  # an answer that never ends can be stopped too
                raise StoppedError
            if write is not None:
                write({"token": text, "step": step, "person": person})
            if on_token is not None:
                on_token(text)

    with _counted_call(run):
        return mllm.generate(talk, on_token=hear, **options)


def score_answers(mllm: Mllm, talk: Conversation, answers: Sequence[str]) -> list[float]:
    """As `Mllm.score`. Raises StoppedError after a stop."""
    with _counted_call(current_run()):
        return mllm.score(talk, answers)


def score_many(mllm: Mllm, questions: Sequence[packing.Question]) -> list[list[float]]:
    """As `packing.score_many`; where the model packs nothing, the stop is seen between questions.

    Raises:
        StoppedError: after a stop.
    """
    if getattr(mllm, "score_many", None) is None:
        return [score_answers(mllm, talk, answers) for talk, answers in questions]
    with _counted_call(current_run()):
        return packing.score_many(mllm, questions)


def vision_features(mllm: Mllm, cuts: Sequence[Any]) -> Any:
    """Vision features of a model that offers them, a row a picture. StoppedError after a stop."""
    with _counted_call(current_run()):
        return mllm.features(cuts)  # type: ignore[attr-defined]


@contextmanager
def _counted_call(run: ReadingRun | None) -> Iterator[None]:
    if run is None:
        yield
        return
    if run.stopped:
        raise StoppedError
    try:
        with usage.meter_usage(run.usage), heeding(run.stop):
            yield
    except Exception as error:
        if run.stopped:  # whatever broke in the model when it was cut off
            raise StoppedError from error
        with run.lock:
            run.failure = run.failure or error
        raise
    with run.lock:
        run.answered += 1


def _stream_writer() -> Callable[[Any], None] | None:
    """Where the words of an answer go; None where nobody listens."""
    try:
        if not get_config().get("configurable", {}).get("streaming"):
            return None
    except RuntimeError:
        return None
    return get_stream_writer()


def error_sentence(error: Exception) -> str:
    """The first line of an error; what is not a tool's own sentence is named by its type."""
    if not isinstance(error, KuleshovError):
        log.debug("a step failed", exc_info=error)
    text = str(error).strip().splitlines()
    reason = text[0] if text else "failed without a message"
    return reason if isinstance(error, KuleshovError) else f"{type(error).__name__}: {reason}"


# ------------------------------------------------------------------------------- priors


@dataclass(frozen=True)
class PriorKey:
    """A question without content: how it is asked (or its text), the answers, the examples."""

    asked: str
    answers: tuple[str, ...]
    shots: tuple[str, ...] = ()


class Priors:
    """Log-likelihoods of the answers to questions without content; each is asked only once.

    No lock is held while the model is asked: a thread that waits for another's answer still
    notices a stop.
    """

    def __init__(self) -> None:
        self._known: dict[PriorKey, list[float]] = {}
        self._asked: set[PriorKey] = set()
        self._wake = threading.Condition()

    def find(
        self,
        keys: Sequence[PriorKey],
        ask: Callable[[list[PriorKey]], Sequence[list[float]]],
    ) -> list[list[float]]:
        """The log-likelihoods of each key; `ask` is given those that nobody has asked yet.

        Raises:
            StoppedError: after a stop, also while another reading asks.
        """
        while True:
            with self._wake:
                missing = [key for key in dict.fromkeys(keys) if key not in self._known]
                if not missing:
                    return [self._known[key] for key in keys]
                ours = self._asked.isdisjoint(missing)
                if ours:
                    self._asked.update(missing)
                else:
                    self._wake.wait(LOOK_S)
            if ours:
                self._ask(missing, ask)
            else:
                check_stop()

    def _ask(
        self, keys: list[PriorKey], ask: Callable[[list[PriorKey]], Sequence[list[float]]]
    ) -> None:
        found: Sequence[list[float]] = ()
        try:
            found = ask(keys)
        finally:  # after a failure the next one asks
            with self._wake:
                self._known.update(zip(keys, found, strict=False))
                self._asked.difference_update(keys)
                self._wake.notify_all()
