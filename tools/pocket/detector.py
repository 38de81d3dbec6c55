"""The pocket face detector: where the faces are in a picture.

A small anchor-free network in the manner of FCOS (Tian et al. 2019) on grey pixels proposes boxes;
a second one looks at each again, brought to one size (as R-Net does in Zhang et al. 2016). Both
are trained by `training/detector` on faces pasted into photos and on what YuNet (Wu et al. 2023)
finds in them.
How well it works is written in `cards/detector.md`.

Boxes are x0, y0, x1, y1 in pixels of the given picture, face-tight in YuNet's manner: from the
hairline or forehead to the chin, from cheek to cheek, upright also for a tilted head. A box may
reach over the border of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import nms, roi_align

from kuleshov.tools.pocket.weights import WeightsError, check_weights
from kuleshov.tools.structured_text import parse_json

NAME = "detector.safetensors"
WEIGHTS = Path(__file__).with_name(NAME)

STRIDES = (8, 16)
"""Pixels between the cells of the two output maps."""

LONGEST_SIDE = 1000
"""The longest side of the first pyramid level, pixels; larger pictures are reduced to it."""

PYRAMID_STEP = 0.36
"""Size of each further level relative to the one before. The network knows faces of about 11 to
115 px; this lets neighbouring levels share a factor of more than three."""

SMALLEST_LEVEL = 48
"""No level has a longest side below this, pixels."""

OVERLAP = 0.35
"""Intersection over union from which the weaker of two boxes is dropped."""

INSIDE = 0.65
"""Part of the smaller box from which it counts as lying inside the other; the weaker is dropped."""

PROPOSED = 0.3
"""Score from which a box gets a second look."""

LOOK_SIDE, LOOK_FRAME = 40, 2.0
"""The second look's pictures: their side in pixels, and in sides √(width · height) of the box."""

ZOOMS = (0.93, 1.07)
"""Frames in which the second look sees a box, parts of `LOOK_FRAME`; each also mirrored. Logits are
averaged."""

REACH = 10.0
"""No logit of both looks together reaches this: scores near 1 stay apart."""

# Where the sides of a FER+ crop (48 × 48, the face net's framing) lie, outwards from a box of
# this detector, as fractions of the box's width (left, right) and height (top, bottom). Medians
# over 279 of 300 FER+ faces set into animal photos and found (distances between quartiles 0.14,
# 0.07, 0.14, 0.09): `python -m training.detector.evaluate --frame`.
FER_FRAME = {"left": 0.134, "top": 0.003, "right": 0.140, "bottom": -0.011}


