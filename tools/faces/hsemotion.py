"""HSEmotion (Savchenko 2022; package hsemotion-onnx): expressions, valence and arousal.

It measures faces that another tool has found: `pocket+hsemotion`, `yunet+mediapipe+hsemotion`.
The package's own code reads the model and the faces; all faces of all pictures go through the net
as one batch. Its weights are not bundled, and the package would download them without a checksum,
so Kuleshov asks for the file instead.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import shlex
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools import stopping
from kuleshov.tools.errors import first_line
from kuleshov.tools.faces.base import FaceToolInfo, ToolError, ToolStatus, register
from kuleshov.tools.faces.model_file import hash_file
from kuleshov.tools.home import expand_path, find_home_folder
from kuleshov.tools.types import EmotionScores, Face

LICENCE = "code and weights Apache-2.0; trained on AffectNet (research use)"
INSTALL = "pip install 'kuleshov[hsemotion]'"
VARIABLE = "HSEMOTION_MODEL"
# The package knows a model by its name: 7 or 8 classes, input size, valence and arousal or not
MODELS = (
    "enet_b0_8_va_mtl",
    "enet_b0_8_best_vgaf",
    "enet_b0_8_best_afew",
    "enet_b2_8",
    "enet_b2_7",
)
URL = (
    "https://github.com/HSE-asavchenko/face-emotion-recognition/raw/main/models/"
    "affectnet_emotions/onnx/{}.onnx"
)
SIZES_MB = 16  # of a b0; b2 about 30
FACES_AT_ONCE = 64
_LABELS = {
    "Anger": "anger", "Contempt": "contempt", "Disgust": "disgust", "Fear": "fear",
    "Happiness": "happiness", "Neutral": "neutral", "Sadness": "sadness", "Surprise": "surprise",
}  # fmt: skip


class HSEmotion:
    """Expressions of found faces; with an `_mtl` model also valence and arousal."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Load a model.

        Args:
            path: an ONNX file that keeps its published name, e.g. `enet_b0_8_va_mtl.onnx`; None:
                HSEMOTION_MODEL, else the first of MODELS in the package's folder `~/.hsemotion`.

        Raises:
            ToolError: the package or the file is missing, the file's name or content is not
                HSEmotion's.
        """
        installed = _installed_version()
        if installed is None:
            raise ToolError(f"HSEmotion is not installed; run `{INSTALL}`.")
        file = _find_model(path)
        if file is None:
            raise ToolError(f"HSEmotion's weights are missing; run `{_fetch_command()}`.")
        if file.stem not in MODELS:
            raise ToolError(
                f"{file} must keep the name of an HSEmotion model, because it tells its classes "
                f"and its input: {', '.join(MODELS)} (.onnx)."
            )
        self._net = _load_recogniser(file)
        labels = [_LABELS[self._net.idx_to_class[k]] for k in sorted(self._net.idx_to_class)]
        outputs = len(labels) + (2 if self._net.is_mtl else 0)
        # a picture of the right size and no content shows whether the file is what its name says
        try:
            _, scores = self._net.predict_multi_emotions([np.zeros((8, 8, 3), np.uint8)])
        except Exception as error:
            raise ToolError(
                f"{file} does not run as an HSEmotion model ({type(error).__name__}: "
                f"{first_line(error)})."
            ) from None
        if scores.shape != (1, outputs):
            raise ToolError(
                f"{file} gives {scores.shape[-1]} numbers a face, but {file.stem} must give "
                f"{outputs}."
            )
        self._labels = labels
        first = self._net.ort_session.get_inputs()[0].shape[0]
        self._at_once = first if isinstance(first, int) else FACES_AT_ONCE
        self._lock = threading.Lock()
        self.forks = False  # ONNX Runtime keeps threads of its own
        affect = ", valence, arousal" if self._net.is_mtl else ""
        self.info = FaceToolInfo(
            name="hsemotion",
            version=f"hsemotion-onnx {installed} ({file.stem})",
            expressions=tuple(sorted(labels, key=_label_order)),
            label_set=f"ekman-{len(labels)}",
            measures=f"expressions ({len(labels)}){affect}",
            licence=LICENCE,
            weights={file.name: hash_file(file)},
        )

    def measure(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Sequence[Face]]
    ) -> list[list[Face]]:
        """Expressions of found faces, all in one batch; see `MeasuringTool.measure`."""
        cuts = [
            _cut_face(image, face)
            for image, here in zip(images, faces, strict=True)
            for face in here
        ]
        rows: list[NDArray[Any]] = []
        try:
            for begin in range(0, len(cuts), self._at_once):
                stopping.check()
                some = cuts[begin : begin + self._at_once]
                with self._lock:
                    rows += list(self._net.predict_multi_emotions(some, logits=False)[1])
        except stopping.StoppedError:
            raise
        except Exception as error:
            raise ToolError(
                f"HSEmotion failed: {type(error).__name__}: {first_line(error)}."
            ) from error
        answers = iter(rows)
        return [[self._face(face, next(answers)) for face in here] for here in faces]

    def _face(self, face: Face, row: NDArray[Any]) -> Face:
        """Scores of one face (classes, then valence and arousal with `_mtl`)."""
        count = len(self._labels)
        p = row[:count].astype(float)
        expression = None
        if np.isfinite(p).all() and p.sum() > 0:
            by_label = dict(zip(self._labels, p / p.sum(), strict=True))
            expression = EmotionScores(
                labels=f"ekman-{count}",
                probabilities={
                    label: round(float(by_label[label]), 6) for label in self.info.expressions
                },
                method="softmax",
            )
        valence, arousal = (
            (_clip_affect(row[count]), _clip_affect(row[count + 1]))
            if self._net.is_mtl
            else (None, None)
        )
        return Face(
            xyxy=face.xyxy,
            expression=expression,
            valence=valence,
            arousal=arousal,
            tool="hsemotion",
            version=self.info.version,
            notes=() if expression else ("hsemotion gave no number for this face",),
        )


def _label_order(label: str) -> int:
    return (
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "contempt", "neutral"
    ).index(label)  # fmt: skip


def _clip_affect(value: float) -> float | None:
    """Valence or arousal; the regression may leave −1 to 1 by a little."""
    return round(min(1.0, max(-1.0, float(value))), 4) if math.isfinite(value) else None


def _cut_face(image: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """The box as it is, inside the picture: so the package's own examples cut their faces."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.xyxy
    left, top = min(max(0, round(x0)), width - 1), min(max(0, round(y0)), height - 1)
    right, bottom = max(left + 1, min(width, round(x1))), max(top + 1, min(height, round(y1)))
    return np.ascontiguousarray(image[top:bottom, left:right])


