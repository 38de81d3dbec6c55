"""Evidence: what face, scene and words say, as one numbered list.

The same short sentences stand in the record and in the prompt, so an explanation can point to them
by number. The bundled LLaVA was trained on lines that tell every scale as slight, clear or strong;
`as_taught` words a list for it, and only for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kuleshov.tools.faces import directions, facs, rules
from kuleshov.tools.types import DEGREES, LEVELS, NO_SIGN, ActionUnit, Face
from kuleshov.types import Evidence, Scene

# Units whose absence is worth a line: each carries weight in a prototype of facs.md
DIAGNOSTIC = (1, 2, 4, 5, 6, 9, 10, 12, 15, 20, 24, 25, 26)
TAUGHT_WORDS = {
    "already present at the start": "from before it was seen",
    ", peak ": ", apex ",
    ", ends ": ", to ",
    "until the face is last visible": "to the last that was seen",
}
"""Words of `timeline.event_text`, and those that the bundled model was trained on."""
_NAMES = sorted({*facs.UNITS.values(), *facs.FURTHER.values()}, key=len, reverse=True)
_CODED_UNIT = re.compile(
    rf"\bAU({'|'.join(map(str, [*facs.UNITS, *facs.FURTHER]))})\b(?: (?:{'|'.join(_NAMES)}))?"
)


def unit_text(unit: ActionUnit) -> str:
    """`AU12 lip corner puller: very probable`; a movement of one half names the side."""
    side = "" if unit.side == "both" else f", {unit.side} side"
    shown: str = unit.shown or "could not be told"
    if unit.at_odds and unit.is_shown:
        shown += f", though its intensity is {unit.intensity:.1f} of 5"
    if shown in NO_SIGN and unit.activation is not None:
        shown += ", which is no sign"
    return f"AU{unit.unit} {facs.unit_name(unit.unit)}: {shown}{side}"


def disagreement_text(units: Iterable[ActionUnit]) -> str:
    """`presence and intensity disagree: AU4 absent at 1.2 of 5`: presence has decided."""
    told = ", ".join(
        f"AU{unit.unit} {'shown' if unit.is_shown else 'absent'} at {unit.intensity:.1f} of 5"
        for unit in units
    )
    return f"presence and intensity disagree, and presence decides: {told}"


def expression_text(probabilities: Iterable[tuple[str, float]]) -> str:
    """`expression: happiness 81%, neutral 12%`: at most three labels of at least 5 %."""
    top = [(label, p) for label, p in probabilities if p >= 0.05][:3]
    return "expression: " + ", ".join(f"{label} {round(100 * p)}%" for label, p in top)


def units_line(prefix: str, units: Iterable[int]) -> str:
    """`not shown: AU4, AU15`."""
    return f"{prefix}: " + ", ".join(f"AU{unit}" for unit in units)


def quote_text(text: str) -> str:
    """Words of users and transcripts as data: one line, inside quotation marks of their own."""
    return '"' + " ".join(text.replace('"', "'").split()) + '"'


def collect_evidence(
    face: Face | None,
    scene: Scene | None,
    contexts: Iterable[str] = (),
    supposed: Iterable[str] = (),
    *,
    person: int | None = None,
    first: int = 1,
) -> list[Evidence]:
    """The evidence about one person, numbered from `first`, the face's items first.

    Units that the tool measured and that are shown come one a line; diagnostic units measured
    and absent share a line, and so do those that the tool cannot measure. What is supposed reads
    as a context does, so that the model judges as if it held, and is marked in the record.
    """
    items: list[dict[str, object]] = []
    if face is not None:
        source = f"faces:{face.tool}"
        if face.expression is not None:
            by_rules = "by rules from the units, " if rules.by_rules(face.expression) else ""
            items.append(
                {
                    "source": source,
                    "kind": "expression",
                    "person": person,
                    "text": by_rules + expression_text(face.expression.ranked()),
                }
            )
        items += [{"source": source, "person": person, **item} for item in _of_units(face)]
        if face.valence is not None or face.arousal is not None:
            parts = [
                f"{name} {value:+.2f}"
                for name, value in (("valence", face.valence), ("arousal", face.arousal))
                if value is not None
            ]
            items.append(
                {"source": source, "kind": "affect", "person": person, "text": ", ".join(parts)}
            )
    if scene is not None:
        items.append({"source": "mllm", "kind": "scene", "text": f"scene: {scene.description}"})
        if scene.mood_words:
            items.append(
                {"source": "mllm", "kind": "scene", "text": f"mood: {', '.join(scene.mood_words)}"}
            )
    for text, what_if in [*((t, False) for t in contexts), *((t, True) for t in supposed)]:
        words = f"context: {quote_text(text)}"
        items.append({"source": "user", "kind": "context", "text": words, "supposed": what_if})
    return [Evidence.model_validate({"n": first + i, **item}) for i, item in enumerate(items)]


def _of_units(face: Face) -> list[dict[str, object]]:
    """The lines of a face's units, its smile, head and gaze."""
    items: list[dict[str, object]] = []
    # a unit that the tool itself measures poorly is in the record but is no evidence
    measured = sorted(face.whole_units(), key=lambda unit: unit.unit)
    turns = [unit for unit in measured if unit.unit in directions.UNITS]
    units = [unit for unit in measured if not unit.weak and unit not in turns]
    for unit in units:
        if unit.shown in (None, "absent"):
            continue
        items.append(
            {
                "kind": "action_unit",
                "unit": unit.unit,
                "side": unit.side,
                "shown": unit.shown,
                "intensity": unit.intensity,
                "probability": unit.probability,
                "activation": unit.activation,
                "log_odds": unit.log_odds,
                "text": unit_text(unit),
            }
        )

    def line(kind: str, prefix: str, numbers: Iterable[int]) -> None:
        if told := tuple(numbers):
            text = units_line(prefix, told)
            items.append({"kind": kind, "units": told, "text": text})

    line(
        "absent_units",
        "not shown",
        (unit.unit for unit in units if unit.shown == "absent" and unit.unit in DIAGNOSTIC),
    )
    # what has a number but tells nothing was measured all the same
    told = {unit.unit for unit in units if unit.shown is not None}
    numbered = {unit.unit for unit in measured if unit.value is not None}
    untold = [unit for unit in DIAGNOSTIC if unit in numbered - told]
    line("untold_units", "measured too poorly to tell", untold)
    line(
        "unmeasured_units",
        "not measured",
        (unit for unit in DIAGNOSTIC if unit not in told | numbered),
    )
    if parted := [unit for unit in units if unit.at_odds]:
        items.append(
            {
                "kind": "disagreement",
                "units": tuple(unit.unit for unit in parted),
                "text": disagreement_text(parted),
            }
        )
    if smile := facs.smile_text(face):
        items.append({"kind": "smile", "units": facs.SMILE_UNITS, "text": smile})
    items += [
        {"kind": kind, "units": shown, "text": text}
        for kind, shown, text in directions.direction_lines(face)
    ]
    return items


