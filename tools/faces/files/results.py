"""Rows of a result file, and which of them belong to a picture or a frame."""

from __future__ import annotations

import os
import statistics
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kuleshov.tools.errors import KuleshovError, first_line
from kuleshov.tools.faces.base import FaceToolInfo, Observation, ToolError
from kuleshov.tools.faces.files.table import FileError
from kuleshov.tools.faces.files.turned import (
    LEAST_INSIDE,
    Measured,
    Placing,
    find_placing,
    share_inside,
)
from kuleshov.tools.media import Frame, Media
from kuleshov.tools.media.names import NamedFiles, count_shared, lies_elsewhere
from kuleshov.tools.media.orientation import UPRIGHT
from kuleshov.tools.types import Face

NO_BOX = "the file gives no box: the whole picture stands for it"
OUTSIDE = "the box of the file lies outside the picture: the whole picture stands for it"
LENGTH_TOLERANCE = 0.02  # of the clip's length, by which a file may differ
LENGTH_TOLERANCE_S = 0.5
RATE_TOLERANCE = 0.03  # by which a table's frame rate may differ: 29.97 written as 30
SAME_PLACE = 0.8  # overlap from which two rows of a frame are one face, found twice


@dataclass(frozen=True)
class ResultRow:
    """One row: whose, when, and what was measured.

    row: its number in the file. media: file name of the picture or clip, if the row names one.
    frame: from 0. time_s: seconds. person: the tool's number of the face within the frame.
    found: False: the tool looked and saw no face. box: xyxy in pixels of the file that was
    measured, or None. face: further fields of the `Face`. label: the one expression it names, if
    it gives no distribution. picture: (width, height) of the picture that was measured, where the
    row tells it. down: see `Measured`. session_s: seconds from the start of the whole recording,
    where `time_s` counts from the start of the stimulus `media`. exposure: which showing of the
    stimulus it is of, from 1.
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
    picture: tuple[int, int] | None = None
    down: tuple[float, float] | None = None
    session_s: float | None = None
    exposure: int = 1


@dataclass(frozen=True)
class Results:
    """A whole file.

    key: what matches a row to a frame of a clip. every_frame: the tool writes a row for each
    frame, with or without a face, so that a shorter file is of another clip. upright: its boxes
    are certainly of the picture as it is shown. notes: how the file was read where that had to be
    guessed.
    """

    path: Path
    info: FaceToolInfo
    rows: tuple[ResultRow, ...]
    key: Literal["frame", "time_s"] = "frame"
    every_frame: bool = False
    upright: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class _Course:
    """The rows of one clip by what matches them to its frames."""

    by: Literal["frame", "time_s"]
    rows: dict[float, list[ResultRow]]
    places: list[float]
    reach: float


class FileFaces:
    """A result file as a face tool: the faces that another program found and measured."""

    def __init__(self, results: Results) -> None:
        """Raises FileError for rows that repeat a face of a frame at another place or at none."""
        rows, repeated = without_repeats(results)
        self.results = replace(results, rows=tuple(rows))
        self.info = results.info
        notes = list(results.notes)
        if repeated:
            some = ", ".join(str(row) for row in repeated[:5])
            more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
            notes.append(
                f"{results.path.name}: row {some}{more} tells of a face at a place where another "
                "row of the frame has one: left out"
            )
        if notes:
            caveat = "; ".join([*([self.info.caveat] if self.info.caveat else []), *notes])
            self.info = self.info.model_copy(update={"caveat": caveat})
        self._lock = threading.Lock()
        self._owners: dict[str, tuple[str, str]] = {}
        self._courses: dict[str, _Course] = {}
        self._settled: dict[str, str] = {}  # which file a name stands for, by `check_inputs`
        self._placings: dict[str, Placing] = {}
        self._by_media: dict[str, list[ResultRow]] = {}
        for row in rows:
            self._by_media.setdefault(row.media or "", []).append(row)
        self._names = NamedFiles(name for name in self._by_media if name)

    def check_inputs(self, paths: Sequence[str], members: int = 0) -> None:
        """Whether one file can tell of all these, in any order. Raises FileError.

        Args:
            members: how many pictures or clips come without a path, as those of a shard do.
        """
        files = list(dict.fromkeys(os.path.abspath(path) for path in paths))
        name = self.results.path.name
        if set(self._by_media) <= {""}:
            if len(files) + members > 1:
                many = "several" if members else str(len(files))
                raise FileError(_one_only(name, f"{many} were given") + ".")
            return
        if members:
            raise FileError(
                f"{name} names files, and what lies in a shard or a data set has no path to find "
                "its rows by: unpack it into a folder."
            )
        claims: dict[str, list[str]] = {}
        for path in files:
            try:
                told = self._names.find(path)
            except KuleshovError:
                continue  # refused when it is read: the others have rows of their own
            if told:
                claims.setdefault(told, []).append(path)
        for told, owners in claims.items():
            owners.sort(key=lambda path: -count_shared(told, path))
            if len(owners) > 1 and len({count_shared(told, path) for path in owners[:2]}) == 1:
                raise FileError(
                    f"{name} names {told}, and nothing tells whether that is {owners[0]} or "
                    f"{owners[1]}: give the table paths that tell them apart."
                )
            self._settled[told] = owners[0]

    def observe(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Cannot be done from pixels alone. Raises ToolError; `observe_media` knows the file."""
        raise ToolError(f"{self.info.name}: a result file is matched to files, not to pixels.")

    def observe_media(
        self, images: Sequence[NDArray[np.uint8]], media: Media, frames: Sequence[Frame]
    ) -> Observation:
        """The rows of this picture or of these frames; what has no row is a gap.

        Raises:
            FileError: the file is of a clip of another length, or nothing tells whether its rows
                are those of this medium.
        """
        rows, gaps = self._of(media)
        if not rows:
            return Observation([[] for _ in images], gaps)
        if media.kind == "image":
            times = {(row.frame, row.time_s) for row in rows}
            if len(times) > 1:
                raise FileError(
                    f"{self.results.path} holds {len(times)} frames, but {_media_name(media)} is "
                    "one "
                    "picture: give the file of that picture."
                )
            found = [row for row in rows if row.found]
            gaps += self._told_placing(rows, media, images[0])
            seen, outside = self._placed(found, images[0], media)
            return Observation([seen], (*gaps, *self._told_outside(outside, len(found))))
        course = self._course(rows, media, frames)
        if images:
            gaps += self._told_placing(rows, media, images[0])
        outside = count = 0
        faces: list[list[Face]] = []
        missing: list[Frame] = []
        for image, at in zip(images, frames, strict=True):
            here = _rows_at(course, at)
            if not here:
                missing.append(at)
            seen, beyond = self._placed([row for row in here if row.found], image, media)
            outside, count = outside + beyond, count + len(seen)
            faces.append(seen)
        gaps = (*gaps, *self._told_outside(outside, count))
        if not missing:
            return Observation(faces, gaps)
        some = ", ".join(f"{at.index} ({at.time_s:.2f} s)" for at in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        lacking = f"{self.results.path.name} has no row for frame {some}{more}"
        return Observation(faces, (*gaps, lacking))

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
            pairs = match_faces(here, own)
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

    def _of(self, media: Media) -> tuple[list[ResultRow], tuple[str, ...]]:
        """Rows of a medium, and what has to be said of them, or why there are none."""
        name = self.results.path.name
        if set(self._by_media) <= {""}:
            self._claim("", media, _one_only(name, "another one was read before"))
            rows = self._by_media.get("", [])
            self._check_exposures(rows, media)
            return rows, () if rows else (f"{name} has no rows",)
        names = [told for told in self._by_media if told]
        try:
            told = self._names.find(media.path) if media.path else None
        except KuleshovError as error:
            raise FileError(f"{self.results.path} {error}.") from None
        moved: tuple[str, ...] = ()
        if told is not None and media.path and lies_elsewhere(told, media.path):
            if self._is_another(told, media.path):
                told = None
            elif os.path.dirname(media.path):
                moved = (
                    f"{name} names {told}: its rows were taken for {media.path}, which lies in "
                    "another folder",
                )
        if told is not None:
            self._claim(
                told,
                media,
                f"{name} names {told}, and two files may be meant by that: give the table paths "
                "that tell them apart",
            )
            self._check_exposures(self._by_media[told], media)
            return self._by_media[told], moved
        some = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
        session = [row for row in self.results.rows if row.session_s is not None]
        if session and media.kind == "clip":
            self._claim("", media, _one_only(name, "another one was read before"))
            self._check_session(session, media, some)
            return [replace(row, time_s=row.session_s) for row in session], (
                f"{name} names no stimulus {_media_name(media)} (it names {some}): its times were "
                "taken "
                "as those of the whole session",
            )
        return [], (f"{name} has no row for {_media_name(media)} (it names {some})",)

    def _is_another(self, told: str, path: str) -> bool:
        """Whether a name of the table is that of another file, which is there or was given."""
        settled = self._settled.get(told)
        if settled is not None and settled != os.path.abspath(path):
            return True
        for named in (Path(told), self.results.path.parent / told):
            try:
                if named.is_file() and not named.samefile(path):
                    return True
            except OSError:  # a name that cannot be one here
                continue
        return False

    def _claim(self, told: str, media: Media, refusal: str) -> None:
        """The rows of one name are one medium's. Raises FileError for a second one."""
        with self._lock:
            sha, owner = self._owners.setdefault(told, (media.sha256, _media_name(media)))
        if sha != media.sha256:
            raise FileError(f"{refusal} ({owner} and {_media_name(media)}).")

    def _check_exposures(self, rows: Sequence[ResultRow], media: Media) -> None:
        """Raises FileError where the rows are of several showings of the stimulus."""
        first: dict[int, ResultRow] = {}
        for row in rows:
            first.setdefault(row.exposure, row)
        if len(first) > 1:
            begins = ", ".join(
                f"row {row.row}" + (f" at {row.session_s:.1f} s" if row.session_s else "")
                for row in list(first.values())[:4]
            )
            raise FileError(
                f"{self.results.path} was written while {_media_name(media)} was shown "
                f"{len(first)} "
                f"times (from {begins}), and nothing tells which of them is meant: give a table "
                "with the rows of one of them."
            )

    def _check_session(self, rows: Sequence[ResultRow], media: Media, some: str) -> None:
        """A recording that is no stimulus of the file must be as long as the session."""
        times = [row.session_s for row in rows if row.session_s is not None]
        end, lasts = max(times), media.duration_s or 0.0
        if abs(end - lasts) > max(LENGTH_TOLERANCE_S, 0.05 * lasts):
            raise FileError(
                f"{self.results.path}, row {rows[-1].row}: the session ends at {end:.1f} s, but "
                f"{_media_name(media)} lasts {lasts:.1f} s and is none of its stimuli ({some}): "
                "the file "
                "belongs to another clip."
            )

    def _course(self, rows: Sequence[ResultRow], media: Media, frames: Sequence[Frame]) -> _Course:
        """How rows are matched to the frames of a clip; told once a clip. Raises FileError."""
        with self._lock:
            known = self._courses.get(media.sha256)
        if known is not None:
            return known
        by = self._matched_by(rows, media, frames)
        held: dict[float, list[ResultRow]] = {}
        for row in rows:
            place = row.frame if by == "frame" else row.time_s
            if place is not None:
                held.setdefault(place, []).append(row)
        places = sorted(held)
        steps = [b - a for a, b in pairwise(places)]
        reach = max(0.02, statistics.median(steps) / 2 + 1e-6) if steps else 0.02
        course = _Course(by, held, places, reach)
        with self._lock:
            self._courses[media.sha256] = course
        return course

    def _matched_by(
        self, rows: Sequence[ResultRow], media: Media, frames: Sequence[Frame]
    ) -> Literal["frame", "time_s"]:
        """By frame number where table and clip count alike, else by time, where that fits.

        Raises FileError where neither fits: the table ends behind the clip's end, or long before
        it though its tool writes a row for every frame.
        """
        lasts = media.duration_s
        if not lasts:
            return self.results.key
        slack = max(LENGTH_TOLERANCE_S, LENGTH_TOLERANCE * lasts)
        rate = _frame_rate(media, frames)
        numbered = [row for row in rows if row.frame is not None]
        timed = [row for row in rows if row.time_s is not None]
        last_timed = max(timed, key=lambda row: row.time_s or 0.0, default=None)
        fits_time = last_timed is not None and (last_timed.time_s or 0.0) <= lasts + slack
        if self.results.key == "time_s" or not numbered or rate is None:
            if last_timed is not None and not fits_time:
                raise self._of_another_clip(last_timed, last_timed.time_s or 0.0, media)
            return self.results.key if rate or not numbered else "frame"
        last = max(numbered, key=lambda row: row.frame or 0)
        end_s = ((last.frame or 0) + 1) / rate
        fits_frame = end_s <= lasts + slack
        short = self.results.every_frame and end_s < lasts - slack
        own_rate = _own_rate(numbered)
        # as many rows as frames: numbers are right whatever times the program made up for them
        complete = fits_frame and abs(end_s - lasts) <= 2.5 / rate
        alike = own_rate is None or any(
            abs(own_rate * unit / rate - 1) <= RATE_TOLERANCE
            for unit in (1, 1000)  # times in milliseconds
        )
        if fits_frame and not short and (alike or complete):
            return "frame"
        if last_timed is not None and fits_time and not alike:
            last_s = (last_timed.time_s or 0.0) + 1 / (own_rate or rate)
            if not self.results.every_frame or last_s >= lasts - slack:
                return "time_s"
            raise self._of_another_clip(last_timed, last_s, media)
        if own_rate is not None and not alike and last_timed is not None:
            raise self._of_another_clip(last_timed, last_timed.time_s or 0.0, media)
        raise self._of_another_clip(last, end_s, media)

    def _of_another_clip(self, row: ResultRow, end_s: float, media: Media) -> FileError:
        return FileError(
            f"{self.results.path}, row {row.row}: ends at {end_s:.1f} s, but {_media_name(media)} "
            "lasts "
            f"{media.duration_s or 0.0:.1f} s: the file belongs to another clip."
        )

    def _placed(
        self, rows: Sequence[ResultRow], image: NDArray[np.uint8], media: Media
    ) -> tuple[list[Face], int]:
        """Rows as faces in the picture that was read, and how many boxes do not lie in it."""
        height, width = image.shape[:2]
        full_width, full_height = media.full_size or (width, height)
        scale = (width / full_width, height / full_height) * 2
        placing = self._placings.get(media.sha256, Placing())
        found, outside = [], 0
        for row in rows:
            row = replace(row, face=placing.forget_angles(row.face))
            if row.box is None:
                found.append(self.face(row, width, height))
                continue
            box = placing.place(row.box, (full_width, full_height))
            if scale != (1.0,) * 4:
                x0, y0, x1, y1 = (round(side * by, 1) for side, by in zip(box, scale, strict=True))
                box = (x0, y0, x1, y1)
            inside = share_inside(box, width, height)
            outside += inside < LEAST_INSIDE
            if inside > 0:
                found.append(self.face(replace(row, box=box), width, height))
            else:
                found.append(self.face(replace(row, box=None), width, height, OUTSIDE))
        return found, outside

    def _told_placing(
        self, rows: Sequence[ResultRow], media: Media, image: NDArray[np.uint8]
    ) -> tuple[str, ...]:
        """Settle once a medium how its boxes lie in what is shown; what has to be said of it.

        Raises FileError where nothing tells whether they are of the stored or the shown picture.
        """
        with self._lock:
            placing = self._placings.get(media.sha256)
        if placing is None:
            height, width = image.shape[:2]
            placing = (
                Placing()
                if self.results.upright
                else find_placing(
                    [
                        Measured(row.box, row.picture, row.down)
                        for row in rows
                        if row.found and row.box is not None
                    ],
                    media.full_size or (width, height),
                    media.orientation or UPRIGHT,
                    lambda why: FileError(f"{self.results.path}: {_media_name(media)} {why}."),
                )
            )
            with self._lock:
                self._placings[media.sha256] = placing
        return (f"{self.results.path.name} {placing.note}",) if placing.note else ()

    def _told_outside(self, outside: int, count: int) -> tuple[str, ...]:
        if not outside:
            return ()
        return (
            f"{outside} of {count} boxes of {self.results.path.name} reach out of the picture: is "
            "the file of this one, in this size and turned this way?",
        )

    def face(self, row: ResultRow, width: int, height: int, no_box: str = NO_BOX) -> Face:
        """A row as a Face in a picture of this size, pixels. Raises FileError if it is none."""
        notes = tuple(row.face.get("notes", ()))
        if row.box is None:
            notes += (no_box,)
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


def box_overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (xyxy), 0-1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


LEAST_OVERLAP = 0.2  # tools frame a face very differently: hairline or brow, chin or neck


def _lacks_box(face: Face) -> bool:
    return NO_BOX in face.notes or OUTSIDE in face.notes


def match_faces(a: Sequence[Face], b: Sequence[Face]) -> dict[int, int]:
    """Which face of `a` is which of `b`, best overlap first; without boxes only one to one."""
    if len(a) == 1 and len(b) == 1 and (_lacks_box(a[0]) or _lacks_box(b[0])):
        return {0: 0}
    pairs = sorted(
        (
            (box_overlap(one.xyxy, other.xyxy), i, j)
            for i, one in enumerate(a)
            for j, other in enumerate(b)
            if not _lacks_box(one) and not _lacks_box(other)
        ),
        reverse=True,
    )
    found: dict[int, int] = {}
    for share, i, j in pairs:
        if share >= LEAST_OVERLAP and i not in found and j not in found.values():
            found[i] = j
    return found


def without_repeats(results: Results) -> tuple[list[ResultRow], list[int]]:
    """The rows, each face of a frame once, and the numbers of the rows that were left out.

    Two boxes at one place are one face that was found twice: the surer one stays. Raises FileError
    for a number of a face that comes twice in a frame without that.
    """
    groups: dict[tuple[Any, ...], list[ResultRow]] = {}
    repeated: set[int] = set()
    for row in results.rows:
        when = row.frame if row.frame is not None else row.time_s
        here = groups.setdefault((row.media, row.exposure, when), [])
        for other in list(here):
            both = row.found and other.found and row.box and other.box
            if both and box_overlap(row.box or (), other.box or ()) >= SAME_PLACE:
                better, worse = (
                    (row, other)
                    if (row.face.get("score") or 0) > (other.face.get("score") or 0)
                    else (other, row)
                )
                repeated.add(worse.row)
                if better is row:
                    here.remove(other)
                    continue
                break
            if row.person == other.person:
                what = f"frame {when}" if row.frame is not None else f"time {when} s"
                whose = f" of {row.media}" if row.media else ""
                person = f", face {row.person}" if row.person else ""
                raise FileError(
                    f"{results.path}, row {row.row}: repeats {what}{person}{whose} of row "
                    f"{other.row}; each face of a frame must have one row."
                )
        else:
            here.append(row)
    kept = [row for row in results.rows if row.row not in repeated]
    return kept, sorted(repeated)


def _rows_at(course: _Course, at: Frame) -> list[ResultRow]:
    if course.by == "frame":
        return course.rows.get(at.index, [])
    if not course.places:
        return []
    place = bisect_left(course.places, at.time_s)
    near = min(course.places[max(0, place - 1) : place + 1], key=lambda time: abs(time - at.time_s))
    return course.rows[near] if abs(near - at.time_s) <= course.reach else []


def _frame_rate(media: Media, frames: Sequence[Frame]) -> float | None:
    """Frames a second of a clip, on average."""
    if media.frame_count and media.duration_s:
        return media.frame_count / media.duration_s
    last = max((*media.frames, *frames), key=lambda frame: frame.index, default=None)
    return last.index / last.time_s if last is not None and last.time_s and last.index else None


def _own_rate(rows: Sequence[ResultRow]) -> float | None:
    """Frames a second by which a table counts, from numbers and times of its rows."""
    told = [(row.frame, row.time_s) for row in rows if row.frame is not None and row.time_s]
    if len(told) < 2:
        return None
    (first, begin), (last, end) = min(told), max(told)
    return (last - first) / (end - begin) if last > first and end > begin else None


def _one_only(name: str, why: str) -> str:
    return (
        f"{name} names no files, so it can be of one picture or clip only, but {why}: let the "
        "toolbox write one table for each, or a table that names them, and give each its own"
    )


def _media_name(media: Media) -> str:
    return Path(media.path).name if media.path else "the picture"
