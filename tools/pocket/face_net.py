"""The pocket face net: expression and action units from one small grey face.

A residual network with squeeze-and-excitation (He et al. 2016; Hu et al. 2018), trained by
`training/face` on FER+ (Barsoum et al. 2016) and on the blendshapes that MediaPipe's
FaceLandmarker gives for the same faces. What it measures and how well is written in the
metadata of its weights file and in `cards/face_net.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.pocket.weights import WeightsError, check_weights
from kuleshov.tools.structured_text import parse_json

NAME = "face_net.safetensors"
WEIGHTS = Path(__file__).with_name(NAME)

FACE_SIZE = 48
"""Side of the square grey face the net reads, pixels."""

EXPRESSIONS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)
"""Order of the expression classes: the first eight vote columns of FER+ (microsoft/FERPlus)."""

# FER+ framing: where a face's box lies in a 48-pixel FER+ crop, x0, y0, x1, y1, as medians.
# Detectors disagree about where a face begins, so each has its own row.
BOXES = {
    # Bounds of MediaPipe's face mesh, forehead to chin; the 28,117 faces it found in FER+.
    "mesh": (4.5, 4.4, 43.9, 48.3),
    # YuNet (cv2.FaceDetectorYN), hairline to chin; 380 of 400 Training faces, 160 px wide in a
    # 48 px border of repeated pixels.
    "yunet": (5.4, 0.2, 42.3, 48.0),
}


@dataclass(frozen=True)
class Unit:
    """An action unit the net estimates, and how well.

    unit: FACS number.
    r: Pearson correlation with the MediaPipe teacher on held-out faces; not with FACS coders.
    weak: r is below 0.75.
    thresholds: activations from which the unit counts as slight, clear, strong: reached by 20,
        5 and 1 % of the faces whose raters agreed on neutral.
    """

    unit: int
    r: float
    weak: bool
    thresholds: tuple[float, float, float]


@dataclass(frozen=True)
class FaceNetInfo:
    """What the weights file says of itself.

    units: the units it claims, in the order of `read_faces`.
    columns: their columns in the net's second output.
    unit_mean, unit_std: activation = mean + std · output, one a unit.
    temperature, tau, log_prior: probabilities = softmax(logits / temperature − tau · log_prior).
    trained: date, ISO. data_sha256: of the two training files.
    """

    units: tuple[Unit, ...]
    columns: tuple[int, ...]
    unit_mean: tuple[float, ...]
    unit_std: tuple[float, ...]
    temperature: float
    tau: float
    log_prior: tuple[float, ...]
    trained: str
    data_sha256: str
    licence: str

    @property
    def prior(self) -> dict[str, float]:
        """Each label's share in training, summing to 1."""
        shares = [math.exp(value) for value in self.log_prior]
        return {
            label: round(share / sum(shares), 6)
            for label, share in zip(EXPRESSIONS, shares, strict=True)
        }

    @classmethod
    def parse(cls, metadata: dict[str, str]) -> FaceNetInfo:
        """From a safetensors file's metadata; KeyError or ValueError if it is not one of ours."""
        columns = [(i, u) for i, u in enumerate(parse_json(metadata["units"])) if u["claimed"]]
        if tuple(parse_json(metadata["expressions"])) != EXPRESSIONS:
            raise ValueError("other expression classes")
        return cls(
            units=tuple(
                Unit(u["unit"], u["r"], u["weak"], tuple(u["thresholds"])) for _, u in columns
            ),
            columns=tuple(i for i, _ in columns),
            unit_mean=tuple(u["mean"] for _, u in columns),
            unit_std=tuple(u["std"] for _, u in columns),
            temperature=float(metadata["temperature"]),
            tau=float(metadata["tau"]),
            log_prior=tuple(parse_json(metadata["log_prior"])),
            trained=metadata["trained"],
            data_sha256=metadata["data_sha256"],
            licence=metadata["licence"],
        )


def standardise_faces(faces: Tensor) -> Tensor:
    """Give each face mean 0 and (about) unit standard deviation.

    `faces` (N, 1, H, W) float in 0–1. The constant keeps the noise of a flat picture small.
    """
    mean = faces.mean((1, 2, 3), keepdim=True)
    std = faces.std((1, 2, 3), keepdim=True)
    return (faces - mean) / (std + 0.04)


