"""From a trained net to the shipped weights: operating point, unit quality, metadata.

Everything here is chosen on the held-out part of Training; PublicTest is never looked at.
"""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, recall_score
from torch import Tensor

from kuleshov.tools.pocket.face_net import EXPRESSIONS, FaceNet
from training.face import data

TAUS = np.round(np.arange(-0.4, 1.01, 0.05), 2)
LEAST_UAR = 0.72
"""Unweighted average recall below which an operating point neglects the rare expressions."""
KEEP_UNIT = 0.60
"""Units whose held-out r with the teacher is below are left out of what the net claims."""
WEAK_UNIT = 0.75
"""Units kept below this r are marked weak."""
AGREED_NEUTRAL = 0.7
"""Part of the votes from which raters agree that a face is neutral."""
SHOWN_QUANTILES = (0.80, 0.95, 0.99)
"""A unit is slight, clear, strong where 20, 5, 1 % of the agreed-neutral faces go as high."""


@torch.inference_mode()
def predict(net: FaceNet, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 8) and unit z-scores (N, U) of grey faces (N, 48, 48) uint8."""
    logits, units = [], []
    for start in range(0, len(images), 128):
        inputs = data.as_input(images[start : start + 128])
        a, b = net(inputs.to(memory_format=torch.channels_last))
        logits.append(a.numpy())
        units.append(b.numpy())
    return np.concatenate(logits).astype(np.float64), np.concatenate(units)


def adjusted(
    logits: np.ndarray, temperature: float, tau: float, log_prior: np.ndarray
) -> np.ndarray:
    """Probabilities (N, 8) after temperature (Guo et al. 2017) and logit adjustment
    (Menon et al. 2021): softmax(logits / temperature − tau · log prior)."""
    return softmax(logits / temperature - tau * log_prior, axis=1)


def fit_temperature(
    logits: np.ndarray, soft: np.ndarray, tau: float, log_prior: np.ndarray
) -> float:
    """The temperature with the least cross-entropy against the vote fractions, at this tau."""

    def loss(log_temperature: float) -> float:
        scores = logits / np.exp(log_temperature) - tau * log_prior
        return float(-(soft * log_softmax(scores, axis=1)).sum(1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def soft_ece(probabilities: np.ndarray, soft: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error against votes: the gap, averaged over equally wide bins of
    confidence, between the confidence in the first answer and the fraction of raters who gave it.
    """
    first = probabilities.argmax(1)
    confidence = probabilities.max(1)
    agreed = soft[np.arange(len(soft)), first]
    where = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(where, confidence - agreed, bins)
    return float(np.abs(gaps).sum() / len(soft))


def operating_points(
    logits: np.ndarray, faces: data.FaceData, rows: np.ndarray, log_prior: np.ndarray
) -> list[dict[str, float]]:
    """For each tau its temperature and what it gives on `rows`."""
    soft, majority, labelled = faces.soft[rows], faces.majority[rows], faces.labelled[rows]
    clear = majority >= 0
    points = []
    for tau in TAUS:
        temperature = fit_temperature(logits[labelled], soft[labelled], tau, log_prior)
        probabilities = adjusted(logits, temperature, tau, log_prior)
        answers = probabilities[clear].argmax(1)
        points.append(
            {
                "tau": float(tau),
                "temperature": temperature,
                "accuracy": float(accuracy_score(majority[clear], answers)),
                "uar": float(recall_score(majority[clear], answers, average="macro")),
                "ece": soft_ece(probabilities[labelled], soft[labelled]),
                "loss": float(
                    -(soft[labelled] * np.log(probabilities[labelled] + 1e-12)).sum(1).mean()
                ),
            }
        )
    return points


def choose(points: list[dict[str, float]], least_uar: float = LEAST_UAR) -> dict[str, float]:
    """The most accurate point whose UAR is at least `least_uar`; the best UAR where none is.

    Both jump with single faces, UAR by those of disgust and contempt, so each point is judged by
    the mean over its neighbours.
    """

    def smooth(name: str) -> np.ndarray:
        column = np.array([point[name] for point in points])
        return np.convolve(np.pad(column, 1, mode="edge"), np.ones(3) / 3, mode="valid")

    uar, accuracy = smooth("uar"), smooth("accuracy")
    enough = np.flatnonzero(uar >= least_uar)
    if not len(enough):
        return points[int(uar.argmax())]
    return points[int(enough[accuracy[enough].argmax()])]


def export(
    net: FaceNet,
    faces: data.FaceData,
    mean: Tensor,
    std: Tensor,
    record: dict[str, str],
    path: Path,
) -> dict[str, float]:
    """Write `net` as float16 safetensors with everything `face_net.load` needs in the metadata.

    `mean`, `std` (U,): activation = mean + std · z. `record` goes into the metadata: sha256 of
    the data, seed, and the schedule as [first epoch, epochs planned] pairs. Returns the operating
    point chosen.
    """
    # What is measured here must be what is shipped: round to float16 first.
    half = {name: v.half().cpu().contiguous() for name, v in net.state_dict().items()}
    half = {name: value for name, value in half.items() if not name.endswith("batches_tracked")}
    rounded = copy.deepcopy(net).cpu().eval()
    rounded.load_state_dict({name: value.float() for name, value in half.items()}, strict=False)

    rows = np.flatnonzero(faces.part == "held_out")
    logits, z = predict(rounded, faces.images[rows])
    counts = np.bincount(
        faces.soft[(faces.part == "train") & faces.labelled].argmax(1), minlength=len(EXPRESSIONS)
    )
    log_prior = np.log(counts / counts.sum())
    points = operating_points(logits, faces, rows, log_prior)
    point = choose(points)
    found = faces.found[rows]
    calm = np.flatnonzero((faces.part != "public_test") & (faces.soft[:, 0] >= AGREED_NEUTRAL))
    _, calm_z = predict(rounded, faces.images[calm])
    calm_units = np.clip(mean.numpy() + std.numpy() * calm_z, 0, 1)
    units = []
    for column, unit in enumerate(data.BLENDSHAPES_OF_UNIT):
        r = float(pearsonr(z[found, column], faces.units[rows][found, column]).statistic)
        units.append(
            {
                "unit": unit,
                "r": round(r, 3),
                "weak": r < WEAK_UNIT,
                "claimed": r >= KEEP_UNIT,
                "thresholds": [
                    round(float(v), 3) for v in np.quantile(calm_units[:, column], SHOWN_QUANTILES)
                ],
                "mean": float(mean[column]),
                "std": float(std[column]),
            }
        )
    metadata = {
        "format": "pt",
        "model": "kuleshov pocket face net",
        "licence": "CC-BY-NC-4.0",
        "config": json.dumps(net.config),
        "expressions": json.dumps(EXPRESSIONS),
        "log_prior": json.dumps([round(float(v), 6) for v in log_prior]),
        "temperature": f"{point['temperature']:.6f}",
        "tau": f"{point['tau']:.2f}",
        "units": json.dumps(units),
        "operating_points": json.dumps([{k: round(v, 4) for k, v in p.items()} for p in points]),
        "trained": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **record,
    }
    save_file(half, path, metadata=metadata)
    return point
