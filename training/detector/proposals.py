"""What the detector proposes, for its second look (`verify`) to learn from.

Proposals come from views of photos, with faces as YuNet drew them and without people, enlarged and
turned at random: one that lies on a face is right, one that lies on none is wrong, one between is
left out. (In a training scene the faces are pasted; a network soon tells a composite from a photo
instead of a face from a dog. So scenes, like the photos of animals with people, come unlabelled.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from kuleshov.tools.pocket.detector import Detector, cut_out, pad_picture, propose_boxes
from training.detector import data

LEAST, DOUBTED = 0.15, 0.3
"""Proposals from the first score on are learnt from; wrong ones below the second, which are many,
by a share `DRAWN`."""
DRAWN = 0.15
MOST = {
    ("people", 1): 12000,
    ("people", 0): 8500,
    ("background", 0): 36000,
    ("unlabelled", 0): 2700,
    ("scene", 1): 3000,
    ("scene", 0): 6300,
}
"""Most proposals learnt from, by origin and whether they are right; drawn at random."""
LABELLED = ("people", "background")
RIGHT, WRONG = 0.45, 0.15
"""Intersection over union with a face from which, and below which, a proposal is right, wrong."""
STORED, STORED_FRAME = 80, 2.75
"""Pictures are kept larger than they are looked at, to move the frame about: their side in pixels,
and in sides of the box."""
SCENES, SEED = 2000, 78
VIEWS = {"people": 2, "background": 6, "unlabelled": 3}
"""Random views of each photo."""
VIEW_SIDE = 448
"""The longest side of a view, pixels; what is enlarged beyond loses its rim."""


@dataclass(frozen=True)
class Proposals:
    """pictures (N, 80, 80) uint8; right (N,) 1 a face, 0 none, −1 not known."""

    pictures: Tensor
    right: Tensor


def verdicts(boxes: Tensor, faces: list[NDArray], ignore: list[NDArray]) -> Tensor:
    """1 right, 0 wrong, −1 neither, for boxes (N, 4)."""
    verdict = torch.zeros(len(boxes))
    if faces:
        most = box_iou(boxes, torch.from_numpy(np.stack(faces)).float()).max(1).values
        verdict[most >= WRONG] = -1
        verdict[most >= RIGHT] = 1
    if ignore:
        near = box_iou(boxes, torch.from_numpy(np.stack(ignore)).float()).max(1).values > 0.05
        verdict[near & (verdict == 0)] = -1
    return verdict


def _view(
    photo: data.Labelled, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[NDArray], list[NDArray]]:
    """The photo in its shape at a larger size, turned and lit at random; its faces, and what may
    be one, as boxes."""
    grey = photo.grey
    scale, stretch = (
        np.exp(rng.uniform(0, 1.1)),
        np.sqrt(photo.aspect) * np.exp(rng.normal(0, 0.06)),
    )
    scale_x, scale_y = scale * stretch, scale / stretch
    angle = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.4 else rng.normal(0, 3))
    size = np.array([grey.shape[1] * scale_x, grey.shape[0] * scale_y])
    width, height = (int(side) for side in np.minimum(size, VIEW_SIDE))
    matrix = data.SceneMaker.matrix(
        grey.shape, (0.5, 0.5), scale_x, scale_y, angle, (width / 2, height / 2)
    )
    flags = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    view = cv2.warpAffine(grey, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    levels = (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.25)) * 255
    faces: list[NDArray] = []
    ignore: list[NDArray] = []
    shape = np.array([grey.shape[1], grey.shape[0]])
    for box, score in zip(photo.boxes, photo.scores, strict=True):
        centre = matrix[:, :2] @ ((box[:2] + box[2:]) / 2 * shape) + matrix[:, 2]
        w, h = (box[2:] - box[:2]) * size
        moved = data.turned_box(centre, w, h, angle)
        (faces if score >= data.SURE else ignore).append(moved)
    return levels.astype(np.uint8)[view], faces, ignore


def _plain(grey: NDArray[np.uint8], rng: np.random.Generator) -> data.Labelled:
    """A photo without known faces, in the shape of some photo."""
    aspect = float(np.exp(rng.uniform(0, 0.35) * (1 if rng.random() < 0.7 else -1)))
    return data.Labelled(grey, aspect, np.empty((0, 4), np.float32), np.empty(0, np.float32))


@torch.no_grad()
def gather(
    net: Detector,
    maker: data.SceneMaker,
    unlabelled: list[NDArray[np.uint8]],
    scenes: int = SCENES,
) -> Proposals:
    """What `net` proposes in views of the photos with faces, the backgrounds and `unlabelled`
    photos, and in scenes."""
    rng = np.random.default_rng(SEED)
    pictures: list[Tensor] = []
    right: list[Tensor] = []
    origin: list[str] = []

    def see(
        kind: str, grey: NDArray[np.uint8], faces: list[NDArray], ignore: list[NDArray]
    ) -> None:
        whole = pad_picture(grey)
        boxes, scores = propose_boxes(net, whole, LEAST)
        verdict = verdicts(boxes, faces, ignore)
        drawn = torch.from_numpy(rng.random(len(boxes)) < DRAWN)
        keep = (verdict == 1) | ((verdict == 0) & ((scores >= DOUBTED) | drawn))
        if keep.any():
            cut = cut_out(whole, boxes[keep], STORED, STORED_FRAME)[:, 0]
            pictures.append(cut.round().clamp(0, 255).byte())
            right.append(verdict[keep])
            origin.extend([kind] * int(keep.sum()))

    greys = {"background": maker.material.background, "unlabelled": unlabelled}
    jobs = [("people", photo) for photo in maker.with_faces for _ in range(VIEWS["people"])]
    jobs += [
        (kind, _plain(grey, rng))
        for kind, some in greys.items()
        for grey in some
        for _ in range(VIEWS[kind])
    ]
    began = time.perf_counter()
    for number, (kind, photo) in enumerate(jobs):
        see(kind, *_view(photo, rng))
        if (number + 1) % 2000 == 0:
            spent = time.perf_counter() - began
            print(f"views {number + 1:,}/{len(jobs):,} {spent:.0f} s", flush=True)
    maker.rng, maker.cuts = np.random.default_rng(SEED), True
    for _ in range(scenes):
        scene = maker.scene()
        see("scene", scene.grey, scene.faces, scene.ignore)
    every = torch.cat(right) if right else torch.empty(0)
    if set(every.tolist()) != {0.0, 1.0}:
        raise SystemExit(
            "the detector does not propose faces and other things yet: train it longer"
        )
    return _drawn(torch.cat(pictures), every, np.array(origin), rng)


def _drawn(
    pictures: Tensor, right: Tensor, origin: NDArray[np.str_], rng: np.random.Generator
) -> Proposals:
    """`MOST` of the proposals of each kind, their labels only where those can be trusted."""
    chosen = []
    for (kind, verdict), count in MOST.items():
        rows = np.flatnonzero((origin == kind) & (right.numpy() == verdict))
        chosen.append(rng.permutation(rows)[:count])
    rows = np.sort(np.concatenate(chosen))
    known = torch.from_numpy(np.isin(origin[rows], LABELLED))
    return Proposals(pictures[rows], torch.where(known, right[rows], -1.0))
