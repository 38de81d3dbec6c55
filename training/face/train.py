"""Train the pocket face net: one command from the data to the weights.

    python -m training.face.train --data ../shared/data --out runs/face

writes `checkpoint.pt` after every epoch and `face_net.safetensors` at the end of each stretch of
`--export-every` epochs. Started again with the same `--out`, it goes on after the last finished
epoch and gives the same weights as a run that was never stopped (same machine and versions):
each epoch draws its random numbers from (seed, epoch) alone. Going on with other `--epochs` is
allowed, to end sooner or later; the change is written into the weights.

With a GPU, larger nets can be trained first and the small one taught by them (distillation from an
ensemble, Hinton et al. 2015):

    for seed in 1 2 3 4; do python -m training.face.train --out runs/teacher$seed --seed $seed \
        --widths 64,96,192,384 --depths 2,2,2 --epochs 60; done
    python -m training.face.train --out runs/face --epochs 200 \
        --teachers runs/teacher*/face_net.safetensors
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kuleshov.tools.pocket.face_net import FACE_SIZE, NAME, FaceNet, load_face_net
from training.face import data
from training.face.export import export
from training.saving import save

BATCH = 128
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.05
WARM_UP = 0.08
UNIT_WEIGHT = 1.0
DROPOUT = 0.2
EMA = 0.998
TAUGHT = 0.6
"""Part of the targets that comes from the teachers where there are some."""
SIZES = ((0.35, 32), (0.46, 40), (1.0, 48))
"""Picture size by progress: small faces cost less than half as much, and early epochs learn as
well from them (progressive resizing, Tan & Le 2021)."""


def size_at(progress: float) -> int:
    """Side in pixels of the faces shown at `progress` (0–1) of the training."""
    return next(size for until, size in SIZES if progress < until or until == 1.0)


def strength_at(progress: float) -> float:
    """Strength of augmentation and dropout: full for the first half, then down to 0.3.

    A net this small underfits: half-way, training and held-out accuracy were 0.6 % apart.
    """
    return 1.0 if progress < 0.5 else 1.0 - 1.4 * (progress - 0.5)


def rate_at(progress: float) -> float:
    """Learning rate: linear warm-up, then a half cosine to zero (OneCycle, Smith 2018)."""
    if progress < WARM_UP:
        return PEAK_RATE * (0.05 + 0.95 * progress / WARM_UP)
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def unit_scale(faces: data.FaceData) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (U,) of the units over the training faces."""
    rows = faces.units[(faces.part == "train") & faces.found]
    return torch.from_numpy(rows.mean(0)), torch.from_numpy(rows.std(0))


