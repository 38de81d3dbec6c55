"""The HTML report: inferences with their pictures in one file that needs nothing else.

The file loads nothing: pictures are inside it, its content security policy forbids every
address, and its script is allowed by hash. All words of models and users are escaped.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from kuleshov.evidence import influence
from kuleshov.output import coded_view, view
from kuleshov.output.files import check_path, write_page
from kuleshov.output.unit_plots import end_s, time_ticks, unit_plots
from kuleshov.tools.media import Frame
from kuleshov.tools.types import ActionUnit, EmotionScores, Face
from kuleshov.types import Condition, Cue, Inference, Judgement, Person

PICTURE_PX = 1200  # longest side of an embedded picture
FRAME_PX = 720  # of one of a clip's frames
CROP_PX = 288  # of a face
KEY_FRAMES = 8
MANY_LABELS = 10  # from here on, labels below 1 % share a line
COMPARED_LABELS = 8

# One colour a label in plots over time, told apart with red-green blindness too; the labels
# stand beside them in words.
COLOURS = {
    "anger": "#c2412d",
    "disgust": "#6f8428",
    "fear": "#8261b3",
    "happiness": "#e3a72b",
    "sadness": "#3c77b8",
    "surprise": "#27a197",
    "neutral": "#a39d93",
    "contempt": "#b3618f",
}
OTHER_COLOURS = tuple(COLOURS.values())
# dark to light through red, like matplotlib's inferno (CC0)
HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], float)

Rgb = NDArray[np.uint8]
Heat = Any  # (H, W) float 0-1 over the face box, or (grey (H, W) uint8 as the net saw it, that)


def report_html(
    inferences: Sequence[Inference],
    pictures: Mapping[str, Sequence[Rgb]],
    *,
    heatmaps: Mapping[tuple[str, int], Heat] | None = None,
) -> str:
    """One self-contained HTML page about all inferences, in the order given.

    Args:
        inferences: what was read; at least one.
        pictures: by `media.sha256`, the images as (height, width, 3) RGB uint8: one of a
            picture, one a sampled frame of a clip. Without its picture a reading is shown all
            the same.
        heatmaps: by (`media.sha256`, person id), what the expression rested on: a float array
            in 0-1 that covers the face box, or a pair of the grey face as the net saw it and
            such an array over that.
    """
    folder = files("kuleshov.output") / "templates"
    script = (folder / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    readings = [
        view_reading(number, inference, pictures.get(inference.media.sha256), heatmaps)
        for number, inference in enumerate(inferences, start=1)
    ]
    return (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            readings=readings,
            caveats=list(
                dict.fromkeys(view.clean_line(inference.caveat) for inference in inferences)
            ),
            statuses=view.STATUSES,
            scales={name.replace("_", "-"): told for name, told in view.SCALES.items()},
            script=Markup(script),
            style=Markup((folder / "report.css").read_text("utf-8")),
            script_hash=Markup(f"'sha256-{digest}'"),
        )
    )


def page_environment(*folders: str) -> Environment:
    """The templates of the pages: strict, and everything escaped that is not marked safe.

    `folders` are looked through before the report's own.
    """
    found = Environment(
        loader=FileSystemLoader([*folders, str(files("kuleshov.output") / "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["clean"] = view.clean_line
    return found


def write_report(
    path: str | os.PathLike[str],
    inferences: Sequence[Inference],
    pictures: Mapping[str, Sequence[Rgb]],
    *,
    heatmaps: Mapping[tuple[str, int], Heat] | None = None,
) -> None:
    """Write `report_html` to `path`; the file is complete or not there at all.

    Raises:
        KuleshovError: the path cannot be written; its text is one sentence.
    """
    check_path(path)
    write_page(path, report_html(inferences, pictures, heatmaps=heatmaps))


# ------------------------------------------------------------------------------- pictures


def label_colour(label: str, place: int) -> str:
    """The colour of a label in plots; a label without one of its own by its place in the set."""
    return COLOURS.get(label) or OTHER_COLOURS[place % len(OTHER_COLOURS)]


def jpeg_address(image: Any, longest: int) -> str:
    """A PIL image as a data address, no side longer than `longest`."""
    image = image.convert("RGB")
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _crop_face(picture: Rgb, box: Sequence[float], margin: float) -> Any:
    """The box and `margin` of its size around it, cut at the border; None if it lies outside."""
    from PIL import Image

    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box
    reach = margin * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - reach)), max(0, int(y0 - reach))
    right, bottom = min(width, int(x1 + reach) + 1), min(height, int(y1 + reach) + 1)
    if left >= right or top >= bottom:
        return None
    return Image.fromarray(np.ascontiguousarray(picture[top:bottom, left:right]))


def _heat_image(heat: Heat, picture: Rgb | None, box: Sequence[float] | None) -> str | None:
    """The heat map over the face it belongs to, as a data address."""
    from PIL import Image

    base: Any = None
    if isinstance(heat, tuple):
        seen, heat = heat
        base = Image.fromarray(np.asarray(seen, np.uint8))
    elif picture is not None and box is not None:
        base = _crop_face(picture, box, 0)
    values = np.asarray(heat, dtype=float)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"a heat map must be (height, width) and finite but got {values.shape}")
    if base is None:
        return None
    size = (CROP_PX, round(CROP_PX * base.height / base.width))
    grey = np.asarray(base.convert("L").resize(size, Image.Resampling.BICUBIC), float)[..., None]
    smooth = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(smooth, float), 0, 1)
    colour = np.stack(
        [np.interp(level, np.linspace(0, 1, len(HEAT)), HEAT[:, i]) for i in range(3)], axis=-1
    )
    weight = 0.75 * level[..., None] ** 0.7
    mixed = grey * (1 - weight) + colour * weight
    return jpeg_address(Image.fromarray(mixed.astype(np.uint8)), CROP_PX)


def _frame_place(inference: Inference, face: Face | None) -> int | None:
    """The place of the face's frame among the sampled ones; 0 for a picture, None if unknown."""
    if inference.media.kind == "image":
        return 0
    for place, frame in enumerate(inference.media.frames):
        if face is not None and _is_in(face, frame):
            return place
    return None


