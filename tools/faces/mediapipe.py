"""MediaPipe FaceLandmarker: 52 blendshapes a face, read as action units.

A blendshape is a rig's activation, 0-1, not a FACS intensity and not a probability; which unit it
stands for is `facs.BLENDSHAPES`. Left and right are kept apart; they are the person's own (seen by
closing one eye and lifting one lip corner in a photo). A unit is compared with what 20, 5 and 1 %
of faces with a calm expression reach (see THRESHOLDS), which is no degree of FACS.

Seen on real faces: cheekSquint, noseSneer, cheekPuff never fire and eyeWide seldom does, and lips
may part without a lip being raised or lowered. Units 5, 6, 9, 25 and 34 are therefore reported when
they fire; their silence is "not measured", never "absent".

Alone it misses small faces; `yunet+mediapipe` measures each face that YuNet finds, enlarged.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import os
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools import stopping
from kuleshov.tools.errors import first_line
from kuleshov.tools.faces import crop, facs
from kuleshov.tools.faces.base import FaceToolInfo, ToolError, ToolStatus, register
from kuleshov.tools.faces.model_file import ModelFile, hash_file
from kuleshov.tools.types import ActionUnit, Face, HeadPose, Side

LICENCE = "code and weights Apache-2.0 (Google)"
INSTALL = "pip install 'kuleshov[mediapipe]'"
MODEL = ModelFile(
    tool="mediapipe",
    name="face_landmarker.task",
    url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
    "float16/1/face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    size=3_758_596,
    licence="Apache-2.0",
    variable="MEDIAPIPE_FACE_LANDMARKER",
)

# Unit → 80th, 95th and 99th percentile of its activation, the mean of both halves, over
# the 7,950 faces of FER+ (Barsoum et al. 2016) that most raters called neutral and MediaPipe found,
# at least 0.05, 0.1 and 0.2. Computed by `training/face/thresholds.py`; not compared with coders.
THRESHOLDS: dict[int, tuple[float, float, float]] = {
    1: (0.379, 0.729, 0.909), 2: (0.439, 0.697, 0.884), 4: (0.14, 0.468, 0.702),
    5: (0.05, 0.104, 0.228), 7: (0.417, 0.56, 0.662), 10: (0.05, 0.1, 0.231),
    12: (0.05, 0.1, 0.415), 14: (0.05, 0.1, 0.2), 15: (0.05, 0.185, 0.367),
    16: (0.05, 0.13, 0.44), 17: (0.077, 0.251, 0.577), 18: (0.443, 0.881, 0.977),
    20: (0.05, 0.121, 0.309), 22: (0.05, 0.1, 0.2), 24: (0.067, 0.186, 0.336),
    25: (0.05, 0.1, 0.273), 26: (0.05, 0.161, 0.314), 28: (0.061, 0.176, 0.396),
    45: (0.187, 0.42, 0.665), 61: (0.377, 0.764, 0.913), 62: (0.204, 0.592, 0.865),
    63: (0.285, 0.523, 0.686), 64: (0.283, 0.559, 0.758),
}  # fmt: skip
SILENT = (5, 6, 9, 25, 34)
FIRES = 0.05
UNITS = tuple(unit for unit in THRESHOLDS if unit not in SILENT)

# How far around the box is cut for a second look, in turn until the net finds the face
TIMES = (2.0, 2.3, 1.5)
SIZE = 256
CONFIDENCE_WHOLE = 0.5
CONFIDENCE_CUT = 0.3  # there is a face: another tool found it
MOST_FACES = 50
SMALL_PX = 24


class MediaPipe:
    """Faces with action units as blendshape activations, by FaceLandmarker."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Load the landmarker.

        Args:
            path: `face_landmarker.task`; None: MEDIAPIPE_FACE_LANDMARKER, else downloaded once.

        Raises:
            ToolError: MediaPipe is not installed or cannot be imported, or its model is missing
                and cannot be had.
        """
        installed = _installed_version()
        if installed is None:
            raise ToolError(f"MediaPipe is not installed; run `{INSTALL}`.")
        file = MODEL.get(path)
        self._lock = threading.Lock()
        self.forks = False  # it keeps threads of its own
        # two of them, because one is made for a number of faces; made now, where a damaged file
        # or a missing system library is told
        self._landmarkers = {
            most: _make_landmarker(str(file), most, least)
            for most, least in ((1, CONFIDENCE_CUT), (MOST_FACES, CONFIDENCE_WHOLE))
        }
        for made in self._landmarkers.values():
            weakref.finalize(self, _close_landmarker, made)
        self.info = FaceToolInfo(
            name="mediapipe",
            version=f"mediapipe {installed} (FaceLandmarker)",
            units=UNITS,
            unit_scale="activation: MediaPipe blendshape activation, 0-1, left and right apart",
            measures="action units (blendshape activation)",
            licence=LICENCE,
            weights={file.name: hash_file(file)},
            caveat=(
                "MediaPipe: units 5, 6, 9, 25 and 34 count as measured only where they fire; "
                "thresholds were not compared with FACS coders"
            ),
        )

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture, largest first (it gives no score); see `FaceTool.observe`."""
        return [
            sorted(
                (
                    self._face(_landmark_bounds(points, image.shape), values, pose)
                    for points, values, pose in self._look(image, MOST_FACES)
                ),
                key=lambda face: -face.area,
            )
            for image in images
        ]

    def measure(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Sequence[Face]]
    ) -> list[list[Face]]:
        """Units of faces that another tool found, each cut out and enlarged; one by one, because
        FaceLandmarker takes no batch. See `MeasuringTool.measure`."""
        return [
            [self._measured(image, face) for face in here]
            for image, here in zip(images, faces, strict=True)
        ]

    def _measured(self, image: NDArray[np.uint8], face: Face) -> Face:
        for times in TIMES:
            seen = self._look(crop.crop_square(image, face, times=times, size=SIZE), 1)
            if seen:
                return self._face(face.xyxy, *seen[0][1:])
        return Face(
            xyxy=face.xyxy,
            action_units=tuple(ActionUnit(unit=unit) for unit in UNITS),
            tool="mediapipe",
            version=self.info.version,
            notes=("mediapipe could not find its landmarks: units unknown",),
        )

    def _look(
        self, image: NDArray[np.uint8], most: int
    ) -> list[tuple[NDArray[np.float64], dict[str, float], HeadPose]]:
        """Landmarks (478, 2), 0-1 of the picture, blendshapes and head pose of each face."""
        import mediapipe

        stopping.check()
        picture = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        try:
            with self._lock:
                result = self._landmarkers[most].detect(picture)
        except Exception as error:
            raise ToolError(
                f"MediaPipe failed: {type(error).__name__}: {first_line(error)}."
            ) from error
        return [
            (
                np.array([(point.x, point.y) for point in points]),
                {shape.category_name: float(shape.score) for shape in shapes},
                head_pose(np.asarray(matrix, float)),
            )
            for points, shapes, matrix in zip(
                result.face_landmarks,
                result.face_blendshapes,
                result.facial_transformation_matrixes,
                strict=True,
            )
        ]

    def _face(
        self,
        xyxy: tuple[float, float, float, float],
        shapes: Mapping[str, float],
        pose: HeadPose,
    ) -> Face:
        units = from_blendshapes(shapes)
        small = xyxy[2] - xyxy[0] < SMALL_PX
        return Face(
            xyxy=xyxy,
            action_units=units,
            units_measured=tuple(dict.fromkeys(unit.unit for unit in units)),
            pose=pose,
            tool="mediapipe",
            version=self.info.version,
            notes=(
                (f"small face ({xyxy[2] - xyxy[0]:.0f} px wide): read with caution",)
                if small
                else ()
            ),
        )


