"""FER+ faces with the blendshapes MediaPipe gives for them: reading, targets, splits, augmentation.

Terms and origin of the two files are in the data folder's README: FER2013 images (rights
unresolved, research use) with FER+ votes (Barsoum et al. 2016), blendshapes by FaceLandmarker.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kuleshov.tools.faces import facs
from kuleshov.tools.pocket.face_net import EXPRESSIONS, FACE_SIZE, standardise_faces

FACES = "ferplus48.npz"
BLENDSHAPES = "ferplus_blendshapes.npz"
DEFAULT_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"

UNITS = (1, 2, 4, 5, 7, 10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 26, 28, 45)
BLENDSHAPES_OF_UNIT = {unit: facs.BLENDSHAPES[unit] for unit in UNITS}
"""Action unit → blendshapes averaged for it.

Units 6, 9 and 34 are left out: MediaPipe's cheekSquint, noseSneer and cheekPuff stay at zero.
"""

HELD_OUT = 0.08
"""Part of Training kept from the gradient, to choose the operating point."""


@dataclass(frozen=True)
class FaceData:
    """All faces in file order. N faces, 8 expressions, U units.

    images: (N, 48, 48) uint8.
    soft: (N, 8) float32, vote fractions; rows of zeros where `labelled` is false.
    labelled: (N,) bool, the votes name one of the eight classes.
    majority: (N,) int, class with more than half of the votes, -1 where there is none.
    units: (N, U) float32 blendshape activation 0–1, NaN where the teacher found no face.
    found: (N,) bool, the teacher found a face.
    part: (N,) str, "train", "held_out" or "public_test".
    """

    images: np.ndarray
    soft: np.ndarray
    labelled: np.ndarray
    majority: np.ndarray
    units: np.ndarray
    found: np.ndarray
    part: np.ndarray


def read(folder: Path) -> FaceData:
    """Read both files of `folder`; FileNotFoundError says what is missing."""
    for name in (FACES, BLENDSHAPES):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{name} is not in {folder}; see the data folder's README")
    faces = np.load(folder / FACES)
    teacher = np.load(folder / BLENDSHAPES)
    if not np.array_equal(faces["names"], teacher["names"]):
        raise ValueError(f"{FACES} and {BLENDSHAPES} list different faces")
    votes = faces["votes"].astype(np.float32)
    soft, labelled, majority = targets(votes)
    columns = [str(name) for name in teacher["blendshape_names"]]
    activation = teacher["blendshapes"].astype(np.float32)
    units = np.stack(
        [
            activation[:, [columns.index(name) for name in names]].mean(1)
            for names in BLENDSHAPES_OF_UNIT.values()
        ],
        axis=1,
    )
    return FaceData(
        images=faces["images"],
        soft=soft,
        labelled=labelled,
        majority=majority,
        units=units,
        found=~np.isnan(units).any(1),
        part=parts(faces["usage"], votes),
    )


def targets(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vote counts (N, 10) to soft labels (N, 8), which rows have one, and majority class or -1.

    FER+ protocol (microsoft/FERPlus): a class with a single vote counts as an outlier; a face
    whose top column is "unknown" or "NF" has no label; a majority is more than half of what is
    left, over all ten columns.
    """
    kept = np.where(votes > 1, votes, 0)
    top = kept.argmax(1)
    total = kept[:, :8].sum(1)
    labelled = (total > 0) & (top < 8)
    soft = np.where(labelled[:, None], kept[:, :8] / np.maximum(total, 1)[:, None], 0)
    clear = (kept.max(1) > 0.5 * kept.sum(1)) & (top < 8)
    return soft.astype(np.float32), labelled, np.where(clear, top, -1)


