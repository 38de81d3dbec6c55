"""Every task by its name; packages add tasks by the entry-point group ``kuleshov.tasks``."""

from __future__ import annotations

from pathlib import Path

from kuleshov.evals.datasets import (
    affectnet,
    bah,
    caers,
    cexpr,
    dfew,
    emer,
    emotic,
    ferplus,
    manifest,
    meld,
    mer2023,
    oasis,
    ong2015,
    ovmer,
    raer,
    rafdb,
    veatic,
)
from kuleshov.evals.datasets.base import Task
from kuleshov.tools.registry import TASKS as PLUG_INS
from kuleshov.tools.registry import Registry

TASKS: Registry[Task] = Registry(
    "task",
    {
        task.name: task
        for task in (
            emotic.TASK,
            caers.TASK,
            affectnet.TASK,
            affectnet.TASK_SEVEN,
            rafdb.TASK,
            rafdb.TASK_COMPOUND,
            cexpr.TASK,
            ferplus.TASK,
            dfew.TASK,
            mer2023.TASK,
            meld.TASK,
            emer.TASK,
            ovmer.TASK,
            oasis.TASK,
            ong2015.TASK,
            ong2015.TASK_SUBSET,
            veatic.TASK,
            raer.TASK,
            bah.TASK,
            manifest.TASK,
        )
    },
    group=PLUG_INS,
)


def find_task(name: str, root: str | Path | None = None) -> Task:
    """The task of that name; a manifest's as the table at `root` makes it.

    Raises:
        KuleshovError: there is no such task, the nearest name is told; or a plug-in is broken.
    """
    task = TASKS.find(name)
    if name == manifest.TASK.name and root is not None:
        return manifest.fit_task(root)
    return task
