"""Train the detector's second look.

Most wrong proposals are the faces of a thousand dogs, too few to learn from what a dog is. A
published network (`training.published`), trained on ImageNet, 118 of whose thousand classes are
dogs, knows: a linear probe on its features tells the right proposals from the wrong, and the second
look learns to give the probe's logits and the features (distillation: Hinton et al. 2015, Romero et
al. 2015).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from kuleshov.tools.pocket.detector import (
    LOOK_FRAME,
    LOOK_SIDE,
    PROPOSED,
    Detector,
    Look,
    look_again,
    search_levels,
    to_logits,
)
from training import published
from training.average import Average
from training.detector import data
from training.detector.proposals import STORED, STORED_FRAME, Proposals, gather, verdicts
from training.saving import save

TEACHER_SIDE, TEACHER_FRAME = 128, 2.4
PENALTY = 1e-2
"""Ridge penalty of the probe's weights."""
COMPONENTS = 96
"""Principal components kept of the teacher's 1280 features."""
EPOCHS, BATCH, PEAK_RATE = 14, 128, 2e-3
EMA = 0.998
TURN = 0.25
"""Most that a picture is turned, radians."""
CUT = 0.4
"""Part of the pictures that are cut close to the box."""
LABEL_WEIGHT, FEATURE_WEIGHT = 0.3, 1.0
"""Weights of the labels' and the features' loss beside the probe's."""


@dataclass(frozen=True)
class Taught:
    """What the teacher says of N proposals: components (N, 96) of unit variance on average, and
    probed (N,), the logit of a face."""

    components: Tensor
    probed: Tensor


@torch.no_grad()
def watch(pictures: Tensor) -> Tensor:
    """The teacher's features (N, 1280) of stored pictures (N, 80, 80)."""
    maps = published.maps(published.network(), TEACHER_SIDE)
    inner = round(STORED * TEACHER_FRAME / STORED_FRAME / 2) * 2
    rim = (STORED - inner) // 2
    features, began = [], time.perf_counter()
    for number, some in enumerate(pictures.split(16)):
        views = functional.interpolate(
            some[:, None, rim : rim + inner, rim : rim + inner].float(),
            size=(TEACHER_SIDE, TEACHER_SIDE),
            mode="bilinear",
            align_corners=False,
        ).expand(-1, 3, -1, -1)
        features.append(maps(views.contiguous(memory_format=torch.channels_last)).mean((2, 3)))
        if (number + 1) % 500 == 0:
            done = f"{(number + 1) * 16:,}/{len(pictures):,}"
            print(f"teacher {done} {time.perf_counter() - began:.0f} s", flush=True)
    return torch.cat(features)


def regression(inputs: Tensor, right: Tensor, penalty: float) -> Tensor:
    """Weights (D,) and constant of a logistic regression on inputs (N, D), in one (D + 1,).

    `penalty` weighs the squared weights beside the mean error.
    """
    model = LogisticRegression(C=1 / (2 * penalty * len(inputs)), max_iter=1000, tol=1e-6)
    model.fit(inputs.double().numpy(), right.numpy())
    return torch.from_numpy(np.append(model.coef_[0], model.intercept_)).float()


def probe(features: Tensor, right: Tensor) -> Tensor:
    """Logits of a face (N,) from a linear probe on `features`, fitted where `right` is known."""
    known = right >= 0
    inputs = (features - features[known].mean(0)) / (features[known].std(0) + 1e-6)
    line = regression(inputs[known], right[known], PENALTY)
    return inputs @ line[:-1] + line[-1]


def taught(features: Tensor, right: Tensor) -> Taught:
    """The features' principal components, and the probe's logits."""
    centred = features - features.mean(0)
    _, _, main = torch.pca_lowrank(centred, COMPONENTS, center=False, niter=4)
    components = centred @ main
    return Taught(components / components.std(), probe(features, right))


def _moved(pictures: Tensor) -> Tensor:
    """(N, 80, 80) uint8 to (N, 1, 40, 40) float: frame, mirror, turn, light and holes at random."""
    count = len(pictures)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count) * (high - low) + low

    zoom = torch.exp(uniform(-0.12, 0.12)) * LOOK_FRAME / STORED_FRAME
    angle = uniform(-TURN, TURN)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = zoom * angle.cos() * mirror, -zoom * angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = zoom * angle.sin() * mirror, zoom * angle.cos()
    matrix[:, :, 2] = torch.rand(count, 2) * 0.12 - 0.06
    # Twice the size, then means of four: as smooth as `cut_out`.
    grid = functional.affine_grid(matrix, [count, 1, 2 * LOOK_SIDE, 2 * LOOK_SIDE], False)
    # Cut close on all sides or on some, as a picture of a face alone is: its rim is repeated.
    box = 1 / STORED_FRAME
    sides = torch.rand(count, 4) < torch.where(torch.rand(count, 1) < 0.5, 1.0, 0.4)
    sides &= torch.rand(count, 1) < CUT
    reach = torch.where(sides, torch.rand(count, 4) * 0.75 * box + 0.85 * box, 9.0)
    left_top, right_bottom = (reach[:, None, None, i : i + 2] for i in (0, 2))
    grid = torch.minimum(torch.maximum(grid, -left_top), right_bottom)
    views = functional.grid_sample(
        pictures[:, None].float(), grid, padding_mode="border", align_corners=False
    )
    views = functional.avg_pool2d(views, 2)
    views = (views / 255) ** torch.exp(uniform(-0.4, 0.4))[:, None, None, None] * 255
    noise = uniform(0, 10) * (torch.rand(count) < 0.4)
    views = views + torch.randn_like(views) * noise[:, None, None, None]
    # A grey rectangle over a part of it: no single feature decides.
    low = (torch.rand(count, 2) * LOOK_SIDE).long()
    high = low + (torch.rand(count, 2) * LOOK_SIDE * 0.35).long() * (torch.rand(count, 1) < 0.4)
    place = torch.arange(LOOK_SIDE)
    rows = (place >= low[:, :1]) & (place < high[:, :1])
    columns = (place >= low[:, 1:]) & (place < high[:, 1:])
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], 127.0, views)