def losses(
    logits: Tensor, z: Tensor, soft: Tensor, labelled: Tensor, z_target: Tensor, found: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy with the vote fractions, and smooth L1 on the units' z-scores.

    Each is the mean over the faces that have the target. A z-score beyond 1.5 of its target
    pulls no harder than that: the teacher's outliers are mostly its own failures.
    """
    expression = -(soft * logits.log_softmax(1)).sum(1)
    units = functional.smooth_l1_loss(z, z_target, reduction="none", beta=1.5).mean(1)
    return (
        (expression * labelled).sum() / labelled.sum().clamp(min=1),
        (units * found).sum() / found.sum().clamp(min=1),
    )


@torch.no_grad()
def taught(
    teachers: Sequence[FaceNet],
    views: Tensor,
    targets: tuple[Tensor, Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Soft labels, labelled, z-scores and found, with what the teachers see in the same views.

    They see each view and its mirror image: their mean is more accurate than either (held out:
    87.7 against 86.3 %), and the pupil learns to need no mirror. Where people or MediaPipe said
    nothing, the teachers' mean stands alone.
    """
    soft, labelled, z_target, found = targets
    told = [teacher(seen) for teacher in teachers for seen in (views, views.flip(3))]
    shares = torch.stack([logits.float().softmax(1) for logits, _ in told]).mean(0)
    z = torch.stack([z.float() for _, z in told]).mean(0)
    own, seen = (1 - TAUGHT) * labelled[:, None], (1 - TAUGHT) * found[:, None]
    return (
        own * soft + (1 - own) * shares,
        torch.ones_like(labelled),
        seen * z_target + (1 - seen) * z,
        torch.ones_like(found),
    )


def train(
    folder: Path,
    out: Path,
    epochs: int,
    seed: int,
    export_every: int,
    device: str = "cpu",
    shape: dict[str, tuple[int, ...]] | None = None,
    teachers: Sequence[Path] = (),
) -> None:
    """Train a net of `shape` (widths and depths of `FaceNet`) on `device`; see the module."""
    faces = data.read(folder)
    if teachers:  # they may tell of faces that nobody labelled, too
        rows = np.flatnonzero(faces.part == "train")
    else:
        rows = np.flatnonzero((faces.part == "train") & (faces.labelled | faces.found))
    masters = [load_face_net(path).to(device) for path in teachers]
    mean, std = unit_scale(faces)
    images = torch.from_numpy(faces.images).to(device)
    soft = torch.from_numpy(faces.soft).to(device)
    labelled = torch.from_numpy(faces.labelled).float().to(device)
    found = torch.from_numpy(faces.found).float().to(device)
    z_target = ((torch.from_numpy(faces.units) - mean) / std).nan_to_num(0.0).to(device)
    weights = torch.from_numpy(data.sampling_weights(faces.soft[rows], faces.labelled[rows]))
    index = torch.from_numpy(rows)

    torch.manual_seed(seed)
    net = FaceNet(units=faces.units.shape[1], **(shape or {}))
    net = net.to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": vectors, "weight_decay": 0.0},
        ]
    )
    per_epoch = len(rows) // BATCH
    first = 0
    schedule = [[0, epochs]]
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        if saved["seed"] != seed:
            raise SystemExit(f"{checkpoint} is of a run with --seed {saved['seed']}")
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["epoch"] + 1
        schedule = saved.get("schedule", [[0, saved["epochs"]]])
        if schedule[-1][1] != epochs:
            schedule.append([first, epochs])
        print(f"going on after epoch {first} of {epochs}", flush=True)
    record = {
        "data_sha256": data.sha256(folder),
        "seed": str(seed),
        "schedule": json.dumps(schedule),
    }
    if teachers:
        record["teachers"] = str(len(teachers))
    count = sum(p.numel() for p in net.parameters())
    print(f"{count:,} parameters, {len(rows):,} faces, {per_epoch} steps an epoch", flush=True)

    live = [v for v in net.state_dict().values() if v.dtype.is_floating_point]
    smooth = [v for v in average.state_dict().values() if v.dtype.is_floating_point]
    for epoch in range(first, epochs):
        start = time.time()
        torch.manual_seed(seed * 1_000_003 + epoch)
        size, strength = size_at(epoch / epochs), strength_at(epoch / epochs)
        drawn = index[torch.multinomial(weights, per_epoch * BATCH, replacement=True)]
        net.train()
        net.dropout.p = DROPOUT * strength
        totals = np.zeros(2)
        for step in range(per_epoch):
            progress = (epoch * per_epoch + step) / (epochs * per_epoch)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(progress)
            batch = drawn[step * BATCH : (step + 1) * BATCH].to(device)
            views = data.augment(images[batch, None].float() / 255, size, strength)
            views = views.to(memory_format=torch.channels_last)
            targets = (soft[batch], labelled[batch], z_target[batch], found[batch])
            with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
                if masters:
                    targets = taught(masters, views, targets)
                logits, z = net(views)
            expression, units = losses(logits.float(), z.float(), *targets)
            optimiser.zero_grad(set_to_none=True)
            (expression + UNIT_WEIGHT * units).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            done = epoch * per_epoch + step
            with torch.no_grad():
                # Young averages forget faster, or they would keep the random start.
                torch._foreach_lerp_(smooth, live, 1 - min(EMA, (1 + done) / (10 + done)))
            totals += (expression.item(), units.item())
            if step % 50 == 0:
                print(
                    f"  epoch {epoch + 1} step {step}/{per_epoch} {size}px "
                    f"{(step + 1) * BATCH / (time.time() - start):.0f} faces/s",
                    flush=True,
                )
        expression_loss, unit_loss = totals / per_epoch
        print(
            f"epoch {epoch + 1}/{epochs} {size}px {time.time() - start:.0f}s "
            f"expression {expression_loss:.4f} units {unit_loss:.4f} {held_out(average, faces)}",
            flush=True,
        )
        state = {
            "net": net.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "epoch": epoch,
            "epochs": epochs,
            "schedule": schedule,
            "seed": seed,
        }
        save(state, checkpoint)
        if (epoch + 1) % export_every == 0:
            export(average, faces, mean, std, record, out / NAME)
    point = export(average, faces, mean, std, record, out / NAME)
    print(f"wrote {out / NAME}; operating point {point}", flush=True)


@torch.inference_mode()
def held_out(net: FaceNet, faces: data.FaceData) -> str:
    """Accuracy of the averaged net on the held-out part, for the progress line."""
    rows = np.flatnonzero((faces.part == "held_out") & (faces.majority >= 0))
    hits = 0
    for chunk in np.array_split(rows, 16):
        inputs = data.as_input(faces.images[chunk], FACE_SIZE).to(net.expression.weight.device)
        logits, _ = net(inputs.to(memory_format=torch.channels_last))
        hits += int((logits.argmax(1).cpu().numpy() == faces.majority[chunk]).sum())
    return f"held-out accuracy {hits / len(rows):.4f}"


def _numbers(text: str) -> tuple[int, ...]:
    """`32,64` as numbers."""
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.face.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA, help="folder of the data")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and weights")
    parser.add_argument("--epochs", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export-every", type=int, default=4, metavar="EPOCHS")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--widths", type=_numbers, help="of the stem and the three stages")
    parser.add_argument("--depths", type=_numbers, help="blocks of the three stages")
    parser.add_argument("--teachers", type=Path, nargs="+", default=(), metavar="WEIGHTS")
    arguments = parser.parse_args()
    shape = {"widths": arguments.widths, "depths": arguments.depths}
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(
        arguments.data,
        arguments.out,
        arguments.epochs,
        arguments.seed,
        arguments.export_every,
        arguments.device,
        {name: numbers for name, numbers in shape.items() if numbers},
        arguments.teachers,
    )


if __name__ == "__main__":
    main()
