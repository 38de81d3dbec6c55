"""Py-Feat (Cheong et al. 2023; py-feat 2.1, Detectorv2 and Detectorv1) as a face tool.

Py-Feat's own detectors and networks run; what comes back as a Fex table is turned into `Face`s
here, once. Its identity models are never loaded: this project recognises no one.

Read in py-feat 2.1.5, and the reasons for what is done here:

- The `FaceRect` of a Detectorv2 result is the square chip the network saw, 1.2 times the face and
  often reaching off the picture. A `Face` carries the detector's own, tight box.
- `Pitch`, `Roll`, `Yaw` are radians (`tests/test_pose_smoke.py` there), up, to the person's right
  shoulder and to the person's RIGHT; `HeadPose` counts yaw to the person's left. So are
  `gaze_pitch` (up) and `gaze_yaw` (to the person's right, `detector_v2.py`).
- RetinaFace keeps 0.5 as its own threshold below which the detector's has no effect, switches
  torch's gradients off for the whole thread, and caches anchors for every picture size for ever.
- `import feat` sets OMP_NUM_THREADS=1 and writes three classes into `__main__`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import shlex
import sys
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.errors import first_line
from kuleshov.tools.faces.base import FaceToolInfo, ToolError, ToolStatus, register
from kuleshov.tools.faces.cpu_threads import side_by_side
from kuleshov.tools.home import expand_path
from kuleshov.tools.stopping import StoppedError
from kuleshov.tools.stopping import check as check_stop
from kuleshov.tools.types import ActionUnit, EmotionScores, Face, Gaze, HeadPose

Version = Literal["v1", "v2"]

# Both detectors' 20 units; Detectorv1's column order is the same (feat.pretrained.AU_LANDMARK_MAP)
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
# Fex column, lower case (Detectorv2 writes Happy, Detectorv1 happiness) → label, in the set's order
EMOTIONS = {
    "anger": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness",
    "happiness": "happiness", "sad": "sadness", "sadness": "sadness", "surprise": "surprise",
    "contempt": "contempt", "neutral": "neutral",
}  # fmt: skip
SMALL_PX = 24
"""A narrower face gets a note; the network sees it enlarged more than ninefold."""
LONGEST_SIDE = 1600
"""Larger pictures are reduced to find faces (memory and time grow with the area; the detector's
largest anchor is 512 px); the networks still see the faces in full resolution with Detectorv2."""
FACES_AT_ONCE = 16
FACES_IN_CACHE = 8
"""Faces that go through the multitask network together on a CPU: more no longer fit its cache, and
64 at once take 1.3 times as long a face (ConvNeXt V2 atto, measured)."""
HIDDEN_IN_CACHE = 2**19
"""Numbers (2 MB) of a block's widest layer on a CPU; its faces go through in portions by that."""
PIXELS_AT_ONCE = {"cpu": 2**20, "cuda": 8 * LONGEST_SIDE**2}
"""Pictures of one size go through the detector together up to this many pixels, at least one."""
SIZES_CACHED = 16
PATIENCE_S = 0.8
"""How long the Hub may take to answer before it counts as out of reach."""

LICENCE_V2 = (
    "code MIT; multitask weights v28 non-commercial research only (CC BY-NC 4.0 initialisation, "
    "Gaze360, ETH-XGaze); RetinaFace weights MIT (WIDER FACE data non-commercial)"
)
LICENCE_V1 = (
    "code MIT; weights: RetinaFace and ResMaskNet MIT, AU classifiers labelled MIT with dataset "
    "rights unresolved, landmarks and pose without an explicit grant"
)


@dataclass(frozen=True)
class _Weights:
    """A file on the Hub; `older` is the name Py-Feat falls back on."""

    repo: str
    file: str
    megabytes: int
    licence: str
    older: str | None = None

    def find(self, resources: Path) -> Path | None:
        """The file in a Hub cache, by its layout: no import, no network."""
        folder = resources / f"models--{self.repo.replace('/', '--')}"
        try:
            commit = (folder / "refs" / "main").read_text().strip()
        except OSError:
            return None
        for name in (self.file, self.older):
            if name and (folder / "snapshots" / commit / name).is_file():
                return folder / "snapshots" / commit / name
        return None


