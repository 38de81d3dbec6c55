"""YuNet (Wu, Peng & Yu 2023, through OpenCV's FaceDetectorYN): finds faces, measures nothing.

It finds small faces that other tools miss; combine it: `yunet+mediapipe`, `yunet+hsemotion`.
"""

from __future__ import annotations

import importlib.metadata
import os
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools import stopping
from kuleshov.tools.errors import first_line
from kuleshov.tools.faces.base import FaceToolInfo, ToolError, ToolStatus, register
from kuleshov.tools.faces.model_file import ModelFile, hash_file
from kuleshov.tools.types import Face

LICENCE = "code Apache-2.0 (OpenCV); weights MIT (opencv_zoo)"
MODEL = ModelFile(
    tool="yunet",
    name="face_detection_yunet_2023mar.onnx",
    url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
    "face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size=232_589,
    licence="MIT",
    variable="YUNET_MODEL",
)
LONGEST_SIDE = 1000
"""Pictures are reduced to this before faces are looked for, pixels."""
THRESHOLD = 0.7
"""Least score; at 0.7 it finds the 5 of multi_face.jpg and 19 in a classroom. Dogs' faces may
reach 0.8."""
OVERLAP = 0.3


class Yunet:
    """Boxes and scores of faces; units and expressions are not measured."""

    def __init__(
        self, path: str | os.PathLike[str] | None = None, threshold: float = THRESHOLD
    ) -> None:
        """Load the network.

        Args:
            path: the ONNX file; None: YUNET_MODEL, else downloaded once.
            threshold: least score of a face, 0-1.

        Raises:
            ToolError: the file is missing and cannot be had, or OpenCV cannot read it.
        """
        import cv2

        file = MODEL.get(path)
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(file), "", (320, 320), threshold, OVERLAP, 5000
            )
        except cv2.error as error:
            raise ToolError(
                f"OpenCV {cv2.__version__} cannot read {file} as YuNet ({first_line(error)})."
            ) from None
        self._lock = threading.Lock()  # the net holds the size of the picture it looks at
        self.info = FaceToolInfo(
            name="yunet",
            version=f"OpenCV {cv2.__version__}",
            measures="faces",
            licence=LICENCE,
            weights={file.name: hash_file(file)},
        )

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture, largest score first; see `FaceTool.observe`."""
        found: list[list[Face]] = []
        for image in images:
            if stopping.is_asked():
                raise stopping.StoppedError(found)
            found.append(self._faces(image))
        return found

    def _faces(self, image: NDArray[np.uint8]) -> list[Face]:
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        with self._lock:
            self._net.setInputSize(size)
            _, rows = self._net.detect(np.ascontiguousarray(small[..., ::-1]))
        faces = []
        for x, y, w, h, *_, score in [] if rows is None else rows.astype(float):
            if w <= 0 or h <= 0:
                continue
            x0, y0, x1, y1 = (round(v / scale, 1) for v in (x, y, x + w, y + h))
            cut = x0 < 0 or y0 < 0 or x1 > width or y1 > height
            faces.append(
                Face(
                    xyxy=(x0, y0, x1, y1),
                    score=round(min(1.0, max(0.0, score)), 4),
                    tool="yunet",
                    version=self.info.version,
                    notes=("cut off by the border of the picture",) if cut else (),
                )
            )
        return sorted(faces, key=lambda face: -(face.score or 0))


def load_yunet(device: str | None = None, path: str | None = None) -> Yunet:
    """`device` is taken for the sake of the protocol: the net runs on the CPU."""
    return Yunet(path)


def yunet_status(path: str | None = None) -> ToolStatus:
    try:
        version: str | None = importlib.metadata.version("opencv-python")
    except importlib.metadata.PackageNotFoundError:
        version = None
    try:
        file = MODEL.find(path)
        weights = f"{file}" if file else f"missing: {MODEL.name} ({MODEL.size / 1e6:.1f} MB)"
    except ToolError as error:
        file, weights = None, str(error)
    return ToolStatus(
        name="yunet",
        ready=file is not None,
        installed=True,
        version=version and f"OpenCV {version}",
        weights=weights,
        licence=LICENCE,
        measures="faces only: combine it, e.g. yunet+mediapipe",
        command=None if file else MODEL.command,
    )


register("yunet", load_yunet, yunet_status)
