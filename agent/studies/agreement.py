"""Agreement: two toolboxes on the same faces, or units an MLLM names in words and those measured.

Per unit: Pearson's r where both give a number (scales may differ, r does not mind), and where the
scale is the same one also ICC(3,1), which minds that one side moves more than the other. Else
Cohen's κ over shown or not; beside it Gwet's AC1, as κ falls towards 0 for units that are rarely
shown however well the sides agree. Where one side is words also precision, recall and F1 of the
words; which unit a word names is fixed before it is known what was shown. Only what
both sides told counts: a unit that a tool cannot measure, or that the words do not mention, is
unknown and is left out, never taken as absent. Expressions: a confusion table of the top labels.

With the measured units in the prompt, agreement of words and units measures copying: compare runs
with `--fusion mllm` or with swapped evidence.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from kuleshov.evidence import grounding
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces import files
from kuleshov.tools.faces.files.results import match_faces
from kuleshov.tools.media.names import NamedFiles
from kuleshov.tools.types import ActionUnit, Face, Record
from kuleshov.types import Inference, RecordError

LEAST_PAIRS = 3
TIME_TOLERANCE_S = 0.021  # half a frame at 24 frames a second


@dataclass(frozen=True)
class Sighting:
    """One face as one side saw it. media: file name without ending, lower case, or ""."""

    media: str
    frame: int | None
    time_s: float | None
    face: Face
    label: str | None = None


class UnitAgreement(Record):
    """One unit. value is None where it cannot be computed; `why` says so."""

    unit: int
    n: int
    statistic: Literal["r", "kappa"]
    value: float | None
    why: str | None = None
    scales: tuple[str, str]
    icc: float | None = Field(
        None, description="ICC(3,1), consistency of single scores; None: other scales, or no value"
    )
    ac1: float | None = Field(None, description="Gwet's AC1 over shown or not")
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


class Agreement(Record):
    """What two sides say of the same faces.

    confusion: label of a → label of b → faces. precision, recall, f1, kappa: words only, over all
    units pooled.
    """

    a: str
    b: str
    pairs: int
    unmatched_a: int
    unmatched_b: int
    units: tuple[UnitAgreement, ...]
    confusion: dict[str, dict[str, int]] = {}
    same_expression: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    kappa: float | None = None
    ac1: float | None = None


# -------------------------------------------------------------------------------------- reading


def read_sightings(source: str) -> tuple[str, list[Sighting]]:
    """The faces of a result file, FORMAT:FILE or a file whose format shows, or of records (JSONL).

    Returns:
        Name of the tool, and its faces.

    Raises:
        KuleshovError: the file is not there or cannot be read.
    """
    tool, _, name = source.partition(":")
    path = Path(name if tool in files.READERS else source)
    if not path.is_file():
        raise KuleshovError(f"there is no file {path}.")
    if path.suffix.lower() == ".jsonl":
        found = [seen for record in read_records(path) for seen in record_sightings(record)]
        tools = sorted({seen.face.tool for seen in found})
        return ", ".join(tools) or "no face tool", found
    kind = tool if tool in files.READERS else files.guess_format(path)
    if kind is None:
        raise KuleshovError(
            f"{path} shows no toolbox's columns; say whose it is: FORMAT:{path}, FORMAT one of "
            f"{', '.join(files.READERS)}."
        )
    results = files.load_file(kind, path)
    return kind, [
        Sighting(
            row.media or "",
            row.frame,
            row.time_s,
            results.face(row, 1, 1),
            row.label,
        )
        for row in results.results.rows
        if row.found
    ]


def read_records(path: Path) -> Iterator[Inference]:
    """The inferences of a JSONL file. Raises KuleshovError naming the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield Inference.from_json(line)
            except RecordError:
                raise KuleshovError(
                    f"{path}, line {number}: not a record of `kuleshov infer --json` or annotate."
                ) from None


def record_sightings(inference: Inference) -> list[Sighting]:
    """The faces of a record; of a clip each one over time."""
    name = inference.media.path or ""
    across, down = inference.media.full_scale

    def in_full(face: Face) -> Face:
        """Result files are in pixels of the file itself."""
        x0, y0, x1, y1 = face.xyxy
        box = (x0 * across, y0 * down, x1 * across, y1 * down)
        return face.model_copy(update={"xyxy": box})

    return [
        Sighting(name, face.frame, face.time_s, in_full(face))
        for person in inference.people
        for face in person.timeline or ((person.face,) if person.face else ())
    ]


def words_and_units(inferences: Iterable[Inference]) -> tuple[list[Sighting], list[Sighting]]:
    """What each explanation says of a face in words, and the face as it was measured."""
    said: list[Sighting] = []
    seen: list[Sighting] = []
    for inference in inferences:
        for person in inference.people:
            if person.face is None or person.explanation is None:
                continue
            told = [person.explanation.text, *(cue.text for cue in person.explanation.cues)]
            place = (f"{inference.media.sha256}/{person.id}", None, None)
            said.append(Sighting(*place, face=in_words(told, person.face)))
            seen.append(Sighting(*place, face=person.face))
    return said, seen


