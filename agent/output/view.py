"""What a person is shown of a record: the words and groupings that card and report share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov.evidence.influence import COMPUTED, TOGETHER
from kuleshov.tools.faces import facs
from kuleshov.tools.media import Media
from kuleshov.tools.media.transcript import TranscriptLine
from kuleshov.tools.types import ActionUnit, EmotionScores, Face
from kuleshov.tools.valid_text import in_terminal
from kuleshov.types import (
    Evidence,
    FusedScores,
    Inference,
    Influence,
    Judgement,
    Person,
    Provenance,
)

SCALES = {
    "intensity": "FACS intensity, 0–5 (A–E)",
    "probability": "probability that it is shown, 0–1",
    "activation": "activation, 0–1 (not a FACS intensity), beside it the threshold it is above",
    "log_odds": "log10 of the odds that it is shown",
    "presence": "present or absent",
}
FUSIONS = {
    "people": "face and context combined as people weigh them",
    "bayes": "face and context combined",
    "text": "the model's reading of face and context together",
    "face": "the face alone",
    "context": "the context alone",
    "mllm": "the model's reading of the face alone",
}
NO_FACE = "no face was found: read from the context alone"
CONDITIONS = {"face": "face alone", "context": "context alone", "both": "face and context"}
NO_OBSERVER = ("bayes", "text", "face", "context", "mllm")
"""Settings of fusion under which no observer weighs the reading."""
NEXT_STEP = {
    "open_media": "looking at faces and scene",
    "follow_faces": "describing the scene",
    "observe_faces": "describing the scene",
    "describe_scene": "judging",
    "gather": "judging",
    "judge": "weighing the labels",
    "ground": "weighing the labels",
}
"""What is done after a step of the graph."""
STATUSES = {
    "confirmed": "the cited measurement bears it out",
    "unconfirmed": "no measurement bears on it",
    "contradicted": "the measurement says otherwise",
}


def clean_line(text: object) -> str:
    """One line without control and direction characters.

    A model's or user's text could otherwise move the cursor (ESC …) or turn a line around.
    """
    return in_terminal(" ".join(str(text).split()))


def said_lines(inference: Inference) -> tuple[TranscriptLine, ...]:
    """Every line that is said in a clip; of records before it was kept, those of the evidence."""
    return inference.transcript or tuple(
        TranscriptLine(
            start_s=item.start_s,
            end_s=item.end_s,
            text=item.text.split(": ", 1)[-1].strip('"'),
        )
        for item in inference.evidence
        if item.kind == "transcript" and item.start_s is not None
    )


def format_percent(p: float) -> str:
    """`81%`; what is not quite nothing or everything is not rounded to it."""
    if 0 < p < 0.005:
        return "<1%"
    if 0.995 <= p < 1:
        return ">99%"
    return f"{100 * p:.0f}%"


def format_signed(value: float, digits: int = 2) -> str:
    """Valence, arousal or a change with its sign; what rounds to zero has none."""
    rounded = round(value, digits)
    if rounded == 0:
        return f"{0:.{digits}f}"
    return f"{rounded:+.{digits}f}".replace("-", "−")


def format_seconds(value: float) -> str:
    return f"{value:.1f} s"


def media_title(media: Media) -> str:
    """The file's name without its folders."""
    if not media.path:
        return "clip without a name" if media.kind == "clip" else "picture without a name"
    return clean_line(re.split(r"[\\/]", media.path)[-1]) or clean_line(media.path)


def media_facts(inference: Inference) -> list[str]:
    """Size, format, length and number of people, each a short phrase."""
    media = inference.media
    found = [f"{media.size[0]} × {media.size[1]} px"]
    if media.format:
        found.append(clean_line(media.format))
    if media.kind == "clip":
        found.append(
            "clip" if media.duration_s is None else f"clip of {format_seconds(media.duration_s)}"
        )
        if media.read:
            found.append(f"{media.read} frames looked at, {len(media.frames)} kept")
        elif media.frames:
            found.append(f"{len(media.frames)} frames sampled")
    found.append(count_people(inference.people))
    return found


def count_people(people: Sequence[Person]) -> str:
    """'2 people', '1 person, without a face', 'nobody read'."""
    if not people:
        return "nobody read"
    told = "1 person" if len(people) == 1 else f"{len(people)} people"
    without = sum(person.face is None for person in people)
    if without == len(people):
        return f"{told}, without a face"
    return f"{told}, {without} of them without a face" if without else told


