"""One run from its call to its end: run directory, engine, what was done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import orjson

from kuleshov.inputs import items
from kuleshov.runs import local_engine as local
from kuleshov.runs import ray_engine
from kuleshov.runs.fingerprints import Changes
from kuleshov.runs.local_engine import AgentReader, Progress, Watcher
from kuleshov.runs.store import (
    REPLACED,
    RUN,
    RunDirectory,
    current_time,
    read_description,
    read_lines,
)
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import check_inputs
from kuleshov.tools.media import PassedOver
from kuleshov.tools.mllm.local.batching import BatchedMllm, batch_model

FIRST = 1000  # items of a data set that may have been moved are looked at


def annotate_run(
    agent: AgentReader,
    source: Any,
    out: str | os.PathLike[str],
    *,
    context: Sequence[str] = (),
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    batch: int | None = None,
    retry_failed: bool = False,
    redo: Literal["changed"] | None = None,
    watch: Watcher | None = None,
) -> Progress:
    """See `Agent.annotate`."""
    if engine not in ("local", "ray"):
        raise KuleshovError(f"there is no engine {engine!r}; known: local, ray.")
    if redo not in (None, "changed"):
        raise KuleshovError(f"redo is {redo!r}; known: changed.")
    for name, value in (("workers", workers), ("batch", batch)):
        if value is not None and value < 1:
            raise KuleshovError(f"{name} must be at least 1 but is {value}.")
    passed = PassedOver()
    # what is wrong with the data set is said before a run is begun
    if hasattr(agent.crew.faces, "check_inputs") and isinstance(source, Iterator):
        source = list(source)  # looked through before it is read
    found = items.read_items(source, passed)
    _check_faces(agent, source)
    progress = Progress(total=items.count_items(source))
    begun = current_time()
    on_ray = engine == "ray"
    mllm = agent.crew.mllm if on_ray else batch_model(agent.crew.mllm, batch)
    own_queue = mllm is not agent.crew.mllm
    if own_queue:
        agent = agent.with_model(mllm)
    try:
        plan = local.plan_run(agent, source, context)
        was = _moved_from(source, out, plan)
        with RunDirectory(out).open(
            plan if was is None else {**plan, "input": was}, retry_failed=retry_failed
        ) as run:
            if was is not None:
                run.notes.append(f"the data set was moved: {was} is now {plan['input']}")
            end = "interrupted"
            progress.notes = run.notes
            redone: Changes | None = None
            if redo == "changed":
                redone = local.take_out_changed(run, items.read_items(source))
                if redone.items:
                    run.notes.append(
                        f"{redone}: done again; the old lines are kept in files that end in "
                        f"{REPLACED}"
                    )
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
                if progress.changed.items:
                    run.notes.append(
                        f"{progress.changed}: what the run holds of them is of before; "
                        "--redo changed does them again"
                    )
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
                        changed=progress.changed.to_dict(),
                        redone=redone.to_dict() if redone else {},
                        **_queue_facts(mllm),
                    )
                except KuleshovError:
                    if end == "complete":
                        raise  # else what ended the run is what is to be told
    finally:
        if isinstance(mllm, BatchedMllm) and own_queue:
            mllm.close()
    return progress


def _check_faces(agent: AgentReader, source: Any) -> None:
    """A result file must tell the items apart, whatever their order; a second call counts too."""
    faces = agent.crew.faces
    if not hasattr(faces, "check_inputs"):
        return
    names, members = [], 0
    for work in items.read_items(source):
        if isinstance(work.source, str):
            names.append(work.source)
        elif work.source is not None and (members := members + 1) > 1:
            break  # two tell as much as all of a shard
    check_inputs(faces, names, members)


def _moved_from(source: Any, out: str | os.PathLike[str], plan: Mapping[str, Any]) -> str | None:
    """The input that a run names, where it is gone and this one holds the same items.

    The same: of the first items, those that the run has done have the files they had. None: the
    same name, another data set, or no run.
    """
    folder = Path(out)
    if not (folder / RUN).is_file() or not isinstance(source, (str, os.PathLike)):
        return None
    was = read_description(folder)["plan"].get("input")
    if not isinstance(was, str) or os.path.normpath(was) == os.path.normpath(plan["input"]):
        return None
    if os.path.exists(was):
        return None
    named = {work.key: work for work in islice(items.read_items(source), FIRST)}
    for line in read_lines(folder):
        record = orjson.loads(line)
        work = named.get(record["item"]["id"])
        if work is None or work.source is None:
            continue
        try:
            data = work.source if isinstance(work.source, bytes) else Path(work.source).read_bytes()
        except OSError:
            continue
        same = hashlib.sha256(data).hexdigest() == record["media"]["sha256"]
        return was if same else None
    return None


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
