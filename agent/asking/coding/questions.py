"""The questions of a scheme as conversations: which picture, which words, in what order.

The pictures come first and are the same for all questions of a scope, so that they are read once.
People are named by numbered red boxes around their faces, drawn on one picture for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov.asking import images
from kuleshov.asking import writer as asking_writer
from kuleshov.asking.coding.scheme import Variable
from kuleshov.asking.family import CONTENT_FREE
from kuleshov.asking.writer import Writer
from kuleshov.evidence.collection import quote_text
from kuleshov.tools.mllm.base import Conversation

Wording = tuple[str, bool]
"""The question's text, and whether the options are listed in reverse order."""


@dataclass(frozen=True)
class Subject:
    """Who or what is coded, and the pictures that show it.

    people: none for the scene, one id for a person, two for a pair. boxed: whether numbered
    boxes show where they are; nobody's face may have been found.
    """

    people: tuple[int, ...]
    pictures: list[Any]
    boxed: bool = True


@dataclass(frozen=True)
class Asked:
    """A closed question about the scene, a person or a pair, ready to be scored."""

    variable: Variable
    talk: Conversation
    blank: Conversation
    key: str

    @property
    def taught(self) -> bool:
        """In the one form that the bundled model was taught."""
        return self.key.startswith("probe ")


class Questions:
    """Writes the conversations of one prompt family; `probes`: in the taught form alone."""

    def __init__(self, writer: Writer, probes: bool) -> None:
        self.writer, self.probes = writer, probes

    def closed(
        self,
        variable: Variable,
        subject: Subject,
        said: Sequence[str],
        wording: Wording | None = None,
    ) -> Asked:
        """One question with all its answers, and the same question about nothing at all."""
        blank = [images.blank_image()]
        if self.probes:
            assert variable.probe is not None
            return Asked(
                variable,
                self.writer.probe(subject.pictures, variable.probe),
                self.writer.probe(blank, variable.probe),
                f"probe {variable.probe}",
            )
        nobody = Subject(tuple(range(1, len(subject.people) + 1)), blank, subject.boxed)
        heard = [CONTENT_FREE] if variable.hears else []
        empty = self._text(variable, nobody, heard, wording)
        return Asked(
            variable,
            self._talk(subject.pictures, self._text(variable, subject, said, wording)),
            self._talk(blank, empty),
            empty,
        )

    def listed(
        self,
        variables: Sequence[Variable],
        subject: Subject,
        said: Sequence[str],
        wordings: Mapping[str, Wording],
    ) -> Conversation:
        """Counts and free texts of one scope, asked together as JSON."""
        words = [quote_text(line) for line in said] if any(v.hears for v in variables) else []
        asked = [
            variable.model_copy(update={"question": wordings[variable.name][0]})
            if variable.name in wordings
            else variable
            for variable in variables
        ]
        text = self.writer.family.render_prompt(
            "code_list",
            people=subject.people,
            boxed=subject.boxed,
            words=words,
            variables=asked,
        )
        return self._talk(subject.pictures, text)

    def _text(
        self,
        variable: Variable,
        subject: Subject,
        said: Sequence[str],
        wording: Wording | None,
    ) -> str:
        question, backwards = wording or (variable.question, False)
        options = list(variable.answers)
        if variable.type == "ordinal":
            ends = {options[0]: variable.low, options[-1]: variable.high}
            options = [f"{step} ({ends[step]})" if ends.get(step) else step for step in options]
        if backwards:
            options.reverse()
        return self.writer.family.render_prompt(
            "code",
            people=subject.people,
            boxed=subject.boxed,
            words=[quote_text(line) for line in said] if variable.hears else [],
            question=question,
            definition=variable.definition,
            options=options,
        )

    def _talk(self, pictures: Sequence[Any], text: str) -> Conversation:
        if self.writer.family.takes_instructions:
            instructions = self.writer.family.render_prompt("code_instructions")
            return [asking_writer.user_turn(instructions, *pictures, text)]
        return [asking_writer.user_turn(*pictures, text)]


def listed_schema(variables: Sequence[Variable]) -> dict[str, Any]:
    """The JSON of counts and texts; null where it cannot be told."""
    properties: dict[str, Any] = {}
    for variable in variables:
        told: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": variable.most or 80}
        if variable.type == "count":
            told = {"type": "integer", "minimum": 0, "maximum": variable.most or 99}
        properties[variable.name] = {"anyOf": [told, {"type": "null"}]}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
