"""Train the pocket face detector.

    python -m training.detector.train --data ../shared/data --out runs/detector --install

It goes on from what it finds in OUT. On one CPU core:

1. the teacher's boxes, some 6 minutes (teacher.npz);
2. the training, an hour (checkpoint.pt, each 200 steps); the scenes of a step depend on the seed
   and the step alone;
3. the proposals for the second look and what its own teacher sees in them, 15 minutes
   (proposals_STEPS.pt); needs the extra `training`;
4. the second look's training, 20 minutes (verifier_STEPS.pt, each epoch);
5. the weights of both looks, the threshold, and OUT/detector.safetensors.

`--install` also copies that beside the code and enters its sha256; `--export-only` begins at 3.
With a GPU the scenes are the slow part: `--workers` processes make them ahead.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.ops import generalized_box_iou_loss

from kuleshov.tools.pocket.detector import (
    NAME,
    STRIDES,
    WEIGHTS,
    Detector,
    decode_boxes,
    detect_faces,
    load_detector,
)
from training.checksums import enter
from training.detector import data, verify
from training.saving import save

SIDE = 256
RANGES = ((9.0, 46.0), (36.0, 140.0))
"""Face sizes √(width · height), pixels, that each output map answers for; both in the overlap."""
SLACK = 1.4
"""A face outside a map's range by less than this factor is neither right nor wrong there."""
BOX_WEIGHT = 2.0
EMA = 0.997
CYCLE = 1500
"""Steps of the learning rate's cycle, which the second part of the training cuts short."""
CUTS_FROM = 1200
"""The step from which scenes have many faces cut by the border."""
CUTS_RATE = 1e-3
"""Learning rate at that step; it falls linearly to 0."""
TURNS, FALSE_BOXES = (-15.0, 0.0, 15.0), 3
"""Turns, degrees, of the pictures that choose the threshold, and false boxes allowed on all 480."""


def targets(scene: data.Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What every cell should say: labels (A,) 1 face, 0 none, −1 ignored; boxes (A, 4)."""
    labels, boxes = [], []
    for stride, (low, high) in zip(STRIDES, RANGES, strict=True):
        cells = SIDE // stride
        y, x = (np.mgrid[:cells, :cells] + 0.5) * stride
        label = np.zeros((cells, cells), np.float32)
        box = np.zeros((cells, cells, 4), np.float32)
        for x0, y0, x1, y1 in scene.ignore:
            label[(x > x0) & (x < x1) & (y > y0) & (y < y1)] = -1
        positive = []
        for face in scene.faces:
            w, h = face[2:] - face[:2]
            size = np.sqrt(w * h)
            dx, dy = abs(x - (face[0] + face[2]) / 2), abs(y - (face[1] + face[3]) / 2)
            # A cell at the rim of a face is hard to call; at the rim of the range, too.
            near = (dx <= max(0.4 * w, 1.2 * stride)) & (dy <= max(0.4 * h, 1.2 * stride))
            core = (dx <= max(0.2 * w, 0.6 * stride)) & (dy <= max(0.2 * h, 0.6 * stride))
            if low <= size <= high:
                label[near] = -1
                positive.append((size, core, face))
            elif low / SLACK <= size <= high * SLACK:
                label[near] = -1
        # The small face in front wins the cells that two faces claim.
        for _, core, face in sorted(positive, key=lambda item: -item[0]):
            label[core] = 1
            box[core] = face
        labels.append(label.ravel())
        boxes.append(box.reshape(-1, 4))
    return np.concatenate(labels), np.concatenate(boxes)


def batch(maker: data.SceneMaker, size: int, seed: int, step: int) -> tuple[Tensor, ...]:
    """Pictures (N, 1, 256, 256), labels (N, A), boxes (N, A, 4) of one step."""
    maker.rng = np.random.default_rng([seed, step])
    maker.cuts = step >= CUTS_FROM
    scenes = [maker.scene() for _ in range(size)]
    labels, boxes = zip(*(targets(scene) for scene in scenes), strict=True)
    pictures = torch.from_numpy(np.stack([scene.grey for scene in scenes]))[:, None].float()
    return pictures, torch.from_numpy(np.stack(labels)), torch.from_numpy(np.stack(boxes))


def loss(maps: tuple[Tensor, ...], labels: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss of the scores (Lin et al. 2017, γ = 2), GIoU loss of the boxes; per face cell."""
    logits = torch.cat([output[:, 0].flatten(1) for output in maps], 1)
    positive = labels == 1
    count = positive.sum().clamp(min=1)
    p = logits.sigmoid()
    error = functional.binary_cross_entropy_with_logits(
        logits, labels.clamp(min=0), reduction="none"
    )
    score_loss = ((labels.clamp(min=0) - p).abs().square() * error * (labels >= 0)).sum() / count
    predicted, _ = decode_boxes(maps)
    box_loss = generalized_box_iou_loss(predicted[positive], boxes[positive], reduction="sum")
    return score_loss, box_loss / count


@dataclass
class _Steps(Dataset[tuple[Tensor, ...]]):
    """The batch of each step, by its number."""

    maker: data.SceneMaker
    size: int
    seed: int

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        return batch(self.maker, self.size, self.seed, step)


def train(
    folder: Path,
    out: Path,
    steps: int,
    size: int,
    rate: float,
    seed: int,
    device: str = "cpu",
    workers: int = 0,
) -> Path:
    """Train for `steps` batches of `size` scenes; gives the path of the weights."""
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    maker = data.SceneMaker(data.material(folder, out / "teacher.npz", seed), SIDE, seed)
    m = maker.material
    print(
        f"{len(m.photos)} photos of people, {len(maker.with_faces)} with faces; "
        f"{len(m.faces)} FER+ faces; {len(m.background)} backgrounds",
        flush=True,
    )
    net = Detector().to(device, memory_format=torch.channels_last)
    for head in (net.head_fine, net.head_coarse):
        bias = head[-1].bias
        assert isinstance(bias, Tensor)
        with torch.no_grad():  # faces are rare; sides start at about two strides
            bias[0] = -4.0
            bias[1:] = 0.7
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=CYCLE, pct_start=0.1
    )
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA), use_buffers=True
    )
    checkpoint, first = out / "checkpoint.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        first = state["step"]
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        print(f"goes on from step {first}", flush=True)
    began, sums = time.perf_counter(), np.zeros(3)
    net.train()
    made = _Steps(maker, size, seed)
    scenes = iter(DataLoader(made, None, sampler=range(first, steps), num_workers=workers))
    for step in range(first, steps):
        pictures, labels, boxes = (part.to(device) for part in next(scenes))
        maps = net(pictures.contiguous(memory_format=torch.channels_last))
        score_loss, box_loss = loss(maps, labels, boxes)
        optimiser.zero_grad()
        (score_loss + BOX_WEIGHT * box_loss).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        if step >= CUTS_FROM:
            for group in optimiser.param_groups:
                group["lr"] = CUTS_RATE * (steps - step) / (steps - CUTS_FROM)
        optimiser.step()
        if step < CUTS_FROM:
            schedule.step()
        average.update_parameters(net)
        sums += (score_loss.item(), box_loss.item(), 1)
        if (step + 1) % 50 == 0:
            speed = (time.perf_counter() - began) / (step + 1 - first)
            print(
                f"step {step + 1}/{steps}  score {sums[0] / sums[2]:.3f}  "
                f"box {sums[1] / sums[2]:.3f}  {speed:.2f} s a step, "
                f"{speed * (steps - step - 1) / 60:.0f} min to go",
                flush=True,
            )
            sums[:] = 0
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state = {
                "step": step + 1,
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
            }
            save(state, checkpoint)
    return finish(average.module.cpu(), folder, out, steps, seed)


