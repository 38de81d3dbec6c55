"""Few-shot examples: pictures that people labelled, shown to the model before it reads a new one.

Brown et al. (2020, NeurIPS) call it in-context learning: nothing is trained. Which examples are
shown, and in which order, changes the answer (Lu et al. 2022, ACL), so both are settings and
stand in the record.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from kuleshov.asking import gate, images
from kuleshov.evidence import collection
from kuleshov.settings import Settings
from kuleshov.tools import faces as face_tools
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.labels.left_out import NO_LABEL, LeftOut
from kuleshov.tools.media import PassedOver
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.mllm.base import Mllm
from kuleshov.tools.types import Face
from kuleshov.types import Evidence

RATIONALES = ("rationale", "reason", "explanation")
MOST = 5_000
"""Examples in one set; each is opened and its face measured."""
LARGEST_SHOWN = 2304
"""Pixels of the longer side: the most that LLaVA-OneVision looks at, six tiles of 384 (Li et al.
2024, arXiv:2408.03326); no known model takes larger pictures."""
MeasuredAs = tuple[str, tuple[float, float, float, float] | None, int, int]
"""The file, the box that was given, its size in bytes and time in ns when it was measured."""


@dataclass(frozen=True)
class Labelled:
    """One example as it is written down: where, which label, and what people said of it.

    `votes`: the distribution where people gave one; `label` is then its most probable.
    """

    id: str
    path: str
    label: str
    votes: Mapping[str, float] | None = None
    rationale: str | None = None
    context: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class MeasuredExample:
    """What an example's file shows, whatever is said of it; copies of an agent share it.

    picture: (H, W, 3) RGB uint8, no more of it and no larger than what is ever shown: the person's
    surroundings, or all of it where no face was found. face: in pixels of `picture`. seen: the same
    face in pixels of the file.
    """

    sha256: str
    picture: Rgb
    face: Face | None
    seen: Face | None


class Album:
    """What one face tool has measured of files, and one model's features of them.

    Copies of an agent share it; what no agent shows any more is forgotten.
    """

    def __init__(
        self, measured: WeakValueDictionary[MeasuredAs, MeasuredExample] | None = None
    ) -> None:
        self.measured = WeakValueDictionary() if measured is None else measured
        self.features: WeakKeyDictionary[MeasuredExample, np.ndarray] = WeakKeyDictionary()
        self.lock = threading.Lock()

    def of_model(self) -> Album:
        """The same measurements, for another model."""
        return Album(self.measured)


@dataclass(frozen=True)
class FewShotExample:
    """One example, opened and measured."""

    labelled: Labelled
    measured: MeasuredExample
    evidence: tuple[Evidence, ...]

    @property
    def sha256(self) -> str:
        return self.measured.sha256

    @property
    def picture(self) -> Rgb:
        """What is shown of it, see `MeasuredExample`."""
        return self.measured.picture

    @property
    def face(self) -> Face | None:
        """In pixels of `picture`."""
        return self.measured.face

    @property
    def id(self) -> str:
        return self.labelled.id


def read_examples(
    path: str,
    labels: LabelSet,
    left_out: LeftOut | None = None,
    passed: PassedOver | None = None,
) -> list[Labelled]:
    """The examples of a folder with one folder per label, or of a manifest.

    A manifest (CSV, TSV, JSONL, Parquet) has columns `path` and `label` (a label, or a JSON
    object of a distribution), and if wanted `rationale`, `context`, `box`, `id`. Synonyms of the
    set's labels count as the label.

    Args:
        left_out: is told the rows that have no label of the set: they are left out.
        passed: counts files of a folder that are no pictures or clips.

    Raises:
        KuleshovError: nothing there, no label, a single class, a row that cannot be used.
    """
    from kuleshov.inputs import items

    left_out = LeftOut(labels.name, labels.names) if left_out is None else left_out
    found: list[Labelled] = []
    for work in items.read_items(path, passed):
        if work.problem is not None:
            raise KuleshovError(f"examples {path}: {work.problem}")
        given = work.item.label
        if given is None and os.path.isdir(path):
            given = os.path.dirname(work.key).split("/")[-1] or None
        if not isinstance(work.source, str):
            raise KuleshovError(f"examples {path}: {work.key} is not a file of its own.")
        read = _read_label(given, labels, work.key, left_out)
        if read is None:
            continue
        label, votes = read
        rationale = next((work.item.extra[n] for n in RATIONALES if work.item.extra.get(n)), None)
        found.append(
            Labelled(
                id=work.key,
                path=work.source,
                label=label,
                votes=votes,
                rationale=None if rationale is None else str(rationale),
                context=work.context,
                box=work.boxes[0] if work.boxes else None,
            )
        )
        if len(found) > MOST:
            raise KuleshovError(f"examples {path}: more than {MOST:,}; give fewer.")
    without = f" ({left_out})" if left_out.rows else ""
    if not found and left_out.rows:
        raise KuleshovError(
            f"examples {path}: none has a label{without}; put each into a folder named by its "
            "label, or give a manifest with a column label."
        )
    if not found:
        raise KuleshovError(f"examples {path}: it is empty.")
    classes = sorted({example.label for example in found})
    if len(classes) < 2:
        raise KuleshovError(
            f"examples {path}: all {len(found)} are {classes[0]!r}{without}; a set of one class "
            "teaches the model to say nothing else: add examples of other labels."
        )
    return found


def _read_label(
    given: Any, labels: LabelSet, key: str, left_out: LeftOut
) -> tuple[str, dict[str, float] | None] | None:
    """The label of an example and, where people gave a distribution, its shares; None: left out."""
    told = labels.read_label(given)
    if told.unknown:
        left_out.add_word(told.unknown[0], key)
        return None
    total = sum((told.votes or {}).values())
    if told.votes is None or total <= 0:
        if told.name is None:
            left_out.add(NO_LABEL, key)
            return None
        return told.name, None
    votes = {name: share / total for name, share in told.votes.items()}
    return told.name or max(votes, key=votes.__getitem__), votes


class Examples:
    """A set of examples for one agent: measured once by its face tool, chosen for each person."""

    def __init__(
        self,
        path: str,
        settings: Settings,
        labels: LabelSet,
        faces: FaceTool,
        mllm: Mllm,
        album: Album | None = None,
    ) -> None:
        """Read, open and measure.

        Args:
            album: what was measured before with this face tool; files in it that have not changed
                are not measured again.

        Raises:
            KuleshovError: what `read_examples` raises; a picture that cannot be opened; a selection
            that
                these parts cannot do.
        """
        self.settings, self.mllm, self.faces = settings, mllm, faces
        self.album = album or Album()
        how = settings.shot_selection
        if how == "nearest-features" and not hasattr(mllm, "features"):
            raise KuleshovError(
                f"{mllm.info.id} offers no vision features; use --shot-selection nearest-units, "
                "balanced or fixed."
            )
        if how == "nearest-units" and not faces.info.units:
            raise KuleshovError(
                f"{faces.info.name} measures no action units; use --shot-selection balanced, "
                "fixed or nearest-features."
            )
        self.left_out = LeftOut(labels.name, labels.names)
        self.passed = PassedOver()
        written = read_examples(path, labels, self.left_out, self.passed)
        self.all = [self._opened(example) for example in written]
        self.by_id = {example.id: example for example in self.all}
        self.path = path

    def provenance(self) -> dict[str, Any]:
        """What identifies the set, and how examples are chosen and shown."""
        digest = hashlib.sha256()
        for example in self.all:
            told = (example.id, example.sha256, example.labelled.label, example.labelled.rationale)
            digest.update(repr(told).encode())
        return {
            "path": self.path,
            "sha256": digest.hexdigest(),
            "count": len(self.all),
            "shown_as": "pictures" if self.mllm.info.many_images else "text only",
            "labels": {
                label: sum(example.labelled.label == label for example in self.all)
                for label in sorted({example.labelled.label for example in self.all})
            },
            **({"left_out": self.left_out.to_dict()} if self.left_out.rows else {}),
            **({"passed_over": self.passed.to_dict()} if self.passed.kinds else {}),
        }

    def choose(self, face: Face | None, picture: Rgb | None) -> list[FewShotExample]:
        """The examples for one person, in the order in which they are shown.

        Args:
            face: the person's, as measured; None: none was found.
            picture: where the face is, (H, W, 3) RGB uint8.
        """
        most, how = self.settings.shots, self.settings.shot_selection
        if how == "balanced" or (face is None and how.startswith("nearest")):
            chosen = self._balanced(most)
        elif how == "nearest-units":
            assert face is not None
            chosen = sorted(self.all, key=lambda e: _distance_order(unit_distance(face, e.face)))[
                :most
            ]
            chosen = chosen[::-1]  # the nearest last, next to the question
        elif how == "nearest-features" and face is not None and picture is not None:
            own = self._feature(None, picture, face)
            near = {
                e.id: float(own @ self._feature(e.measured, e.picture, e.face)) for e in self.all
            }
            chosen = sorted(self.all, key=lambda e: -near[e.id])[:most][::-1]
        else:
            chosen = self.all[:most]
        if self.settings.shot_seed is not None:
            order = np.random.default_rng(self.settings.shot_seed).permutation(len(chosen))
            chosen = [chosen[i] for i in order]
        return chosen

    def _balanced(self, most: int) -> list[FewShotExample]:
        """One of each label in turn, in the order of the set."""
        left: dict[str, list[FewShotExample]] = {}
        for example in self.all:
            left.setdefault(example.labelled.label, []).append(example)
        chosen: list[FewShotExample] = []
        while len(chosen) < most and any(left.values()):
            for queue in left.values():
                if queue and len(chosen) < most:
                    chosen.append(queue.pop(0))
        return chosen

    def _feature(self, key: MeasuredExample | None, picture: Rgb, face: Face | None) -> np.ndarray:
        album = self.album
        with album.lock:
            known = None if key is None else album.features.get(key)
        if known is None:  # no lock while the model is asked: who waits for it sees no stop
            cut = picture if face is None else images.face_alone(picture, face)
            known = gate.vision_features(self.mllm, [cut])[0]
            if key is not None:
                with album.lock:
                    album.features[key] = known
        return known

    def _opened(self, example: Labelled) -> FewShotExample:
        try:
            facts = os.stat(example.path)
            stamp = (facts.st_size, facts.st_mtime_ns)
        except OSError:  # what is wrong is told where it is opened
            stamp = (0, 0)
        key = (example.path, example.box, *stamp)
        measured = self.album.measured.get(key)
        if measured is None:
            measured = _measure_example(example, self.settings, self.faces)
            self.album.measured[key] = measured
        items = collection.collect_evidence(measured.seen, None, example.context)
        if example.rationale:
            items.append(
                Evidence(
                    n=len(items) + 1,
                    source="user",
                    kind="context",
                    text=f"note: {collection.quote_text(example.rationale)}",
                )
            )
        return FewShotExample(example, measured, tuple(items))


def _measure_example(example: Labelled, settings: Settings, faces: FaceTool) -> MeasuredExample:
    try:
        opened = media.open_media(example.path, max_pixels=settings.max_pixels, frames=3)
    except KuleshovError as error:
        raise KuleshovError(f"example {example.id}: {error}") from None
    middle = len(opened.images) // 2
    picture = opened.images[middle]
    seen = _choose_face(_find_faces(faces, picture, opened, middle), example.box)
    shown, face = _reduce_picture(picture, seen)
    return MeasuredExample(opened.media.sha256, shown, face, seen)


def _reduce_picture(picture: Rgb, face: Face | None) -> tuple[Rgb, Face | None]:
    """A copy of what is shown of an example, and its face there."""
    from PIL import Image

    left, top, right, bottom = (0, 0, picture.shape[1], picture.shape[0])
    if face is not None:
        left, top, right, bottom = images.surroundings_box(picture, face)
    cut = np.ascontiguousarray(picture[top:bottom, left:right])
    height, width = cut.shape[:2]
    scale = min(1.0, LARGEST_SHOWN / max(height, width, 1))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        cut = np.array(Image.fromarray(cut).resize(size, Image.Resampling.LANCZOS))
    elif cut.base is not None:
        cut = cut.copy()  # else the whole picture would stay in memory
    if face is None:
        return cut, None
    x0, y0, x1, y1 = face.xyxy
    box = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
    return cut, face.model_copy(update={"xyxy": box})


def _find_faces(faces: FaceTool, picture: Rgb, opened: media.Opened, place: int) -> list[Face]:
    frames = opened.media.frames[place : place + 1]
    return face_tools.observe_faces(faces, [picture], opened.media, frames).faces[0]


def _choose_face(
    found: Sequence[Face], box: tuple[float, float, float, float] | None
) -> Face | None:
    """The largest face, in the box where there is one."""
    if box is not None:
        x0, y0, x1, y1 = box
        found = [
            face
            for face in found
            if x0 <= (face.xyxy[0] + face.xyxy[2]) / 2 <= x1
            and y0 <= (face.xyxy[1] + face.xyxy[3]) / 2 <= y1
        ]
    return max(found, key=lambda face: face.area, default=None)


def unit_distance(a: Face, b: Face | None) -> float | None:
    """Root mean square difference over the units that both faces have on the same scale.

    Intensities are brought to 0-1 (a fifth). None where no unit can be compared: unknown, not far.
    """
    if b is None:
        return None
    gaps = []
    for unit in a.whole_units():
        other = b.unit(unit.unit)
        if other is None or unit.weak or other.weak or unit.scale != other.scale:
            continue
        if unit.value is None or other.value is None:
            continue
        full = 5.0 if unit.scale == "intensity" else 1.0
        gaps.append((unit.value - other.value) / full)
    return float(np.sqrt(np.mean(np.square(gaps)))) if gaps else None


def _distance_order(distance: float | None) -> tuple[bool, float]:
    """What cannot be compared comes last."""
    return (distance is None, distance or 0.0)
