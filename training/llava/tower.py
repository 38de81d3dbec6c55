"""Stage 1: the picture tower learns caption words from photos and expressions from faces.

A language model teaches a tower slowly. Predicting which words the captions use, each word
looking where it wants (attention pooling per word), shows it what is to be seen much faster.
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

from training.llava import data
from training.llava.model import WIDTH, tower_config, tower_states
from training.llava.optimiser import Average, Pair

PHOTOS_A_STEP, FACES_A_STEP = 32, 24
PEAK_RATE = 3e-3
SIZES = ((0.5, 80), (0.8, 96), (1.0, 112))
"""Side of the pictures by progress: small ones first (progressive resizing, Tan & Le 2021)."""


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
    """The tower with its two heads."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.tower = DPTModel(tower_config(), add_pooling_layer=False)
        self.words = Pool(words)
        self.expressions = Pool(8)


def rate(progress: float, warm_up: float = 0.06) -> float:
    """Learning rate as a share of its peak: linear warm-up, half cosine to 2 %."""
    if progress < warm_up:
        return 0.02 + 0.98 * progress / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


@torch.no_grad()
def measure(net: Warmup, photos: data.Photos, targets: np.ndarray, faces: data.Faces) -> str:
    """Mean average precision of the words and accuracy on faces, both on the dev parts."""
    net.eval()
    rows = photos.rows("dev")
    scores = torch.cat(
        [
            net.words(
                tower_states(
                    net.tower, data.views(torch.from_numpy(photos.images[part]), 112, False)
                )
            )
            for part in np.array_split(rows, 4)
        ]
    ).numpy()
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
    return f"dev words mAP {np.mean(precisions):.3f} ({len(precisions)}), faces {accuracy:.3f}"


def warm_up(
    photos: data.Photos, faces: data.Faces, out: Path, steps: int, seed: int, device: str = "cpu"
) -> dict[str, Tensor]:
    """Train and return the tower's state (moving average). Goes on from `out`/warm_up.pt."""
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
        pixels = torch.cat(
            [
                data.views(torch.from_numpy(photos.images[np.sort(chosen)]), size, True),
                data.face_views(faces.images[shown], size, True),
            ]
        ).to(device, memory_format=torch.channels_last)
        states = tower_states(net.tower, pixels)
        word_loss = (
            functional.binary_cross_entropy_with_logits(
                net.words(states[:PHOTOS_A_STEP]),
                truth[np.sort(chosen)].to(device),
                reduction="sum",
            )
            / PHOTOS_A_STEP
        )
        face_loss = functional.cross_entropy(
            net.expressions(states[PHOTOS_A_STEP:]), torch.from_numpy(faces.soft[shown]).to(device)
        )
        (word_loss / 10 + face_loss).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step(rate(progress))
        average.update(net)
        losses.append((word_loss.item(), face_loss.item()))
        if (step + 1) % 50 == 0:
            mean = np.mean(losses[-50:], 0)
            pace = (step + 1 - begin) / (time.time() - started)
            print(
                f"tower {step + 1}/{steps} words {mean[0]:.3f} faces {mean[1]:.3f} "
                f"{pace:.2f} steps/s",
                flush=True,
            )
        if (step + 1) % 250 == 0 or step + 1 == steps:
            torch.save(
                {
                    "net": net.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "average": average.state,
                    "step": step + 1,
                },
                saved.with_suffix(".new"),
            )
            saved.with_suffix(".new").rename(saved)
            averaged = Warmup(len(words))
            averaged.load_state_dict({k: v.cpu() for k, v in average.state.items()})
            print("  ", measure(averaged, photos, targets, faces), flush=True)
    return {
        name.removeprefix("tower."): value.cpu()
        for name, value in average.state.items()
        if name.startswith("tower.")
    }
