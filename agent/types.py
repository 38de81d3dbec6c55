"""The record: what the agent yields, from evidence to inference.

``Inference`` is what a user gets, what ``--json`` prints and what an annotation run stores. Its
JSON schema is published by ``kuleshov schema``; the names here are stable within a version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from kuleshov.tools.errors import KuleshovError, first_line, shorten_text
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.media import Media
from kuleshov.tools.media.transcript import TranscriptLine
from kuleshov.tools.structured_text import read_text
from kuleshov.tools.types import EmotionScores, Face, Record, Side

Plain = dict[str, Any]

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
    source: str = Field(description="faces:TOOL, mllm, user, transcript or speech (recognised)")
    kind: Literal[
        "expression",
        "action_unit",
        "absent_units",
        "untold_units",
        "unmeasured_units",
        "disagreement",
        "smile",
        "head",
        "gaze",
        "affect",
        "scene",
        "context",
        "transcript",
        "person_note",
        "event",
        "blinks",
        "speech_movement",
        "missing",
        "before",
        "coded",
    ]
    person: int | None = Field(None, description="None: holds for the whole picture")
    text: str
    supposed: bool = Field(
        False, description="the user's what-if: supposed for this reading, not observed"
    )
    unit: int | None = None
    units: tuple[int, ...] = ()
    side: Side = Field("both", description="of a unit: the person's own left or right, or both")
    shown: str | None = Field(
        None, description="what is told of the unit, in the words of its scale: ActionUnit.shown"
    )
    intensity: float | None = None
    probability: float | None = None
    activation: float | None = None
    log_odds: float | None = None
    speaker: str | None = Field(None, description="who says it, as a transcript names them")
    start_s: float | None = Field(None, ge=0, description="clips: from when on, seconds")
    apex_s: float | None = Field(None, ge=0, description="clips: when it was strongest, seconds")
    end_s: float | None = Field(None, ge=0, description="clips: until when, seconds")


class Cue(Record):
    """A statement of the explanation, the evidence it cites, and whether that bears it out."""

    evidence: int
    text: str
    status: Literal["confirmed", "unconfirmed", "contradicted"]
    elsewhere: bool = Field(
        False, description="what it says of the face is not what the cited item says"
    )


VIEWS: dict[str, Callable[..., Any]] = {}
"""How records are shown, by the room that shows them; see `kuleshov.output.objects`."""
MOST_SHOWN = 5  # people in a short text


def _view(name: str, *given: Any) -> Any:
    if name not in VIEWS:
        raise KuleshovError("import the record from kuleshov (`from kuleshov import Inference`).")
    return VIEWS[name](*given)


class Explanation(Record):
    """Why: what was seen, what it comes to, and what came before and may come after."""

    text: str
    cues: tuple[Cue, ...] = ()
    antecedent: str | None = Field(
        None, description="what may have led to this; None: the scene does not tell"
    )
    consequence: str | None = Field(
        None, description="what may follow; None: the scene does not tell"
    )
    left_out: tuple[int, ...] = Field((), description="evidence: measured units it did not cite")
    repaired: bool = Field(False, description="the first answer could not be read or was at odds")

    def __repr__(self) -> str:
        cited = ", ".join(f"[{cue.evidence}] {cue.status}" for cue in self.cues[:8])
        return f"<Explanation: {shorten_text(self.text, 300)}{f' ({cited})' if cited else ''}>"


class Judgement(Record):
    """One person under one condition."""

    condition: Condition = Field(
        description="face alone, context alone; both: what the model says after its explanation "
        "from both (never the fused reading, which is the person's `emotions`)"
    )
    source: str | None = Field(None, description="who judged: faces:TOOL or mllm")
    part: Literal["told", "seen"] | None = Field(
        None,
        description="context: read from what was told alone, or from what the model saw alone; "
        "None: from all of it",
    )
    emotions: EmotionScores | None = None
    unanswered: str | None = Field(None, description="why there is no distribution")


class CueWeight(Record):
    """What a cue weighed in a fused reading: p(e) ∝ Π p(e | cue) ^ (weight / temperature)."""

    cue: Literal["face", "context"]
    part: Literal["told", "seen"] | None = Field(
        None, description="of the context: what was told, what a small model saw; None: all of it"
    )
    weight: float = Field(ge=0, description="exponent")
    temperature: float = Field(
        1.0, gt=0, description="brings the cue to the scale that the weights were fitted on"
    )
    why: str = Field(description="what weight and temperature rest on")


class FusedScores(EmotionScores):
    fusion: str = Field(description="strategy: people, text, bayes, face, context or mllm")
    context_weight: float | None = Field(
        None, ge=0, le=1, description="bayes: exponent of the context over the prior"
    )
    observer: str | None = Field(
        None, description="people: the fitted observer; all of it stands in the provenance"
    )
    cues: tuple[CueWeight, ...] = Field((), description="people: what each cue weighed")
    prior: dict[str, float] | None = Field(
        None, description="bayes: the p(e) divided by; None: uniform, or not divided by one"
    )
    prior_source: str | None = Field(None, description="bayes: where the prior is from")


class Influence(Record):
    """How far the context moved the reading of a face.

    Face, context and both are readings of the model, asked in the same way. The shift is signed:
    how far the reading of both lies from that of the face alone in the direction of the context
    alone, in log-odds (nats): the projection of the centred log-ratios' difference (Aitchison 1986)
    onto that direction. `shift_whole` is the shift that would reach the context; the shift is
    negative where the context pushes away from itself. Divergences are Jensen-Shannon to base 2, 0
    (the same) to 1 (nothing in common). The index is JS(face, both) / (JS(face, both) +
    JS(context, both)): 0 where both together read as the face alone does, 1 where they read as the
    context alone does. Shift and index are None where a reading is missing, and where face and
    context do not part, so that there is nothing to move between.
    """

    face: EmotionScores | None = None
    context: EmotionScores | None = None
    both: EmotionScores | None = Field(None, description="the two together; `both_is` says how")
    both_is: Literal["fused", "model"] | None = Field(
        None,
        description="model: what the model says when it is shown both; fused: face and context "
        "combined by a rule (records of older versions); None: a record from before this was told",
    )
    computed: FusedScores | None = Field(
        None, description="computed from the two alone by a rule; never a reading of both"
    )
    shift: float | None = Field(None, description="of both towards the context, log-odds, nats")
    shift_computed: float | None = Field(None, description="the same of `computed`")
    shift_whole: float | None = Field(
        None, ge=0, description="the shift from face alone to context alone, log-odds, nats"
    )
    js_face_context: float | None = Field(None, ge=0, le=1)
    js_face_both: float | None = Field(None, ge=0, le=1)
    js_context_both: float | None = Field(None, ge=0, le=1)
    index: float | None = Field(None, ge=0, le=1)
    unanswered: str | None = Field(None, description="why a reading or the index is missing")


class Incongruence(Record):
    """A pattern that fits where face and context part: a candidate to look at, never a fact."""

    kind: Literal[
        "polite or masking smile",
        "sarcasm",
        "Schadenfreude",
        "suppressed emotion",
        "mixed emotion",
        "unexplained",
    ]
    pattern: str = Field(description="what was found that fits, in words")
    evidence: tuple[int, ...] = ()
    js_face_context: float | None = Field(None, ge=0, le=1)
    source: str = Field(description="publication of the pattern")


class CodedVariable(Record):
    """One variable of the context, asked of one picture, person or pair of people.

    Closed questions (yes/no, category, ordinal) are answered by the likelihood of every option;
    counts and texts are written by the model under a grammar. None is never "no" and never 0.
    """

    name: str
    scheme: str = Field(description="name of the coding scheme")
    type: Literal["yes/no", "category", "count", "ordinal", "text"]
    scope: Literal["scene", "person", "pair"] = "scene"
    people: tuple[int, ...] = Field((), description="ids: one of a person, two of a pair")
    question: str
    value: str | int | float | None = Field(
        None,
        description="likeliest option of yes/no and category, mean step of an ordinal, count, text",
    )
    probabilities: dict[str, float] | None = Field(
        None, description="option to probability; None for counts, texts and where unanswered"
    )
    method: str | None = None
    blank_js: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Jensen-Shannon divergence, base 2, from the answer to a blank picture",
    )
    like_blank: bool | None = Field(
        None, description="the same answer as to a blank picture; None: not compared"
    )
    unanswered: str | None = Field(None, description="why there is no value")
    evidence: int | None = Field(None, description="number of its line of evidence")


class FaceContexts(Record):
    """From the face back to its context: the situations in which this face belongs."""

    situations: dict[str, float] | None = Field(
        None, description="candidate to probability; sums to 1"
    )
    method: str | None = None
    unanswered: str | None = Field(None, description="why there are no probabilities")
    before: str | None = Field(None, description="what could have happened just before")
    before_evidence: tuple[int, ...] = ()
    after: str | None = Field(None, description="what may follow")
    after_evidence: tuple[int, ...] = ()
    untold: str | None = Field(None, description="why before and after are missing")


class Moment(Record):
    """One person in one stretch of a clip, read at its most telling time."""

    time_s: float = Field(ge=0)
    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    frame: int | None = Field(None, description="the picture it was read from; see media.frames")
    expression: str | None = Field(
        None, description="label that leads on the face over the stretch"
    )
    emotions: FusedScores | None = None
    unanswered: str | None = Field(None, description="why there is no distribution")
    judgements: tuple[Judgement, ...] = ()
    evidence: tuple[str, ...] = Field((), description="lines that the reading rests on")


class Person(Record):
    """One person: where, what the face shows, what was inferred and why."""

    id: int = Field(ge=1)
    box_xyxy: tuple[float, float, float, float] | None = None
    face: Face | None = None
    basis: Literal["face", "context"] | None = Field(
        None,
        description="what the person was read from: a face, with its context, or the context "
        "alone, because no face was found; None: a record of before version 0.2",
    )
    emotions: FusedScores | None = None
    unanswered: str | None = Field(None, description="why there is no distribution")
    judgements: tuple[Judgement, ...] = ()
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)
    explanation: Explanation | None = None
    examples: tuple[str, ...] = Field((), description="ids of the examples shown, in order")
    covered_scene: Scene | None = Field(
        None,
        description="the scene described once more with this person's face alone covered; None: "
        "not needed, or every face was covered (setting `cover`)",
    )
    influence: Influence | None = Field(None, description="None: not asked for")
    incongruence: tuple[Incongruence, ...] | None = Field(
        None, description="None: face and context were not read apart, so it cannot be told"
    )
    contexts: FaceContexts | None = Field(
        None, description="situations that the face belongs in; None: not asked for"
    )
    timeline: tuple[Face, ...] = Field((), description="clips: the same face in the kept frames")
    track: Track | None = Field(None, description="clips: the face in all frames looked at")
    moments: tuple[Moment, ...] = Field((), description="clips: readings of its stretches")

    def __repr__(self) -> str:
        told = f"unanswered ({self.unanswered})" if self.emotions is None else str(self.emotions)
        face = "no face" if self.face is None else f"face by {self.face.tool}"
        return f"<Person {self.id}: {told.strip('<>')}; {face}>"

    def plot(self, axes: Any = None) -> Any:
        """Bars of the probabilities; returns matplotlib axes."""
        return _view("plot", self, axes)


class Gap(Record):
    """Something that could not be had: the step, and why."""

    step: str
    reason: str
    passing: bool = Field(False, description="the cause may be gone next time, e.g. a server down")
    stopped_s: float | None = Field(
        None, ge=0, description="clips: the user stopped the step here, seconds; go on from it"
    )


def no_face(gaps: Iterable[Gap]) -> str:
    """Why a person has no face: none was found, or the face tool could not tell."""
    told = [gap.reason.rstrip(".") for gap in gaps if gap.step == "faces"]
    return f"the face tool gave no face ({told[0]})" if told else "no face was found"


class Item(Record):
    """What a data set says of the picture or clip: its id and whatever people wrote of it."""

    id: str = Field(min_length=1)
    label: str | dict[str, float] | None = Field(
        None, description="people's own answer, a label or a distribution; never shown to the MLLM"
    )
    extra: dict[str, str | int | float | bool | None] = Field(
        {}, description="further columns of the manifest, carried along"
    )


class SettingsFile(Record):
    """A file that settings were read from."""

    path: str
    sha256: str


ContextAsked = Literal["direct", "situation"]


class Provenance(Record):
    """All that is needed to repeat the run."""

    kuleshov: str
    mllm: dict[str, Any] | None = None
    faces: dict[str, Any] | None = None
    prompts: dict[str, str] = Field({}, description="template to the SHA-256 of its text")
    settings: dict[str, Any] = {}
    settings_files: tuple[SettingsFile, ...] = Field(
        (), description="files that settings were read from, the one that goes before first"
    )
    label_set: dict[str, Any] = {}
    examples: dict[str, Any] | None = Field(None, description="the set that examples are from")
    scheme: dict[str, Any] | None = Field(
        None, description="coding scheme: name, version, source, SHA-256; None: nothing coded"
    )
    speech: dict[str, Any] | None = Field(
        None,
        description="clips: what recognised the words (model, revision, SHA-256, version is that "
        "of transformers) and `heard`: lines (None: it could not hear), language, until when, "
        "stretches left out; None: not asked for",
    )
    observer: dict[str, Any] | None = Field(
        None,
        description="the fitted observer of fusion people: weights, source, command, file and its "
        "SHA-256; None: nothing was weighed by one",
    )
    calibration: dict[str, Any] | None = Field(
        None, description="the fitted temperatures and what they were fitted on"
    )
    context_asked: ContextAsked = Field(
        "direct",
        description="how the context alone was read: direct, for one of the labels, which are "
        "listed; situation: by how likely each label makes the situation's words, none listed",
    )
    seed: int = 0
    versions: dict[str, str] = {}
    seconds: dict[str, float] = Field({}, description="by step; total: start to end")
    usage: dict[str, float | str | list[int] | list[str] | None] = Field(
        {},
        description="asked of a model server: requests, retries, tokens in and out, cost, "
        "and how it was asked: form of answers, size of pictures, what was left out",
    )


class RecordError(KuleshovError, ValueError):
    """A text that is no record; says in one sentence where it differs."""


class Inference(Record):
    """What was read in one picture or clip."""

    schema_: str = Field(SCHEMA, alias="schema")
    item: Item | None = Field(None, description="in an annotation run: the item of the data set")
    media: Media
    scene: Scene | None = None
    covered_scene: Scene | None = Field(
        None,
        description="the scene described once more with every face covered; None: not needed, or "
        "only the face of the person judged was covered, see the people",
    )
    coded: tuple[CodedVariable, ...] | None = Field(
        None, description="context as data, by the coding scheme; None: not asked for"
    )
    evidence: tuple[Evidence, ...] = ()
    transcript: tuple[TranscriptLine, ...] = Field(
        (), description="clips: every line that is said; the evidence joins and cuts long ones"
    )
    people: tuple[Person, ...] = ()
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()
    caveat: str = CAVEAT
    provenance: Provenance

    model_config = ConfigDict(populate_by_name=True)

    def __repr__(self) -> str:
        name = os.path.basename(self.media.path or "") or self.media.kind
        count = f"{len(self.people)} {'person' if len(self.people) == 1 else 'people'}"
        lines = [f"<Inference of {shorten_text(name, 60)}: {count}"]
        lines += [f"  {str(person).strip('<>')}" for person in self.people[:MOST_SHOWN]]
        if (more := len(self.people) - MOST_SHOWN) > 0:
            lines.append(f"  and {more} more")
        return "\n".join(lines) + ">"

    def __iter__(self) -> Iterator[Person]:  # type: ignore[override]
        """The people, one after the other."""
        return iter(self.people)

    def __len__(self) -> int:
        """How many people there are."""
        return len(self.people)

    def __bool__(self) -> bool:
        """An inference is one, with or without people."""
        return True

    def _repr_html_(self) -> str:
        return str(_view("html", self))

    def show(self) -> None:
        """The card: in a notebook, or on the terminal."""
        _view("show", self)

    def plot(self, axes: Any = None) -> Any:
        """Bars of the probabilities of everybody; returns matplotlib axes."""
        return _view("plot", self, axes)

    def to_pandas(self) -> Any:
        """A data frame, one row per person, with the columns of `kuleshov export --to csv`."""
        return _view("pandas", self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record as JSON, whole or not at all.

        Raises:
            KuleshovError: it cannot be written.
        """
        target = Path(path)
        fresh = target.with_name(f"{target.name}.part")
        try:
            fresh.write_text(self.to_json(indent=1) + "\n", "utf-8")
            fresh.replace(target)
        except OSError as error:
            raise KuleshovError(f"cannot write {target}: {error.strerror}.") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Inference:
        """The record in a file that `save` wrote, or that holds one line of a run.

        Raises:
            RecordError: it holds no record.
            KuleshovError: it cannot be read.
        """
        return cls.from_json(read_text(path, "record"))

    def to_json(self, indent: int | None = None) -> str:
        return self.model_dump_json(by_alias=True, indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Inference:
        """The record that a line of JSON holds.

        Raises:
            RecordError: it is not JSON, or not a record of this version.
        """
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise RecordError(
                f"this is not a record: {shorten_text(first_line(error), 300)}."
            ) from None

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        return cls.model_json_schema(by_alias=True)
