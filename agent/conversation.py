"""The conversations that the nodes hold with the MLLM: which prompt, which pictures, in what order.

What is shared comes first (instructions, then the picture), so that the steps of one item can
reuse what the model has already read.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov import crops, prompts
from kuleshov.examples import Example
from kuleshov.state import Picture
from kuleshov.tools.mllm.base import Conversation, MllmInfo, Turn
from kuleshov.tools.types import Face, LabelSet
from kuleshov.types import Evidence

SHEET_PX = 1344  # longest side of a sheet of frames: four tiles of 336 pixels, LLaVA's input
CONTENT_FREE = "N/A"  # Zhao et al. 2021, Calibrate Before Use (ICML): the content-free input


def user(*parts: str | Any) -> Turn:
    """A user turn of texts, PIL images and videos (lists of PIL images) in the order given."""

    def told(part: Any) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        kind = "video" if isinstance(part, list) else "image"
        return {"type": kind, kind: part}

    return {"role": "user", "content": [told(part) for part in parts]}


def assistant(text: str) -> Turn:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def image(picture: Picture) -> Any:
    """The array as a PIL image, which is what chat templates take."""
    from PIL import Image

    return Image.fromarray(picture)


def person_crop(picture: Picture, face: Face, number: int) -> Any:
    """The person's surroundings, three faces wide, with a numbered red box around the face."""
    from PIL import ImageDraw, ImageFont

    x0, y0, x1, y1 = face.xyxy
    reach = max(x1 - x0, y1 - y0)
    left, top, right, bottom = crops.around(picture, face)
    crop = image(picture[top:bottom, left:right].copy())
    draw = ImageDraw.Draw(crop)
    line = max(2, round(reach / 50))
    draw.rectangle((x0 - left, y0 - top, x1 - left, y1 - top), outline=(255, 0, 0), width=line)
    font = ImageFont.load_default(size=max(12, round(reach / 5)))
    draw.text((x0 - left + line, y0 - top + line), str(number), fill=(255, 0, 0), font=font)
    return crop


