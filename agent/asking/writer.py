"""The conversations that the nodes hold with the MLLM: which prompt, which pictures, in what order.

What is shared comes first (instructions, then the picture), so that the steps of one item can
reuse what the model has already read.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from kuleshov.asking import images
from kuleshov.asking.examples import FewShotExample
from kuleshov.asking.family import CONTENT_FREE, PromptFamily
from kuleshov.asking.images import person_crop, to_image
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm.base import Conversation, MllmInfo, Turn
from kuleshov.types import Evidence


def user_turn(*parts: str | Any) -> Turn:
    """A user turn of texts, PIL images and videos (lists of PIL images) in the order given."""

    def told(part: Any) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        kind = "video" if isinstance(part, list) else "image"
        return {"type": kind, kind: part}

    return {"role": "user", "content": [told(part) for part in parts]}


def assistant_turn(text: str) -> Turn:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


class Writer:
    """Writes the conversations of one prompt family for one model."""

    def __init__(
        self, family: PromptFamily, info: MllmInfo, labels: LabelSet | None = None
    ) -> None:
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
        text = self.family.render_prompt("scene")
        return (
            [user_turn(text, *pictures)]
            if self.family.takes_instructions
            else [user_turn(*pictures, text)]
        )

    def probe(self, pictures: Sequence[Any], thing: str) -> Conversation:
        text = self.family.render_prompt("probe", thing=thing)
        return [user_turn(*pictures, text)]

    def _evidence(
        self,
        node: str,
        whole: Any,
        crop: Any | None,
        number: int | None,
        evidence: Sequence[Evidence],
        **variables: Any,
    ) -> Conversation:
        text = self.family.render_prompt(node, evidence=evidence, person=number, **variables)
        if not self.family.takes_instructions:
            return [user_turn(whole, text)]
        instructions = self.family.render_prompt("judge_instructions")
        parts: list[Any] = [instructions, whole]
        if crop is not None and self.several:
            parts += [crop, f"{name_pictures(whole, number)}\n"]
        return [user_turn(*parts, text)]

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

    def seen(
        self, whole: Any, crop: Any | None, number: int | None, told: str | None
    ) -> Conversation:
        """Asks what most people would see in the person; no label is listed.

        Args:
            told: what is known of the situation in words; None: nothing, the picture is all.
        """
        return self._evidence("seen", whole, crop, number, (), told=told)

    def situation(self, picture: Any, label: str) -> Conversation:
        """Asks for a situation in which most people would see the label in a person."""
        return [user_turn(picture, self.family.render_prompt("situation", label=label))]

    def example_turns(
        self, examples: Sequence[FewShotExample], labels: Sequence[str]
    ) -> Conversation:
        """The examples as turns that were had: what was seen, and the label that people gave.

        A model of one picture is told of them in words alone.
        """
        turns: Conversation = []
        for number, example in enumerate(examples):
            local, _ = self.family.number_evidence(example.evidence)
            text = self.family.render_prompt(
                self._asked("direct"),
                evidence=local,
                person=None,
                **self._about(labels),
            )
            parts: list[Any] = [text]
            if self.several:
                shown = example.picture
                cut = (
                    to_image(shown) if example.face is None else person_crop(shown, example.face, 1)
                )
                parts = [cut, text]
            if self.family.takes_instructions and number == 0:
                parts.insert(0, self.family.render_prompt("judge_instructions"))
            turns += [user_turn(*parts), assistant_turn(self._given(example, labels))]
        return turns

    def expression_example_turns(
        self, examples: Sequence[FewShotExample], labels: Sequence[str]
    ) -> Conversation:
        """The examples' faces alone; nothing for a model of one picture."""
        turns: Conversation = []
        for example in examples if self.several else ():
            if example.face is not None:
                cut = to_image(images.face_alone(example.picture, example.face))
                turns += [
                    *self.expression(cut, labels),
                    assistant_turn(self._given(example, labels)),
                ]
        return turns

    def _given(self, example: FewShotExample, labels: Sequence[str]) -> str:
        """What people answered: the label, or their votes where numbers are asked for."""
        if not self.stated:
            return example.labelled.label
        votes = example.labelled.votes or {example.labelled.label: 1.0}
        return json.dumps({label: round(100 * votes.get(label, 0.0)) for label in labels})

    def expression(self, face: Any, labels: Sequence[str]) -> Conversation:
        """Asks for the expression of one face and nothing else."""
        about = self._about(labels, expression=True)
        text = self.family.render_prompt(
            self._asked("expression"), evidence=None, person=None, **about
        )
        return [user_turn(face, text)]

    def label(
        self, before: Conversation, answer: str, number: int | None, labels: Sequence[str]
    ) -> Conversation:
        """Asks for one label after the explanation `answer`."""
        text = self.family.render_prompt(
            self._asked("label"), evidence=None, person=number, **self._about(labels)
        )
        return [*before, assistant_turn(answer), user_turn(text)]

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
            text = self.family.render_prompt("follow_up", question=question)
            talk += [assistant_turn(answer), user_turn(text)]
        return talk

    def repair(
        self, before: Conversation, answer: str, complaints: Sequence[str], unreadable: bool
    ) -> Conversation:
        text = self.family.render_prompt("repair", complaints=complaints, unreadable=unreadable)
        return [*before, assistant_turn(answer), user_turn(text)]


def name_pictures(whole: Any, number: int | None) -> str:
    """What the pictures are that come before: the whole, and the person in the red box. In words
    that hold wherever a model's template puts the pictures."""
    if isinstance(whole, list):
        first, second = "The video is the clip.", "The picture after it"
    elif getattr(whole, "info", {}).get(images.SHEET):
        first, second = "Picture 1 shows frames of a clip, in order of time.", "Picture 2"
    else:
        first, second = "Picture 1 is the whole scene.", "Picture 2"
    return f"{first} {second} shows person {number}, in the red box."


def content_free() -> list[Evidence]:
    return [Evidence(n=1, source="none", kind="context", text=CONTENT_FREE)]
