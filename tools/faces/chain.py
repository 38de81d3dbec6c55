"""Several tools in a row: the first finds the faces, each later one measures them.

`yunet+mediapipe`: YuNet finds small faces that MediaPipe would miss, MediaPipe measures units.
`pocket+hsemotion`: what HSEmotion measures replaces what pocket said of it (the expression), the
rest stays pocket's (the action units). Who measured what stands in `FaceToolInfo.measures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.faces.base import (
    FaceTool,
    FaceToolInfo,
    MediaMeasuringTool,
    Observation,
    ToolEntry,
    ToolStatus,
    check_inputs,
    observe_faces,
)
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.stopping import StoppedError
from kuleshov.tools.types import Face


class CombinedFaces:
    """A finder and one or more measuring tools behind one face tool."""

    def __init__(self, name: str, finder: FaceTool, measures: Sequence[Any]) -> None:
        self.finder = finder
        self.measures = tuple(measures)
        infos = [finder.info, *(tool.info for tool in self.measures)]
        self.info = _merge_infos(name, infos)
        self.forks = all(getattr(tool, "forks", True) for tool in (finder, *self.measures))

    def check_inputs(self, paths: Sequence[str], members: int = 0) -> None:
        """Whether the result files among the tools can tell these apart. Raises ToolError."""
        for tool in (self.finder, *self.measures):
            check_inputs(tool, paths, members)

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """As `FaceTool.observe`: what the finder found, with what the others measured."""
        with _whole():
            return self._measured(images, self.finder.observe(images), None, ()).faces

    def observe_media(
        self, images: Sequence[NDArray[np.uint8]], media: Media, frames: Sequence[Frame]
    ) -> Observation:
        """As `MediaFaceTool.observe_media`; result files among the tools are looked up by it."""
        with _whole():
            seen = observe_faces(self.finder, images, media, frames)
            measured = self._measured(images, seen.faces, media, frames)
        return Observation(measured.faces, (*seen.gaps, *measured.gaps))

    def _measured(
        self,
        images: Sequence[NDArray[np.uint8]],
        found: Sequence[Sequence[Face]],
        media: Media | None,
        frames: Sequence[Frame],
    ) -> Observation:
        faces = [list(here) for here in found]
        gaps: list[str] = []
        for tool in self.measures:
            if media is not None and isinstance(tool, MediaMeasuringTool):
                seen = tool.measure_media(images, faces, media, frames)
                more = seen.faces
                gaps += seen.gaps
            else:
                more = tool.measure(images, faces)
            faces = [
                [_with_measures(face, own, tool.info) for face, own in zip(here, new, strict=True)]
                for here, new in zip(faces, more, strict=True)
            ]
        named = {"tool": self.info.name, "version": self.info.version}
        return Observation(
            [[face.model_copy(update=named) for face in here] for here in faces], tuple(gaps)
        )


@contextmanager
def _whole() -> Iterator[None]:
    """After a stop there is nothing of what one of the tools alone has seen."""
    try:
        yield
    except StoppedError:
        raise StoppedError from None


def _with_measures(face: Face, own: Face, info: FaceToolInfo) -> Face:
    """`face` with what a later tool measures in place of what was said before."""
    changes: dict[str, Any] = {
        "notes": (*face.notes, *(n for n in own.notes if n not in face.notes))
    }
    if info.units:
        changes |= {"action_units": own.action_units, "units_measured": own.units_measured}
    if info.expressions:
        changes["expression"] = own.expression
    for field in ("valence", "arousal", "pose", "gaze"):
        if getattr(own, field) is not None:
            changes[field] = getattr(own, field)
    return face.model_copy(update=changes)


def _merge_infos(name: str, infos: Sequence[FaceToolInfo]) -> FaceToolInfo:
    units = next((info for info in reversed(infos) if info.units), infos[0])
    expression = next((info for info in reversed(infos) if info.expressions), infos[0])
    caveats = dict.fromkeys(info.caveat for info in infos if info.caveat)
    return FaceToolInfo(
        name=name,
        version="; ".join(f"{info.name} {info.version}" for info in infos),
        units=units.units,
        weak_units=units.weak_units,
        unit_scale=units.unit_scale,
        expressions=expression.expressions,
        label_set=expression.label_set,
        prior=expression.prior,
        prior_source=expression.prior_source,
        calibrated=expression.calibrated,
        measures="; ".join(
            [f"faces: {infos[0].name}"]
            + ([f"action units: {units.name}"] if units.units else [])
            + ([f"expressions: {expression.name}"] if expression.expressions else [])
        ),
        licence="; ".join(f"{info.name}: {info.licence}" for info in infos),
        weights={f"{info.name}/{key}": v for info in infos for key, v in info.weights.items()},
        caveat="; ".join(caveats) or None,
    )


def chain_entry(name: str, parts: Sequence[ToolEntry]) -> ToolEntry:
    """The tools of `parts` as one entry of the registry."""

    def load(device: str | None = None) -> CombinedFaces:
        finder, *measures = [part.load(device=device) for part in parts]
        return CombinedFaces(name, finder, measures)

    def status() -> ToolStatus:
        rows = [part.look() for part in parts]
        missing = [row for row in rows if not row.ready]
        return ToolStatus(
            name=name,
            ready=not missing,
            installed=all(row.installed for row in rows),
            measures="; ".join(row.measures for row in rows),
            licence="; ".join(row.licence for row in rows),
            command=missing[0].command if missing else None,
        )

    return ToolEntry(name, load, status)
