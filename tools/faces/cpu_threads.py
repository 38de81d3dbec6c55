"""Pictures read side by side on a CPU: threads on few cores each, instead of one on all.

Torch divides each operation among its threads, and they wait for one another at its end. For small
convolutions that waiting costs much. It costs little when each thread works on its own portion of
the pictures (`kuleshov bench clips`). Torch releases Python's lock while it computes.

How many threads an operation uses is a setting of the Python thread that starts it (OpenMP's
nthreads-var); `torch.set_num_threads` sets it there, and also for threads that start later.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kuleshov.tools.stopping import carried

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""Portions at once, because each needs memory for its own pictures; more cores share a portion."""
_making, _setting = threading.Lock(), threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def side_by_side(work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
    """`work(items)`, done in equal portions by as many threads as torch uses here.

    Args:
        work: gives one result an item, in order; safe for several threads.
        items: a single one is done here, by all of torch's threads.

    Raises:
        Exception: what `work` raises for the first portion that fails; later ones that have not
            begun are left out.
    """
    import torch

    threads = torch.get_num_threads()
    many = min(threads, len(items), MOST)
    if many < 2:
        return work(items)
    ends = [len(items) * k // many for k in range(many + 1)]
    portions = [items[begin:end] for begin, end in itertools.pairwise(ends)]
    pool = _thread_pool(many, threads // many)
    doing = [pool.submit(carried(work), portion) for portion in portions]
    try:
        return [result for done in doing for result in done.result()]
    finally:
        for done in doing:
            done.cancel()


def _thread_pool(many: int, threads: int) -> ThreadPoolExecutor:
    """One for the whole process: callers from several threads share it, and the cores."""
    with _making:
        if (many, threads) not in _pools:
            pool = ThreadPoolExecutor(many, "side-by-side", _use_threads, (threads,))
            begun = threading.Barrier(many + 1)
            for _ in range(many):
                pool.submit(begun.wait)  # each thread takes one: then all have their setting
            begun.wait()
            _pools[many, threads] = pool
        return _pools[many, threads]


def _forget_pools() -> None:
    """In a forked process: the pools' threads stayed with the parent, and so may held locks."""
    global _making, _setting
    _making, _setting = threading.Lock(), threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget_pools)


def _use_threads(threads: int) -> None:
    """Let this thread compute on so many cores; all others keep what they have.

    Torch has no call for one thread alone: what later ones are given is put back at once.
    """
    import torch

    with _setting:
        others = torch.get_num_threads()  # this thread is new: what new threads are given
        torch.set_num_threads(threads)
        keeper = threading.Thread(target=torch.set_num_threads, args=(others,))
        keeper.start()
        keeper.join()
