"""Every task by its name."""

from __future__ import annotations

from pathlib import Path

from kuleshov.evals.datasets import ferplus, manifest
from kuleshov.evals.datasets.base import Task
from kuleshov.tools.types import KuleshovError, nearest

TASKS: dict[str, Task] = {task.name: task for task in (ferplus.TASK, manifest.TASK)}


def find(name: str, root: str | Path | None = None) -> Task:
    """The task of that name; a manifest's as the table at `root` makes it.

    Raises:
        KuleshovError: there is no such task; the nearest name is told.
    """
    if name not in TASKS:
        raise KuleshovError(
            f"there is no task {name!r}{nearest(name, list(TASKS))}; known: {', '.join(TASKS)}."
        )
    if name == manifest.TASK.name and root is not None:
        return manifest.fitted(root)
    return TASKS[name]
