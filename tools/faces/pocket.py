"""The bundled face detector and face net behind the face tool protocol."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools import pocket, stopping
from kuleshov.tools.faces.base import FaceToolInfo, ToolStatus, register
from kuleshov.tools.faces.cpu_threads import side_by_side
from kuleshov.tools.pocket import weights
from kuleshov.tools.types import ActionUnit, EmotionScores, Face

LICENCE = "code Apache-2.0; weights CC BY-NC 4.0, research use (FER2013 image rights unresolved)"
VERSION = "1"
LABELS = "ekman-8"
SMALL_PX = 24


class PocketFaces:
    """Detects faces and reads expression and action units; CPU, nothing downloaded."""

    def __init__(self, threshold: float | None = None) -> None:
        """Load both nets.

        Args:
            threshold: least detector score of a face, 0-1; None: the detector's own.

        Raises:
            WeightsError: a weights file is missing or damaged.
        """
        from kuleshov.tools.pocket import detector, face_net

        self._detector, self._face_net = detector, face_net
        self.threshold = threshold
        self.detector = detector.load_detector()
        self.net = face_net.load_face_net()
        units = self.net.info.units
        folder = pocket.weights_folder()
        self.info = FaceToolInfo(
            name="pocket",
            version=f"{VERSION} (face net of {self.net.info.trained})",
            units=tuple(unit.unit for unit in units),
            weak_units=tuple(unit.unit for unit in units if unit.weak),
            unit_scale="activation: estimated MediaPipe blendshape activation, 0-1",
            expressions=face_net.EXPRESSIONS,
            label_set=LABELS,
            prior=self.net.info.prior,
            prior_source="its training faces by their leading vote (FER+), log_prior of "
            f"{face_net.NAME}",
            calibrated="calibrated on the votes of FER+",
            measures="expressions (8), action units",
            licence=LICENCE,
            weights={
                name: weights.hash_file(folder / name)
                for name in ("detector.safetensors", "face_net.safetensors")
            },
            caveat=pocket.CAVEAT,
        )

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture, largest score first.

        Pictures are searched side by side; all faces of all pictures are read in one batch.
        """
        looked = side_by_side(self._found, images)
        found = [one for one in itertools.takewhile(lambda one: one is not None, looked) if one]
        seen, images = len(images), images[: len(found)]
        answers = self._read(images, [boxes for boxes, _ in found])
        faces: list[list[Face]] = []
        for image, (boxes, scores) in zip(images, found, strict=True):
            here = [
                self._face(box, min(1.0, round(float(score), 4)), *next(answers), image.shape)
                for box, score in zip(boxes, scores, strict=True)
            ]
            faces.append(sorted(here, key=lambda face: -(face.score or 0)))
        if len(faces) < seen:
            raise stopping.StoppedError(faces)
        return faces

    def _found(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]] | None]:
        """Boxes and scores of the faces of each picture; None: stopped before it was looked at."""
        return [
            None
            if stopping.is_asked()
            else self._detector.detect_faces(self.detector, image, threshold=self.threshold)
            for image in images
        ]

    def measure(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Sequence[Face]]
    ) -> list[list[Face]]:
        """Faces that another tool found, all in one batch; see `MeasuringTool.measure`."""
        answers = self._read(
            images, [np.array([face.xyxy for face in here]).reshape(-1, 4) for here in faces]
        )
        return [
            [
                self._face(np.array(face.xyxy), face.score, *next(answers), image.shape)
                for face in here
            ]
            for image, here in zip(images, faces, strict=True)
        ]

    def _read(
        self, images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[Any]]
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Expression and units of each box of each picture, all in one batch."""
        crops = [
            self._face_net.crop_faces(image, here)
            for image, here in zip(images, boxes, strict=True)
        ]
        if not any(len(crop) for crop in crops):
            return iter(())
        expressions, units = self._face_net.read_faces(self.net, np.concatenate(crops))
        return zip(expressions, units, strict=True)

    def _face(
        self,
        box: NDArray[Any],
        score: float | None,
        expression: NDArray[Any],
        units: NDArray[Any],
        shape: tuple[int, ...],
    ) -> Face:
        x0, y0, x1, y1 = (float(value) for value in box)
        notes = []
        if x1 - x0 < SMALL_PX:
            notes.append(f"small face ({x1 - x0:.0f} px wide): read with caution")
        if x0 < 0 or y0 < 0 or x1 > shape[1] or y1 > shape[0]:
            notes.append("cut off by the border of the picture")
        p = expression.astype(float) / float(expression.sum())
        return Face(
            xyxy=(round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)),
            score=score,
            action_units=tuple(
                ActionUnit(
                    unit=unit.unit,
                    activation=round(float(value), 4),
                    thresholds=unit.thresholds,
                    thresholds_of="calm faces",
                    weak=unit.weak,
                )
                for unit, value in zip(self.net.info.units, units, strict=True)
            ),
            units_measured=self.info.units,
            expression=EmotionScores(
                labels=LABELS,
                probabilities={
                    label: round(float(value), 6)
                    for label, value in zip(self._face_net.EXPRESSIONS, p, strict=True)
                },
                method="softmax, temperature-scaled",
            ),
            tool="pocket",
            version=VERSION,
            notes=tuple(notes),
        )

    def heatmap(
        self, image: NDArray[np.uint8], face: Face, label: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The face as the net saw it, (48, 48) grey, and where `label` rested, (48, 48) 0-1.

        Raises:
            KuleshovError: captum is not installed; names the command.
        """
        crop = self._face_net.crop_faces(image, np.array([face.xyxy]))[0]
        return crop, self._face_net.draw_heatmap(self.net, crop, label)


def load_pocket_faces(threshold: float | None = None, device: str | None = None) -> PocketFaces:
    """`device` is taken for the sake of the protocol: these nets are small and stay on the CPU."""
    return PocketFaces(threshold)


def pocket_status() -> ToolStatus:
    missing = []
    for name in ("detector.safetensors", "face_net.safetensors"):
        try:
            weights.check_weights(pocket.weights_folder() / name, name)
        except weights.WeightsError as error:
            missing.append(str(error))
    return ToolStatus(
        name="pocket",
        ready=not missing,
        installed=True,
        version=VERSION,
        weights="; ".join(missing) or "bundled, checksums right",
        licence=LICENCE,
        measures="faces, 8 expressions, action units (blendshape activation)",
        command=None if not missing else "pip install --force-reinstall kuleshov",
    )


register("pocket", load_pocket_faces, pocket_status, measures=True)