def split_scores(
    scores: EmotionScores, least: float = 0.01
) -> tuple[list[tuple[str, float]], list[str]]:
    """Labels of at least `least`, most probable first, and the names of the others."""
    ranked = scores.ranked()
    shown = [(label, p) for label, p in ranked if p >= least]
    return shown, [label for label, p in ranked if p < least]


def brief_scores(scores: EmotionScores, most: int = 3) -> str:
    """`happiness 74%, neutral 20%`: at most `most` labels of at least 5 %."""
    ranked = [(label, p) for label, p in scores.ranked() if p >= 0.05][:most]
    return ", ".join(
        f"{clean_line(label)} {format_percent(p)}" for label, p in ranked or scores.ranked()[:1]
    )


def top_score(scores: EmotionScores) -> str:
    """`happiness 81%`: the most probable label alone."""
    return f"{clean_line(scores.top)} {format_percent(scores.probabilities[scores.top])}"


def score_headline(scores: EmotionScores, most: int = 3) -> str:
    """`happiness 81%`; `anger 51%, disgust 49%` where others come near: at least half as likely.

    Of labels that do not exclude one another: those more likely than not.
    """
    ranked = scores.ranked()
    least = 0.5 if scores.mode == "multi" else ranked[0][1] / 2
    near = [(label, p) for label, p in ranked if p >= least][:most]
    if not near:
        return f"none likely ({clean_line(ranked[0][0])} {format_percent(ranked[0][1])})"
    return ", ".join(f"{clean_line(label)} {format_percent(p)}" for label, p in near)


def fusion_text(scores: FusedScores) -> str:
    """How the distribution came about, in words."""
    words = FUSIONS.get(scores.fusion, clean_line(scores.fusion))
    if scores.context_weight is not None:
        words += f" (context weight {scores.context_weight:g})"
    if scores.cues:
        words += f" (observer {clean_line(scores.observer)}: {weights_text(scores)})"
    if scores.prior_source is not None:
        over = clean_line(scores.prior_source) if scores.prior is None else "that of the face tool"
        words += f", over the prior: {over}"
    if scores.mode == "multi":
        words += "; each label on its own, so they do not sum to 100%"
    if "stated" in scores.method:
        words += "; the numbers are those that the model states"
    return words


def weights_text(scores: FusedScores) -> str:
    """`face 0.65, context told 0.46`: what each cue weighed, an exponent of its probabilities."""
    return ", ".join(
        f"{cue.cue}{f' {cue.part}' if cue.part else ''} {cue.weight:.2f}"
        + (f" at temperature {cue.temperature:.3g}" if cue.temperature != 1 else "")
        for cue in scores.cues
    )


def observer_text(facts: Mapping[str, Any]) -> str:
    """The observer of the provenance: weights, data, command, and which file."""
    told = f"face^{facts['face_weight']:.2f} · context^{facts['context_weight']:.2f}"
    detail = [str(facts["source"]), f"{facts['judgements']:,} judgements", str(facts["command"])]
    if facts.get("file"):
        detail.append(f"{facts['file']}, SHA-256 {facts['sha256'][:12]}…")
    return clean_line(f"{facts['name']}: {told} ({'; '.join(detail)})")


@dataclass(frozen=True)
class Units:
    """A face's action units by what is known of them; any other unit was not measured.

    `untold`: the tool looked and could not tell, or yielded a number without saying from which
    value on the unit counts as shown. `halves`: of units measured on each side, both numbers.
    """

    shown: tuple[ActionUnit, ...]
    absent: tuple[ActionUnit, ...]
    untold: tuple[ActionUnit, ...]
    unmeasured: tuple[int, ...]
    halves: dict[int, str]


def group_units(face: Face) -> Units:
    ordered = sorted(face.whole_units(), key=lambda unit: (unit.unit, unit.side))
    given = {unit.unit for unit in ordered}
    silent = [ActionUnit(unit=number) for number in face.units_measured if number not in given]
    known = given | set(face.units_measured)
    return Units(
        shown=tuple(unit for unit in ordered if unit.shown not in (None, "absent")),
        absent=tuple(unit for unit in ordered if unit.shown == "absent"),
        untold=tuple(
            sorted((u for u in [*ordered, *silent] if u.shown is None), key=lambda u: u.unit)
        ),
        unmeasured=tuple(number for number in facs.UNITS if number not in known),
        halves=_side_values(face),
    )