_RETINAFACE = _Weights(
    "py-feat/retinaface_r34", "model.safetensors", 89, "MIT", "retinaface_r34.safetensors"
)
_MULTITASK = _Weights(
    "py-feat/face_multitask_v2", "face_multitask_v28.safetensors", 150, "non-commercial research"
)
_POSE = _Weights("py-feat/pose_mlp_v2", "pose_mlp_v2.safetensors", 1, "no explicit grant")
# Sizes as listed on the Hub
_V1 = (
    _RETINAFACE,
    _Weights("py-feat/mobilefacenet", "mobilefacenet_model_best.pth.tar", 12, "no explicit grant"),
    _Weights("py-feat/resmasknet", "config.json", 1, "MIT"),
    _Weights("py-feat/resmasknet", "ResMaskNet_Z_resmasking_dropout1_rot30.pth", 552, "MIT"),
    _POSE,
    _Weights("py-feat/pose_mlp_v2", "pose_mlp_v2.json", 1, "no explicit grant"),
)
_CLASSIFIERS = {
    "xgb": _Weights(
        "py-feat/xgb_au",
        "xgb_au_classifier_v2.skops",
        146,
        "labelled MIT",
        "xgb_au_classifier.skops",
    ),
    "svm": _Weights(
        "py-feat/svm_au",
        "svm_au_classifier_v2.skops",
        134,
        "labelled MIT",
        "svm_au_classifier.skops",
    ),
}