def in_words(texts: Sequence[str], face: Face) -> Face:
    """The units that `texts` name, as presences, on the face that they speak of.

    Of words that several units would bear out ("open mouth": 25, 26 or 27) the first that was
    measured is meant, whatever was measured: to take the one that is shown would make words agree
    that were said at random. Words that contradict themselves tell nothing.
    """
    known = {au.unit for au in face.whole_units() if au.is_shown is not None and not au.weak}
    told: dict[int, set[bool]] = defaultdict(set)
    for text in texts:
        for claim in grounding.find_claims(text):
            units = [unit for unit in claim.units if unit in known]
            if claim.shown:
                units = units[:1]
            for unit in units:
                told[unit].add(claim.shown)
    return Face(
        xyxy=face.xyxy,
        action_units=tuple(
            ActionUnit(unit=unit, presence=True in shown)
            for unit, shown in sorted(told.items())
            if len(shown) == 1
        ),
        tool="words",
        version="1",
    )


# ------------------------------------------------------------------------------------ comparing


def measure_agreement(
    a: Sequence[Sighting], b: Sequence[Sighting], names: tuple[str, str] = ("a", "b")
) -> Agreement:
    """Compare what two sides say of the same faces.

    Rows belong together by file (by its path, as far as both name it), frame or time, and box
    (where both have boxes). Raises KuleshovError if the sides have no picture or frame in common.
    """
    pairs, alone_a, alone_b = _pair_faces(a, b)
    if not pairs:
        raise KuleshovError(
            f"{names[0]} and {names[1]} have no face in common: {len(a)} and {len(b)} faces, none "
            "of the same file, frame or time, and place."
        )
    words = "words" in names
    values: dict[int, list[tuple[ActionUnit, ActionUnit]]] = defaultdict(list)
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    for one, other in pairs:
        for unit in one.face.whole_units():
            partner = other.face.unit(unit.unit)
            if partner is None or unit.value is None or partner.value is None:
                continue
            if not (words and (unit.weak or partner.weak)):
                values[unit.unit].append((unit, partner))
        labels = _top_label(one), _top_label(other)
        if labels[0] and labels[1]:
            confusion[labels[0]][labels[1]] += 1
    pooled = [
        pair
        for found in values.values()
        for pair in (_both_shown(both) for both in found)
        if pair is not None
    ]
    total = sum(sum(row.values()) for row in confusion.values())
    same = sum(row[label] for label, row in confusion.items())
    return Agreement(
        a=names[0],
        b=names[1],
        pairs=len(pairs),
        unmatched_a=alone_a,
        unmatched_b=alone_b,
        units=tuple(_unit_agreement(unit, found, words) for unit, found in sorted(values.items())),
        confusion={label: dict(row) for label, row in confusion.items()},
        same_expression=round(same / total, 4) if total else None,
        kappa=cohen_kappa(pooled)[0] if words else None,
        ac1=gwet_ac1(pooled) if words else None,
        **(score_retrieval(pooled) if words else {}),
    )


def _pair_faces(
    a: Sequence[Sighting], b: Sequence[Sighting]
) -> tuple[list[tuple[Sighting, Sighting]], int, int]:
    """Faces that belong together, and how many of each side have no partner."""
    # a side that names no file is taken for the only file of the other side
    named = not any({seen.media for seen in side} == {""} for side in (a, b))
    if not named and any(len({seen.media for seen in side}) > 1 for side in (a, b)):
        raise KuleshovError(
            "one side names no files and the other several: compare them file by file."
        )
    by_frame = all(seen.frame is not None for seen in (*a, *b))
    timed = all(seen.time_s is not None for seen in (*a, *b))

    same = _same_names(a, b) if named else {}

    def places(side: Sequence[Sighting]) -> dict[tuple[Any, ...], list[Sighting]]:
        found: dict[tuple[Any, ...], list[Sighting]] = defaultdict(list)
        for seen in side:
            when = seen.frame if by_frame else seen.time_s if timed else None
            found[same.get(seen.media, seen.media) if named else "", when].append(seen)
        return found

    at_a, at_b = places(a), places(b)
    pairs: list[tuple[Sighting, Sighting]] = []
    for place, here in at_a.items():
        there = at_b.get(place) or ([] if by_frame or not timed else _near_faces(place, at_b))
        found = match_faces([seen.face for seen in here], [seen.face for seen in there])
        pairs += [(here[i], there[j]) for i, j in found.items()]
    return pairs, len(a) - len(pairs), len(b) - len(pairs)


def _same_names(a: Sequence[Sighting], b: Sequence[Sighting]) -> dict[str, str]:
    """Names of side b, each to the name that side a has for the file, where it has one."""
    ours = {seen.media for seen in a}
    names, found, taken = NamedFiles(ours), dict[str, str](), set[str]()
    for name in dict.fromkeys(seen.media for seen in b):
        told = name if name in ours else names.find(name)
        if told is not None and told in taken:
            raise KuleshovError(f"nothing tells which of two files is {told} of the other side.")
        if told is not None:
            found[name] = told
            taken.add(told)
    return found