def finish(net: Detector, folder: Path, out: Path, steps: int, seed: int) -> Path:
    """Train the second look of a trained detector, weigh both looks, and write both."""
    plain = copy.deepcopy(net).fuse().requires_grad_(False).to(memory_format=torch.channels_last)
    net.verifier = verify.verifier_for(plain, folder, out, steps, seed)
    plain.verifier = net.verifier
    net.verifier.trust.copy_(verify.fit_trust(plain, folder))
    return export(net, folder, out, steps)


def choose_threshold(net: Detector, folder: Path) -> float:
    """The least threshold at which pictures of dogs kept for choosing show `FALSE_BOXES`.

    Each photo counts as it is and enlarged to 500 × 375, both upright and turned by `TURNS`.
    """
    names = set(data.held_out(folder).choosing_dogs)
    scores = [0.0] * (FALSE_BOXES + 1)
    for photo in data.read_photos(folder):
        if photo.name in names:
            for picture in (photo.grey, cv2.resize(photo.grey, (500, 375))):
                middle = (picture.shape[1] / 2, picture.shape[0] / 2)
                for degrees in TURNS:
                    turn = cv2.getRotationMatrix2D(middle, degrees, 1.0)
                    turned = cv2.warpAffine(
                        picture, turn, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT
                    )
                    scores += detect_faces(net, np.asarray(turned, np.uint8), threshold=0.1)[
                        1
                    ].tolist()
    first_not_shown = sorted(scores)[-FALSE_BOXES - 1]
    return round(float(np.clip(np.ceil(first_not_shown * 100 + 1) / 100, 0.3, 0.9)), 2)


def export(net: Detector, folder: Path, out: Path, steps: int) -> Path:
    """Write OUT/detector.safetensors (half precision) with its threshold."""
    assert net.verifier is not None
    path = out / NAME
    state = {
        name: value.half().contiguous()
        for name, value in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {
        "config": json.dumps(net.config | {"look": net.verifier.widths}),
        "threshold": "0.5",
        "trained": datetime.date.today().isoformat(),
        "steps": str(steps),
        "licence": "CC BY-NC 4.0, research use",
        "card": "cards/detector.md",
    }
    save_file(state, path, metadata)
    metadata["threshold"] = str(choose_threshold(load_detector(path), folder))
    save_file(state, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, threshold {metadata['threshold']}")
    return path


def install(path: Path) -> None:
    """Copy the weights beside the code and enter their sha256."""
    shutil.copyfile(path, WEIGHTS)
    enter(NAME, WEIGHTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint and weights go here")
    parser.add_argument("--steps", type=int, default=8400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that make the scenes")
    parser.add_argument("--install", action="store_true", help="put the weights into the package")
    parser.add_argument("--export-only", action="store_true", help="from checkpoint.pt, as it is")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    if args.export_only:
        state = torch.load(args.out / "checkpoint.pt", weights_only=True, map_location="cpu")
        average = torch.optim.swa_utils.AveragedModel(Detector(), use_buffers=True)
        average.load_state_dict(state["average"])
        path = finish(average.module, args.data, args.out, state["step"], args.seed)
    else:
        path = train(
            args.data,
            args.out,
            args.steps,
            args.batch,
            args.rate,
            args.seed,
            args.device,
            args.workers,
        )
    if args.install:
        install(path)


if __name__ == "__main__":
    main()