def from_blendshapes(shapes: Mapping[str, float]) -> tuple[ActionUnit, ...]:
    """Action units of one face from its blendshapes (name to activation, 0-1).

    A unit whose blendshapes are missing or NaN is unknown; see SILENT for those that are left out
    unless they fire.
    """
    units: list[ActionUnit] = []
    for unit, names in facs.BLENDSHAPES.items():
        if unit not in THRESHOLDS and unit not in SILENT:
            continue
        steps = THRESHOLDS.get(unit)
        values = {
            side: _mean_activation(shapes, half)
            for side, half in unit_blendshapes(unit, names).items()
        }
        if unit in SILENT:
            # a half that does not fire says nothing
            fires = steps[0] if steps else FIRES
            values = {k: v if v is not None and v >= fires else None for k, v in values.items()}
            if not any(value is not None for value in values.values()):
                continue
        units += [
            ActionUnit(unit=unit, side=side)
            if value is None
            else ActionUnit(
                unit=unit,
                side=side,
                activation=round(min(1.0, max(0.0, value)), 4),
                thresholds=steps,
                thresholds_of=None if steps is None else "calm faces",
            )
            for side, value in values.items()
        ]
    return tuple(units)


def head_pose(matrix: NDArray[np.float64]) -> HeadPose:
    """The head's rotation from a facial transformation matrix, (4, 4).

    Its columns are the face's own axes in a camera's space of x to the right of the picture, y up
    and z towards the camera; the right of the picture is the person's left.
    """
    across, ahead = matrix[:3, 0], matrix[:3, 2]
    angles = (
        math.atan2(ahead[1], math.hypot(ahead[0], ahead[2])),
        math.atan2(ahead[0], ahead[2]),
        math.atan2(across[1], across[0]),
    )
    pitch, yaw, roll = (round(math.degrees(angle), 1) for angle in angles)
    return HeadPose(pitch=pitch, yaw=yaw, roll=roll)