def _is_in(face: Face, frame: Frame) -> bool:
    return frame.index == face.frame or frame.time_s == face.time_s


def _view_frames(
    number: int, inference: Inference, images: Sequence[Rgb] | None
) -> list[dict[str, Any]]:
    """The picture, or a clip's key frames, each with the boxes of the people in it."""
    from PIL import Image

    media = inference.media
    clip = media.kind == "clip"
    places = list(range(max(1, len(media.frames)))) if clip else [0]
    apexes: set[int | None] = {_frame_place(inference, person.face) for person in inference.people}
    read = {moment.frame for person in inference.people for moment in person.moments}
    apexes |= {place for place, frame in enumerate(media.frames) if frame.index in read}
    kept = sorted({*view.thin_items(places, KEY_FRAMES), *(p for p in apexes if p is not None)})
    shots = []
    for place in kept:
        time = media.frames[place].time_s if clip and media.frames else None
        boxes = []
        for person in inference.people:
            box, face = person.box_xyxy, person.face
            if clip:
                here = media.frames[place : place + 1]
                face = next((f for f in person.timeline if here and _is_in(f, here[0])), None)
                box = face.xyxy if face else None
            if box is None:
                continue
            top = _top_label(person.emotions)
            if clip:
                top = _top_label(face.expression) if face else None
            boxes.append(
                {
                    "person": person.id,
                    "x": box[0],
                    "y": box[1],
                    "width": box[2] - box[0],
                    "height": box[3] - box[1],
                    "label": f"Person {person.id}" + (f": {top}" if top else ""),
                }
            )
        data = None
        if images is not None and place < len(images):
            data = jpeg_address(
                Image.fromarray(np.ascontiguousarray(images[place])),
                FRAME_PX if clip else PICTURE_PX,
            )
        shots.append(
            {
                "id": f"r{number}-s{place}",
                "place": place,
                "time": None if time is None else view.format_seconds(time),
                "data": data,
                "boxes": boxes,
                "pixels": max(media.size),
            }
        )
    return shots


# ------------------------------------------------------------------------------- readings


def _top_label(scores: EmotionScores | None) -> str | None:
    return None if scores is None else view.score_headline(scores)