class PyFeat:
    """Py-Feat's Detectorv2, or Detectorv1: faces, 20 action units, 7 expressions, head pose.

    Detectorv2 also gives valence and arousal.
    """

    def __init__(
        self,
        version: Version = "v2",
        threshold: float = 0.5,
        device: str | None = None,
        resources: str | os.PathLike[str] | None = None,
        classifier: Literal["xgb", "svm"] = "xgb",
    ) -> None:
        """Load the networks.

        Args:
            version: v2 (one multitask network) or v1 (the networks of Cheong et al. 2023).
            threshold: least detector score of a face, 0-1.
            device: cpu, cuda, cuda:1; None: CUDA if there is one. Detectorv1's classifiers
                stay on the CPU.
            resources: a Hub cache folder with the weights; None: the environment variable
                FEAT_RESOURCES, else the folder inside Py-Feat that Py-Feat itself uses.
            classifier: for v1, xgb (probabilities) or svm (presence).

        Raises:
            ToolError: Py-Feat is not installed or cannot be imported, a weights file is missing
                and the Hub out of reach (known within a second), or a file is damaged.
        """
        if version not in ("v1", "v2") or classifier not in _CLASSIFIERS:
            raise ToolError(
                "Py-Feat's version must be v1 or v2 and its classifier xgb or svm, "
                f"but got {version!r} and {classifier!r}."
            )
        if not 0 < threshold <= 1:
            raise ToolError(f"the threshold of a face must lie in 0-1 but is {threshold}.")
        installed = _installed_version()
        if installed is None:
            raise ToolError("Py-Feat is not installed; run `pip install 'py-feat>=2.1,<3'`.")
        paths = _all_weights(version, classifier, resources)  # before the slow import
        _import_feat()
        self.version = version
        self.threshold = threshold
        self.presence = version == "v1" and classifier == "svm"
        self.device = _choose_device(device)
        # XGBoost keeps threads of its own, which torch's setting does not reach
        self.forks = self.device.type == "cpu" and (version, classifier) != ("v1", "xgb")
        self._files, self._classifier = paths, classifier
        self.detector = self.unchanged()
        finder = self.detector.face_detector if version == "v2" else self.detector.facepose_detector
        finder.detection_threshold = threshold
        self._finder = finder
        if self.device.type == "cpu":
            _for_cpu(self.detector, finder)
        self.info = FaceToolInfo(
            name="pyfeat" if version == "v2" else "pyfeat-v1",
            version=f"py-feat {installed} ({'Detectorv2' if version == 'v2' else 'Detectorv1'})",
            units=UNITS,
            unit_scale="presence" if self.presence else "probability",
            expressions=("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
            label_set="ekman-7",
            measures=_measured_units(version),
            licence=LICENCE_V2 if version == "v2" else LICENCE_V1,
            weights={f"{w.repo}/{path.name}": _hash_file(path) for w, path in paths.items()},
            caveat=(
                "AU7 is nearly binary; the AU classifiers come in a format that can run code "
                "(skops), trusted as Py-Feat trusts it"
                if version == "v1"
                else None
            ),
        )

    def unchanged(self) -> Any:
        """A fresh detector of Py-Feat's with the same weights, as its own users have it."""
        import torch

        feat, paths = _import_feat(), self._files
        gradients = torch.is_grad_enabled()
        try:
            with warnings.catch_warnings(), _from_disk(paths):
                warnings.simplefilter("ignore")  # Detectorv1 warns of its own defaults
                if self.version == "v2":
                    return feat.Detectorv2(
                        device=self.device,
                        face_detection_threshold=self.threshold,
                        identity_model=None,
                        multitask_weights=str(paths[_MULTITASK]),
                    )
                from feat.utils import face_pose_mlp

                detector = feat.Detectorv1(
                    au_model=self._classifier,
                    identity_model=None,
                    gaze_model=None,
                    device=self.device,
                )
                # or it would look for its weights on the Hub at the first face
                face_pose_mlp._load_pose_mlp(str(self.device))
                return detector
        except Exception as error:
            files = " and ".join(str(path) for path in paths.values())
            raise ToolError(
                f"Py-Feat cannot load its weights ({type(error).__name__}: {first_line(error)}); "
                f"if a download broke off, delete and fetch them again: {files}."
            ) from error
        finally:
            torch.set_grad_enabled(gradients)

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture, largest score first; an empty list where there is none.

        Args:
            images: pictures as (height, width, 3) RGB uint8, sizes may differ.

        Raises:
            ToolError: a picture of another shape; Py-Feat failed, e.g. for want of memory.
        """
        import torch

        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ToolError(
                    "a picture must be (height, width, 3) RGB uint8 but is "
                    f"{image.shape} {image.dtype}."
                )
        try:
            if self.version == "v2" and self.device.type == "cpu":
                return side_by_side(self._observe, images)
            return self._observe(images)
        except torch.OutOfMemoryError:
            raise ToolError(
                f"Py-Feat ran out of memory on {self.device}; use a smaller picture or device=cpu."
            ) from None
        except StoppedError:
            raise
        except Exception as error:
            raise ToolError(
                f"Py-Feat failed: {type(error).__name__}: {first_line(error)}."
            ) from error

    def _observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """With gradients off, which is a setting of each thread."""
        import torch

        with torch.inference_mode():
            return self._measured(images)

    def _measured(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        import pandas as pd

        faces: list[list[Face]] = [[] for _ in images]
        queue: list[tuple[int, dict[str, Any], float]] = []  # picture, crops, scale
        for place, crops, scale in self._crops(images):
            for begin in range(0, len(crops["scores"]), FACES_AT_ONCE):
                part = slice(begin, begin + FACES_AT_ONCE)
                some = {
                    name: value if name in ("face_id", "image_size") else value[part]
                    for name, value in crops.items()
                }
                queue.append((place, some, scale))
        while queue:
            check_stop()
            batch, count = [queue.pop(0)], 0
            count = len(batch[0][1]["scores"])
            while queue and count + len(queue[0][1]["scores"]) <= FACES_AT_ONCE:
                batch.append(queue.pop(0))
                count += len(batch[-1][1]["scores"])
            table: pd.DataFrame = self.detector.forward(
                [crops for _, crops, _ in batch], _batch_data([scale for *_, scale in batch])
            )
            # in place of the chip's square stands the detector's box
            boxes = np.concatenate([crops["boxes"].cpu().numpy() / s for _, crops, s in batch])
            table["FaceRectX"], table["FaceRectY"] = boxes[:, 0], boxes[:, 1]
            table["FaceRectWidth"] = boxes[:, 2] - boxes[:, 0]
            table["FaceRectHeight"] = boxes[:, 3] - boxes[:, 1]
            wanted = [c for c in table.columns if c in _COLUMNS or c.lower() in EMOTIONS]
            rows = iter(table[wanted].to_dict("records"))
            for place, crops, _ in batch:
                for _ in range(len(crops["scores"])):
                    face = from_fex(
                        next(rows),
                        tool=self.info.name,
                        version=self.info.version,
                        presence=self.presence,
                        size=images[place].shape[1::-1],
                    )
                    if face is not None:
                        faces[place].append(face)
        return [sorted(found, key=lambda face: -(face.score or 0)) for found in faces]

    def _crops(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> Iterator[tuple[int, dict[str, Any], float]]:
        """Place of the picture, Py-Feat's crops of its faces, and the scale they were cut at."""
        import torch

        budget = PIXELS_AT_ONCE.get(self.device.type, 1)
        for (height, width, _), same in groupby(enumerate(images), key=lambda item: item[1].shape):
            run = list(same)
            at_once = max(1, budget // max(1, height * width))
            for begin in range(0, len(run), at_once):
                check_stop()
                some = run[begin : begin + at_once]
                pixels = torch.from_numpy(np.stack([image for _, image in some]))
                pixels = pixels.permute(0, 3, 1, 2).to(self.device)
                small, scale = _reduce_pixels(pixels)
                if len(cache := getattr(self._finder, "_prior_cache", {})) > SIZES_CACHED:
                    cache.clear()
                if self.version == "v1":
                    found = self.detector.detect_faces(
                        small,
                        face_size=self.detector.face_size,
                        face_detection_threshold=self.threshold,
                    )
                    for (place, _), crops in zip(some, found, strict=True):
                        if not torch.isnan(crops["boxes"]).any():
                            yield place, crops, scale
                    continue
                boxes = [
                    torch.tensor(faces, dtype=torch.float32).reshape(-1, 5)
                    for faces in self._finder(small.float())
                ]
                for k, (place, _) in enumerate(some):
                    if len(boxes[k]):
                        (crops,) = self.detector.crop_faces_from_boxes(
                            pixels[k : k + 1], boxes[k][:, :4] / scale
                        )
                        crops["scores"] = boxes[k][:, 4].to(self.device)
                        yield place, crops, 1.0


def _measured_units(version: Version) -> str:
    return "faces, action units (20), expressions (7), " + (
        "valence, arousal, head pose" if version == "v2" else "head pose"
    )


# --------------------------------------------------------------------------------- the border

_COLUMNS = (
    {"FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"}
    | {f"AU{unit:02d}" for unit in UNITS}
    | {"valence", "arousal", "Pitch", "Roll", "Yaw"}
)


def from_fex(
    row: Mapping[str, Any],
    *,
    tool: str = "pyfeat",
    version: str = "",
    presence: bool = False,
    size: tuple[int, int] | None = None,
) -> Face | None:
    """One row of a Fex table as a Face; None for the row that stands for "no face".

    Args:
        row: column to value, of Detectorv1 or Detectorv2. NaN or missing: unknown, never 0.
        tool, version: what made it.
        presence: the AU columns hold 0 or 1 (Detectorv1's SVM), not probabilities.
        size: width and height of the picture in pixels, to tell faces cut off by its border.
    """

    def number(column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        value = row.get(column)
        if value is None or not math.isfinite(value):
            return None
        return round(min(high, max(low, float(value))), 4)

    score = number("FaceScore", 0, 1)
    sides = [number(f"FaceRect{side}") for side in ("X", "Y", "Width", "Height")]
    if not score or None in sides:
        return None
    x0, y0, width, height = (float(side) for side in sides if side is not None)
    if width <= 0 or height <= 0:
        return None
    notes = []
    if width < SMALL_PX:
        notes.append(f"small face ({width:.0f} px wide): read with caution")
    if size and (x0 < 0 or y0 < 0 or x0 + width > size[0] or y0 + height > size[1]):
        notes.append("cut off by the border of the picture")
    columns = ("Pitch", "Yaw", "Roll", "gaze_pitch", "gaze_yaw")
    angles = (None if (a := number(c)) is None else round(math.degrees(a), 1) for c in columns)
    pitch, yaw, roll, up, aside = angles
    return Face(
        xyxy=(round(x0, 1), round(y0, 1), round(x0 + width, 1), round(y0 + height, 1)),
        score=score,
        action_units=tuple(_to_au(unit, number(f"AU{unit:02d}", 0, 1), presence) for unit in UNITS),
        units_measured=UNITS,
        expression=_row_expression(row),
        valence=number("valence", -1, 1),
        arousal=number("arousal", -1, 1),
        pose=(
            None
            if pitch is yaw is roll is None
            else HeadPose(pitch=pitch, yaw=None if yaw is None else -yaw, roll=roll)
        ),
        gaze=None if up is aside is None else Gaze(pitch=up, yaw=aside and -aside),
        tool=tool,
        version=version,
        notes=tuple(notes),
    )


def _to_au(unit: int, value: float | None, presence: bool) -> ActionUnit:
    if value is None:
        return ActionUnit(unit=unit)
    return (
        ActionUnit(unit=unit, presence=value >= 0.5)
        if presence
        else ActionUnit(unit=unit, probability=value)
    )


def _row_expression(row: Mapping[str, Any]) -> EmotionScores | None:
    found = {
        EMOTIONS[column.lower()]: float(value)
        for column, value in row.items()
        if column.lower() in EMOTIONS and value is not None
    }
    total = sum(found.values())
    if len(found) < 7 or not math.isfinite(total) or total <= 0:
        return None
    order = [label for label in dict.fromkeys(EMOTIONS.values()) if label in found]
    return EmotionScores(
        labels="ekman-8" if "contempt" in found else "ekman-7",
        # under autocast on a GPU the softmax is in bfloat16 and sums to 1 only roughly
        probabilities={label: round(max(0.0, found[label]) / total, 6) for label in order},
        method="softmax",
    )


# ---------------------------------------------------------------------------- Py-Feat's inside


def _for_cpu(detector: Any, finder: Any) -> None:
    """The same networks in the order of memory and in the portions that suit a CPU."""
    import torch

    finder.net.to(memory_format=torch.channels_last)
    if multitask := getattr(detector, "multitask", None):
        whole = multitask.model.to(memory_format=torch.channels_last)
        for layer in whole.modules():
            if type(layer).__name__ == "GlobalResponseNorm":
                layer.forward = partial(_normalise_responses, layer)
            elif type(layer).__name__ == "GlobalResponseNormMlp":
                widening = layer.fc1.weight.shape[0] / layer.fc1.weight.shape[1]
                layer.forward = partial(_by_cache, layer.forward, widening)

        def in_portions(chips: Any) -> dict[str, Any]:
            parts = [whole(portion) for portion in chips.split(FACES_IN_CACHE)]
            return {
                name: None if value is None else torch.cat([part[name] for part in parts])
                for name, value in parts[0].items()
            }

        multitask.model = in_portions


def _by_cache(work: Callable[[Any], Any], widening: float, x: Any) -> Any:
    """`work(x)` on portions of its faces whose hidden layer, `widening` times x, fits the cache."""
    import torch

    at_once = max(1, int(HIDDEN_IN_CACHE / (x[0].numel() * widening)))
    if at_once >= len(x):
        return work(x)
    return torch.cat([work(portion) for portion in x.split(at_once)])


def _normalise_responses(layer: Any, x: Any) -> Any:
    """ConvNeXt V2's global response normalisation (Woo et al. 2023) in two passes over x, not six.

    x + (weight · x · n + bias) is bias + x · (1 + weight · n); the norm is a sum of squares.
    """
    norm = x.square().sum(dim=layer.spatial_dim, keepdim=True).sqrt()
    scaled = norm / (norm.mean(dim=layer.channel_dim, keepdim=True) + layer.eps)
    weight, bias = layer.weight.view(layer.wb_shape), layer.bias.view(layer.wb_shape)
    return bias.addcmul(x, 1 + weight * scaled)


def _reduce_pixels(pixels: Any) -> tuple[Any, float]:
    """(N, 3, H, W) with its longer side at most LONGEST_SIDE, and the scale it was reduced by."""
    import torch

    height, width = pixels.shape[-2:]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return pixels, 1.0
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = torch.nn.functional.interpolate(
        pixels.float(), size=size, mode="bilinear", antialias=True
    )
    return small.round().clamp(0, 255).to(torch.uint8), scale


def _batch_data(scales: list[float]) -> dict[str, Any]:
    """What Py-Feat's data loader would hand to `forward`: no padding, and the scale."""
    import torch

    nothing = torch.zeros(len(scales))
    return {
        "Image": torch.empty(len(scales), 3, 1, 1),
        "Scale": torch.tensor(scales),
        "Padding": dict.fromkeys(("Left", "Top", "Right", "Bottom"), nothing),
    }


def _choose_device(name: str | None) -> Any:
    import torch

    if name is None:
        # not MPS: py-feat 2.1.5 says itself that it mixes devices there
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ToolError(f"there is no device {name!r}; use cpu, cuda or cuda:1.") from None


def _import_feat() -> Any:
    """`import feat` without its side effects on the rest of the process."""
    if "feat" in sys.modules:
        return sys.modules["feat"]
    mac = sys.platform == "darwin"  # there its settings keep two OpenMP runtimes apart: leave them
    if not mac:
        import torch  # before OMP_NUM_THREADS is set, or it would run on one thread

        threads = torch.get_num_threads()
    omp = os.environ.get("OMP_NUM_THREADS")
    main = sys.modules["__main__"].__dict__
    names = ("XGBClassifier", "SVMClassifier", "EmoSVMClassifier")
    before = {name: main[name] for name in names if name in main}
    try:
        with warnings.catch_warnings():
            import feat
    except Exception as error:
        raise ToolError(
            f"Py-Feat is installed but cannot be imported ({type(error).__name__}: "
            f"{first_line(error)}); run `pip install --force-reinstall 'py-feat>=2.1,<3'`."
        ) from error
    finally:
        for name in names:
            main.pop(name, None)
        main.update(before)
        if not mac:
            if omp is None:
                os.environ.pop("OMP_NUM_THREADS", None)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
    return feat


@contextlib.contextmanager
def _from_disk(paths: Mapping[_Weights, Path]) -> Iterator[None]:
    """Py-Feat takes these files and asks the Hub nothing; each question could take 46 seconds."""
    import feat.detector
    import feat.utils
    from feat.au_detectors.StatLearning.SL_test import SVMClassifier, XGBClassifier

    def local(repo_id: str, filename: str, *_: Any, **__: Any) -> str:
        return next(
            str(path)
            for weights, path in paths.items()
            if weights.repo == repo_id and filename in (weights.file, weights.older)
        )

    main = sys.modules["__main__"]  # where the older files of classifiers look for their classes
    changes: list[tuple[Any, str, Any]] = [
        (feat.utils, "hf_hub_download_with_fallback", local),
        (feat.detector, "hf_hub_download_with_fallback", local),
        (feat.detector, "hf_hub_download", local),
        (main, "XGBClassifier", XGBClassifier),
        (main, "SVMClassifier", SVMClassifier),
    ]
    absent = object()
    before = [(owner, name, getattr(owner, name, absent)) for owner, name, _ in changes]
    pose = os.environ.get("FEAT_POSE_MLP_PATH")
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        if pose is None and _POSE in paths:
            os.environ["FEAT_POSE_MLP_PATH"] = str(paths[_POSE])
        yield
    finally:
        if pose is None:
            os.environ.pop("FEAT_POSE_MLP_PATH", None)
        for owner, name, value in before:
            if value is absent:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


# -------------------------------------------------------------------------- installed, weights


def _installed_version() -> str | None:
    """Py-Feat's version, without importing it."""
    try:
        return importlib.metadata.version("py-feat") if find_spec("feat") else None
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def _resource_folder(given: str | os.PathLike[str] | None = None) -> Path:
    if given or os.environ.get("FEAT_RESOURCES"):
        return expand_path(given or os.environ["FEAT_RESOURCES"])
    spec = find_spec("feat")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "resources"


def _needed_weights(version: Version, classifier: str) -> tuple[_Weights, ...]:
    return (_RETINAFACE, _MULTITASK) if version == "v2" else (*_V1, _CLASSIFIERS[classifier])


def _find_weights(
    version: Version, classifier: str, resources: Path
) -> tuple[dict[_Weights, Path], list[_Weights]]:
    """The files that are there, and those that are not."""
    found: dict[_Weights, Path] = {}
    missing = []
    for weights in _needed_weights(version, classifier):
        own = os.environ.get("FEAT_MULTITASK_WEIGHTS") if weights is _MULTITASK else None
        path = Path(own) if own else weights.find(resources)
        if own and not Path(own).is_file():
            raise ToolError(f"there is no file {own}, which FEAT_MULTITASK_WEIGHTS names.")
        if path is None:
            missing.append(weights)
        else:
            found[weights] = path
    return found, missing


def _all_weights(
    version: Version, classifier: str, given: str | os.PathLike[str] | None
) -> dict[_Weights, Path]:
    """Every file that is needed, downloaded if the Hub can be reached. Raises ToolError."""
    resources = _resource_folder(given)
    found, missing = _find_weights(version, classifier, resources)
    if not missing:
        return found
    why = _why_unreachable()
    if why is None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            for weights in missing:
                try:
                    hf_hub_download(weights.repo, weights.file, cache_dir=resources)
                except EntryNotFoundError:
                    if weights.older is None:
                        raise
                    hf_hub_download(weights.repo, weights.older, cache_dir=resources)
        except Exception as error:
            why = f"their download failed ({type(error).__name__}: {first_line(error)})"
        else:
            return _find_weights(version, classifier, resources)[0]
    files = ", ".join(f"{w.repo}/{w.file} (about {w.megabytes} MB, {w.licence})" for w in missing)
    raise ToolError(
        f"Py-Feat's weights are missing and {why}: {files}; with a network run "
        f"`{_fetch_command(missing, resources)}`, or use the bundled face tool pocket."
    )


def _fetch_command(missing: Sequence[_Weights], resources: Path) -> str:
    return " && ".join(
        f"hf download {repo} {' '.join(w.file for w in files)} "
        f"--cache-dir {shlex.quote(str(resources))}"
        for repo, files in (
            (repo, list(group)) for repo, group in groupby(missing, key=lambda w: w.repo)
        )
    )


def _why_unreachable() -> str | None:
    """Why nothing can be downloaded, or None if the Hub answers, known within PATIENCE_S."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return "HF_HUB_OFFLINE forbids downloads"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    answered = threading.Event()

    def ask() -> None:
        url = f"{endpoint}/{_RETINAFACE.repo}/resolve/main/{_RETINAFACE.file}"
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE_S)
        except urllib.error.HTTPError:
            pass  # it answered; what it says is for the download to tell
        except (OSError, ValueError):
            return
        answered.set()

    # in a thread, because looking up the name obeys no timeout
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return None if answered.is_set() else f"{endpoint} cannot be reached"


def _hash_file(path: Path) -> str:
    """Of the file; a Hub cache names large files by it."""
    import hashlib

    name = path.resolve().name
    if len(name) == 64 and set(name) <= set("0123456789abcdef"):
        return name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ------------------------------------------------------------------------------------ registry


def load_pyfeat(
    threshold: float = 0.5,
    device: str | None = None,
    version: Version = "v2",
    resources: str | os.PathLike[str] | None = None,
    classifier: Literal["xgb", "svm"] = "xgb",
) -> PyFeat:
    """Load Py-Feat; see `PyFeat`."""
    return PyFeat(version, threshold, device, resources, classifier)


def pyfeat_status(version: Version = "v2") -> ToolStatus:
    """Whether it could be loaded now; imports nothing heavy, asks no network."""
    name = "pyfeat" if version == "v2" else "pyfeat-v1"
    licence = LICENCE_V2 if version == "v2" else LICENCE_V1
    installed = _installed_version()
    if installed is None:
        return ToolStatus(
            name=name,
            ready=False,
            installed=False,
            licence=licence,
            measures=_measured_units(version),
            command="pip install 'py-feat>=2.1,<3'",
        )
    resources = _resource_folder()
    try:
        found, missing = _find_weights(version, "xgb", resources)
        sizes: dict[str, int] = {}
        for weights in missing:
            sizes[weights.repo] = sizes.get(weights.repo, 0) + weights.megabytes
        text = f"missing: {', '.join(f'{repo} (about {mb} MB)' for repo, mb in sizes.items())}"
    except ToolError as error:
        found, missing, text = {}, list(_needed_weights(version, "xgb")), str(error)
    return ToolStatus(
        name=name,
        ready=not missing,
        installed=True,
        version=installed,
        weights=text if missing else f"{len(found)} files in {resources}",
        licence=licence,
        measures=_measured_units(version),
        command=_fetch_command(missing, resources) if missing else None,
    )


_load_v1: Callable[..., PyFeat] = partial(load_pyfeat, version="v1")
register("pyfeat", load_pyfeat, pyfeat_status)
register("pyfeat-v1", _load_v1, partial(pyfeat_status, "v1"))