class SqueezeExcite(nn.Module):
    """Weigh channels by what the whole map shows (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut; `stride` 2 halves the map."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(outputs)
        self.attend = SqueezeExcite(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            # Averaging before the 1×1 keeps the pixels a strided 1×1 would skip (He et al. 2019).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.attend(self.norm2(self.conv2(y)))
        return functional.relu(y + self.shortcut(x), inplace=True)


class FaceNet(nn.Module):
    """Faces (N, 1, 48, 48), standardised, to expression logits (N, 8) and unit z-scores (N, U).

    `info` is set on a net that came from `load_face_net`.
    """

    info: FaceNetInfo

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 32, 64, 192),
        depths: tuple[int, ...] = (1, 2, 2),
        units: int = 18,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.config = {"widths": list(widths), "depths": list(depths), "units": units}
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        blocks = []
        channels = widths[0]
        for stage, (width, depth) in enumerate(zip(widths[1:], depths, strict=True)):
            for position in range(depth):
                stride = 2 if stage > 0 and position == 0 else 1
                blocks.append(Block(channels, width, stride))
                channels = width
        self.body = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(channels, len(EXPRESSIONS))
        self.units = nn.Linear(channels, units)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.dropout(self.body(self.stem(x)).mean((2, 3)))
        return self.expression(features), self.units(features)

    def fuse(self) -> FaceNet:
        """Fold the batch normalisations into the convolutions before them, for speed. In place."""
        self.eval()
        self.stem = nn.Sequential(_fold_norm(self.stem[0], self.stem[1]), self.stem[2])
        for block in self.body:
            assert isinstance(block, Block)
            block.conv1 = _fold_norm(block.conv1, block.norm1)
            block.conv2 = _fold_norm(block.conv2, block.norm2)
            block.norm1 = block.norm2 = nn.Identity()
            if isinstance(block.shortcut, nn.Sequential):
                pool, conv, norm = block.shortcut
                block.shortcut = nn.Sequential(pool, _fold_norm(conv, norm))
        return self


def _fold_norm(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


DAMAGE = (
    SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    RuntimeError, MemoryError,
)  # fmt: skip
"""What a damaged file of weights raises: the library, the words in its header, the net's shapes."""


def load_face_net(path: Path | None = None) -> FaceNet:
    """The net in eval mode on the CPU, float32; the bundled weights unless `path` is given.

    The bundled file is compared with its released sha256 first.

    Raises:
        WeightsError: the file is missing, damaged, or not a pocket face net.
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
            net = FaceNet(tuple(config["widths"]), tuple(config["depths"]), config["units"])
            net.info = FaceNetInfo.parse(metadata)
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        # Counters of batches seen serve training only and are not stored.
        missing, extra = net.load_state_dict(state, strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or extra:
            raise ValueError(f"tensors differ: {(missing + extra)[:3]}")
    except DAMAGE as error:
        raise WeightsError(f"{path} is not a readable pocket face net: {error!r}.") from None
    net.requires_grad_(False)
    return net.fuse().to(memory_format=torch.channels_last)


@cache
def _bundled_info() -> FaceNetInfo:
    check_weights(WEIGHTS, NAME)
    with safe_open(WEIGHTS, framework="pt") as file:
        return FaceNetInfo.parse(file.metadata())


def __getattr__(name: str) -> Any:
    # `UNITS` comes from the weights file, so it is read when first asked for, not on import.
    if name == "UNITS":
        return _bundled_info().units
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def crop_faces(
    rgb: NDArray[np.uint8], boxes_xyxy: NDArray[Any], boxes_of: str = "yunet"
) -> NDArray[np.uint8]:
    """Cut detected faces out in the framing the net was trained on.

    Args:
        rgb: picture (height, width, 3) uint8, upright.
        boxes_xyxy: (N, 4) in pixels, tight around forehead, chin and the sides of the face;
            they may reach over the border.
        boxes_of: whose boxes they are, a key of `BOXES`.

    Returns:
        (N, 48, 48) uint8 grey; beyond the picture its border pixels are repeated.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be (height, width, 3) uint8 but is {rgb.shape} {rgb.dtype}")
    if boxes.size == 0:
        return np.empty((0, FACE_SIZE, FACE_SIZE), np.uint8)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes_xyxy must be (N, 4) but has shape {boxes.shape}")
    if not np.isfinite(boxes).all() or (boxes[:, :2] >= boxes[:, 2:]).any():
        raise ValueError("boxes_xyxy must be finite with x0 < x1 and y0 < y1")
    if boxes_of not in BOXES:
        raise ValueError(f"boxes_of must be one of {', '.join(BOXES)} but is {boxes_of!r}")
    return np.stack([_cut_face(rgb, box, BOXES[boxes_of]) for box in boxes])


