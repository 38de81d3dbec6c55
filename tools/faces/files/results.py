"""Rows of a result file, and which of them belong to a picture or a frame."""

from __future__ import annotations

import statistics
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.faces.base import FaceToolInfo, Observation, ToolError
from kuleshov.tools.faces.files.table import FileError
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.types import Face, first_line

NO_BOX = "the file gives no box: the whole picture stands for it"
LENGTH_TOLERANCE = 0.05  # of the clip's length, by which a file may differ
LENGTH_TOLERANCE_S = 1.0


@dataclass(frozen=True)
class ResultRow:
    """One row: whose, when, and what was measured.

    row: its number in the file. media: file name of the picture or clip, if the row names one.
    frame: from 0. time_s: seconds. person: the tool's number of the face within the frame.
    found: False: the tool looked and saw no face. box: xyxy in pixels, or None.
    face: further fields of the `Face`. label: the one expression it names, if it gives no
    distribution.
    """

    row: int
    media: str | None = None
    frame: int | None = None
    time_s: float | None = None
    person: str = ""
    found: bool = True
    box: tuple[float, float, float, float] | None = None
    face: dict[str, Any] = field(default_factory=dict)
    label: str | None = None


@dataclass(frozen=True)
class Results:
    """A whole file.

    key: what matches a row to a frame of a clip. every_frame: the tool writes a row for each
    frame, with or without a face, so that a shorter file is of another clip.
    """

    path: Path
    info: FaceToolInfo
    rows: tuple[ResultRow, ...]
    key: Literal["frame", "time_s"] = "frame"
    every_frame: bool = False


