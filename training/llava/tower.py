"""Stage 1: the picture tower learns caption words and a teacher's maps from photos, and
expressions from faces.

A language model teaches a tower slowly. Predicting which words the captions use, each word
looking where it wants (attention pooling per word), shows it what is to be seen much faster, and
what `teacher` sees in each cell of the photo says more than the captions do.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DPTModel

from training.average import Average
from training.llava import data, teacher
from training.llava.model import PATCH, WIDTH, tower_config, tower_states
from training.llava.optimiser import Pair
from training.saving import save

PHOTOS_A_STEP, FACES_A_STEP = 40, 16
PEAK_RATE = 3e-3
SIZES = ((0.5, 80), (0.8, 96), (1.0, 112))
"""Side of the pictures by progress: small ones first (progressive resizing, Tan & Le 2021)."""
WORDS, MAPS, CLASSES = 0.1, 4.0, 1.0
"""Weights of the photos' three losses against the faces' one."""


class Pool(nn.Module):
    """One score per class, each class pooling the states with weights of its own."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, classes)
        self.head_attention = nn.Linear(WIDTH, classes)

    def forward(self, states: Tensor) -> Tensor:
        """(B, S, 192) to (B, classes)."""
        states = self.norm(states)
        weights = self.head_attention(states).softmax(1)
        return (self.head(states) * weights).sum(1)


