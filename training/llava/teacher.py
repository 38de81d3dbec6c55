"""What a published picture network sees in the photos, for the tower to learn from.

Some thousand photos with captions teach a tower little of what things look like. The maps that a
published network (`training.published`) makes of these photos are run once and the tower learns to
give the like (feature distillation, Romero et al. 2015).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import published
from training.llava import data

SIDE = 224
CELLS = 7
CLASSES = 1000
PARTS = 256
"""Principal components kept of the map's 1280 channels."""
VIEWS = 4
"""Views of each photo: the whole one, and random crops."""


@dataclass(frozen=True)
class Seen:
    """Views of N photos.

    boxes: (N, 4, 4) float32, middle x, middle y, width, height of each view's crop; the photo is
        −1…1 in both directions, sizes are shares of it.
    maps: (N, 4, 7, 7, 256) float16, components of unit variance on average.
    logits: (N, 4, 1000) float16, ImageNet classes.
    """

    boxes: np.ndarray
    maps: np.ndarray
    logits: np.ndarray


def boxes_of(count: int, seed: int) -> np.ndarray:
    """The views' crops, (N, 4, 4): the first is the whole photo, the others 35–100 % of it."""
    random = np.random.default_rng((seed, 3))
    side = np.sqrt(random.uniform(0.35, 1, (count, VIEWS)))
    stretch = np.exp(random.uniform(-0.15, 0.15, (count, VIEWS)))
    size = np.stack([np.minimum(side * stretch, 1), np.minimum(side / stretch, 1)], -1)
    size[:, 0] = 1
    middle = (1 - size) * random.uniform(-1, 1, size.shape)
    return np.concatenate([middle, size], -1).astype(np.float32)


@torch.no_grad()
def watch(photos: data.Photos, out: Path, seed: int, device: str = "cpu") -> Seen:
    """Run the network over all views of the train and dev photos; kept in `out`/teacher.npz.

    Test photos are not looked at: their rows are zeros.
    """
    saved = out / "teacher.npz"
    boxes = boxes_of(len(photos.names), seed)
    if saved.is_file():
        told = np.load(saved)
        return Seen(boxes, told["maps"], told["logits"])
    net = published.network(device)
    frozen = published.maps(net, SIDE)

    def maps_of(rows: np.ndarray, view: int) -> Tensor:
        images = torch.from_numpy(photos.images[rows]).to(device).permute(0, 3, 1, 2).float()
        return frozen(data.crop(images, torch.from_numpy(boxes[rows, view]).to(device), SIDE))

    sample = np.sort(np.random.default_rng(seed).choice(photos.rows("train"), 256, replace=False))
    flat = torch.cat([maps_of(part, 1) for part in np.array_split(sample, 16)])
    flat = flat.permute(0, 2, 3, 1).reshape(-1, flat.shape[1])
    mean = flat.mean(0)
    _, _, main = torch.pca_lowrank(flat - mean, PARTS, center=False, niter=4)
    scale = ((flat - mean) @ main).std()

    maps = np.zeros((len(boxes), VIEWS, CELLS, CELLS, PARTS), np.float16)
    logits = np.zeros((len(boxes), VIEWS, CLASSES), np.float16)
    started = time.time()
    rows = np.flatnonzero(photos.part != "test")
    for view in range(VIEWS):
        for part in np.array_split(rows, -(-len(rows) // 16)):
            told = maps_of(part, view)
            logits[part, view] = net._fc(told.mean((2, 3))).half().cpu().numpy()
            parts = (told.permute(0, 2, 3, 1) - mean) @ main / scale
            maps[part, view] = parts.half().cpu().numpy()
        print(f"teacher view {view + 1}/{VIEWS} {time.time() - started:.0f} s", flush=True)
    np.savez(saved.with_name("teacher.new.npz"), maps=maps, logits=logits)
    saved.with_name("teacher.new.npz").rename(saved)
    return Seen(boxes, maps, logits)
