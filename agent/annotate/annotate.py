"""One run from its call to its end: run directory, engine, what was done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from kuleshov.annotate import engine as local
from kuleshov.annotate import items, ray_engine
from kuleshov.annotate.engine import Progress, Watcher
from kuleshov.annotate.store import RunDirectory, now
from kuleshov.tools.faces import check_inputs
from kuleshov.tools.mllm.batching import BatchedMllm, batched
from kuleshov.tools.types import KuleshovError


def annotate(
    agent: Any,
    source: Any,
    out: str | os.PathLike[str],
    *,
    context: Sequence[str] = (),
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    batch: int | None = None,
    retry_failed: bool = False,
    watch: Watcher | None = None,
) -> Progress:
    """See `Agent.annotate`."""
    if engine not in ("local", "ray"):
        raise KuleshovError(f"there is no engine {engine!r}; known: local, ray.")
    for name, value in (("workers", workers), ("batch", batch)):
        if value is not None and value < 1:
            raise KuleshovError(f"{name} must be at least 1 but is {value}.")
    passed = items.PassedOver()
    # what is wrong with the data set is said before a run is begun
    found = items.read(source, passed)
    _check_faces(agent, source)
    progress = Progress(total=items.count(source))
    begun = now()
    on_ray = engine == "ray"
    mllm = agent.crew.mllm if on_ray else batched(agent.crew.mllm, batch)
    own_queue = mllm is not agent.crew.mllm
    if own_queue:
        agent = agent.with_model(mllm)
    try:
        with RunDirectory(out).open(
            local.plan(agent, source, context), retry_failed=retry_failed
        ) as run:
            end = "interrupted"
            progress.notes = run.notes
            try:
                if on_ray:
                    ray_engine.run_on_ray(
                        agent.again(),
                        run,
                        found,
                        progress,
                        context=context,
                        workers=workers,
                        batch=batch,
                        gpu=mllm.info.device.startswith("cuda"),
                        watch=watch,
                    )
                else:
                    local.run_locally(
                        agent,
                        run,
                        found,
                        progress,
                        context=context,
                        workers=workers or 2 * getattr(mllm, "batch", 4),
                        watch=watch,
                    )
                end = "complete"
            finally:
                try:
                    run.session(
                        begun=begun,
                        end=end,
                        engine=engine,
                        done=progress.done,
                        failed=progress.failed,
                        skipped=progress.skipped,
                        seconds=round(progress.seconds, 2),
                        notes=run.notes,
                        passed_over=passed.to_dict(),
                        **_queue_facts(mllm),
                    )
                except KuleshovError:
                    if end == "complete":
                        raise  # else what ended the run is what is to be told
    finally:
        if isinstance(mllm, BatchedMllm) and own_queue:
            mllm.close()
    return progress


def _check_faces(agent: Any, source: Any) -> None:
    """A result file must tell the items apart, whatever their order; a second call counts too."""
    faces = agent.crew.faces
    if not hasattr(faces, "check_inputs"):
        return
    if isinstance(source, (str, os.PathLike)):
        if os.fspath(source).lower().endswith(".tar"):
            return  # its members have no paths: they are told apart as they are read
    elif not isinstance(source, Sequence):
        return
    names = [work.source for work in items.read(source)]
    check_inputs(faces, [name for name in names if isinstance(name, str)])


def _queue_facts(mllm: Any) -> dict[str, Any]:
    if not isinstance(mllm, BatchedMllm):
        return {}
    return {
        "batch": mllm.batch,
        "largest_batch": mllm.largest,
        "out_of_memory": mllm.halved,
        "tokens_read": mllm.store.read,
        "tokens_reused": mllm.store.reused,
    }