def sheet(pictures: Sequence[Picture], times_s: Sequence[float], most: int = 9) -> Any:
    """At most `most` frames of a clip as one image, in rows, each with its time on it."""
    from PIL import Image

    step = max(1, -(-len(pictures) // most))
    shown = list(zip(pictures, times_s, strict=True))[::step]
    columns = math.ceil(math.sqrt(len(shown)))
    height, width = shown[0][0].shape[:2]
    scale = min(1.0, SHEET_PX / (columns * max(width, height)))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    whole = Image.new("RGB", (columns * wide, -(-len(shown) // columns) * high), (255, 255, 255))
    for i, (picture, time_s) in enumerate(shown):
        tile = image(picture).resize((wide, high))
        _mark(tile, f"{i + 1}: {time_s:.1f} s")
        whole.paste(tile, (i % columns * wide, i // columns * high))
    return whole


def video(pictures: Sequence[Picture], times_s: Sequence[float]) -> list[Any]:
    """The frames of a clip as a video, each with its time on it: what takes videos takes no times.

    At most as large as a tile of a sheet of nine.
    """
    frames = []
    for i, (picture, time_s) in enumerate(zip(pictures, times_s, strict=True)):
        frame = image(picture)
        frame.thumbnail((SHEET_PX // 3, SHEET_PX // 3))
        _mark(frame, f"{i + 1}: {time_s:.1f} s")
        frames.append(frame)
    return frames


def _mark(tile: Any, text: str) -> None:
    """White on black in the upper left corner."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size=max(12, tile.height // 12))
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, 0, *draw.textbbox((6, 3), text, font=font)[2:]), fill=(0, 0, 0))
    draw.text((3, 1), text, fill=(255, 255, 255), font=font)


def blank() -> Any:
    """The content-free picture: mid-grey."""
    from PIL import Image

    return Image.new("RGB", (336, 336), (127, 127, 127))


class Writer:
    """Writes the conversations of one prompt family for one model."""

    def __init__(self, family: str, info: MllmInfo, labels: LabelSet | None = None) -> None:
        """Args: labels: how the model is asked for them follows from their mode."""
        self.family = family
        self.several = info.many_images
        self.each = labels is not None and labels.mode == "multi"
        # the first word of an answer does not tell "joy: yes" from "joy: no"
        by_first_word = self.each and info.scores_by != "likelihood"
        self.stated = not info.scores_labels or by_first_word
        self.definitions = labels.definitions if labels else {}

    def for_numbers(self) -> Writer:
        """A writer that asks for stated numbers, for a model whose scores cannot be used."""
        made = copy.copy(self)
        made.stated = True
        return made

    def _about(self, labels: Sequence[str], *, expression: bool = False) -> dict[str, Any]:
        """What a question about labels is rendered with."""
        known = {label: self.definitions[label] for label in labels if label in self.definitions}
        return {
            "labels": labels,
            "definitions": known,
            "each": self.each,
            "expression": expression,
        }

    def _asked(self, node: str) -> str:
        """The template: a yes or no for each label, or numbers, instead of one label."""
        return "stated" if self.stated else "each" if self.each else node

    def scene(self, pictures: Sequence[Any]) -> Conversation:
        text = prompts.render(self.family, "scene")
        return [user(text, *pictures)] if self.family == "full" else [user(*pictures, text)]

    def probe(self, pictures: Sequence[Any], thing: str) -> Conversation:
        text = prompts.render(self.family, "probe", thing=thing)
        return [user(*pictures, text)]

    def _evidence(
        self,
        node: str,
        whole: Any,
        crop: Any | None,
        number: int | None,
        evidence: Sequence[Evidence],
        **variables: Any,
    ) -> Conversation:
        text = prompts.render(self.family, node, evidence=evidence, person=number, **variables)
        if self.family != "full":
            return [user(whole, text)]
        instructions = prompts.render(self.family, "judge_instructions")
        parts: list[Any] = [instructions, whole]
        if crop is not None and self.several:
            parts += [f"Person {number}, in the red box:", crop]
        return [user(*parts, text)]

    def judge(
        self,
        whole: Any,
        crop: Any | None,
        number: int | None,
        evidence: Sequence[Evidence],
        free: bool,
    ) -> Conversation:
        """Asks for the explanation as JSON."""
        return self._evidence("judge", whole, crop, number, evidence, free=free)

    def direct(
        self,
        whole: Any,
        crop: Any | None,
        number: int | None,
        evidence: Sequence[Evidence],
        labels: Sequence[str],
    ) -> Conversation:
        """Asks for one label straight from the evidence."""
        return self._evidence(
            self._asked("direct"), whole, crop, number, evidence, **self._about(labels)
        )

    def shots(self, examples: Sequence[Example], labels: Sequence[str]) -> Conversation:
        """The examples as turns that were had: what was seen, and the label that people gave.

        A model of one picture is told of them in words alone.
        """
        turns: Conversation = []
        for number, example in enumerate(examples):
            local, _ = numbered(example.evidence)
            text = prompts.render(
                self.family,
                self._asked("direct"),
                evidence=local,
                person=None,
                **self._about(labels),
            )
            parts: list[Any] = [text]
            if self.several:
                shown = example.picture
                cut = image(shown) if example.face is None else person_crop(shown, example.face, 1)
                parts = [cut, text]
            if self.family == "full" and number == 0:
                parts.insert(0, prompts.render(self.family, "judge_instructions"))
            turns += [user(*parts), assistant(self._given(example, labels))]
        return turns

    def expression_shots(self, examples: Sequence[Example], labels: Sequence[str]) -> Conversation:
        """The examples' faces alone; nothing for a model of one picture."""
        turns: Conversation = []
        for example in examples if self.several else ():
            if example.face is not None:
                cut = image(crops.face_alone(example.picture, example.face))
                turns += [*self.expression(cut, labels), assistant(self._given(example, labels))]
        return turns

    def _given(self, example: Example, labels: Sequence[str]) -> str:
        """What people answered: the label, or their votes where numbers are asked for."""
        if not self.stated:
            return example.labelled.label
        votes = example.labelled.votes or {example.labelled.label: 1.0}
        return json.dumps({label: round(100 * votes.get(label, 0.0)) for label in labels})

    def expression(self, face: Any, labels: Sequence[str]) -> Conversation:
        """Asks for the expression of one face and nothing else."""
        about = self._about(labels, expression=True)
        text = prompts.render(
            self.family, self._asked("expression"), evidence=None, person=None, **about
        )
        return [user(face, text)]

    def label(
        self, before: Conversation, answer: str, number: int | None, labels: Sequence[str]
    ) -> Conversation:
        """Asks for one label after the explanation `answer`."""
        text = prompts.render(
            self.family, self._asked("label"), evidence=None, person=number, **self._about(labels)
        )
        return [*before, assistant(answer), user(text)]

    def question(
        self,
        whole: Any,
        crop: Any | None,
        number: int | None,
        evidence: Sequence[Evidence],
        reading: str,
        asked: Sequence[tuple[str, str]],
    ) -> Conversation:
        """A user's question about the picture, after those that were answered before.

        Args:
            evidence: with the record's own numbers, which the answer is to cite.
            reading: the reading that the question is about, in words.
            asked: questions and answers; the last one's answer is not looked at.
        """
        # the marks around a question are the template's alone
        first, *others = [(re.sub(r"</?question>", "", words), told) for words, told in asked]
        talk = self._evidence(
            "question", whole, crop, number, evidence, reading=reading, question=first[0]
        )
        for (_, answer), (question, _) in itertools.pairwise([first, *others]):
            text = prompts.render(self.family, "follow_up", question=question)
            talk += [assistant(answer), user(text)]
        return talk

    def repair(
        self, before: Conversation, answer: str, complaints: Sequence[str], unreadable: bool
    ) -> Conversation:
        text = prompts.render(self.family, "repair", complaints=complaints, unreadable=unreadable)
        return [*before, assistant(answer), user(text)]


def each_answers(labels: Sequence[str]) -> list[str]:
    """Yes and no for every label, in turn: what is scored where labels do not exclude another."""
    return [f"{label}: {word}" for label in labels for word in ("yes", "no")]


def stated_schema(labels: Sequence[str]) -> dict[str, Any]:
    """The JSON that stated numbers follow: one in 0-100 for every label."""
    number = {"type": "integer", "minimum": 0, "maximum": 100}
    return {
        "type": "object",
        "properties": dict.fromkeys(labels, number),
        "required": list(labels),
        "additionalProperties": False,
    }


def stated_numbers(answer: str, labels: Sequence[str]) -> list[float]:
    """Read stated numbers, 0-1, in the order of the labels.

    Raises ValueError, KeyError or TypeError if one is missing or not a number in 0-100.
    """
    told = json.loads(answer)
    numbers = [told[label] for label in labels]
    if any(isinstance(n, bool) or not 0 <= n <= 100 for n in numbers):
        raise ValueError("not in 0-100")
    return [n / 100 for n in numbers]


def content_free() -> list[Evidence]:
    return [Evidence(n=1, source="none", kind="context", text=CONTENT_FREE)]


def content_free_answer(family: str) -> str:
    """The explanation after which the prior of an explained reading is taken."""
    if family == "review":
        return CONTENT_FREE
    stages = ("before", "after", "interpretation", "conclusion")
    told = dict.fromkeys(stages if family == "full" else ("explanation",), CONTENT_FREE)
    cues = [{"evidence": 1, "text": CONTENT_FREE}]
    return json.dumps({"cues": cues, **told}, separators=(",", ":"))


def numbered(evidence: Sequence[Evidence]) -> tuple[list[Evidence], dict[int, int]]:
    """The evidence of one person numbered from 1, and the way back to the record's numbers."""
    local = [item.model_copy(update={"n": i}) for i, item in enumerate(evidence, start=1)]
    return local, {i: item.n for i, item in enumerate(evidence, start=1)}


SCENE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "description": {"type": "string", "maxLength": 600},
        "setting": {"type": "string", "maxLength": 120},
        "activity": {"type": "string", "maxLength": 160},
        "people": {"type": "string", "maxLength": 240},
        "people_present": {"type": "boolean"},
        "objects": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 8},
        "mood_words": {
            "type": "array",
            "items": {"type": "string", "maxLength": 24},
            "maxItems": 6,
        },
    },
    "required": [
        "description",
        "setting",
        "activity",
        "people",
        "people_present",
        "objects",
        "mood_words",
    ],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Told:
    """An explanation as the model gave it: its cues with the numbers that it saw."""

    text: str
    cues: tuple[tuple[int, str], ...]
    antecedent: str | None = None
    consequence: str | None = None


def explained(family: str, answer: str) -> Told:
    """Read the model's explanation. Raises ValueError, KeyError or TypeError if it cannot be."""
    if family == "review":  # asked in free words, it cites nothing
        if not answer.strip():
            raise ValueError("no explanation")
        return Told(answer.strip(), ())
    told = json.loads(answer)
    stages = ("interpretation", "conclusion") if family == "full" else ("explanation",)
    text = " ".join(part for stage in stages if (part := told[stage].strip()))
    if not text:
        raise ValueError("no explanation")
    return Told(
        text=text,
        cues=tuple((cue["evidence"], cue["text"].strip()) for cue in told["cues"]),
        antecedent=told.get("before", "").strip() or None,
        consequence=told.get("after", "").strip() or None,
    )


def judge_schema(family: str, numbers: Sequence[int], free: bool) -> dict[str, Any] | None:
    """The JSON an explanation must follow; it can cite no evidence that is not there.

    The full family reasons in stages: key observations (cues), what came before and may follow,
    overall interpretation, conclusion. The review's prompts are answered in free words: None.
    """
    if family == "review":
        return None
    properties: dict[str, Any] = {
        "cues": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "evidence": {"enum": list(numbers)},
                    "text": {"type": "string", "maxLength": 120},
                },
                "required": ["evidence", "text"],
                "additionalProperties": False,
            },
            "minItems": 1,
            "maxItems": 4,
        },
    }
    stages = {"explanation": 500}
    if family == "full":
        stages = {"before": 160, "after": 160, "interpretation": 400, "conclusion": 200}
    for stage, most in stages.items():
        properties[stage] = {"type": "string", "maxLength": most}
    if free:
        properties["emotions"] = {
            "type": "array",
            "items": {"type": "string", "minLength": 3, "maxLength": 24, "pattern": "^[a-z -]+$"},
            "minItems": 1,
            "maxItems": 5,
        }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
