"""Forked processes: a child has copies of its parent's objects, but not the threads behind them.

Whatever waits for such a thread (the queue of a model, OpenMP's threads under torch, those of
OpenCV, ONNX and MediaPipe), or for a lock that another thread held while the process was forked,
waits for ever; and an open connection to a server would be shared. So what was loaded before a
fork is refused after it, at once.
"""

from __future__ import annotations

import os
import sys

from kuleshov.tools.types import KuleshovError

_torch_was_loaded = False


def check_own(pid: int, what: str) -> None:
    """Raises KuleshovError where `what`, made in the process `pid`, is used in a forked child."""
    if pid != os.getpid():
        raise KuleshovError(
            f"{what} was loaded in process {pid} and cannot be used in process {os.getpid()}, "
            "which was forked from it: load one in each process, or start processes by "
            "multiprocessing's 'spawn'."
        )


def settle_torch() -> None:
    """Before something is loaded in a forked child: torch computes in the calling thread alone.

    GNU OpenMP's threads stay with the parent, and the first operation that is divided among them
    would wait for them. Torch's own DataLoader sets its workers to one thread too.
    """
    global _torch_was_loaded
    if _torch_was_loaded:
        import torch

        torch.set_num_threads(1)
        _torch_was_loaded = False


def _note_fork() -> None:
    global _torch_was_loaded
    _torch_was_loaded = "torch" in sys.modules


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_note_fork)
