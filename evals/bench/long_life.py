"""Memory and descriptors of a server and of an annotation that live long."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import httpx
import numpy as np
import psutil

from kuleshov.evals.bench.timing import Result
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import demo_files

READINGS, ITEMS = 1000, 10_000
SIDE = 96  # pixels of a picture: one face
EVERY_S = 0.5
POCKET = ("--model", "pocket", "--faces", "pocket")
START_S = 120.0


@dataclass
class Course:
    """Samples of a process: how much of its work was done, bytes in memory, open descriptors."""

    done: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def within(self, begin: float, end: float) -> tuple[float, float]:
        """Median megabytes and most descriptors while this part of the work was done; where no
        sample fell into it, of the nearest one.

        Raises:
            KuleshovError: there is no sample.
        """
        if not self.done:
            raise KuleshovError("the work was too short to be sampled; take more of it.")
        places = [k for k, done in enumerate(self.done) if begin <= done <= end]
        middle = (begin + end) / 2
        nearest = min(range(len(self.done)), key=lambda k: abs(self.done[k] - middle))
        places = places or [nearest]
        return (
            statistics.median(self.memory[k] for k in places) / 1e6,
            float(max(self.descriptors[k] for k in places)),
        )


def measure_long_life(readings: int = READINGS, items: int = ITEMS) -> Result:
    """A thousand readings through `serve` and ten thousand through `annotate`, bundled models.

    Each is the real command in a process of its own, on pictures of 96 × 96 pixels that all
    differ. Compared are the second tenth of the work, when all is loaded and every cache has met
    its work, and the last tenth.

    Args:
        readings: requests to the server, one after the other.
        items: pictures that are annotated.
    """
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = _write_pictures(Path(folder) / "set", max(readings, items))
        courses = {
            "serve": _course_of_server(pictures[:readings]),
            "annotate": _course_of_annotation(pictures[:items], Path(folder)),
        }
    for name, course in courses.items():
        early, late = course.within(0.1, 0.2), course.within(0.9, 1.0)
        figures[f"{name}_mb_early"], figures[f"{name}_mb_late"] = early[0], late[0]
        figures[f"{name}_growth"] = late[0] / early[0]
        figures[f"{name}_descriptors_early"] = early[1]
        figures[f"{name}_descriptors_late"] = late[1]
    meaning = {
        "mb_early": "megabytes in memory while the second tenth was done, median",
        "mb_late": "megabytes while the last tenth was done, median",
        "growth": "late over early",
        "descriptors_early": "most open descriptors while the second tenth was done",
        "descriptors_late": "most open descriptors while the last tenth was done",
    }
    return Result(
        figures={name: round(value, 4) for name, value in figures.items()},
        meaning={f"{name}_{key}": told for name in courses for key, told in meaning.items()},
        settings={"readings": readings, "items": items, "side": SIDE},
    )


def _write_pictures(folder: Path, count: int) -> list[Path]:
    """`count` small pictures of one face, no two of the same bytes."""
    folder.mkdir()
    whole = cv2.imread(str(demo_files.find_face()))
    assert whole is not None
    small = cv2.resize(whole, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    paths = []
    for k in range(count):
        picture = np.clip(small.astype(np.int16) + k % 23 - 11, 0, 255).astype(np.uint8)
        picture[0, :16] = [[255 * (k >> place & 1)] for place in range(16)]
        paths.append(folder / f"{k:05d}.png")
        cv2.imwrite(str(paths[-1]), picture)
    return paths


@contextmanager
def _sampled(process: psutil.Process, done: Callable[[], float]) -> Iterator[Course]:
    """Samples the process while the block runs."""
    course, ended = Course(), threading.Event()

    def sample() -> None:
        while not ended.wait(EVERY_S):
            try:
                memory, descriptors = process.memory_info().rss, process.num_fds()
            except psutil.Error:
                return
            course.done.append(done())
            course.memory.append(memory)
            course.descriptors.append(descriptors)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield course
    finally:
        ended.set()
        thread.join()


def _course_of_server(pictures: list[Path]) -> Course:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kuleshov.apps.cli.main", "serve", *POCKET]
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    done = [0.0]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=START_S) as client:
            _await_server(client, process)
            with _sampled(psutil.Process(process.pid), lambda: done[0]) as course:
                for k, path in enumerate(pictures):
                    answer = client.post("/api/v1/infer", files={"file": path.read_bytes()})
                    answer.raise_for_status()
                    done[0] = (k + 1) / len(pictures)
    finally:
        process.terminate()
        process.wait()
    return course


def _await_server(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            client.get("/api/v1/health").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(EVERY_S)
    raise KuleshovError("kuleshov serve did not start.")


def _course_of_annotation(pictures: list[Path], folder: Path) -> Course:
    for path in set((folder / "set").iterdir()) - set(pictures):
        path.unlink()
    run = folder / "run"
    command = [sys.executable, "-m", "kuleshov.apps.cli.main", "annotate", str(folder / "set")]
    process = subprocess.Popen(
        [*command, *POCKET, "--out", str(run), "--progress", "quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lines = run / "annotations.jsonl"
    first_line: list[int] = []

    def done() -> float:
        """By the size of the file: lines are alike."""
        try:
            size = os.path.getsize(lines)
        except OSError:
            return 0.0
        if not first_line and size:
            with lines.open("rb") as file:
                first_line.append(len(file.readline()))
        return min(1.0, size / (first_line[0] * len(pictures))) if first_line else 0.0

    with _sampled(psutil.Process(process.pid), done) as course:
        process.wait()
    if process.returncode:
        raise KuleshovError("kuleshov annotate failed.")
    with lines.open("rb") as file:
        count = sum(1 for _ in file)
    if count != len(pictures):
        raise KuleshovError(f"kuleshov annotate read {count:,} of {len(pictures):,} pictures.")
    return course