def conv_block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """A 3×3 convolution added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_block(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.conv(x)
        return added


class Look(nn.Module):
    """A second look: pictures (N, 1, 40, 40), 0–255, of proposed boxes with what surrounds them,
    to logits (N,) of a face.

    `trust` (3,) says how much it counts beside the proposal; see `weigh`.
    """

    trust: Tensor

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        self.widths = widths
        first, second, third = widths
        self.net = nn.Sequential(
            conv_block(1, first, 3, 2),
            conv_block(first, second, 3, 2),
            Residual(second),
            conv_block(second, third, 3, 2),
            Residual(third),
            Residual(third),
            # One weight a place: the face is in the middle, what surrounds it is not.
            nn.Sequential(
                nn.Conv2d(third, third, LOOK_SIDE // 8, groups=third, bias=False),
                nn.BatchNorm2d(third),
                nn.ReLU(inplace=True),
            ),
            nn.Flatten(),
        )
        self.score = nn.Linear(third, 1)
        self.register_buffer("trust", torch.tensor([0.0, 1.0, 0.0]))

    def features(self, pictures: Tensor) -> Tensor:
        """What the logits are made of, (N, widths[-1])."""
        middle = pictures.mean((2, 3), keepdim=True)
        spread = pictures.std((2, 3), keepdim=True)
        found: Tensor = self.net((pictures - middle) / (spread + 8.0))
        return found

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.score(self.features(pictures))[:, 0]
        return logits

    def weigh(self, proposed: Tensor, looked: Tensor) -> Tensor:
        """Scores (N,) from the logits of the proposal and of this look."""
        both = self.trust[0] * proposed + self.trust[1] * looked + self.trust[2]
        return (both / (1 + (both / REACH).square()).sqrt()).sigmoid()


def cut_out(
    grey: Tensor, boxes: Tensor, side: int = LOOK_SIDE, frame: float = LOOK_FRAME
) -> Tensor:
    """Squares around boxes (N, 4) of a grey picture (H, W): (N, 1, side, side) float.

    `frame` is the square's side in sides √(width · height) of the box.
    """
    margin = 64
    wide = functional.pad(grey[None, None].float(), (margin,) * 4, mode="replicate")
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 + margin
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).prod(1, keepdim=True).sqrt() * frame / 2
    squares = torch.cat([middle - half, middle + half], 1)
    cut: Tensor = roi_align(wide, [squares], side, sampling_ratio=3, aligned=True)
    return cut


class Detector(nn.Module):
    """Grey pictures (N, 1, H, W), 0–255, H and W multiples of 16, to two maps of predictions.

    Each map is (N, 5, H / stride, W / stride): a face's logit, and the distances from the cell's
    centre to the box's left, top, right and bottom side as logarithms of strides.

    `threshold` (least score of a face), `trained` (ISO date) and `verifier`, which gives the boxes
    a second look, are set by `load_detector`.
    """

    threshold: float = 0.5
    trained: str = ""
    verifier: Look | None

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 48, 80),
        depths: tuple[int, ...] = (3, 3),
    ) -> None:
        super().__init__()
        self.config = {"widths": list(widths), "depths": list(depths)}
        self.verifier = None
        stem, quarter, fine, coarse = widths
        self.stem = nn.Sequential(conv_block(1, stem, 3, 2), conv_block(stem, quarter, 3, 2))
        self.fine = nn.Sequential(
            conv_block(quarter, fine, 3, 2), *(Residual(fine) for _ in range(depths[0]))
        )
        self.coarse = nn.Sequential(
            conv_block(fine, coarse, 3, 2), *(Residual(coarse) for _ in range(depths[1]))
        )
        self.context = conv_block(coarse, fine, 1)
        self.head_fine = nn.Sequential(conv_block(fine, fine), nn.Conv2d(fine, 5, 1))
        self.head_coarse = nn.Sequential(conv_block(coarse, coarse), nn.Conv2d(coarse, 5, 1))

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(self.stem((grey - 127.0) / 64.0))
        coarse = self.coarse(fine)
        # What surrounds a small face (head, shoulders) tells it from a dog or a knot in wood.
        context = functional.interpolate(self.context(coarse), scale_factor=2.0, mode="nearest")
        return self.head_fine(fine + context), self.head_coarse(coarse)

    def fuse(self) -> Detector:
        """Fold the batch normalisations into the convolutions before them, for speed. In place."""
        self.eval()
        for module in list(self.modules()):
            if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d):
                conv, norm = module[0], module[1]
                if isinstance(norm, nn.BatchNorm2d):
                    module[0] = fuse_conv_bn_eval(conv, norm)
                    module[1] = nn.Identity()
        return self


def decode_boxes(maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Boxes (N, A, 4) in pixels of the network's input, and scores (N, A) in 0–1, of all cells."""
    boxes, scores = [], []
    for stride, output in zip(STRIDES, maps, strict=True):
        n, _, height, width = output.shape
        y = (torch.arange(height, device=output.device) + 0.5) * stride
        x = (torch.arange(width, device=output.device) + 0.5) * stride
        centre = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
        sides = output[:, 1:].permute(0, 2, 3, 1).clamp(-6, 5).exp() * stride
        box = torch.cat([centre - sides[..., :2], centre + sides[..., 2:]], -1)
        boxes.append(box.reshape(n, -1, 4))
        scores.append(output[:, 0].reshape(n, -1).sigmoid())
    return torch.cat(boxes, 1), torch.cat(scores, 1)


DAMAGE = (
    SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    RuntimeError, MemoryError,
)  # fmt: skip
"""What a damaged file of weights raises: the library, the words in its header, the net's shapes."""


