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

import numpy as np

from kuleshov import crops, evidence
from kuleshov.settings import Settings
from kuleshov.state import Picture
from kuleshov.tools import faces as face_tools
from kuleshov.tools import media
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.mllm.base import Mllm
from kuleshov.tools.types import Face, KuleshovError, LabelSet, nearest
from kuleshov.types import Evidence

RATIONALES = ("rationale", "reason", "explanation")
MOST = 5_000
"""Examples in one set; each is opened and its face measured."""


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


@dataclass(frozen=True)
class Example:
    """One example, opened and measured."""

    labelled: Labelled
    sha256: str
    picture: Picture
    face: Face | None
    evidence: tuple[Evidence, ...]

    @property
    def id(self) -> str:
        return self.labelled.id


def read(path: str, labels: LabelSet) -> list[Labelled]:
    """The examples of a folder with one folder per label, or of a manifest.

    A manifest (CSV, TSV, JSONL, Parquet) has columns `path` and `label` (a label, or a JSON
    object of a distribution), and if wanted `rationale`, `context`, `box`, `id`. Synonyms of the
    set's labels count as the label.

    Raises:
        KuleshovError: nothing there, an unknown label, a single class, a row that cannot be used.
    """
    from kuleshov.annotate import items

    found: list[Labelled] = []
    for work in items.read(path):
        if work.problem is not None:
            raise KuleshovError(f"examples {path}: {work.problem}")
        given = work.item.label
        if given is None and os.path.isdir(path):
            given = os.path.dirname(work.key).split("/")[-1] or None
        if given is None:
            raise KuleshovError(
                f"examples {path}: {work.key} has no label; put it into a folder named by its "
                "label, or give a manifest with a column label."
            )
        if not isinstance(work.source, str):
            raise KuleshovError(f"examples {path}: {work.key} is not a file of its own.")
        votes = None
        if isinstance(given, str):
            label = _known(given, labels, path, work.key)
        else:
            votes = _votes(given, labels, path, work.key)
            label = max(votes, key=lambda name: votes[name])
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
    if not found:
        raise KuleshovError(f"examples {path}: it is empty.")
    classes = sorted({example.label for example in found})
    if len(classes) < 2:
        raise KuleshovError(
            f"examples {path}: all {len(found)} are {classes[0]!r}; a set of one class teaches "
            "the model to say nothing else: add examples of other labels."
        )
    return found


def _known(word: str, labels: LabelSet, path: str, key: str) -> str:
    if labels.mode == "free":
        return word.strip().lower()
    words = {
        name.lower(): label.name
        for label in labels.labels
        for name in (label.name, *label.synonyms)
    }
    if word.strip().lower() not in words:
        raise KuleshovError(
            f"examples {path}: {key} is labelled {word!r}{nearest(word, list(words))}, which is "
            f"not in {labels.name}: {', '.join(labels.names)}."
        )
    return words[word.strip().lower()]


def _votes(given: Mapping[str, float], labels: LabelSet, path: str, key: str) -> dict[str, float]:
    votes: dict[str, float] = {}
    for word, share in given.items():
        name = _known(word, labels, path, key)
        votes[name] = votes.get(name, 0.0) + share
    total = sum(votes.values())
    if total <= 0 or min(votes.values()) < 0:
        raise KuleshovError(f"examples {path}: {key} has a distribution that sums to {total:g}.")
    return {name: share / total for name, share in votes.items()}


class Examples:
    """A set of examples for one agent: measured once by its face tool, chosen for each person."""

    def __init__(
        self, path: str, settings: Settings, labels: LabelSet, faces: FaceTool, mllm: Mllm
    ) -> None:
        """Read, open and measure.

        Raises:
            KuleshovError: what `read` raises; a picture that cannot be opened; a selection that
                these parts cannot do.
        """
        self.settings, self.mllm = settings, mllm
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
        written = read(path, labels)
        self.all = [_opened(example, settings, faces) for example in written]
        self.by_id = {example.id: example for example in self.all}
        self.path = path
        self._features: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()

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
        }

    def choose(self, face: Face | None, picture: Picture | None) -> list[Example]:
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
            chosen = sorted(self.all, key=lambda e: _order(unit_distance(face, e.face)))[:most]
            chosen = chosen[::-1]  # the nearest last, next to the question
        elif how == "nearest-features" and face is not None and picture is not None:
            own = self._feature("", picture, face)
            near = {e.id: float(own @ self._feature(e.id, e.picture, e.face)) for e in self.all}
            chosen = sorted(self.all, key=lambda e: -near[e.id])[:most][::-1]
        else:
            chosen = self.all[:most]
        if self.settings.shot_seed is not None:
            order = np.random.default_rng(self.settings.shot_seed).permutation(len(chosen))
            chosen = [chosen[i] for i in order]
        return chosen

    def _balanced(self, most: int) -> list[Example]:
        """One of each label in turn, in the order of the set."""
        left: dict[str, list[Example]] = {}
        for example in self.all:
            left.setdefault(example.labelled.label, []).append(example)
        chosen: list[Example] = []
        while len(chosen) < most and any(left.values()):
            for queue in left.values():
                if queue and len(chosen) < most:
                    chosen.append(queue.pop(0))
        return chosen

    def _feature(self, key: str, picture: Picture, face: Face | None) -> np.ndarray:
        with self._lock:
            if key in self._features:
                return self._features[key]
            cut = picture if face is None else crops.face_alone(picture, face)
            value = self.mllm.features([cut])[0]  # type: ignore[attr-defined]
            if key:
                self._features[key] = value
            return value


def _opened(example: Labelled, settings: Settings, faces: FaceTool) -> Example:
    try:
        opened = media.open_media(example.path, max_pixels=settings.max_pixels, frames=3)
    except KuleshovError as error:
        raise KuleshovError(f"example {example.id}: {error}") from None
    middle = len(opened.images) // 2
    picture = opened.images[middle]
    face = _face(_seen(faces, picture, opened, middle), example.box)
    items = evidence.collect(face, None, example.context)
    if example.rationale:
        items.append(
            Evidence(
                n=len(items) + 1,
                source="user",
                kind="context",
                text=f"note: {evidence.quoted(example.rationale)}",
            )
        )
    return Example(example, opened.media.sha256, picture, face, tuple(items))


def _seen(faces: FaceTool, picture: Picture, opened: media.Opened, place: int) -> list[Face]:
    frames = opened.media.frames[place : place + 1]
    return face_tools.observe(faces, [picture], opened.media, frames).faces[0]


def _face(found: Sequence[Face], box: tuple[float, float, float, float] | None) -> Face | None:
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
    for unit in a.action_units:
        other = b.unit(unit.unit)
        if other is None or unit.weak or other.weak or unit.scale != other.scale:
            continue
        if unit.value is None or other.value is None:
            continue
        full = 5.0 if unit.scale == "intensity" else 1.0
        gaps.append((unit.value - other.value) / full)
    return float(np.sqrt(np.mean(np.square(gaps)))) if gaps else None


def _order(distance: float | None) -> tuple[bool, float]:
    """What cannot be compared comes last."""
    return (distance is None, distance or 0.0)