class FileFaces:
    """A result file as a face tool: the faces that another program found and measured."""

    def __init__(self, results: Results) -> None:
        """Raises FileError for rows that repeat a face of a frame."""
        self.results = results
        self.info = results.info
        self._lock = threading.Lock()
        self._owner: str | None = None
        self._by_media: dict[str, list[ResultRow]] = {}
        seen: dict[tuple[Any, ...], int] = {}
        for row in results.rows:
            self._by_media.setdefault(_stem(row.media), []).append(row)
            when = row.frame if row.frame is not None else row.time_s
            first = seen.setdefault((row.media, when, row.person), row.row)
            if first != row.row:
                what = f"frame {when}" if row.frame is not None else f"time {when} s"
                whose = f" of {row.media}" if row.media else ""
                person = f", face {row.person}" if row.person else ""
                raise FileError(
                    f"{results.path}, row {row.row}: repeats {what}{person}{whose} of row {first}; "
                    "each face of a frame must have one row."
                )

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Cannot be done from pixels alone. Raises ToolError; `observe_media` knows the file."""
        raise ToolError(f"{self.info.name}: a result file is matched to files, not to pixels.")

    def observe_media(
        self, images: Sequence[NDArray[np.uint8]], media: Media, frames: Sequence[Frame]
    ) -> Observation:
        """The rows of this picture or of these frames; what has no row is a gap.

        Raises:
            FileError: the file is of a clip of another length, or holds several clips.
        """
        rows, gap = self._of(media)
        if gap:
            return Observation([[] for _ in images], (gap,))
        if media.kind == "image":
            times = {(row.frame, row.time_s) for row in rows}
            if len(times) > 1:
                raise FileError(
                    f"{self.results.path} holds {len(times)} frames, but {_name(media)} is one "
                    "picture: give the file of that picture."
                )
            found = [row for row in rows if row.found]
            height, width = images[0].shape[:2]
            return Observation([[self.face(row, width, height) for row in found]])
        self._check_length(rows, media)
        faces: list[list[Face]] = []
        missing: list[Frame] = []
        for image, at in zip(images, frames, strict=True):
            here = self._at(rows, at)
            if not here:
                missing.append(at)
            height, width = image.shape[:2]
            faces.append([self.face(row, width, height) for row in here if row.found])
        if not missing:
            return Observation(faces)
        some = ", ".join(f"{at.index} ({at.time_s:.2f} s)" for at in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        return Observation(faces, (f"{self.results.path.name} has no row for frame {some}{more}",))

    def measure_media(
        self,
        images: Sequence[NDArray[np.uint8]],
        faces: Sequence[Sequence[Face]],
        media: Media,
        frames: Sequence[Frame],
    ) -> Observation:
        """Found faces with the rows that belong to them: by the boxes' overlap, and where the file
        has no boxes, one row to one face. A face without a row stays unknown."""
        seen = self.observe_media(images, media, frames)
        gaps = list(seen.gaps)
        measured: list[list[Face]] = []
        unmatched = 0
        for here, own in zip(faces, seen.faces, strict=True):
            pairs = matched(here, own)
            unmatched += len(own) - len(pairs)
            measured.append(
                [
                    own[pairs[k]].model_copy(update={"xyxy": face.xyxy})
                    if k in pairs
                    else Face(
                        xyxy=face.xyxy,
                        tool=self.info.name,
                        version=self.info.version,
                        notes=(f"no row of {self.results.path.name} matches this face",),
                    )
                    for k, face in enumerate(here)
                ]
            )
        if unmatched:
            gaps.append(
                f"{unmatched} face{'s' if unmatched > 1 else ''} of {self.results.path.name} match "
                "no face that was found"
            )
        return Observation(measured, tuple(gaps))

    def _of(self, media: Media) -> tuple[list[ResultRow], str | None]:
        """Rows of a medium, or why there are none."""
        name = self.results.path.name
        if set(self._by_media) <= {""}:
            rows = self._by_media.get("", [])
            with self._lock:
                self._owner = self._owner or media.sha256
                if self._owner != media.sha256:
                    return [], f"{name} names no file and was matched to another one already"
            return rows, None if rows else f"{name} has no rows"
        rows = self._by_media.get(_stem(media.path), [])
        if rows:
            return rows, None
        known = sorted({row.media for row in self.results.rows if row.media})
        some = ", ".join(known[:3]) + (", …" if len(known) > 3 else "")
        return [], f"{name} has no row for {_name(media)} (it names {some})"

    def _check_length(self, rows: Sequence[ResultRow], media: Media) -> None:
        """A file that is longer than the clip, or that should cover it and does not."""
        if not media.duration_s or not media.frames:
            return
        last = max(media.frames, key=lambda frame: frame.index)
        rate = last.index / last.time_s if last.time_s and last.index else None
        numbers = [row.frame for row in rows if row.frame is not None]
        times = [row.time_s for row in rows if row.time_s is not None]
        if self.results.key == "frame" and numbers and rate:
            end = (max(numbers) + 1) / rate
        elif times:
            end = max(times)
        else:
            return
        slack = max(LENGTH_TOLERANCE_S, LENGTH_TOLERANCE * media.duration_s)
        if end > media.duration_s + slack or (
            self.results.every_frame and end < media.duration_s - slack
        ):
            row = rows[-1].row
            raise FileError(
                f"{self.results.path}, row {row}: ends at {end:.1f} s, but {_name(media)} lasts "
                f"{media.duration_s:.1f} s: the file belongs to another clip."
            )

    def _at(self, rows: Sequence[ResultRow], at: Frame) -> list[ResultRow]:
        if self.results.key == "frame":
            return [row for row in rows if row.frame == at.index]
        timed = sorted({row.time_s for row in rows if row.time_s is not None})
        if not timed:
            return []
        steps = [b - a for a, b in pairwise(timed)]
        reach = max(0.02, statistics.median(steps) / 2) if steps else 0.02
        place = bisect_left(timed, at.time_s)
        near = min(timed[max(0, place - 1) : place + 1], key=lambda time: abs(time - at.time_s))
        return [row for row in rows if row.time_s == near] if abs(near - at.time_s) <= reach else []

    def face(self, row: ResultRow, width: int, height: int) -> Face:
        """A row as a Face in a picture of this size, pixels. Raises FileError if it is none."""
        notes = tuple(row.face.get("notes", ()))
        if row.box is None:
            notes += (NO_BOX,)
        if row.label:
            notes += (
                f"{self.info.name} names one expression, without a distribution: {row.label}",
            )
        try:
            return Face(
                **{
                    "units_measured": tuple(u.unit for u in row.face.get("action_units", ())),
                    **row.face,
                    "xyxy": row.box or (0, 0, width, height),
                    "notes": notes,
                    "tool": self.info.name,
                    "version": self.info.version,
                }
            )
        except ValueError as error:
            raise FileError(f"{self.results.path}, row {row.row}: {first_line(error)}.") from None


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (xyxy), 0-1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


LEAST_OVERLAP = 0.2  # tools frame a face very differently: hairline or brow, chin or neck


def matched(a: Sequence[Face], b: Sequence[Face]) -> dict[int, int]:
    """Which face of `a` is which of `b`, best overlap first; without boxes only one to one."""
    if len(a) == 1 and len(b) == 1 and (NO_BOX in a[0].notes or NO_BOX in b[0].notes):
        return {0: 0}
    pairs = sorted(
        (
            (overlap(one.xyxy, other.xyxy), i, j)
            for i, one in enumerate(a)
            for j, other in enumerate(b)
            if NO_BOX not in one.notes and NO_BOX not in other.notes
        ),
        reverse=True,
    )
    found: dict[int, int] = {}
    for share, i, j in pairs:
        if share >= LEAST_OVERLAP and i not in found and j not in found.values():
            found[i] = j
    return found


def _stem(path: str | None) -> str:
    """What a file is matched by: its name without folders and ending, in lower case."""
    return "" if path is None else Path(path.replace("\\", "/")).stem.lower()


def _name(media: Media) -> str:
    return Path(media.path).name if media.path else "the picture"