def load_detector(path: Path | None = None) -> Detector:
    """The detector in eval mode on the CPU, float32; the bundled weights unless `path` is given.

    The bundled file is compared with its released sha256 first.

    Raises:
        WeightsError: the file is missing, damaged, or not a pocket face detector.
    """
    if path is None:
        path = WEIGHTS
        check_weights(path, NAME)
    if not path.is_file():
        raise WeightsError(f"the weights file {path} is missing.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            config = parse_json(metadata["config"])
            net = Detector(tuple(config["widths"]), tuple(config["depths"]))
            net.threshold = float(metadata["threshold"])
            net.trained = metadata["trained"]
            net.verifier = Look(tuple(config["look"]))
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        # Counters of batches seen serve training only and are not stored.
        missing, extra = net.load_state_dict(state, strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or extra:
            raise ValueError(f"tensors differ: {(missing + extra)[:3]}")
    except DAMAGE as error:
        raise WeightsError(f"{path} is not a readable pocket face detector: {error!r}.") from None
    net.requires_grad_(False)
    return net.fuse().to(memory_format=torch.channels_last)


def _pyramid_levels(grey: NDArray[np.uint8], longest: int) -> list[NDArray[np.uint8]]:
    """The pyramid: reduced copies of a grey picture, the largest first."""
    height, width = grey.shape
    scale = min(1.0, longest / max(height, width))
    levels: list[NDArray[np.uint8]] = []
    while True:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = size != (width, height)
        # From the level before, which is cheaper than from the picture and as good.
        source = levels[-1] if levels else grey
        reduced = cv2.resize(source, size, interpolation=cv2.INTER_AREA) if small else grey
        levels.append(np.asarray(reduced, np.uint8))
        scale *= PYRAMID_STEP
        if max(height, width) * scale < SMALLEST_LEVEL:
            return levels


def _suppress_nested(boxes: Tensor) -> Tensor:
    """Which of the boxes (N, 4), best first, neither lie inside a better one nor hold one.

    A mouth taken for a face at one level of the pyramid overlaps the true box too little for
    the usual suppression.
    """
    corner = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    inner = (corner - torch.maximum(boxes[:, None, :2], boxes[None, :, :2])).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    clash = inner > INSIDE * torch.minimum(area[:, None], area[None])
    keep = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(1, len(boxes)):
        keep[i] = not (clash[i, :i] & keep[:i]).any()
    return keep


def pad_picture(grey: NDArray[np.uint8]) -> Tensor:
    """A grey picture (H, W) with its last row and column repeated up to multiples of 16."""
    pad = ((0, -grey.shape[0] % STRIDES[-1]), (0, -grey.shape[1] % STRIDES[-1]))
    return torch.from_numpy(np.pad(grey, pad, mode="edge"))


def propose_boxes(net: Detector, grey: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) and scores (N,) of at least `least` in a grey picture (H, W) uint8, H and W
    multiples of 16, without those that overlap a better one."""
    picture = grey[None, None].float().contiguous(memory_format=torch.channels_last)
    boxes, scores = (output[0] for output in decode_boxes(net(picture)))
    keep = scores >= least
    boxes, scores = boxes[keep], scores[keep]
    kept = nms(boxes, scores, OVERLAP)
    return boxes[kept], scores[kept]


def look_again(verifier: Look, grey: Tensor, boxes: Tensor) -> Tensor:
    """Logits (N,) of the second look at boxes (N, 4) of a grey picture, means over views."""
    if not len(boxes):
        return torch.empty(0)
    middle = (boxes[:, :2] + boxes[:, 2:]).repeat(1, 2) / 2
    pictures = cut_out(grey, torch.cat([middle + (boxes - middle) * zoom for zoom in ZOOMS]))
    pictures = torch.cat([pictures, pictures.flip(3)])
    logits = torch.cat([verifier(some) for some in pictures.split(256)])
    return logits.view(-1, len(boxes)).mean(0)


def to_logits(scores: Tensor) -> Tensor:
    """Logits of scores, those of 0 and 1 within reach."""
    return scores.clamp(1e-4, 1 - 1e-4).logit()


def search_levels(
    net: Detector, grey: NDArray[np.uint8], least: float, longest_side: int = LONGEST_SIDE
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """For each level of the pyramid of a grey picture: the level (H, W), proposals' boxes (N, 4) in
    its pixels and scores (N,) of at least `least`, and the factors (4,) that bring boxes back."""
    for level in _pyramid_levels(grey, longest_side):
        height, width = level.shape
        whole = pad_picture(level)
        scale = torch.tensor([grey.shape[1] / width, grey.shape[0] / height]).repeat(2)
        yield whole, *propose_boxes(net, whole, least), scale


@torch.inference_mode()
def detect_faces(
    net: Detector,
    rgb: NDArray[np.uint8],
    threshold: float | None = None,
    max_faces: int = 200,
    longest_side: int = LONGEST_SIDE,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the faces of one picture.

    Args:
        net: from `load_detector`.
        rgb: (height, width, 3) uint8 RGB, upright, or (height, width) uint8 grey. The network
            sees grey.
        threshold: least score; the one chosen after training unless given.
        max_faces: the best-scored are kept.
        longest_side: the picture is reduced to this first, pixels. More finds smaller faces and
            takes longer.

    Returns:
        Boxes (N, 4) float32, x0, y0, x1, y1 in pixels of `rgb`, and scores (N,) float32 in 0–1,
        the best first. Upright faces and faces turned by up to about 30° are found, from about
        12 px (after reduction) up to the whole picture.
    """
    if rgb.dtype != np.uint8 or rgb.ndim not in (2, 3) or (rgb.ndim == 3 and rgb.shape[2] != 3):
        raise ValueError(f"rgb must be (height, width[, 3]) uint8 but is {rgb.shape} {rgb.dtype}")
    if 0 in rgb.shape:
        return np.empty((0, 4), np.float32), np.empty(0, np.float32)
    if net.verifier is None:
        raise ValueError("this detector's second look is not trained")
    least = net.threshold if threshold is None else threshold
    one = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if rgb.ndim == 3 else rgb
    grey = np.asarray(one, np.uint8)
    found_boxes, found_scores = [], []
    for level, boxes, scores, scale in search_levels(net, grey, PROPOSED, longest_side):
        scores = net.verifier.weigh(to_logits(scores), look_again(net.verifier, level, boxes))
        keep = scores >= least
        found_boxes.append(boxes[keep] * scale)
        found_scores.append(scores[keep])
    boxes, scores = torch.cat(found_boxes), torch.cat(found_scores)
    kept = nms(boxes, scores, OVERLAP)
    kept = kept[_suppress_nested(boxes[kept])][:max_faces]
    return boxes[kept].numpy(), scores[kept].numpy()