def train(
    proposals: Proposals,
    lesson: Taught,
    checkpoint: Path | None = None,
    seed: int = 0,
    epochs: int = EPOCHS,
) -> Look:
    """A second look in eval mode.

    With `checkpoint` each epoch is kept there, and the training goes on from it.
    """
    torch.manual_seed(seed)
    net = Look().to(memory_format=torch.channels_last)
    telling = nn.Linear(net.score.in_features, COMPONENTS)
    parts = nn.ModuleList([net, telling])
    average = Average(net, EMA)
    optimiser = torch.optim.AdamW(parts.parameters(), lr=PEAK_RATE, weight_decay=0.05)
    batches = len(proposals.right) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, total_steps=batches * epochs
    )
    first = 0
    if checkpoint is not None and checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        first = state["epoch"]
        parts.load_state_dict(state["parts"])
        average.state, average.steps = state["average"], first * batches
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    net.train()
    believed = lesson.probed.sigmoid()
    for epoch in range(first, epochs):
        torch.manual_seed(seed * 1000 + epoch)
        order = torch.randperm(len(proposals.right))[: batches * BATCH]
        sums, began = np.zeros(3), time.perf_counter()
        for rows in order.split(BATCH):
            views = _moved(proposals.pictures[rows]).contiguous(memory_format=torch.channels_last)
            features = net.features(views)
            logits = net.score(features)[:, 0]
            right = proposals.right[rows]
            errors = functional.binary_cross_entropy_with_logits(
                logits, right.clamp(min=0), reduction="none"
            )
            label = (errors * (right >= 0)).mean()
            soft = functional.binary_cross_entropy_with_logits(logits, believed[rows])
            told = functional.mse_loss(telling(features), lesson.components[rows])
            optimiser.zero_grad()
            (soft + LABEL_WEIGHT * label + FEATURE_WEIGHT * told).backward()
            optimiser.step()
            schedule.step()
            average.update(net)
            sums += (label.item(), soft.item(), told.item())
        label_mean, soft_mean, told_mean = sums / batches
        print(
            f"second look, epoch {epoch + 1}/{epochs}  label {label_mean:.3f}  probe "
            f"{soft_mean:.3f}  features {told_mean:.3f}  {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        if checkpoint is not None:
            state = {
                "epoch": epoch + 1,
                "parts": parts.state_dict(),
                "average": average.state,
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
            }
            save(state, checkpoint)
    net.load_state_dict(average.state)
    return net.eval()


@torch.no_grad()
def _choosing(net: Detector, folder: Path) -> tuple[Tensor, Tensor]:
    """Both looks' logits (N, 2) at the proposals in the photos kept for choosing, and whether each
    is right (N,). Faces are YuNet's."""
    assert net.verifier is not None
    names = data.held_out(folder)
    teacher = data.yunet(folder, data.UNSURE)
    logits, right = [], []
    for photo in data.read_photos(folder, colour=True):
        people = photo.name in names.choosing_people
        if not people and photo.name not in names.choosing_dogs:
            continue
        enlarged = cv2.resize(photo.grey, (500, 375), interpolation=cv2.INTER_CUBIC)
        large = np.asarray(enlarged, np.uint8)
        seen = data.yunet_boxes(teacher, large) if people else np.empty((0, 5), np.float32)
        faces, ignore = list(seen[seen[:, 4] >= data.SURE, :4]), list(seen[:, :4])
        for view in [large] if people else [photo.grey, large]:
            grey = np.asarray(cv2.cvtColor(view, cv2.COLOR_BGR2GRAY), np.uint8)
            for level, boxes, scores, scale in search_levels(net, grey, PROPOSED):
                verdict = verdicts(boxes * scale, faces, ignore)
                both = torch.stack([to_logits(scores), look_again(net.verifier, level, boxes)], 1)
                logits.append(both[verdict >= 0])
                right.append(verdict[verdict >= 0])
    return torch.cat(logits), torch.cat(right)


def fit_trust(net: Detector, folder: Path) -> Tensor:
    """The weights (3,) of both looks' logits and the constant, by logistic regression.

    On what they were trained on both are too sure, each in its own measure: it is fitted on the
    photos kept for choosing. `net` is as `load` gives it.
    """
    logits, right = _choosing(net, folder)
    return regression(logits, right, 1e-4)


def verifier_for(net: Detector, folder: Path, out: Path, steps: int, seed: int = 0) -> Look:
    """Gather, teach and train for a detector trained for `steps`; each is kept in OUT and not done
    again. `trust` is not fitted yet."""
    told = out / f"proposals_{steps}.pt"
    if told.is_file():
        pictures, right, features = torch.load(told, weights_only=True)
    else:
        kept = data.held_out(folder).all()
        unlabelled = [
            photo.grey
            for photo in data.read_photos(folder)
            if photo.kind == "both" and photo.name not in kept
        ]
        maker = data.SceneMaker(data.material(folder, out / "teacher.npz", seed))
        found = gather(net, maker, unlabelled)
        pictures, right = found.pictures, found.right
        features = watch(pictures).half()
        save((pictures, right, features), told)
    lesson = taught(features.float(), right)
    return train(Proposals(pictures, right), lesson, out / f"verifier_{steps}.pt", seed)
