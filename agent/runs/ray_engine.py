"""The same run on many machines: Ray Data streams the items over actors, this process alone writes.

Each actor holds an agent of its own, with a queue in front of its model. Ray does again what a
lost node had in hand; an item that comes twice for that is written once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kuleshov.inputs.items import Work
from kuleshov.runs.local_engine import ItemAnswer, Progress, Watcher, read_one, store_answer, to_do
from kuleshov.runs.store import RunDirectory
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm.base import ServerRefusedError
from kuleshov.tools.mllm.local.batching import batch_model
from kuleshov.tools.scratch import scratch_folder

CHUNK = 16  # items that an actor is handed at once
WAVE = 20_000  # items that are named to Ray at once


class RayReader:
    """An actor: an agent, and threads enough to fill its queue."""

    def __init__(self, load: Callable[[], Any], context: Sequence[str], batch: int | None) -> None:
        agent = load()
        self.agent = agent.with_model(batch_model(agent.crew.mllm, batch))
        self.context = context
        self.pool = ThreadPoolExecutor(2 * getattr(self.agent.crew.mllm, "batch", 4))

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        works = [pickle.loads(data) for data in rows["work"]]
        answers = self.pool.map(self._answer, works)
        return {"answer": [pickle.dumps(answer) for answer in answers]}

    def _answer(self, work: Work) -> ItemAnswer | ServerRefusedError:
        try:
            return read_one(self.agent, work, self.context)
        except ServerRefusedError as error:  # handed on as it is; Ray would wrap it in its own
            return error


def run_on_ray(
    load: Callable[[], Any],
    run: RunDirectory,
    found: Iterable[Work],
    progress: Progress,
    *,
    context: Sequence[str] = (),
    workers: int | None = None,
    batch: int | None = None,
    gpu: bool = False,
    watch: Watcher | None = None,
) -> None:
    """Read the items with `workers` actors, each with a GPU, or with its share of the CPUs.

    Args:
        load: makes the agent, in each actor.
        workers: None: one a GPU, or one a node where there is none.
        gpu: whether the model runs on one.

    Raises:
        KuleshovError: Ray is not installed, or no actor could be started.
        ServerRefusedError: the model's server refuses everything; what is not written is undone.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise KuleshovError("--engine ray needs Ray: run `pip install 'kuleshov[ray]'`.") from None
    with _started(ray):
        _read_all(ray, load, run, found, progress, context, workers, batch, gpu, watch)


@contextlib.contextmanager
def _started(ray: Any) -> Iterator[None]:
    """Ray as it runs already, the cluster that `RAY_ADDRESS` names, or one of this process.

    One of this process is reached from this machine alone, keeps its files in a scratch folder,
    and ends with the run.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    choices: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with contextlib.ExitStack() as stack:
        address = os.environ.get("RAY_ADDRESS")
        if address is None:
            folder = stack.enter_context(scratch_folder("ray"))
            choices |= {"_temp_dir": str(folder), "include_dashboard": False}
            if sys.platform == "linux":  # elsewhere Ray keeps to the loopback address by itself
                # it would take 127.0.0.1 for the machine's address in the network
                choices["_node_ip_address"] = "127.0.0.2"
            # Its dashboard's process asks the addresses where clouds tell of a machine, and reports
            # to Ray's makers, even where both are switched off. It is not begun on a taken port.
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            choices |= {"dashboard_host": "127.0.0.1", "dashboard_port": taken.getsockname()[1]}
            choices["logging_level"] = logging.CRITICAL  # Ray would tell of the port
        else:
            choices["address"] = address
        ray.init(**choices)
        stack.callback(ray.shutdown)
        yield


def _read_all(
    ray: Any,
    load: Callable[[], Any],
    run: RunDirectory,
    found: Iterable[Work],
    progress: Progress,
    context: Sequence[str],
    workers: int | None,
    batch: int | None,
    gpu: bool,
    watch: Watcher | None,
) -> None:
    quiet = ray.data.DataContext.get_current()
    quiet.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    left = to_do(run, found, progress)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    held = ray.cluster_resources()
    actors = workers or max(1, int(held.get("GPU", 0)) if gpu else len(nodes))
    gpus = 1 if gpu else None
    cpus = None if gpu else max(1, int(held["CPU"] // actors))
    try:
        for wave in _split_waves(left):
            rows = [{"work": pickle.dumps(work)} for work in wave]
            waiting = {work.key for work in wave}
            data = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // CHUNK))
            answers = data.map_batches(
                RayReader,
                fn_constructor_args=(load, tuple(context), batch),
                batch_size=CHUNK,
                # fewer where nodes have gone; all of them again when they are back
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
                num_gpus=gpus,
                num_cpus=cpus,
            )
            for row in answers.iter_rows():
                answer: ItemAnswer | ServerRefusedError = pickle.loads(row["answer"])
                if isinstance(answer, ServerRefusedError):
                    raise answer
                if answer.work.key in waiting:
                    waiting.discard(answer.work.key)
                    store_answer(run, answer, progress)
                if watch is not None:
                    watch(progress)
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()
        raise KuleshovError(
            f"Ray gave up: {first[-1] if first else type(error).__name__}; what is done is safe: "
            "repeat the call to go on."
        ) from error


def _split_waves(left: Iterator[Work]) -> Iterator[list[Work]]:
    """The items in parts, so that a data set of millions is not in memory at once."""
    wave: list[Work] = []
    for work in left:
        wave.append(work)
        if len(wave) == WAVE:
            yield wave
            wave = []
    if wave:
        yield wave
