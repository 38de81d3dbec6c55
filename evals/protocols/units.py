"""Units that an MLLM names against units measured: does it look, or does it copy?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kuleshov.evals.harness.systems import judged_person
from kuleshov.evals.protocols.base import Findings, Protocol, ResultTable, Trial, format_cells
from kuleshov.studies import agreement
from kuleshov.studies.agreement import Sighting
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.types import Face

NAMES = ("units-with", "units-without", "units-swapped")
MEASURES = ("action_units", "units_measured", "expression", "valence", "arousal")
"""What a face tool says of a face besides where it is."""


def picture_key(picture: Rgb) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


class Changed:
    """A face tool that finds the same faces and says of them what it says of other ones.

    donors: by picture (see `picture_key`), the face whose measurements are told; None: nothing is
    told.
    """

    def __init__(self, tool: FaceTool, donors: Mapping[str, Face] | None) -> None:
        self.tool, self.donors = tool, donors
        how = "without its measurements" if donors is None else "with those of other faces"
        told = f"{how}: {tool.info.caveat}" if tool.info.caveat else how
        self.info = tool.info.model_copy(update={"caveat": told})

    def observe(self, images: Sequence[Rgb]) -> list[list[Face]]:
        return [
            [self._told(face, picture_key(image)) for face in faces]
            for image, faces in zip(images, self.tool.observe(images), strict=True)
        ]

    def _told(self, face: Face, picture: str) -> Face:
        donor = None if self.donors is None else self.donors.get(picture)
        return swap_measures(face, donor)


def swap_measures(face: Face, donor: Face | None) -> Face:
    """The face with the measurements of another; None: with none."""
    if donor is None:
        empty = {"action_units": (), "units_measured": (), "expression": None}
        return face.model_copy(update={**empty, "valence": None, "arousal": None})
    return face.model_copy(update={name: getattr(donor, name) for name in MEASURES})


def draw_donors(faces: Sequence[Face | None], seed: int) -> list[Face | None]:
    """For each face the one whose measurements it is given: all in a ring, in random order.

    Nobody keeps the own one. A place without a face has no donor.
    """
    there = [place for place, face in enumerate(faces) if face is not None]
    if len(there) < 2:
        raise KuleshovError("protocol units needs at least two samples with a face.")
    ring = np.random.default_rng(seed).permutation(there).tolist()
    found: list[Face | None] = [None] * len(faces)
    for place, donor in zip(ring, ring[1:] + ring[:1], strict=True):
        found[place] = faces[donor]
    return found


def followed_claims(texts: Sequence[str], own: Face, shown: Face) -> list[bool]:
    """Claims on units of which the own face and the shown evidence say opposite things.

    True: the claim goes with the evidence, so it was copied. Words that several units would bear
    out count where they mean the same unit for both.
    """
    told = [agreement.in_words(texts, face) for face in (own, shown)]
    found = []
    for unit in told[0].action_units:
        other = told[1].unit(unit.unit)
        real, given = own.unit(unit.unit), shown.unit(unit.unit)
        if other is None or other.presence != unit.presence or real is None or given is None:
            continue
        is_there, is_said = real.is_shown, given.is_shown
        if is_there is None or is_said is None:
            continue
        if is_there != is_said:
            found.append(bool(unit.presence) == is_said)
    return found


def run_units(trial: Trial) -> Findings:
    faces_of = trial.agent.crew.faces
    if not faces_of.info.units:
        raise KuleshovError(f"{faces_of.info.name} measures no action units; use another --faces.")
    if trial.found.task.unit == "clip":
        raise KuleshovError("protocol units reads pictures, and the samples are clips.")
    whole = trial.records(NAMES[0], fusion="text")
    own = [_largest_face(record) for record in whole]
    given = draw_donors(own, trial.seed)
    pictures = [picture_key(media.open_media(path).images[0]) for path in _sample_paths(trial)]
    donors = {
        picture: face for picture, face in zip(pictures, given, strict=True) if face is not None
    }
    bare = trial.records(NAMES[1], fusion="text", tool=lambda tool: Changed(tool, None))
    other = trial.records(NAMES[2], fusion="text", tool=lambda tool: Changed(tool, donors))
    rows = [
        _condition_row("with its evidence", whole, own),
        _condition_row("without evidence", bare, own),
        _condition_row("with another face's evidence", other, own),
        _condition_row("with another face's evidence, against that evidence", other, given),
    ]
    places, shares, count = [], [], 0
    for place, (record, real, shown) in enumerate(zip(other, own, given, strict=True)):
        if record is None or real is None or shown is None:
            continue
        claims = followed_claims(_record_texts(record), real, shown)
        count += len(claims)
        if claims:
            places.append(place)
            shares.append(sum(claims) / len(claims))
    copied = trial.mean(shares, places)
    unit = ResultTable(
        title="Units named in explanations against units measured on the face",
        head=("condition", "faces", "precision", "recall", "F1", "κ"),
        rows=tuple(row for row, _ in rows),
        note="Units that the tool does not measure, or that the words do not name, are unknown and "
        "left out.",
    )
    copy = ResultTable(
        title="Where the evidence shown contradicts the face: which do the words follow?",
        head=("faces", "claims", "share that follows the evidence"),
        rows=(format_cells(len(places), count, copied),),
        note="1: it copies what it is told. 0: it looks at the face. Mean over faces.",
    )
    numbers = {
        f"{name}_{part}": value
        for (_, told), name in zip(
            rows, ("with", "without", "swapped", "swapped_shown"), strict=True
        )
        for part, value in told.items()
    }
    return PROTOCOL.findings([unit, copy], numbers={**numbers, "copied": copied.value})


def _sample_paths(trial: Trial) -> list[str]:
    from kuleshov.inputs import items

    return [str(work.source) for work in items.read_items(trial.found.manifest)]


def _largest_face(record: Mapping[str, Any] | None) -> Face | None:
    person = None if record is None else judged_person(record)
    found = person["face"] if person else None
    return Face.model_validate(found) if found else None


def _record_texts(record: Mapping[str, Any]) -> list[str]:
    person = judged_person(record)
    told = person["explanation"] if person else None
    return [told["text"], *(cue["text"] for cue in told["cues"])] if told else []


def _condition_row(
    condition: str, records: Sequence[Mapping[str, Any] | None], faces: Sequence[Face | None]
) -> tuple[tuple[str, ...], dict[str, float | None]]:
    said, seen = [], []
    for place, (record, face) in enumerate(zip(records, faces, strict=True)):
        if record is None or face is None or not (texts := _record_texts(record)):
            continue
        where = (str(place), None, None)
        said.append(Sighting(*where, face=agreement.in_words(texts, face)))
        seen.append(Sighting(*where, face=face))
    parts = ("precision", "recall", "f1", "kappa")
    if not said:
        return format_cells(condition, 0, None, None, None, None), dict.fromkeys(parts)
    found = agreement.measure_agreement(said, seen, ("words", "units measured"))
    told = {part: getattr(found, part) for part in parts}
    return format_cells(condition, len(said), *told.values()), told


PROTOCOL = Protocol(
    "units",
    "Units named and units measured",
    "Does the model look at the face, or does it repeat the units that it is told?",
    "agreement as in `kuleshov agree`; swapped evidence is a manipulation check of this project",
    run_units,
)