def _load_recogniser(file: Path) -> Any:
    """The package's recogniser on this very file, where it would look one up or download it."""
    try:
        from hsemotion_onnx import facial_emotions
    except Exception as error:
        raise ToolError(
            f"HSEmotion is installed but cannot be imported ({type(error).__name__}: "
            f"{first_line(error)}); run `{INSTALL}`."
        ) from error
    kept = facial_emotions.get_model_path
    try:
        facial_emotions.get_model_path = lambda name: str(file)
        return facial_emotions.HSEmotionRecognizer(file.stem)
    except Exception as error:
        raise ToolError(
            f"{file} cannot be read ({type(error).__name__}: {first_line(error)}); if its "
            "download broke off, fetch it again."
        ) from None
    finally:
        facial_emotions.get_model_path = kept


def _find_model(given: str | os.PathLike[str] | None = None) -> Path | None:
    named = given or os.environ.get(VARIABLE)
    if named:
        path = expand_path(named)
        if not path.is_file():
            whose = "the settings" if given else VARIABLE
            raise ToolError(f"there is no file {path}, which {whose} names for hsemotion.")
        return path
    home = find_home_folder()
    own = () if home is None else tuple(home / ".hsemotion" / f"{model}.onnx" for model in MODELS)
    return next((path for path in own if path.is_file()), None)


def _fetch_command() -> str:
    home, name = find_home_folder(), f"{MODELS[0]}.onnx"
    path = Path(name) if home is None else home / ".hsemotion" / name
    also = "and" if home is None else "or"
    return (
        f"curl -L --create-dirs -o {shlex.quote(str(path))} {URL.format(MODELS[0])}"
        f"  ({also} set {VARIABLE} to its path)"
    )


def _installed_version() -> str | None:
    try:
        return importlib.metadata.version("hsemotion-onnx") if find_spec("hsemotion_onnx") else None
    except importlib.metadata.PackageNotFoundError:
        return None


def load_hsemotion(device: str | None = None, path: str | None = None) -> HSEmotion:
    """`device` is taken for the sake of the protocol: the package runs on the CPU."""
    return HSEmotion(path)


def hsemotion_status(path: str | None = None) -> ToolStatus:
    version = _installed_version()
    try:
        file = _find_model(path)
        weights = f"{file}" if file else f"missing: {MODELS[0]}.onnx (about {SIZES_MB} MB)"
    except ToolError as error:
        file, weights = None, str(error)
    needed = [] if version else [INSTALL]
    needed += [] if file else [_fetch_command()]
    return ToolStatus(
        name="hsemotion",
        ready=not needed,
        installed=version is not None,
        version=version,
        weights=weights,
        licence=LICENCE,
        measures="expressions (8), valence, arousal of found faces: e.g. pocket+hsemotion",
        command=" && ".join(needed) or None,
    )


register("hsemotion", load_hsemotion, hsemotion_status, finds=False, measures=True)