def unit_blendshapes(unit: int, names: Sequence[str]) -> dict[Side, tuple[str, ...]]:
    """The blendshapes of a unit by the person's own side; a turn of the eyes is one of both."""
    left = tuple(name for name in names if name.endswith("Left"))
    right = tuple(name for name in names if name.endswith("Right"))
    if unit in facs.ONE_PIECE or not left or not right:
        return {"both": tuple(names)}
    return {"left": left, "right": right}


def _mean_activation(shapes: Mapping[str, float], names: Sequence[str]) -> float | None:
    """Mean activation; None where one is missing or NaN."""
    found = [shapes.get(name) for name in names]
    known = [value for value in found if value is not None and np.isfinite(value)]
    return None if len(known) < len(names) else sum(known) / len(known)


def _landmark_bounds(
    points: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    height, width = shape[:2]
    return (
        round(float(x0) * width, 1),
        round(float(y0) * height, 1),
        round(float(x1) * width, 1),
        round(float(y1) * height, 1),
    )


def _close_landmarker(landmarker: Any) -> None:
    try:
        landmarker.close()
    except RuntimeError:
        # at the end of the process its threads are gone already: what is left is the system's,
        # and without its handle its __del__ does not try again and complain
        landmarker._handle = None


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """The native library tells of its own start on stderr, past Python; only while loading."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _make_landmarker(file: str, most: int, confidence: float) -> Any:
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        with _without_chatter():
            made = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=BaseOptions(model_asset_path=file),
                    output_face_blendshapes=True,
                    output_facial_transformation_matrixes=True,
                    num_faces=most,
                    min_face_detection_confidence=confidence,
                    min_face_presence_confidence=confidence,
                )
            )
            dark = np.zeros((SIZE, SIZE, 3), np.uint8)
            made.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=dark))
        return made
    except Exception as error:
        raise ToolError(
            f"MediaPipe cannot start with {file} ({type(error).__name__}: {first_line(error)}); "
            "it needs the system libraries libegl1, libgles2, libgl1 and libglib2.0-0."
        ) from error


def _installed_version() -> str | None:
    try:
        return importlib.metadata.version("mediapipe") if find_spec("mediapipe") else None
    except importlib.metadata.PackageNotFoundError:
        return None


def load_mediapipe(device: str | None = None, path: str | None = None) -> MediaPipe:
    """`device` is taken for the sake of the protocol: the net runs on the CPU."""
    return MediaPipe(path)


def mediapipe_status(path: str | None = None) -> ToolStatus:
    version = _installed_version()
    try:
        file = MODEL.find(path)
        weights = f"{file}" if file else f"missing: {MODEL.name} ({MODEL.size / 1e6:.1f} MB)"
    except ToolError as error:
        file, weights = None, str(error)
    needed = [] if version else [INSTALL]
    needed += [] if file else [MODEL.command]
    return ToolStatus(
        name="mediapipe",
        ready=not needed,
        installed=version is not None,
        version=version,
        weights=weights,
        licence=LICENCE,
        measures=f"faces, {len(UNITS)} action units (blendshape activation)",
        command=" && ".join(needed) or None,
    )


register("mediapipe", load_mediapipe, mediapipe_status, measures=True)