def _cut_face(
    rgb: NDArray[np.uint8], box: NDArray[np.float64], place: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """One face so that `box` comes to lie at `place`, pixels of the 48."""
    x0, y0, x1, y1 = box
    u0, v0, u1, v1 = place
    # By area, so that a face turned aside (a narrow box) is not blown up.
    scale = math.sqrt((x1 - x0) * (y1 - y0) / ((u1 - u0) * (v1 - v0)))
    side = FACE_SIZE * scale
    left = (x0 + x1) / 2 - (u0 + u1) / 2 * scale
    top = (y0 + y1) / 2 - (v0 + v1) / 2 * scale
    size = max(1, round(side))
    height, width = rgb.shape[:2]
    # Clipped indices repeat the border pixels.
    rows = np.clip(round(top) + np.arange(size), 0, height - 1)
    columns = np.clip(round(left) + np.arange(size), 0, width - 1)
    grey = cv2.cvtColor(rgb[np.ix_(rows, columns)], cv2.COLOR_RGB2GRAY)
    # INTER_AREA averages when shrinking; enlarging it would show blocks.
    method = cv2.INTER_AREA if size > FACE_SIZE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=method), np.uint8)


def _as_input(faces: NDArray[np.uint8]) -> Tensor:
    """Faces (N, 48, 48) uint8 to the standardised input (N, 1, 48, 48)."""
    if faces.ndim != 3 or faces.shape[1:] != (FACE_SIZE, FACE_SIZE) or faces.dtype != np.uint8:
        raise ValueError(
            f"faces must be (N, {FACE_SIZE}, {FACE_SIZE}) uint8 but are {faces.shape} {faces.dtype}"
        )
    if not len(faces):
        return torch.empty(0, 1, FACE_SIZE, FACE_SIZE)
    inputs = standardise_faces(torch.from_numpy(np.ascontiguousarray(faces))[:, None].float() / 255)
    return inputs.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def read_faces(
    net: FaceNet, faces: NDArray[np.uint8], batch: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read faces.

    Args:
        net: from `load_face_net`.
        faces: (N, 48, 48) uint8 grey, in FER+ framing as `crop_faces` gives them.

    Returns:
        Expression probabilities (N, 8) in the order of `EXPRESSIONS`, and units (N, U) in the
        order of `net.info.units`. A unit's number is the estimated MediaPipe blendshape
        activation, 0–1 (left and right averaged): not a FACS intensity, not a probability.
    """
    info = net.info
    shift = info.tau * torch.tensor(info.log_prior)
    mean, std = torch.tensor(info.unit_mean), torch.tensor(info.unit_std)
    probabilities = [torch.empty(0, len(EXPRESSIONS))]
    units = [torch.empty(0, len(info.units))]
    inputs = _as_input(faces)
    for start in range(0, len(inputs), batch):
        logits, z = net(inputs[start : start + batch])
        probabilities.append((logits / info.temperature - shift).softmax(1))
        units.append((mean + std * z[:, list(info.columns)]).clamp(0, 1))
    return torch.cat(probabilities).numpy(), torch.cat(units).numpy()


def draw_heatmap(net: FaceNet, face: NDArray[np.uint8], label: str) -> NDArray[np.float32]:
    """Where the net looked for `label`: Grad-CAM (Selvaraju et al. 2017) of the last 6×6 map.

    Args:
        net: from `load_face_net`. face: (48, 48) uint8 grey. label: one of `EXPRESSIONS`.

    Returns:
        (48, 48) float32 in 0–1, stretched so that the strongest place is 1; all 0 where nothing
        spoke for the label.
    """
    try:
        from captum.attr import LayerAttribution, LayerGradCam
    except ImportError:
        raise KuleshovError(
            'heat maps need captum; install it with `pip install "kuleshov[explain]"`.'
        ) from None
    if label not in EXPRESSIONS:
        raise ValueError(
            f"there is no expression {label!r}; the net knows {', '.join(EXPRESSIONS)}"
        )

    class Logits(nn.Module):
        """The net with its first output only, which is all the package can follow."""

        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.net(x)[0]
            return logits

    # The weights are frozen; gradients flow because the input asks for them.
    inputs = _as_input(face[None]).requires_grad_(True)
    with torch.enable_grad():
        cam = LayerGradCam(Logits(), net.body[-1]).attribute(
            inputs, target=EXPRESSIONS.index(label), relu_attributions=True
        )
    grown = LayerAttribution.interpolate(cam, (FACE_SIZE, FACE_SIZE), "bilinear")[0, 0].detach()
    values = grown / grown.max().clamp(min=1e-12)
    return np.asarray(values.numpy(), np.float32)
