"""What a face tool is: its protocols, what it says of itself, and the registry.

An adapter registers a *loader*; heavy imports happen inside it. `registry` finds a tool by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.registry import FACES, Registry
from kuleshov.tools.stopping import StoppedError
from kuleshov.tools.types import Face, Record


class FaceToolInfo(Record):
    """What a tool is and what it measures; goes into the provenance of every record."""

    name: str
    version: str
    units: tuple[int, ...] = ()
    weak_units: tuple[int, ...] = ()
    unit_scale: str | None = None
    expressions: tuple[str, ...] = ()
    label_set: str | None = None
    prior: dict[str, float] | None = None  # label to its share in training; None: not known
    prior_source: str | None = None
    calibrated: str | None = None  # to what its expression was calibrated; None: not known
    measures: str = ""
    licence: str
    weights: dict[str, str] = {}
    caveat: str | None = None


class FaceTool(Protocol):
    """Finds faces in pictures and measures them. Loaded once, then called for every picture."""

    info: FaceToolInfo

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of each picture, largest score first; an empty list where there is none.

        Args:
            images: pictures as (height, width, 3) RGB uint8, EXIF orientation applied,
                sizes may differ.

        Raises:
            ToolError: the tool failed; its text says why in one sentence.
        """
        ...


@dataclass(frozen=True)
class Observation:
    """Faces of each picture, largest score first, and what could not be had, a sentence each."""

    faces: list[list[Face]]
    gaps: tuple[str, ...] = ()


@runtime_checkable
class MediaFaceTool(Protocol):
    """A face tool that must know which file and which moment a picture is: a result file does."""

    info: FaceToolInfo

    def observe_media(
        self, images: Sequence[NDArray[np.uint8]], media: Media, frames: Sequence[Frame]
    ) -> Observation:
        """As `FaceTool.observe`; `frames` says which frame of a clip each picture is.

        For a still `frames` is empty. What the tool could not match or tell is a gap.
        """
        ...


class MeasuringTool(Protocol):
    """Measures faces that another tool has found."""

    info: FaceToolInfo

    def measure(
        self, images: Sequence[NDArray[np.uint8]], faces: Sequence[Sequence[Face]]
    ) -> list[list[Face]]:
        """The same faces in the same order, holding what this tool measures and nothing else.

        A face that it cannot tell anything of comes back with its units unknown and a note.
        """
        ...


@runtime_checkable
class MediaMeasuringTool(Protocol):
    """A measuring tool that must know which file and which moment a picture is."""

    info: FaceToolInfo

    def measure_media(
        self,
        images: Sequence[NDArray[np.uint8]],
        faces: Sequence[Sequence[Face]],
        media: Media,
        frames: Sequence[Frame],
    ) -> Observation:
        """As `MeasuringTool.measure`; what could not be matched is a gap."""
        ...


def observe_faces(
    tool: FaceTool,
    images: Sequence[NDArray[np.uint8]],
    media: Media,
    frames: Sequence[Frame] | None = None,
) -> Observation:
    """Let any face tool see pictures of one medium; faces of a clip know frame and time.

    Args:
        tool: as loaded by `load`.
        images: (height, width, 3) RGB uint8.
        media: where they are from.
        frames: of a clip, one an image; None: `media.frames`.

    Raises:
        ToolError: the tool failed.
        StoppedError: the user has asked to stop; its `done` are faces of the first images.
    """
    frames = media.frames if frames is None else frames
    try:
        if isinstance(tool, MediaFaceTool):
            seen = tool.observe_media(images, media, frames)
        else:
            seen = Observation(tool.observe(images))
    except StoppedError as stopped:
        raise StoppedError(_dated(stopped.done, frames[: len(stopped.done)])) from stopped
    seen = Observation(seen.faces, (*seen.gaps, *_unmeasured_gaps(tool.info, seen.faces)))
    if media.kind != "clip":
        return seen
    return Observation(_dated(seen.faces, frames), seen.gaps)


def _dated(faces: Sequence[Sequence[Face]], frames: Sequence[Frame]) -> list[list[Face]]:
    return [
        [face.model_copy(update={"time_s": at.time_s, "frame": at.index}) for face in found]
        for found, at in zip(faces, frames, strict=bool(frames))
    ]


def _unmeasured_gaps(info: FaceToolInfo, faces: Sequence[Sequence[Face]]) -> list[str]:
    """A gap for faces of which the tool gave no number at all where it should give some."""
    found = [face for here in faces for face in here]
    blank = 0
    for face in found:
        units = any(unit.value is not None for unit in face.action_units)
        if (info.units or info.expressions) and not units and face.expression is None:
            blank += 1
    return [f"{info.name}: {blank} of {len(found)} faces could not be measured"] if blank else []


def check_inputs(tool: FaceTool, paths: Sequence[str], members: int = 0) -> None:
    """Before the first is read: whether the tool can tell these files apart. Raises ToolError.

    members: how many come without a path.
    """
    check = getattr(tool, "check_inputs", None)
    if check is not None:
        check(paths, members)


class ToolError(KuleshovError):
    """A tool is missing, cannot load, or failed while it ran."""


class ToolStatus(Record):
    """One line of ``kuleshov doctor``."""

    name: str
    ready: bool
    installed: bool
    version: str | None = None
    weights: str = ""
    licence: str = ""
    measures: str = ""
    command: str | None = None


@dataclass(frozen=True)
class ToolEntry:
    """A tool by name: `load(device=None)` makes it, `status()` looks without loading weights.

    What a plug-in of the group ``kuleshov.faces`` is. finds: it finds faces itself. measures: it
    measures faces that another tool found. program: it runs in
    a process of its own, which takes a time limit.
    """

    name: str
    load: Callable[..., Any]
    status: Callable[..., ToolStatus] | None = None
    finds: bool = True
    measures: bool = False
    program: bool = False

    def look(self, **options: Any) -> ToolStatus:
        """Its line of ``kuleshov doctor``; a tool that tells nothing of itself needs nothing."""
        if self.status is not None:
            return self.status(**options)
        return ToolStatus(name=self.name, ready=True, installed=True)


@dataclass(frozen=True)
class FormatReader:
    """Reads a toolbox's result files."""

    load: Callable[[Path], FaceTool]
    licence: str
    measures: str


registry: Registry[ToolEntry] = Registry("face tool", group=FACES)
format_readers: Registry[FormatReader] = Registry("result file")


def register(
    name: str,
    load: Callable[..., Any],
    status: Callable[..., ToolStatus],
    *,
    finds: bool = True,
    measures: bool = False,
    program: bool = False,
) -> None:
    """Make a tool known by name; the last registration of a name wins."""
    registry.add(name, ToolEntry(name, load, status, finds, measures, program))


def register_format(
    name: str, load: Callable[[Path], FaceTool], *, licence: str, measures: str
) -> None:
    """Make a toolbox's result files known: ``NAME:PATH`` is then a face tool."""
    format_readers.add(name, FormatReader(load, licence, measures))
