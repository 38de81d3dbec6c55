"""What a toolbox measures against what FACS coders coded, unit by unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from pydantic import Field

from kuleshov.evals.datasets.unit_coding import CodedFace, UnitCode, UnitSet
from kuleshov.studies import agreement
from kuleshov.studies.agreement import Sighting
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import files, observe_faces
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.media.names import NamedFiles
from kuleshov.tools.types import ActionUnit, Face, Record


class CodedUnit(Record):
    """One unit over the faces where coders and the toolbox both tell it.

    icc: ICC(3,1) of the intensities; None: one side gives none. f1, precision, recall, kappa, ac1:
    of shown or not; None where the toolbox does not tell it, or nothing was shown.
    """

    unit: int
    n: int
    shown: float = Field(description="share of the faces in which coders saw it")
    icc: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    kappa: float | None = None
    ac1: float | None = None


class UnitFigures(Record):
    """A toolbox against coders. Means are over the units that have the figure."""

    data: str
    tool: str
    coded: int = Field(description="faces that coders coded")
    read: int = Field(description="of those, faces that the toolbox gave")
    subjects: int
    unread: int = Field(description="faces of the toolbox that nobody coded")
    units: tuple[CodedUnit, ...]
    mean_icc: float | None
    mean_f1: float | None
    mean_ac1: float | None
    not_measured: tuple[int, ...] = Field(description="coded units that the toolbox does not give")
    note: str = ""


def read_pictures(tool: FaceTool, coded: Sequence[CodedFace]) -> Iterator[Sighting]:
    """The largest face that a tool sees in each coded picture.

    Raises:
        KuleshovError: the data set is one of clips, or its pictures are not here.
    """
    pictures = [face for face in coded if face.picture is not None]
    if not pictures:
        raise KuleshovError(
            "no picture of a coded face is here: read the clips with the toolbox first, and "
            "give its files with --results."
        )
    for face in pictures:
        opened = media.open_media(face.picture)
        found = observe_faces(tool, opened.images, opened.media).faces[0]
        if found:
            yield Sighting(face.name, None, None, max(found, key=lambda one: one.area))


def read_results(sources: Sequence[str]) -> tuple[str, list[Sighting]]:
    """The faces of several result files; one that names no file is of the clip it is named after.

    Raises:
        KuleshovError: a file that cannot be read, or files of different toolboxes.
    """
    seen: list[Sighting] = []
    tools: dict[str, None] = {}
    for source in sources:
        tool, found = agreement.read_sightings(source)
        tools[tool] = None
        kind, _, name = source.partition(":")
        stem = Path(name if kind in files.READERS else source).stem
        seen += [
            one if one.media else Sighting(stem, one.frame, one.time_s, one.face) for one in found
        ]
    if len(tools) > 1:
        raise KuleshovError(f"results of {', '.join(tools)}: give those of one toolbox.")
    return next(iter(tools)), seen


def compare_with_coders(
    unit_set: UnitSet, coded: Sequence[CodedFace], tool: str, seen: Iterable[Sighting]
) -> UnitFigures:
    """The figures. Of several faces in a place the largest is taken: one person was coded.

    Raises:
        KuleshovError: no face was both coded and read.
    """
    names = NamedFiles(dict.fromkeys(face.name for face in coded))
    places = {(face.name, face.frame): face for face in coded}
    found: dict[tuple[str, int | None], Face] = {}
    unread = 0
    for one in seen:
        name = one.media if (one.media, one.frame) in places else names.find(one.media)
        place = (name or "", one.frame if name and (name, one.frame) in places else None)
        if place not in places:
            unread += 1
        elif place not in found or found[place].area < one.face.area:
            found[place] = one.face
    if not found:
        raise KuleshovError(
            f"no face of these results was coded in {unit_set.title}: the results name "
            "other files or frames."
        )
    pairs: dict[int, list[tuple[UnitCode, ActionUnit]]] = defaultdict(list)
    for place, face in found.items():
        for unit, code in places[place].units.items():
            measured = face.unit(unit)
            if measured is not None:
                pairs[unit].append((code, measured))
    units = tuple(_unit_figures(unit, told) for unit, told in sorted(pairs.items()))
    every = {unit for face in coded for unit in face.units}
    return UnitFigures(
        data=unit_set.title,
        tool=tool,
        coded=len(coded),
        read=len(found),
        subjects=len({places[place].group for place in found}),
        unread=unread,
        units=units,
        mean_icc=_mean_known(unit.icc for unit in units),
        mean_f1=_mean_known(unit.f1 for unit in units),
        mean_ac1=_mean_known(unit.ac1 for unit in units),
        not_measured=tuple(sorted(every - set(pairs))),
        note=unit_set.note,
    )


def _unit_figures(unit: int, told: Sequence[tuple[UnitCode, ActionUnit]]) -> CodedUnit:
    strengths = [
        (float(measured.intensity), float(code.intensity))
        for code, measured in told
        if measured.intensity is not None and code.intensity is not None
    ]
    shown = [
        (is_shown, code.shown)
        for code, measured in told
        if (is_shown := measured.is_shown) is not None
    ]
    return CodedUnit(
        unit=unit,
        n=len(told),
        shown=round(fmean(code.shown for code, _ in told), 4),
        icc=agreement.icc_consistency(*map(list, zip(*strengths, strict=True)))
        if strengths
        else None,
        kappa=agreement.cohen_kappa(shown)[0],
        ac1=agreement.gwet_ac1(shown),
        **agreement.score_retrieval(shown),
    )


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None
