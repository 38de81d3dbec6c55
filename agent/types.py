"""The record: what the agent yields, from evidence to inference.

``Inference`` is what a user gets, what ``--json`` prints and what an annotation run stores. Its
JSON schema is published by ``kuleshov schema``; the names here are stable within a version.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from kuleshov.tools.media import Media
from kuleshov.tools.types import EmotionScores, Face, Record

SCHEMA = "kuleshov/inference@1"
CAVEAT = (
    "Perceived emotion: an inference from what is visible, with its evidence. It is not a "
    "diagnosis and does not say what a person feels (Barrett et al. 2019)."
)

Condition = Literal["face", "context", "both"]


class Scene(Record):
    """What the MLLM says the picture shows. None: it did not say."""

    description: str
    setting: str | None = None
    activity: str | None = None
    people: str | None = None
    people_present: bool | None = Field(None, description="whether anyone is to be seen")
    objects: tuple[str, ...] = ()
    mood_words: tuple[str, ...] = ()
    mean_logprob: float | None = Field(
        None, description="mean log-probability per token of the description, nats"
    )


class Evidence(Record):
    """One numbered item that an explanation may cite."""

    n: int = Field(ge=1)
    source: str = Field(description="faces:TOOL, mllm, user or transcript")
    kind: Literal[
        "expression",
        "action_unit",
        "absent_units",
        "unmeasured_units",
        "affect",
        "scene",
        "context",
        "transcript",
    ]
    person: int | None = Field(None, description="None: holds for the whole picture")
    text: str
    unit: int | None = None
    units: tuple[int, ...] = ()
    shown: str | None = Field(None, description="absent, slight, clear or strong")
    intensity: float | None = None
    probability: float | None = None
    activation: float | None = None


class Cue(Record):
    """A statement of the explanation, the evidence it cites, and whether that bears it out."""

    evidence: int
    text: str
    status: Literal["confirmed", "unconfirmed", "contradicted"]


class Explanation(Record):
    text: str
    cues: tuple[Cue, ...] = ()
    left_out: tuple[int, ...] = Field((), description="evidence: measured units it did not cite")
    repaired: bool = Field(False, description="the first answer could not be read or was at odds")


class Judgement(Record):
    """One person under one condition: face alone, context alone, or both."""

    condition: Condition
    emotions: EmotionScores | None = None
    unanswered: str | None = Field(None, description="why there is no distribution")


class FusedScores(EmotionScores):
    fusion: str = Field(description="strategy: text, bayes, face or context")
    context_weight: float | None = Field(None, ge=0, le=1)


class Person(Record):
    """One person: where, what the face shows, what was inferred and why."""

    id: int = Field(ge=1)
    box_xyxy: tuple[float, float, float, float] | None = None
    face: Face | None = None
    emotions: FusedScores | None = None
    unanswered: str | None = Field(None, description="why there is no distribution")
    judgements: tuple[Judgement, ...] = ()
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)
    explanation: Explanation | None = None
    timeline: tuple[Face, ...] = Field((), description="clips: the same face over time")


class Gap(Record):
    """Something that could not be had: the step, and why."""

    step: str
    reason: str
    passing: bool = Field(False, description="the cause may be gone next time, e.g. a server down")


class Item(Record):
    """What a data set says of the picture or clip: its id and whatever people wrote of it."""

    id: str = Field(min_length=1)
    label: str | dict[str, float] | None = Field(
        None, description="people's own answer, a label or a distribution; never shown to the MLLM"
    )
    extra: dict[str, str | int | float | bool | None] = Field(
        {}, description="further columns of the manifest, carried along"
    )


class Provenance(Record):
    """All that is needed to repeat the run."""

    kuleshov: str
    mllm: dict[str, Any] | None = None
    faces: dict[str, Any] | None = None
    prompts: dict[str, str] = Field({}, description="template to the SHA-256 of its text")
    settings: dict[str, Any] = {}
    label_set: dict[str, Any] = {}
    seed: int = 0
    versions: dict[str, str] = {}
    seconds: dict[str, float] = Field({}, description="by step; total: start to end")


class Inference(Record):
    """What was read in one picture or clip."""

    schema_: str = Field(SCHEMA, alias="schema")
    item: Item | None = Field(None, description="in an annotation run: the item of the data set")
    media: Media
    scene: Scene | None = None
    evidence: tuple[Evidence, ...] = ()
    people: tuple[Person, ...] = ()
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()
    caveat: str = CAVEAT
    provenance: Provenance

    model_config = ConfigDict(populate_by_name=True)

    def to_json(self, indent: int | None = None) -> str:
        return self.model_dump_json(by_alias=True, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Inference:
        return cls.model_validate_json(text)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        return cls.model_json_schema(by_alias=True)
