"""Faces per second: Kuleshov's Py-Feat adapter against Py-Feat's own `detect`, same pictures.

Both run Py-Feat's RetinaFace and its multitask network with tiny weights (`tiny_pyfeat`), in one
process, on one thread, in turn. The pictures are drawn: two faces each. What differs is what is
done around the networks: Py-Feat builds a table of some 2,000 columns, the adapter builds `Face`s.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.evals import tiny_pyfeat
from kuleshov.evals.timing import Result, median_seconds
from kuleshov.tools.faces import pyfeat

PICTURES, FACES = 32, 2
WIDTH, HEIGHT = 192, 96
ROUNDS = 3


def measure() -> Result:
    """Rates and their ratios; both sides must find the same faces."""
    import torch

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny_pyfeat.build(Path(folder))
        tool = pyfeat.load(resources=folder)
        try:
            torch.set_num_threads(1)
            return _measure(tool)
        finally:
            torch.set_num_threads(threads)


def _measure(tool: pyfeat.PyFeat) -> Result:
    import torch

    images = [_picture(k) for k in range(PICTURES)]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def ours(at_once: int) -> Callable[[], int]:
        def work() -> int:
            found = [
                faces
                for begin in range(0, PICTURES, at_once)
                for faces in tool.observe(images[begin : begin + at_once])
            ]
            return sum(map(len, found))

        return work

    def theirs(at_once: int) -> Callable[[], int]:
        def work() -> int:
            table: Any = tool.detector.detect(
                pixels, data_type="tensor", batch_size=at_once, progress_bar=False
            )
            return int((table.FaceScore > 0).sum())

        return work

    works = {
        "ours_batch1": ours(1),
        "pyfeat_batch1": theirs(1),
        "ours_batch32": ours(32),
        "pyfeat_batch32": theirs(32),
    }
    counts = {name: work() for name, work in works.items()}  # once for caches
    if set(counts.values()) != {PICTURES * FACES}:
        raise RuntimeError(f"the two sides do not find the same faces: {counts}")
    seconds = median_seconds(works, ROUNDS)
    rates = {f"{name}_per_s": PICTURES * FACES / value for name, value in seconds.items()}
    figures = {
        "ratio_batch1": seconds["pyfeat_batch1"] / seconds["ours_batch1"],
        "ratio_batch32": seconds["pyfeat_batch32"] / seconds["ours_batch32"],
        **rates,
    }
    return Result(
        figures={name: round(value, 4) for name, value in figures.items()},
        meaning={
            "ratio_batch1": "faces per second over Py-Feat's detect, picture by picture",
            "ratio_batch32": "the same, 32 pictures at once",
            **dict.fromkeys(rates, "faces per second"),
        },
        settings={
            "pictures": PICTURES,
            "faces_a_picture": FACES,
            "size": f"{WIDTH}x{HEIGHT}",
            "rounds": ROUNDS,
            "threads": 1,
            "device": str(tool.device),
            "weights": "tiny, in both",
        },
    )


def _picture(number: int) -> np.ndarray[Any, Any]:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for k in range(FACES):
        tiny_pyfeat.blob(image, 52 + 88 * k, 44, 250 - number % 5)
    return image