def view_reading(
    number: int,
    inference: Inference,
    images: Sequence[Rgb] | None,
    heatmaps: Mapping[tuple[str, int], Heat] | None = None,
) -> dict[str, Any]:
    """Everything that a page shows of one inference, in plain values, for `reading.html.jinja`.

    Args:
        number: begins the ids of its parts, `r1-…`; another for each inference on a page.
        inference: what was read.
        images: as of `report_html`; None: shown without its pictures.
        heatmaps: as of `report_html`.
    """
    shots = _view_frames(number, inference, images)
    people = [
        _view_person(number, inference, person, images, heatmaps or {}, shots)
        for person in inference.people
    ]
    ids = {person.id for person in inference.people}
    unshown = [
        item
        for item in inference.evidence
        if item.person not in ids and (item.person is not None or not ids)
    ]
    return {
        "id": f"r{number}",
        "title": view.media_title(inference.media),
        "clip": inference.media.kind == "clip",
        "size": inference.media.size,
        "cover_all": inference.provenance.settings.get("cover", "all") == "all",
        "facts": view.media_facts(inference),
        "shots": shots,
        "main": shots[len(shots) // 2],
        "scene": inference.scene,
        "scene_source": view.scene_source(inference),
        "details": view.scene_details(inference),
        "scheme": view.clean_line((inference.provenance.scheme or {}).get("name", "")),
        "coded": coded_view.group_variables(inference),
        "told": [e for e in inference.evidence if e.kind in ("context", "transcript")],
        "people": people,
        "evidence": [_view_evidence(f"r{number}", item) for item in unshown],
        "gaps": view.list_gaps(inference),
        "warnings": inference.warnings,
        "tools": view.tools_used(inference.provenance),
        "provenance": flatten_values(
            {"media": inference.media.model_dump(mode="json", exclude={"frames"})}
            | inference.provenance.model_dump(mode="json")
        ),
    }


def _view_person(
    number: int,
    inference: Inference,
    person: Person,
    images: Sequence[Rgb] | None,
    heatmaps: Mapping[tuple[str, int], Heat],
    shots: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    anchor = f"r{number}-p{person.id}"
    place = _frame_place(inference, person.face)
    picture = None
    if images is not None and place is not None and place < len(images):
        picture = images[place]
    crop = (
        _crop_face(picture, person.box_xyxy, 0.25)
        if picture is not None and person.box_xyxy
        else None
    )
    heat = heatmaps.get((inference.media.sha256, person.id))
    own = view.evidence_of(inference, person.id)
    whole = view.evidence_of(inference, None)
    known = {item.n for item in (*own, *whole)}
    told = person.explanation
    shot = next((shot for shot in shots if shot["place"] == place), None)
    return {
        "id": person.id,
        "anchor": anchor,
        "top": _top_label(person.emotions),
        "face": person.face,
        "crop": jpeg_address(crop, CROP_PX) if crop else None,
        "shot": shot,
        "around": _view_box(person.box_xyxy, inference.media.size) if shot else None,
        "box": person.box_xyxy,
        "heat": None if heat is None else _heat_image(heat, picture, person.box_xyxy),
        "heat_label": view.top_score(person.face.expression)
        if person.face and person.face.expression
        else None,
        "distribution": _view_distribution(person.emotions),
        "labels": person.emotions.labels if person.emotions else None,
        "method": person.emotions.method if person.emotions else None,
        "fusion": view.fusion_text(person.emotions) if person.emotions else None,
        "unanswered": None if person.emotions else person.unanswered or "no reason given",
        "affect": [
            {"name": name, "text": view.format_signed(value), "value": value}
            for name, value in (("valence", person.valence), ("arousal", person.arousal))
            if value is not None
        ],
        "comparison": _view_comparison(person),
        "influence": _view_influence(person),
        "incongruence": person.incongruence or (),
        "units": _view_units(person.face) if person.face else None,
        "stream": _expression_stream(inference, person),
        "moments": _view_moments(inference, person, shots),
        "unit_plots": unit_plots(inference, person, shots),
        "explanation": told,
        "words": _split_explanation(told.text, told.cues, known) if told else [],
        "known": known,
        "own": [_view_evidence(anchor, item) for item in own],
        "whole": [_view_evidence(anchor, item) for item in whole],
    }


def _view_box(box: Sequence[float] | None, size: Sequence[int]) -> str | None:
    """A 4:3 cut around the face, three faces wide, as an SVG viewBox; None without a box."""
    if box is None:
        return None
    width = 3 * max(box[2] - box[0], box[3] - box[1])
    width = min(width, size[0], size[1] * 4 / 3)
    height = width * 3 / 4
    x = min(max(0.0, (box[0] + box[2]) / 2 - width / 2), size[0] - width)
    y = min(max(0.0, (box[1] + box[3]) / 2 - height / 2), size[1] - height)
    return f"{x:.1f} {y:.1f} {width:.1f} {height:.1f}"


def _view_evidence(anchor: str, item: Any) -> dict[str, Any]:
    units = item.units or ((item.unit,) if item.unit else ())
    return {
        "id": f"{anchor}-e{item.n}",
        "n": item.n,
        "text": item.text,
        "source": item.source,
        "units": " ".join(map(str, units)),
    }


def _label_row(label: str, p: float) -> dict[str, Any]:
    return {"label": view.clean_line(label), "p": p, "percent": view.format_percent(p)}


def _view_distribution(scores: EmotionScores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    many = len(scores.probabilities) > MANY_LABELS
    shown, rest = view.split_scores(scores) if many else (scores.ranked(), [])
    return {"rows": [_label_row(label, p) for label, p in shown], "rest": rest}


def _view_influence(person: Person) -> dict[str, Any] | None:
    found = person.influence
    if found is None:
        return None
    return {
        "text": view.influence_text(found),
        "index": found.index,
        "moved": view.shift_text(found),
        "together": view.third_reading(found),
    }


def _compared_judgements(person: Person) -> list[tuple[str, Judgement]]:
    """The readings to set side by side: those that the influence was taken from, if there are."""
    found = person.influence
    if found is None or found.both is None:
        return [(view.judgement_text(judgement), judgement) for judgement in person.judgements]
    readings: list[tuple[str, Condition, EmotionScores | None]] = [
        (view.CONDITIONS["face"], "face", found.face),
        (view.CONDITIONS["context"], "context", found.context),
        (view.third_reading(found), "both", found.both),
    ]
    if found.computed is not None:
        readings.append((influence.COMPUTED, "both", found.computed))
    return [
        (
            name,
            Judgement(condition=of, emotions=scores, unanswered=None if scores else "no reading"),
        )
        for name, of, scores in readings
    ]


def _view_comparison(person: Person) -> list[dict[str, Any]]:
    """The judgements side by side, their labels in one order: by the greatest among them."""
    compared = _compared_judgements(person)
    answered = [judgement.emotions for _, judgement in compared if judgement.emotions]
    greatest: dict[str, float] = {}
    for scores in answered:
        for label, p in scores.probabilities.items():
            greatest[label] = max(p, greatest.get(label, 0))
    labels = sorted(greatest, key=lambda label: -greatest[label])[:COMPARED_LABELS]
    order = {"face": 0, "context": 1, "both": 2}
    return [
        {
            "condition": judgement.condition,
            "name": name,
            "top": judgement.emotions.top if judgement.emotions else None,
            "rows": [
                _label_row(label, judgement.emotions.probabilities[label])
                for label in labels
                if label in judgement.emotions.probabilities
            ]
            if judgement.emotions
            else [],
            "method": judgement.emotions.method if judgement.emotions else None,
            "unanswered": None if judgement.emotions else judgement.unanswered or "no reason given",
        }
        for name, judgement in sorted(compared, key=lambda one: order[one[1].condition])
    ]


def _view_units(face: Face) -> dict[str, Any]:
    known = view.group_units(face)

    def row(unit: ActionUnit) -> dict[str, Any]:
        return {
            "unit": unit.unit,
            "name": view.unit_name(unit),
            "shown": unit.shown,
            "number": view.unit_number(unit)
            + (f" ({known.halves[unit.unit]})" if unit.unit in known.halves else ""),
            "value": unit.value,
            "share": view.unit_share(unit),
            "weak": unit.weak,
        }

    return {
        "scales": view.scales_text(face),
        "pain": view.pain_text(face),
        "shown": [row(unit) for unit in known.shown],
        "absent": [row(unit) for unit in known.absent],
        "untold": [row(unit) for unit in known.untold],
        "unmeasured": known.unmeasured,
        "any": bool(known.shown or known.absent or known.untold),
    }


def _split_explanation(
    text: str, cues: Sequence[Cue], known: set[int]
) -> list[tuple[str, Cue | None]]:
    """The explanation in pieces; where it says a cue word for word, the piece has that cue."""
    text = view.clean_line(text)
    spans: list[tuple[int, int, Cue]] = []
    for cue in cues:
        words = view.clean_line(cue.text).rstrip(".")
        start = text.casefold().find(words.casefold()) if words else -1
        # casefold may change lengths; then the place is not certain and nothing is marked
        if start < 0 or len(text.casefold()) != len(text) or cue.evidence not in known:
            continue
        if all(start >= end or start + len(words) <= begin for begin, end, _ in spans):
            spans.append((start, start + len(words), cue))
    pieces: list[tuple[str, Cue | None]] = []
    last = 0
    for start, end, cue in sorted(spans, key=lambda span: span[0]):
        pieces += [(text[last:start], None), (text[start:end], cue)]
        last = end
    return [piece for piece in [*pieces, (text[last:], None)] if piece[0]]


def flatten_values(values: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested values as rows like (`settings.labels`, `ekman-7`); None and "" are left out."""
    if isinstance(values, Mapping):
        rows = []
        for key, value in values.items():
            rows += flatten_values(value, f"{name}.{key}" if name else str(key))
        return rows
    if isinstance(values, (list, tuple)):
        if any(isinstance(value, (Mapping, list, tuple)) for value in values):
            return [
                row
                for i, value in enumerate(values)
                for row in flatten_values(value, f"{name}.{i}")
            ]
        values = ", ".join(map(str, values))
    return [] if values in (None, "") else [(view.clean_line(name), view.clean_line(values))]


# ------------------------------------------------------------------------------- over time


def _view_moments(
    inference: Inference, person: Person, shots: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The readings of a clip's moments, each with the key frame it was read from."""
    places = {frame.index: place for place, frame in enumerate(inference.media.frames)}
    known = {shot["place"]: shot["id"] for shot in shots}
    return [
        {
            "shot": known.get(places.get(moment.frame, -1)) if moment.frame is not None else None,
            "time": f"{moment.start_s:.1f}–{moment.end_s:.1f} s",
            "time_s": moment.time_s,
            "text": view.brief_scores(moment.emotions, 2) if moment.emotions else "unanswered",
        }
        for moment in person.moments
    ]


def _expression_stream(inference: Inference, person: Person) -> dict[str, Any] | None:
    """Expression over time as stacked areas in a box of 100 × 100, time from left to right.

    A moment without an expression breaks the areas: unknown is not 0.
    """
    moments = view.list_moments(inference, person)
    measured = [moment.expression for moment in moments if moment.expression is not None]
    if not measured:
        return None
    labels = list(dict.fromkeys(label for scores in measured for label in scores.probabilities))
    end = end_s(inference, person)
    runs: list[list[view.MomentView]] = [[]]
    for moment in moments:
        if moment.expression is None:
            runs.append([])
        else:
            runs[-1].append(moment)
    areas = []
    for place, label in enumerate(labels):
        path = ""
        for run in filter(None, runs):
            points = []
            for moment in run:
                assert moment.expression is not None
                p = moment.expression.probabilities
                low = sum(p.get(other, 0.0) for other in labels[:place])
                points.append((100 * moment.time_s / end, low, low + p.get(label, 0.0)))
            if len(points) == 1:  # a moment on its own: a bar as wide as can be seen
                x, low, high = points[0]
                points = [(x - 0.6, low, high), (x + 0.6, low, high)]
            upper = " L".join(f"{x:.2f} {100 - 100 * high:.2f}" for x, _, high in points)
            lower = " L".join(f"{x:.2f} {100 - 100 * low:.2f}" for x, low, _ in reversed(points))
            path += f"M{upper} L{lower} Z"
        areas.append(
            {"label": view.clean_line(label), "path": path, "colour": label_colour(label, place)}
        )
    return {
        "areas": areas,
        "end": view.format_seconds(end),
        "end_s": end,
        "ticks": [{"x": 100 * time / end, "text": f"{time:g}"} for time in time_ticks(end)],
        "missing": any(moment.expression is None for moment in moments),
        "moments": [
            {
                "x": 100 * moment.time_s / end,
                "time": view.format_seconds(moment.time_s),
                "missing": moment.missing,
                "top": _top_label(moment.expression),
                "text": view.brief_scores(moment.expression, 4)
                if moment.expression
                else moment.missing,
                "values": [
                    _label_row(label, moment.expression.probabilities[label])
                    if label in moment.expression.probabilities
                    else None
                    for label in labels
                ]
                if moment.expression
                else [],
            }
            for moment in moments
        ],
    }