class Warmup(nn.Module):
    """The tower with its heads: caption words, expressions, the teacher's maps and classes."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.tower = DPTModel(tower_config(), add_pooling_layer=False)
        self.words = Pool(words)
        self.expressions = Pool(8)
        self.classes = Pool(teacher.CLASSES)
        self.head_maps = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, teacher.PARTS))


def rate(progress: float, warm_up: float = 0.06) -> float:
    """Learning rate as a share of its peak: linear warm-up, half cosine to 2 %."""
    if progress < warm_up:
        return 0.02 + 0.98 * progress / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def watched(
    photos: data.Photos,
    seen: teacher.Seen,
    rows: np.ndarray,
    random: np.random.Generator,
    size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """One of the teacher's views of each photo in `rows`, half of them mirrored.

    Pixels (B, 3, size, size), the teacher's maps (B, S, 256) as the tower cells them, S =
    (size / 16)², and its class logits (B, 1000).
    """
    view = random.integers(teacher.VIEWS, size=len(rows))
    mirror = random.random(len(rows)) < 0.5
    boxes = torch.from_numpy(seen.boxes[rows, view])
    boxes[:, 2] *= torch.from_numpy(np.where(mirror, -1.0, 1.0).astype(np.float32))
    images = torch.from_numpy(photos.images[rows]).permute(0, 3, 1, 2).float().div(255)
    pixels = data.normalised(data.lit(data.crop(images, boxes, size)))
    maps = torch.from_numpy(seen.maps[rows, view]).permute(0, 3, 1, 2).float()
    maps = torch.where(torch.from_numpy(mirror)[:, None, None, None], maps.flip(3), maps)
    maps = functional.interpolate(maps, size=size // PATCH, mode="bilinear", antialias=True)
    logits = torch.from_numpy(seen.logits[rows, view]).float()
    return pixels, maps.flatten(2).transpose(1, 2), logits


@torch.no_grad()
def measure(
    net: Warmup,
    photos: data.Photos,
    seen: teacher.Seen,
    targets: np.ndarray,
    faces: data.Faces,
) -> str:
    """Mean average precision of the words, part of the maps' variance explained and accuracy on
    faces, on the dev parts."""
    net.eval()
    rows = photos.rows("dev")
    states = torch.cat(
        [
            tower_states(net.tower, data.views(torch.from_numpy(photos.images[part]), 112, False))
            for part in np.array_split(rows, 4)
        ]
    )
    scores = net.words(states).numpy()
    maps = torch.from_numpy(seen.maps[rows, 0].reshape(len(rows), -1, teacher.PARTS)).float()
    left = (net.head_maps(states) - maps).square().mean() / maps.var((0, 1)).mean()
    precisions = []
    for column in range(scores.shape[1]):
        truth = targets[rows, column] > 0
        if truth.sum() >= 8:
            hit = truth[np.argsort(-scores[:, column])]
            precisions.append((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())
    chosen = np.flatnonzero((faces.part == "dev") & (faces.label >= 0))[::3]
    guesses = (
        torch.cat(
            [
                net.expressions(
                    tower_states(net.tower, data.face_views(faces.images[part], 112, False))
                )
                for part in np.array_split(chosen, 8)
            ]
        )
        .argmax(1)
        .numpy()
    )
    accuracy = (guesses == faces.label[chosen]).mean()
    net.train()
    return (
        f"dev words mAP {np.mean(precisions):.3f} ({len(precisions)}), "
        f"maps R² {1 - left:.3f}, faces {accuracy:.3f}"
    )


def warm_up(
    photos: data.Photos, faces: data.Faces, out: Path, steps: int, seed: int, device: str = "cpu"
) -> dict[str, Tensor]:
    """Train and return the tower's state (moving average). Goes on from `out`/warm_up.pt."""
    seen = teacher.watch(photos, out, seed, device)
    words, targets = data.word_targets(photos)
    torch.manual_seed(seed)
    net = Warmup(len(words)).to(device, memory_format=torch.channels_last)
    with torch.no_grad():
        share = torch.from_numpy(targets[photos.rows("train")].mean(0)).clamp(1e-3, 0.9)
        net.words.head.bias.copy_(share.logit().to(device))
    optimiser = Pair(net, PEAK_RATE)
    average, begin = Average(net, 0.995), 0
    saved = out / "warm_up.pt"
    if saved.is_file():
        state = torch.load(saved, weights_only=True, map_location=device)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        average.state, average.steps, begin = state["average"], state["step"], state["step"]
    photo_rows = photos.rows("train")
    face_rows = np.flatnonzero(faces.part == "train")
    truth = torch.from_numpy(targets)
    net.train()
    losses, started = [], time.time()
    for step in range(begin, steps):
        progress = step / steps
        size = next(size for until, size in SIZES if progress < until)
        random = np.random.default_rng((seed, step))
        torch.manual_seed(seed * 1_000_003 + step)
        chosen = random.choice(photo_rows, PHOTOS_A_STEP, replace=False)
        shown = random.choice(face_rows, FACES_A_STEP, replace=False)
        chosen = np.sort(chosen)
        views, maps, logits = watched(photos, seen, chosen, random, size)
        pixels = torch.cat([views, data.face_views(faces.images[shown], size, True)])
        states = tower_states(net.tower, pixels.to(device, memory_format=torch.channels_last))
        of_photos = states[:PHOTOS_A_STEP]
        word_loss = (
            functional.binary_cross_entropy_with_logits(
                net.words(of_photos), truth[chosen].to(device), reduction="sum"
            )
            / PHOTOS_A_STEP
        )
        map_loss = functional.mse_loss(net.head_maps(of_photos), maps.to(device))
        class_loss = functional.kl_div(
            net.classes(of_photos).log_softmax(1),
            logits.to(device).log_softmax(1),
            reduction="batchmean",
            log_target=True,
        )
        face_loss = functional.cross_entropy(
            net.expressions(states[PHOTOS_A_STEP:]),
            torch.from_numpy(faces.soft[shown]).to(device),
        )
        (WORDS * word_loss + MAPS * map_loss + CLASSES * class_loss + face_loss).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step(rate(progress))
        average.update(net)
        losses.append((word_loss.item(), map_loss.item(), class_loss.item(), face_loss.item()))
        if (step + 1) % 50 == 0:
            mean = np.mean(losses[-50:], 0)
            pace = (step + 1 - begin) / (time.time() - started)
            print(
                f"tower {step + 1}/{steps} words {mean[0]:.3f} maps {mean[1]:.3f} "
                f"classes {mean[2]:.3f} faces {mean[3]:.3f} {pace:.2f} steps/s",
                flush=True,
            )
        if (step + 1) % 250 == 0 or step + 1 == steps:
            save(
                {
                    "net": net.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "average": average.state,
                    "step": step + 1,
                },
                saved,
            )
            averaged = Warmup(len(words))
            averaged.load_state_dict({k: v.cpu() for k, v in average.state.items()})
            print("  ", measure(averaged, photos, seen, targets, faces), flush=True)
    return {
        name.removeprefix("tower."): value.cpu()
        for name, value in average.state.items()
        if name.startswith("tower.")
    }
