"""Evidence: what face, scene and words say, as one numbered list.

The same short sentences stand in the record, in the prompt and in what the pocket LLaVA was
trained on, so an explanation can point to them by number.
"""

from __future__ import annotations

from collections.abc import Iterable

from kuleshov.tools.faces import facs, rules
from kuleshov.tools.types import ActionUnit, Face
from kuleshov.types import Evidence, Scene

# Units whose absence is worth a line: each carries weight in a prototype of facs.md
DIAGNOSTIC = (1, 2, 4, 5, 6, 9, 10, 12, 15, 20, 24, 25, 26)


def unit_text(unit: ActionUnit) -> str:
    """`AU12 lip corner puller: strong`; an asymmetric reading names the side."""
    side = "" if unit.side == "both" else f", {unit.side} side"
    shown = unit.shown or "could not be told"
    return f"AU{unit.unit} {facs.name(unit.unit)}: {shown}{side}"


def expression_text(probabilities: Iterable[tuple[str, float]]) -> str:
    """`expression: happiness 81%, neutral 12%`: at most three labels of at least 5 %."""
    top = [(label, p) for label, p in probabilities if p >= 0.05][:3]
    return "expression: " + ", ".join(f"{label} {round(100 * p)}%" for label, p in top)


def units_line(prefix: str, units: Iterable[int]) -> str:
    """`not shown: AU4, AU15`."""
    return f"{prefix}: " + ", ".join(f"AU{unit}" for unit in units)


def quoted(text: str) -> str:
    """Words of users and transcripts as data: one line, inside quotation marks of their own."""
    return '"' + " ".join(text.replace('"', "'").split()) + '"'


def collect(
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
        # a unit that the tool itself measures poorly is in the record but is no evidence
        units = [unit for unit in face.action_units if not unit.weak]
        for unit in sorted(units, key=lambda unit: unit.unit):
            if unit.shown in (None, "absent"):
                continue
            items.append(
                {
                    "source": source,
                    "kind": "action_unit",
                    "person": person,
                    "unit": unit.unit,
                    "shown": unit.shown,
                    "intensity": unit.intensity,
                    "probability": unit.probability,
                    "activation": unit.activation,
                    "log_odds": unit.log_odds,
                    "text": unit_text(unit),
                }
            )
        absent = tuple(u.unit for u in units if u.shown == "absent" and u.unit in DIAGNOSTIC)
        if absent:
            items.append(
                {
                    "source": source,
                    "kind": "absent_units",
                    "person": person,
                    "units": tuple(sorted(absent)),
                    "text": units_line("not shown", sorted(absent)),
                }
            )
        told = {unit.unit for unit in units if unit.shown is not None}
        unmeasured = tuple(unit for unit in DIAGNOSTIC if unit not in told)
        if unmeasured:
            items.append(
                {
                    "source": source,
                    "kind": "unmeasured_units",
                    "person": person,
                    "units": unmeasured,
                    "text": units_line("not measured", unmeasured),
                }
            )
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
        words = f"context: {quoted(text)}"
        items.append({"source": "user", "kind": "context", "text": words, "supposed": what_if})
    return [Evidence.model_validate({"n": first + i, **item}) for i, item in enumerate(items)]


def told(
    said: Iterable[str] = (), notes: Iterable[tuple[int | None, str]] = (), *, first: int = 1
) -> list[Evidence]:
    """Lines that are heard, and notes on who somebody is (None: holds for everybody)."""
    items: list[dict[str, object]] = [
        {"source": "transcript", "kind": "transcript", "text": f"said: {quoted(text)}"}
        for text in said
    ]
    for person, text in notes:
        what = f"note on person {person}" if person else "note on the person"
        items.append(
            {
                "source": "user",
                "kind": "person_note",
                "person": person,
                "text": f"{what}: {quoted(text)}",
            }
        )
    return [Evidence.model_validate({"n": first + i, **item}) for i, item in enumerate(items)]
