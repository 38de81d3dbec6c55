"""Prompt families: what differs between `brief`, `full` and `review` beside the templates' words.

A family is a folder of templates (`kuleshov.prompts`) together with the pictures that its wording
supposes, the form of the answers that it asks for, and how these are read. Everything else asks the
family; nothing asks for its name, which is for the record alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov import prompts
from kuleshov.asking import answers
from kuleshov.asking.answers import LIMITS, MOST_CUE, SCENE_SCHEMA, Told
from kuleshov.evidence import generated
from kuleshov.evidence.collection import as_taught, with_unit_names
from kuleshov.tools.errors import KuleshovError, suggest_word
from kuleshov.types import Evidence

CONTENT_FREE = "N/A"  # Zhao et al. 2021, Calibrate Before Use (ICML): the content-free input


@dataclass(frozen=True)
class PromptFamily:
    """One family of prompts.

    name: of the folder of templates, and in the record.
    takes_instructions: instructions stand before the pictures.
    several_pictures: the person is shown in a red box beside the whole picture, where the model
        takes several pictures.
    sheet: all frames of a clip are shown at once, on a sheet or as a video; else one frame.
    by_pixels: the context is read from the covered picture itself; else from its description.
    taught_words: evidence is told in the words that the bundled model was trained on; else units
        stand by name, with the code behind.
    stages: fields of an explanation besides its cues; none: it is given in free words.
    text_stages: those of them that are its text.
    scene_fields: a scene is described in the fields of `answers.SCENE_SCHEMA`, else in free words.
    scene_tokens: the longest description; None: as long as other answers.
    mends_contradictions: may be asked to repair cues that are at odds with what was measured.
    asks_situation: has the questions of `asking.situation`.
    takes_examples: has the form in which few-shot examples are shown.
    """

    name: str
    takes_instructions: bool = False
    several_pictures: bool = False
    sheet: bool = False
    by_pixels: bool = False
    taught_words: bool = False
    stages: tuple[str, ...] = ()
    text_stages: tuple[str, ...] = ()
    scene_fields: bool = False
    scene_tokens: int | None = None
    mends_contradictions: bool = False
    asks_situation: bool = False
    takes_examples: bool = False

    @property
    def free_words(self) -> bool:
        """Whether explanations are given in free words, which cite nothing."""
        return not self.stages

    @property
    def scene_schema(self) -> dict[str, Any] | None:
        """The JSON that the description of a scene follows; None: free words."""
        return SCENE_SCHEMA if self.scene_fields else None

    def render_prompt(self, node: str, **variables: Any) -> str:
        """As `prompts.render_prompt`, of this family."""
        return prompts.render_prompt(self.name, node, **variables)

    def number_evidence(
        self, evidence: Sequence[Evidence]
    ) -> tuple[list[Evidence], dict[int, int]]:
        """The evidence of one person as the family is told it, numbered from 1, and the way back to
        the record's numbers.
        """
        told = as_taught(evidence) if self.taught_words else with_unit_names(evidence)
        local = [item.model_copy(update={"n": i}) for i, item in enumerate(told, start=1)]
        return local, {i: item.n for i, item in enumerate(told, start=1)}

    def read_scene(self, answer: str) -> dict[str, Any]:
        """The fields of a scene as the model told them.

        Raises:
            ValueError: it cannot be read.
        """
        return answers.read_scene(answer) if self.scene_fields else {"description": answer.strip()}

    def explanation_schema(self, numbers: Sequence[int], free: bool) -> dict[str, Any] | None:
        """The JSON an explanation must follow; it can cite no evidence that is not there.

        Args:
            numbers: of the evidence, as the model is told it.
            free: whether the model is to choose words for the emotion.

        Returns:
            None where it is given in free words.
        """
        if self.free_words:
            return None
        properties: dict[str, Any] = {
            "cues": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "evidence": {"enum": list(numbers)},
                        "text": {"type": "string", "maxLength": MOST_CUE},
                    },
                    "required": ["evidence", "text"],
                    "additionalProperties": False,
                },
                "minItems": 1,
                "maxItems": 4,
            },
        }
        for stage in self.stages:
            properties[stage] = {"type": "string", "maxLength": LIMITS[stage]}
        if free:
            word = {"type": "string", "minLength": 3, "maxLength": 24, "pattern": "^[a-z -]+$"}
            properties["emotions"] = {"type": "array", "items": word, "minItems": 1, "maxItems": 5}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def parse_explanation(self, answer: str, finished: bool = True) -> Told:
        """Read the model's explanation; of one that breaks off, what is whole of it.

        Args:
            finished: False where the answer was cut for length.

        Raises:
            ValueError, KeyError or TypeError: it cannot be read.
        """
        if self.free_words:
            words = answer.strip() if finished else generated.cut_back(answer)
            if not words:
                raise ValueError("no explanation")
            return Told(words, ())
        told, whole = answers.read_fields(answer)

        def words_of(stage: str) -> str:
            if stage not in told and not whole:
                return ""
            return generated.tidy_field(told[stage], LIMITS[stage])

        text = " ".join(part for stage in self.text_stages if (part := words_of(stage)))
        if not text:
            raise ValueError("no explanation")
        given = told["cues"] if whole else told.get("cues", [])
        cues = [(cue["evidence"], generated.tidy_field(cue["text"], MOST_CUE)) for cue in given]
        return Told(
            text=text,
            cues=tuple((number, words) for number, words in cues if words),
            antecedent=(words_of("before") or None) if "before" in told else None,
            consequence=(words_of("after") or None) if "after" in told else None,
        )

    def content_free_answer(self) -> str:
        """The explanation after which the prior of an explained reading is taken."""
        if self.free_words:
            return CONTENT_FREE
        cues = [{"evidence": 1, "text": CONTENT_FREE}]
        told = {"cues": cues, **dict.fromkeys(self.stages, CONTENT_FREE)}
        return json.dumps(told, separators=(",", ":"))


BRIEF = PromptFamily(
    name="brief",
    taught_words=True,
    stages=("explanation",),
    text_stages=("explanation",),
    scene_tokens=60,  # no more than a sentence, which is always cut for length
    asks_situation=True,
    takes_examples=True,
)
"""For small models, the bundled one among them, which was trained on its wording."""

FULL = PromptFamily(
    name="full",
    takes_instructions=True,
    several_pictures=True,
    sheet=True,
    by_pixels=True,
    # key observations (cues) first, then what came before and may follow, then the weighing
    stages=("before", "after", "interpretation", "conclusion"),
    text_stages=("interpretation", "conclusion"),
    scene_fields=True,
    mends_contradictions=True,
    asks_situation=True,
    takes_examples=True,
)
"""For large models: it reasons in stages."""

REVIEW = PromptFamily(name="review")
"""Asked as Bian et al. (2024) do: in free words, one picture, nothing measured."""

FAMILIES = {family.name: family for family in (BRIEF, FULL, REVIEW)}


def find_family(name: str) -> PromptFamily:
    """The family of a name.

    Raises:
        KuleshovError: there is none.
    """
    if name not in FAMILIES:
        raise KuleshovError(
            f"there are no prompts {name!r}{suggest_word(name, list(FAMILIES))}; known: "
            f"{', '.join(FAMILIES)}."
        )
    return FAMILIES[name]