def _side_values(face: Face) -> dict[int, str]:
    """`{12: "left 0.62, right 0.05"}` of units that were measured on each side."""
    sided: dict[int, dict[str, str]] = {}
    for unit in face.action_units:
        if unit.side != "both" and unit.value is not None:
            sided.setdefault(unit.unit, {})[unit.side] = f"{unit.value:.2f}"
    return {
        unit: f"left {told['left']}, right {told['right']}"
        for unit, told in sided.items()
        if len(told) == 2
    }


def unit_name(unit: ActionUnit) -> str:
    return facs.unit_name(unit.unit) + ("" if unit.side == "both" else f", {unit.side} side")


def unit_number(unit: ActionUnit, *, with_scale: bool = True) -> str:
    """`0.93 probability`, `3.5 of 5 intensity`, `present`; empty where there is no number."""
    if unit.scale is None or unit.value is None:
        return ""
    if unit.scale == "presence":
        return "present" if unit.presence else "absent"
    number = f"{unit.value:.1f} of 5" if unit.scale == "intensity" else f"{unit.value:.2f}"
    if with_scale:
        number = f"{number} {unit.scale.replace('_', '-')}"
    if unit.activation is not None and unit.scale == "activation" and unit.thresholds:
        number += f", threshold {unit.thresholds[max(0, (unit.level or 1) - 1)]:.2f}"
    if unit.at_odds:
        number += f", coded {'present' if unit.is_shown else 'absent'}"
    return number


def scales_text(face: Face) -> list[str]:
    """The scales on which this face's units were measured, in words."""
    return [SCALES[scale] for scale in SCALES if any(u.scale == scale for u in face.action_units)]


def pain_text(face: Face) -> str | None:
    """`3.5 of 16 (AU45 in place of AU43)`: PSPI, for tools that give intensities."""
    found = facs.measure_pain(face)
    return None if found is None else found.text()


def unit_share(unit: ActionUnit) -> float | None:
    """How much of its scale a unit fills, 0-1, for a bar; odds as the probability they are."""
    if unit.value is None:
        return None
    if unit.scale == "log_odds":
        return 1 / (1 + 10**-unit.value)
    return unit.value / 5 if unit.scale == "intensity" else unit.value


@dataclass(frozen=True)
class MomentView:
    """One sampled time of a clip: the expression then, or why there is none."""

    time_s: float
    expression: EmotionScores | None
    missing: str | None


MOST_MOMENTS = 400  # of a track, in a plot


def list_moments(inference: Inference, person: Person) -> list[MomentView]:
    """A person's expression at every sampled time; empty for a still picture.

    A sampled frame in which the person was not found is a moment without an expression.
    """
    track = person.track
    if track is not None and track.times_s:
        found = []
        for place in thin_items(range(len(track.times_s)), MOST_MOMENTS):
            scores = track.scores_at(place)
            missing = None if scores else "expression not measured"
            found.append(MomentView(track.times_s[place], scores, missing))
        for stretch in track.missing:
            found.append(MomentView(stretch.start_s, None, "face not found"))
        return sorted(found, key=lambda moment: moment.time_s)
    seen = {face.time_s: face for face in person.timeline if face.time_s is not None}
    if not seen:
        return []
    times = sorted(set(seen) | {frame.time_s for frame in inference.media.frames})
    found = []
    for time in times:
        face = seen.get(time)
        missing = None
        if face is None:
            missing = "face not found"
        elif face.expression is None:
            missing = "expression not measured"
        found.append(MomentView(time, face.expression if face else None, missing))
    return found


