"""Whether the user has asked to stop what is computed now: seen wherever something takes long.

Who may be stopped says so once (`heeding`); networks, pauses, programs and servers below look at
it between two layers, portions or looks. What is given to another thread takes it along
(`carried`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

from kuleshov.tools.errors import KuleshovError

STOPPED = "stopped by the user"
LOOK_S = 0.1  # between two looks while something else is waited for

_asked: ContextVar[threading.Event | None] = ContextVar("kuleshov_stop", default=None)


class StoppedError(KuleshovError):
    """The user has asked to stop; raised before or while something is computed.

    done: results for the first of what was given, where they are whole.
    """

    def __init__(self, done: Sequence[Any] = ()) -> None:
        super().__init__(STOPPED)
        self.done = list(done)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.done,)


@contextmanager
def heeding(stop: threading.Event | None) -> Iterator[None]:
    """What is computed within ends soon after `stop` is set; None: nothing is asked to stop."""
    token = _asked.set(stop)
    try:
        yield
    finally:
        _asked.reset(token)


def current_stop() -> threading.Event | None:
    return _asked.get()


def is_asked() -> bool:
    stop = _asked.get()
    return stop is not None and stop.is_set()


def check() -> None:
    """Raises StoppedError once the user has asked to stop."""
    if is_asked():
        raise StoppedError


def pause(seconds: float) -> None:
    """Wait; a stop ends it. Raises StoppedError."""
    stop = _asked.get()
    if stop is None:
        time.sleep(seconds)
    elif stop.wait(seconds):
        raise StoppedError


def wait_for(done: Callable[[float], bool]) -> None:
    """Wait until `done(seconds to wait at most)` says True. Raises StoppedError after a stop."""
    while not done(LOOK_S):
        check()


def carried(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` for another thread: it sees the stop, and what else belongs to this context."""
    context = copy_context()
    return lambda *given, **named: context.copy().run(call, *given, **named)


def run_apart(call: Callable[[], Any]) -> Any:
    """The result of a call that cannot look for itself, or StoppedError as soon as that is asked.

    The call goes on in a thread of its own then, and its result is dropped.
    """
    if _asked.get() is None:
        return call()
    found: list[Any] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    threading.Thread(target=carried(work), name="kuleshov-apart", daemon=True).start()
    wait_for(ended.wait)
    if failed:
        raise failed[0]
    return found[0]


def watch_layers(model: Any) -> None:
    """A network of torch looks for the stop before each of its layers, so a forward can be left."""
    import torch

    for stack in model.modules():
        if isinstance(stack, torch.nn.ModuleList):
            for layer in stack:
                layer.register_forward_pre_hook(_look)


def _look(module: Any, given: Any) -> None:
    check()