def parts(usage: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Split Training by its most-voted class, so that rare classes reach the held-out part too."""
    part = np.where(usage == "PublicTest", "public_test", "train").astype("<U11")
    order = np.random.default_rng(20)
    for column in range(votes.shape[1]):
        rows = np.flatnonzero((part == "train") & (votes.argmax(1) == column))
        part[order.permutation(rows)[: round(HELD_OUT * len(rows))]] = "held_out"
    return part


def sha256(folder: Path) -> str:
    """One sha256 over both data files, for the record in the weights."""
    digest = hashlib.sha256()
    for name in (FACES, BLENDSHAPES):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def sampling_weights(soft: np.ndarray, labelled: np.ndarray, power: float = 0.25) -> np.ndarray:
    """How often to draw each face, (N,): classes drawn by n^-power, so rare ones are seen more.

    With a power of 1 every class would be seen equally often and disgust, contempt (130 faces
    each) would be learned by heart; the rest of the imbalance is met by the operating point.
    """
    counts = np.bincount(soft[labelled].argmax(1), minlength=len(EXPRESSIONS))
    by_class = (np.maximum(counts, 1) / counts.max()) ** -power
    return np.where(labelled, by_class[soft.argmax(1)], 1.0)


def augment(faces: Tensor, size: int, strength: float = 1.0) -> Tensor:
    """Random views, standardised: (N, 1, 48, 48) float 0–1 to (N, 1, size, size).

    Framing (turn, zoom, stretch, shift, mirror), then light (gamma), sharpness, noise and a
    blanked rectangle. Most views stay near FER+ framing, the tails cover a detector's loose boxes.
    `strength` (0–1) is how often sharpness, noise and blanking are touched, relative to the start.
    The views are made on the device that the faces are on.
    """
    count, device = len(faces), faces.device

    def chance() -> Tensor:
        return torch.rand(count, device=device)

    def uniform(low: float, high: float) -> Tensor:
        return chance() * (high - low) + low

    def normal(std: float) -> Tensor:
        return (torch.randn(count, device=device) * std).clamp(-2.2 * std, 2.2 * std)

    angle = normal(0.17)
    zoom = torch.exp(normal(0.11))
    stretch = torch.exp(normal(0.05))
    mirror = torch.where(chance() < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # Rows map output to input coordinates, both −1…1 over the picture.
    matrix = torch.stack(
        [
            torch.stack([cos * stretch * mirror, -sin, normal(0.1)], 1),
            torch.stack([sin * stretch * mirror, cos, normal(0.1)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, [count, 1, size, size], align_corners=False)
    views = functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    views = views.clamp(0, 1) ** torch.exp(uniform(-0.4, 0.4))[:, None, None, None]
    blurred = chance() < 0.15 * strength
    if blurred.any():
        smaller = int(torch.randint(int(0.45 * size), int(0.8 * size), ()))
        small = functional.interpolate(
            views[blurred], size=smaller, mode="bilinear", antialias=True
        )
        views[blurred] = functional.interpolate(small, size=size, mode="bilinear")
    views = standardise_faces(views)
    noise = uniform(0, 0.15) * (chance() < 0.4 * strength)
    views = views + torch.randn_like(views) * noise[:, None, None, None]
    pixels = torch.arange(size, device=device) / size
    half_height, half_width = uniform(0.06, 0.2), uniform(0.06, 0.2)
    rows = (pixels - uniform(0, 1)[:, None]).abs() < half_height[:, None]
    columns = (pixels - uniform(0, 1)[:, None]).abs() < half_width[:, None]
    blanked = chance() < 0.5 * strength
    blank = rows[:, :, None] & columns[:, None, :] & blanked[:, None, None]
    return views.masked_fill(blank[:, None], 0.0)


def as_input(images: np.ndarray | Tensor, size: int = FACE_SIZE) -> Tensor:
    """Grey faces (N, 48, 48) uint8 to the net's standardised input (N, 1, size, size)."""
    faces = torch.as_tensor(images)[:, None].float() / 255
    if size != FACE_SIZE:
        faces = functional.interpolate(faces, size=size, mode="bilinear", antialias=True)
    return standardise_faces(faces)