def thin_items(items: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread, first and last among them."""
    if len(items) <= most:
        return list(items)
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]


def evidence_of(inference: Inference, person: int | None) -> list[Evidence]:
    """The evidence of one person, or with None that of the whole picture."""
    return [item for item in inference.evidence if item.person == person]


def judgement_text(judgement: Judgement) -> str:
    """Under which condition, and by the model where a face tool would be expected."""
    by_model = judgement.condition == "face" and judgement.source == "mllm"
    part = f", {judgement.part}" if judgement.part else ""
    return CONDITIONS[judgement.condition] + part + (", by the model" if by_model else "")


def third_reading(found: Influence) -> str:
    """What the third reading is called; "fused" is not what the model says when shown both."""
    if found.both_is is not None:
        return TOGETHER[found.both_is]
    # records from before `both_is`: the rule names the methods of its two sides
    method = found.both.method if found.both else ""
    return TOGETHER["fused" if method.startswith("face: ") else "model"]


def influence_text(found: Influence) -> str:
    """The index in words: which reading that of the two together is nearer to."""
    if found.index is None:
        return clean_line(found.unanswered or "cannot be told")
    apart = f"face and context are {found.js_face_context:.2f} bit apart"
    fused = third_reading(found) == TOGETHER["fused"]
    whose = "the fused reading" if fused else "the model's reading of both"
    if found.index < 0.4:
        side = f"{whose} is like the face"
    elif found.index > 0.6:
        side = f"{whose} is like the context"
    else:
        side = f"{whose} lies between face and context"
    return f"{found.index:.2f} (0: face, 1: context): {side}; {apart}"


def shift_text(found: Influence) -> str | None:
    """What moved: `+0.84 of 2.31 log-odds towards the context`; None where it cannot be told."""
    if found.shift is None or found.shift_whole is None:
        return None
    way = "towards the context" if found.shift >= 0 else "away from the context"
    told = f"{format_signed(found.shift)} of {found.shift_whole:.2f} log-odds, {way}"
    if found.shift_computed is not None:
        told += f"; {COMPUTED}: {format_signed(found.shift_computed)}"
    return told


def likelihood_text(mean_logprob: float | None) -> str | None:
    """How sure the model was of its own words: the geometric mean probability of a token."""
    if mean_logprob is None:
        return None
    return f"mean token probability {format_percent(math.exp(min(0.0, mean_logprob)))}"


def scene_source(inference: Inference) -> str | None:
    """What to say beside the scene's text where a tiny model wrote it; None for other models."""
    model = inference.provenance.mllm or {}
    return "a guess of a tiny model" if model.get("id") == "pocket" else None


def list_gaps(inference: Inference) -> list[tuple[str, str]]:
    """What could not be had as (steps, reason); a reason that several share is told once."""
    steps: dict[str, dict[str, None]] = {}
    for gap in inference.gaps:
        steps.setdefault(gap.reason, {})[gap.step] = None
    return [(", ".join(named), reason) for reason, named in steps.items()]


def scene_details(inference: Inference) -> list[tuple[str, str]]:
    """What the model said of the scene besides its description; what it did not say is left out."""
    scene = inference.scene
    if scene is None:
        return []
    rows: Iterable[tuple[str, str | None]] = (
        ("setting", scene.setting),
        ("activity", scene.activity),
        ("people", scene.people),
        ("objects", ", ".join(scene.objects)),
        ("mood", ", ".join(scene.mood_words)),
        ("wording", likelihood_text(scene.mean_logprob)),
    )
    return [(name, clean_line(text)) for name, text in rows if text]


def tools_used(provenance: Provenance) -> list[tuple[str, str]]:
    """Model, face tool, labels, time: a line each, with what is known of them."""
    rows = []
    model = provenance.mllm or {}
    if model:
        detail = [f"revision {model['revision'][:12]}"] if model.get("revision") else []
        detail += [str(model[key]) for key in ("device", "dtype") if model.get(key)]
        if model.get("quantization") not in (None, "none"):
            detail.append(str(model["quantization"]))
        rows.append(("model", _with_detail(model.get("id", "unnamed"), detail)))
    faces = provenance.faces or {}
    if faces:
        rows.append(
            ("face tool", clean_line(f"{faces.get('name', 'unnamed')} {faces.get('version', '')}"))
        )
    speech = provenance.speech or {}
    if speech:
        detail = [f"revision {speech['revision'][:12]}"] if speech.get("revision") else []
        spoken = (speech.get("heard") or {}).get("language")
        detail += [f"language {spoken}"] if spoken else []
        rows.append(("speech", _with_detail(speech.get("id", "unnamed"), detail)))
    if provenance.observer and provenance.settings.get("fusion") not in NO_OBSERVER:
        rows.append(("observer", observer_text(provenance.observer)))
    labels = provenance.label_set.get("name") or provenance.settings.get("labels")
    if labels:
        rows.append(("labels", clean_line(labels)))
    rows.append(("kuleshov", clean_line(provenance.kuleshov)))
    if provenance.seconds:
        total = provenance.seconds.get("total", sum(provenance.seconds.values()))
        rows.append(("time", format_seconds(total)))
    return rows


def _with_detail(name: object, detail: Sequence[str]) -> str:
    return clean_line(f"{name} ({', '.join(detail)})" if detail else name)
