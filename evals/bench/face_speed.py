"""Faces per second: Kuleshov's Py-Feat adapter against Py-Feat's own `detect`, same pictures.

Both run Py-Feat's RetinaFace and its multitask network with the same tiny weights
(`tiny_pyfeat`), in one process, in turn. The pictures are drawn: two faces each. What differs is
what is done around the networks: how many pictures and faces go through at once and in which
order of memory, and Py-Feat's table of some 2,000 columns.

Each side runs on the threads that it gives its user: importing Py-Feat leaves one
(`OMP_NUM_THREADS=1`, asked of a fresh interpreter here), Kuleshov leaves torch's own number. The
ratios on one thread for both stand beside.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.evals.bench import tiny_pyfeat
from kuleshov.evals.bench.timing import Result, with_own_time_of_one_thread
from kuleshov.tools.faces.pyfeat import tool as pyfeat

PICTURES, FACES = 32, 2
ROUNDS = 3


def measure_face_speed() -> Result:
    """Rates and their ratios; both sides must find the same faces."""
    import torch

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny_pyfeat.build_weights(Path(folder))
        tool = pyfeat.load_pyfeat(resources=folder)
        try:
            return _compare_speed(tool, threads, threads_of_pyfeat())
        finally:
            torch.set_num_threads(threads)


def threads_of_pyfeat() -> int:
    """Threads that torch has left in a fresh interpreter whose first import is Py-Feat."""
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    said = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            "import feat, torch; print(torch.get_num_threads())",
        ],
        env=free,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(said.stdout.split()[-1])


def _compare_speed(tool: pyfeat.PyFeat, our_threads: int, their_threads: int) -> Result:
    import torch

    images = [_make_picture(k) for k in range(PICTURES)]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    peer = tool.unchanged()

    def ours(at_once: int, threads: int) -> Callable[[], int]:
        def work() -> int:
            torch.set_num_threads(threads)
            found = [
                faces
                for begin in range(0, PICTURES, at_once)
                for faces in tool.observe(images[begin : begin + at_once])
            ]
            return sum(map(len, found))

        return work

    def theirs(at_once: int, threads: int) -> Callable[[], int]:
        def work() -> int:
            torch.set_num_threads(threads)
            table: Any = peer.detect(
                pixels, data_type="tensor", batch_size=at_once, progress_bar=False
            )
            return int((table.FaceScore > 0).sum())

        return work

    works = {
        f"{side}_batch{at_once}{'_one_thread' if one else ''}": work(at_once, 1 if one else threads)
        for at_once in (1, 32)
        for side, work, threads in (
            ("ours", ours, our_threads),
            ("pyfeat", theirs, their_threads),
        )
        for one in (False, True)
    }
    counts = {name: work() for name, work in works.items()}  # once for caches
    if set(counts.values()) != {PICTURES * FACES}:
        raise RuntimeError(f"the two sides do not find the same faces: {counts}")
    seconds = with_own_time_of_one_thread(works, ROUNDS)
    ratios = {
        f"ratio_batch{end}": seconds[f"pyfeat_batch{end}"] / seconds[f"ours_batch{end}"]
        for end in ("1", "32", "1_one_thread", "32_one_thread")
    }
    rates = {f"{name}_per_s": PICTURES * FACES / value for name, value in seconds.items()}
    return Result(
        figures={name: round(value, 4) for name, value in {**ratios, **rates}.items()},
        meaning={
            "ratio_batch1": "faces per second over Py-Feat's detect, picture by picture",
            "ratio_batch32": "the same, 32 pictures at once",
            "ratio_batch1_one_thread": "picture by picture, one thread for both, processor time",
            "ratio_batch32_one_thread": "32 pictures at once, one thread for both, processor time",
            **dict.fromkeys(rates, "faces per second"),
        },
        settings={
            "pictures": PICTURES,
            "faces_a_picture": FACES,
            "size": f"{tiny_pyfeat.WIDTH}x{tiny_pyfeat.HEIGHT}",
            "rounds": ROUNDS,
            "threads": our_threads,
            "threads_pyfeat": their_threads,
            "device": str(tool.device),
            "weights": "tiny, the same in both",
        },
    )


def _make_picture(number: int) -> np.ndarray[Any, Any]:
    return tiny_pyfeat.draw_picture(number, FACES)
