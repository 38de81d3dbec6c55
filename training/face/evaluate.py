"""Measure the pocket face net on FER+ PublicTest, which took no part in training or choosing.

python -m training.face.evaluate --data ../shared/data
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from scipy.stats import binomtest, pearsonr
from sklearn.metrics import accuracy_score, recall_score

from kuleshov.tools.pocket import face_net
from kuleshov.tools.pocket.face_net import EXPRESSIONS, FACE_SIZE, FaceNet
from training.face import data
from training.face.export import predict, soft_ece

RESAMPLES = 2000
MOVES = {
    "shifted": [(1.0, dx, dy) for dx in (-0.08, 0.08) for dy in (-0.08, 0.08)],
    "tighter": [(0.88, 0.0, 0.0)],
    "looser": [(1.12, 0.0, 0.0)],
}
"""Framing errors of a detector: (side of the view, shift x, shift y) as parts of the crop."""


def interval(
    statistic: Callable[..., float], *columns: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap over faces."""
    draw = np.random.default_rng(seed)
    count = len(columns[0])
    values = []
    for _ in range(RESAMPLES):
        rows = draw.integers(0, count, count)
        values.append(statistic(*(column[rows] for column in columns)))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def uar(truth: np.ndarray, answers: np.ndarray) -> float:
    """Unweighted average recall over the classes that occur in `truth`."""
    classes = np.unique(truth)
    return float(recall_score(truth, answers, labels=classes, average="macro", zero_division=0))


def reframe(
    images: np.ndarray, moves: list[tuple[float, float, float]], seed: int = 0
) -> np.ndarray:
    """Faces (N, 48, 48) uint8 as a box that is off would cut them; one of `moves` for each."""
    pick = np.random.default_rng(seed).integers(0, len(moves), len(images))
    matrix = torch.zeros(len(images), 2, 3)
    for row, (side, dx, dy) in enumerate(moves):
        matrix[pick == row] = torch.tensor([[side, 0, 2 * dx], [0, side, 2 * dy]])
    faces = torch.from_numpy(images)[:, None].float()
    grid = torch.nn.functional.affine_grid(matrix, list(faces.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    return moved[:, 0].round().to(torch.uint8).numpy()


def milliseconds(net: FaceNet, batch: int, seconds: float = 2.0) -> float:
    """Milliseconds a face for `read` at this batch size, median over calls."""
    faces = np.random.default_rng(0).integers(0, 256, (batch, FACE_SIZE, FACE_SIZE), np.uint8)
    for _ in range(5):
        face_net.read_faces(net, faces)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        face_net.read_faces(net, faces)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) / batch * 1e3


def figures(data_dir: Path, weights: Path | None = None) -> dict[str, float]:
    """All figures of the net; fractions 0–1, not percent. `…/low`, `…/high`: 95 % interval.

    Accuracy, recall and UAR are over faces with a majority of votes; ECE and cross-entropy over
    all labelled faces against the vote fractions; r of a unit is against the MediaPipe teacher,
    over the faces on which it found one.
    """
    faces = data.read(data_dir)
    net = face_net.load_face_net(weights)
    rows = np.flatnonzero(faces.part == "public_test")
    images = faces.images[rows]
    probabilities, units = face_net.read_faces(net, images)
    probabilities = probabilities.astype(np.float64)
    clear = faces.majority[rows] >= 0
    truth = faces.majority[rows][clear]
    answers = probabilities[clear].argmax(1)
    result: dict[str, float] = {
        "parameters": float(sum(p.numel() for p in net.parameters())),
        "tau": net.info.tau,
        "temperature": net.info.temperature,
        "faces/majority": float(clear.sum()),
        "accuracy": float(accuracy_score(truth, answers)),
        "uar": uar(truth, answers),
    }
    result["accuracy/low"], result["accuracy/high"] = interval(
        lambda a, b: float((a == b).mean()), truth, answers
    )
    result["uar/low"], result["uar/high"] = interval(uar, truth, answers)
    for index, name in enumerate(EXPRESSIONS):
        hits, count = int((answers[truth == index] == index).sum()), int((truth == index).sum())
        # Wilson, not bootstrap: resampling 0 hits of 13 faces would claim certainty.
        bounds = binomtest(hits, count).proportion_ci(method="wilson")
        result[f"recall/{name}"] = hits / count
        result[f"recall/{name}/low"], result[f"recall/{name}/high"] = bounds.low, bounds.high
        result[f"faces/{name}"] = float(count)

    labelled = faces.labelled[rows]
    soft = faces.soft[rows][labelled].astype(np.float64)
    mine = probabilities[labelled]
    result["faces/labelled"] = float(labelled.sum())
    result["soft_ece"] = soft_ece(mine, soft)
    result["soft_ece/low"], result["soft_ece/high"] = interval(soft_ece, mine, soft)
    result["soft_cross_entropy"] = float(-(soft * np.log(mine + 1e-12)).sum(1).mean())

    # What the operating point changes: the same net without it, and with the mirrored face too.
    logits, _ = predict(net, images)
    result["plain/accuracy"] = float(accuracy_score(truth, logits[clear].argmax(1)))
    result["plain/uar"] = uar(truth, logits[clear].argmax(1))
    result["plain/soft_ece"] = soft_ece(softmax(logits[labelled], axis=1), soft)
    mirrored, _ = face_net.read_faces(net, np.ascontiguousarray(images[:, :, ::-1]))
    both = (probabilities + mirrored)[clear].argmax(1)
    result["with_mirror/accuracy"] = float(accuracy_score(truth, both))
    result["with_mirror/uar"] = uar(truth, both)
    for name, moves in MOVES.items():
        moved, _ = face_net.read_faces(net, reframe(images[clear], moves))
        result[f"{name}/accuracy"] = float(accuracy_score(truth, moved.argmax(1)))
        result[f"{name}/uar"] = uar(truth, moved.argmax(1))

    found = faces.found[rows]
    result["faces/units"] = float(found.sum())
    order = list(data.BLENDSHAPES_OF_UNIT)
    for column, unit in enumerate(net.info.units):
        target = faces.units[rows][found, order.index(unit.unit)]
        fit = pearsonr(units[found, column], target)
        bounds = fit.confidence_interval(0.95)  # Fisher's z
        result[f"r/AU{unit.unit}"] = float(fit.statistic)
        result[f"r/AU{unit.unit}/low"], result[f"r/AU{unit.unit}/high"] = bounds.low, bounds.high
    result["r/mean"] = float(np.mean([result[f"r/AU{unit.unit}"] for unit in net.info.units]))
    result["ms/batch_1"] = milliseconds(net, 1)
    result["ms/batch_32"] = milliseconds(net, 32)
    return {name: float(value) for name, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.face.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA, help="folder of the data")
    parser.add_argument("--weights", type=Path, help="a weights file; default: the bundled one")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = figures(arguments.data, arguments.weights)
    for name, value in result.items():
        if name.endswith(("/low", "/high")):
            continue
        bounds = ""
        if f"{name}/low" in result:
            bounds = f"  [{result[f'{name}/low']:.4f}, {result[f'{name}/high']:.4f}]"
        print(f"{name:24} {value:12,.4f}{bounds}")


if __name__ == "__main__":
    main()
