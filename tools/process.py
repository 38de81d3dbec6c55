"""Forked processes: a child has copies of its parent's objects, but not the threads behind them.

What waits in a child for such a thread, or for a lock that a thread of the parent held, waits for
ever; and an open connection would be shared with the parent. So a child computes in one thread,
makes queues and connections anew, and refuses, at once, what cannot be made to work: what was at
work while the process was forked, and libraries that keep threads of their own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kuleshov.tools.errors import KuleshovError

_generation = 0  # how many forks lie between this process and the first that imported this
_torn = 0  # the last of them that fell into some work
_working = 0
_counting = threading.Lock()
_loaded = False
_inherited: frozenset[str] = frozenset()  # libraries that were loaded when this was forked


def fork_generation() -> int:
    """A number that is another one after a fork: whoever keeps it knows whether there was one."""
    return _generation


@contextmanager
def at_work() -> Iterator[None]:
    """Something is computed within: a process that is forked now gets half of it."""
    global _working
    begun = _generation
    with _counting:
        _working += 1
    try:
        yield
    finally:
        if begun == _generation:  # else a child leaves what its parent had begun
            with _counting:
                _working -= 1


def check_own(born: int, what: str, *, forks: bool = True) -> None:
    """Tell where `what`, loaded in the `born`th generation, cannot be used in a forked child.

    Args:
        forks: it has no threads of its own and computes on no GPU.

    Raises:
        KuleshovError: one sentence.
    """
    if born == _generation:
        return
    if born < _torn:
        why = "was at work when this process was forked from its own"
    elif not forks:
        why = "has threads or a GPU that stayed with the process that this one was forked from"
    else:
        return
    raise KuleshovError(
        f"{what} {why}, and cannot be used here: load one in each process, or start processes by "
        "multiprocessing's 'spawn'."
    )


def note_loaded() -> None:
    """Something that computes is loaded: children of this process compute in one thread.

    GNU OpenMP's threads and OpenCV's stay with the parent, and the first operation that is divided
    among them would wait for them. Torch's own DataLoader sets its workers to one thread too.
    """
    global _loaded
    _loaded = True
    _use_one_thread()


def _use_one_thread() -> None:
    if "torch" in _inherited:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in _inherited:
        sys.modules["cv2"].setNumThreads(0)


def _count_fork() -> None:
    global _generation, _torn, _working, _counting, _inherited
    _generation += 1
    _inherited = frozenset({"torch", "cv2"} & set(sys.modules))
    if _working:
        _torn = _generation
    _working, _counting = 0, threading.Lock()
    if _loaded:
        _use_one_thread()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_count_fork)