def _near_faces(
    place: tuple[Any, ...], others: dict[tuple[Any, ...], list[Sighting]]
) -> list[Sighting]:
    name, when = place
    times = [time for other, time in others if other == name]
    near = min(times, key=lambda time: abs(time - when), default=None)
    if near is None or abs(near - when) > TIME_TOLERANCE_S:
        return []
    return others[name, near]


def _top_label(seen: Sighting) -> str | None:
    return seen.face.expression.top if seen.face.expression else seen.label


def _both_shown(pair: tuple[ActionUnit, ActionUnit]) -> tuple[bool, bool] | None:
    one, other = pair[0].is_shown, pair[1].is_shown
    return None if one is None or other is None else (one, other)


def _unit_agreement(
    unit: int, found: Sequence[tuple[ActionUnit, ActionUnit]], words: bool
) -> UnitAgreement:
    scales = tuple("/".join(sorted({str(pair[side].scale) for pair in found})) for side in (0, 1))
    told: dict[str, Any] = {"unit": unit, "scales": scales}
    if "presence" in scales or words:
        pairs = [pair for pair in (_both_shown(both) for both in found) if pair is not None]
        value, why = cohen_kappa(pairs)
        extra = score_retrieval(pairs) if words else {}
        return UnitAgreement(
            n=len(pairs),
            statistic="kappa",
            value=value,
            why=why,
            ac1=gwet_ac1(pairs),
            **told,
            **extra,
        )
    x = [pair[0].value or 0.0 for pair in found]
    y = [pair[1].value or 0.0 for pair in found]
    value, why = _pearson_r(x, y)
    shown = [pair for pair in (_both_shown(both) for both in found) if pair is not None]
    return UnitAgreement(
        n=len(found),
        statistic="r",
        value=value,
        why=why,
        icc=icc_consistency(x, y) if scales[0] == scales[1] and "/" not in scales[0] else None,
        ac1=gwet_ac1(shown),
        **told,
    )


def icc_consistency(x: Sequence[float], y: Sequence[float]) -> float | None:
    """ICC(3,1): two-way mixed, consistency, single scores (Shrout & Fleiss 1979, Psychol. Bull. 86,
    420-428). None: fewer than three faces, or none differs from another.

    (BMS - EMS) / (BMS + EMS) for two sides, with the mean squares between faces and of the error.
    """
    import numpy as np

    if len(x) < LEAST_PAIRS:
        return None
    scores = np.column_stack([x, y])
    many = len(scores)
    by_face, by_side = scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - by_face[:, None] - by_side[None, :] + scores.mean()
    between = 2 * float(((by_face - scores.mean()) ** 2).sum()) / (many - 1)
    error = float((rest**2).sum()) / (many - 1)
    return round((between - error) / (between + error), 4) if between + error > 1e-12 else None


def gwet_ac1(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Gwet's AC1 of two sides over shown or not (Gwet 2008, Brit. J. Math. Stat. Psychol. 61,
    29-48). None: fewer than three faces.

    (p_a - p_e) / (1 - p_e), where p_a is the share of equal answers and p_e = 2π(1 - π), π the mean
    share of "shown" of both sides.
    """
    if len(pairs) < LEAST_PAIRS:
        return None
    same = sum(one == other for one, other in pairs) / len(pairs)
    shown = sum(one + other for one, other in pairs) / (2 * len(pairs))
    chance = 2 * shown * (1 - shown)
    return round((same - chance) / (1 - chance), 4)


def _pearson_r(x: Sequence[float], y: Sequence[float]) -> tuple[float | None, str | None]:
    if len(x) < LEAST_PAIRS:
        return None, f"fewer than {LEAST_PAIRS} faces"
    if min(x) == max(x) or min(y) == max(y):
        return None, "one side never changes"
    import numpy as np

    value = float(np.corrcoef(x, y)[0, 1])
    return (round(value, 4), None) if math.isfinite(value) else (None, "not defined")


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> tuple[float | None, str | None]:
    """Cohen's κ of two sides over shown or not, or None and why."""
    if len(pairs) < LEAST_PAIRS:
        return None, f"fewer than {LEAST_PAIRS} faces"
    one, other = [p for p, _ in pairs], [q for _, q in pairs]
    if len({*one, *other}) == 1:
        return None, "both sides always say the same"
    from sklearn.metrics import cohen_kappa_score

    value = float(cohen_kappa_score(one, other))
    return (round(value, 4), None) if math.isfinite(value) else (None, "not defined")


def score_retrieval(pairs: Sequence[tuple[bool, bool]]) -> dict[str, float | None]:
    """Of the first side against the second; None where nothing was named or nothing was shown."""
    hits = sum(said and shown for said, shown in pairs)
    said, shown = sum(p for p, _ in pairs), sum(q for _, q in pairs)
    precision = hits / said if said else None
    recall = hits / shown if shown else None
    both = said + shown
    return {
        "precision": None if precision is None else round(precision, 4),
        "recall": None if recall is None else round(recall, 4),
        "f1": round(2 * hits / both, 4) if both else None,
    }