UNTAUGHT = ("disagreement", "smile", "head", "gaze")
"""Kinds of lines that the bundled LLaVA was never shown in training."""


def as_taught(items: Sequence[Evidence]) -> list[Evidence]:
    """The list in the words that the bundled LLaVA was trained on, its numbers left as they are.

    Every scale is slight, clear or strong by its level; units that were measured too poorly count
    among those not measured; lines of kinds that it was never shown are left out.
    """
    found: list[Evidence] = []
    untold: dict[int | None, tuple[int, ...]] = {}
    for item in items:
        if item.kind in UNTAUGHT:
            continue
        if item.kind == "untold_units":
            untold[item.person] = item.units
            found.append(_not_measured(item, item.units))
        elif item.kind == "unmeasured_units" and item.person in untold:
            both = {*item.units, *untold[item.person]}
            found[-1] = _not_measured(item, tuple(unit for unit in DIAGNOSTIC if unit in both))
        elif item.kind == "event":
            taught = _in_taught_words(item)
            found.append(_in_degrees(taught) if item.shown in LEVELS else taught)
        elif item.kind == "action_unit" and item.shown in LEVELS:
            found.append(_in_degrees(item))
        else:
            found.append(item)
    return found


def _in_taught_words(item: Evidence) -> Evidence:
    text = item.text
    for today, taught in TAUGHT_WORDS.items():
        text = text.replace(today, taught)
    return item.model_copy(update={"text": text})


def with_unit_names(items: Sequence[Evidence]) -> list[Evidence]:
    """The list with units by name and their code behind: `lip corner puller (AU12): strong`."""

    def named(match: re.Match[str]) -> str:
        return f"{facs.unit_name(int(match[1]))} (AU{match[1]})"

    return [
        item.model_copy(update={"text": _CODED_UNIT.sub(named, item.text)})
        if item.source.startswith("faces")
        else item
        for item in items
    ]


def _not_measured(item: Evidence, units: tuple[int, ...]) -> Evidence:
    told = {"kind": "unmeasured_units", "units": units, "text": units_line("not measured", units)}
    return item.model_copy(update=told)


def _in_degrees(item: Evidence) -> Evidence:
    assert item.shown is not None
    word = DEGREES[LEVELS[item.shown]]
    if item.kind == "event":
        text = item.text.replace(f"({item.shown})", f"({word})")
    else:
        side = "" if item.side == "both" else f", {item.side} side"
        text = f"AU{item.unit} {facs.unit_name(item.unit or 0)}: {word}{side}"
    return item.model_copy(update={"shown": word, "text": text})


def told_evidence(
    said: Iterable[str] = (), notes: Iterable[tuple[int | None, str]] = (), *, first: int = 1
) -> list[Evidence]:
    """Lines that are heard, and notes on who somebody is (None: holds for everybody)."""
    items: list[dict[str, object]] = [
        {"source": "transcript", "kind": "transcript", "text": f"said: {quote_text(text)}"}
        for text in said
    ]
    for person, text in notes:
        what = f"note on person {person}" if person else "note on the person"
        items.append(
            {
                "source": "user",
                "kind": "person_note",
                "person": person,
                "text": f"{what}: {quote_text(text)}",
            }
        )
    return [Evidence.model_validate({"n": first + i, **item}) for i, item in enumerate(items)]
