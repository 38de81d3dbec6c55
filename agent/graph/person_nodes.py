"""The nodes for one person: judge, ground, repair once if need be, weigh."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from kuleshov.asking import answers, combining, gate
from kuleshov.asking.parts import Crew, gap_of_error
from kuleshov.asking.scoring import Likelihood
from kuleshov.asking.views import PersonView
from kuleshov.evidence import fusion, generated, grounding, incongruence, influence, moments
from kuleshov.graph.state import PersonState
from kuleshov.tools.faces.tracking.types import Track
from kuleshov.tools.mllm.base import CannotScoreError, Conversation
from kuleshov.tools.structured_text import parse_json
from kuleshov.tools.types import EmotionScores, Face
from kuleshov.types import (
    Condition,
    Evidence,
    Explanation,
    FusedScores,
    Gap,
    Incongruence,
    Influence,
    Judgement,
    Person,
    Plain,
)

Reading = Literal["context", "told", "seen", "both", "direct", "face", "mllm"]
"""A reading of the model: under a condition, of a part of the context, or how it was asked."""
WANTED: dict[str, tuple[Reading, ...]] = {
    "text": ("both",),
    "people": ("context", "both"),
    "bayes": ("context", "both"),
    "context": ("context",),
    "face": (),
    "mllm": ("mllm",),
}
"""The readings that the model gives for each fusion strategy."""
NEEDED = {"text": "both", "context": "context", "mllm": "mllm"}
"""The one reading that is the strategy's; `people` and `bayes` have two, and keep the face's after
a stop."""


class PersonNodes:
    """Bound to a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.likelihood = Likelihood(crew)

    def judge(self, state: PersonState) -> PersonState:
        """The MLLM weighs the evidence in words, citing it by number."""
        begun = time.perf_counter()
        state = {**state, "shots": []}
        try:
            state["shots"] = self._example_ids(state)
            answer = self.crew.ask(
                self._asked(state),
                step="judge",
                person=state["target"]["id"],
                schema=self._schema(state),
            )
        except Exception as error:
            return {
                "answer": "",
                "tries": 1,
                "shots": state["shots"],
                "gaps": [gap_of_error("judge", error)],
            }
        return {
            "answer": answer.text,
            "finished": answer.finished,
            "shots": state["shots"],
            "seconds": {"judge": time.perf_counter() - begun},
        }

    def _asked(self, state: PersonState) -> Conversation:
        """The conversation that asks for the explanation.

        A model that was never taught with examples takes their words over into its own.
        """
        return PersonView(self.crew, state).judge(shots=self.crew.mllm.info.taught_examples)

    def _example_ids(self, state: PersonState) -> list[str]:
        """The ids of the examples for this person."""
        examples = self.crew.examples
        if examples is None:
            return []
        pictures = self.crew.desk.pictures(state["key"])
        chosen = examples.choose(self._face(state), pictures[state["target"]["picture"]])
        return [example.id for example in chosen]

    def ground(self, state: PersonState) -> PersonState:
        """Check each cue against what was measured; note what the explanation left out."""
        items = [Evidence.model_validate(item) for item in state["evidence"]]
        by_number = {item.n: item for item in items}
        _, back = self.crew.writer.family.number_evidence(items)
        try:
            finished = state.get("finished", True)
            told = self.crew.writer.family.parse_explanation(state["answer"], finished)
            if why := generated.why_unanswered(told.text):
                return {
                    "explanation": None,
                    "unreadable": True,
                    "complaints": [],
                    "why_unread": f"the explanation: {why}",
                }
            # the same statement twice is one cue
            cited = dict.fromkeys((back[number], words) for number, words in told.cues)
        except (ValueError, KeyError, TypeError):
            why = answers.why_unread("the explanation", state.get("finished", True))
            return {
                "explanation": None,
                "unreadable": True,
                "complaints": [],
                "why_unread": f"{why}: unanswered",
            }
        face = self._face(state)
        cues = tuple(grounding.check_cue(words, by_number[n], face) for n, words in cited)
        complaints = [
            f"You wrote {cue.text!r}, but the units measured on the face say otherwise."
            for cue in cues
            if cue.status == "contradicted"
        ]
        explanation = Explanation(
            text=told.text,
            cues=cues,
            antecedent=told.antecedent,
            consequence=told.consequence,
            left_out=grounding.left_out(cues, by_number),
            repaired=state["tries"] > 0,
        )
        return {
            "explanation": explanation.model_dump(mode="json"),
            "unreadable": False,
            "complaints": complaints,
        }

    def after_ground(self, state: PersonState) -> str:
        """One repair for an answer that cannot be read or is at odds with what was measured.

        A contradiction stays visible where the family of prompts does not ask to mend it.
        """
        at_odds = bool(state["complaints"]) and self.crew.writer.family.mends_contradictions
        return "repair" if (state["unreadable"] or at_odds) and state["tries"] == 0 else "weigh"

    def repair(self, state: PersonState) -> PersonState:
        begun = time.perf_counter()
        talk = self.crew.writer.repair(
            self._asked(state),
            state["answer"],
            state["complaints"],
            state["unreadable"],
        )
        try:
            answer = self.crew.ask(
                talk,
                step="repair",
                person=state["target"]["id"],
                schema=self._schema(state),
            )
        except Exception as error:
            return {"tries": 1, "gaps": [gap_of_error("repair", error)]}
        # an answer that reads worse than the first does not replace it
        took = answer.finished or state["unreadable"]
        return {
            "answer": answer.text if took else state["answer"],
            "finished": answer.finished if took else state.get("finished", True),
            "tries": 1,
            "seconds": {"repair": time.perf_counter() - begun},
        }

    def weigh(self, state: PersonState) -> PersonState:
        """The distribution: label likelihoods, corrected by the prior, fused by the strategy."""
        begun = time.perf_counter()
        target, face = state["target"], self._face(state)
        gaps: list[Plain] = []
        warnings: list[str] = []
        if state["explanation"] is None and not state.get("gaps"):
            reason = state.get("why_unread") or "the explanation could not be read: unanswered"
            gaps.append(Gap(step="judge", reason=reason).model_dump())
        elif state["explanation"] and not state.get("finished", True):
            warnings.append(
                f"person {target['id']}: the explanation was cut off for length: what is whole of "
                "it stands"
            )
        judgements: dict[str, Judgement] = {}
        if target["expression"] is not None and self.crew.labels.mode != "free":
            scores, note = fusion.map_scores(
                EmotionScores.model_validate(target["expression"]), self.crew.labels
            )
            judgements["face"] = Judgement(
                condition="face",
                source=f"faces:{face.tool}" if face else None,
                emotions=scores,
                unanswered=None if scores else note,
            )
            if note and scores:
                warnings.append(f"person {target['id']}: {note}")
        shown = PersonView(self.crew, state)
        for name in (*WANTED[self.crew.fusion], *self.parts(shown)):
            try:
                scores = self.likelihoods(state, name)
            except Exception as error:
                gaps.append(gap_of_error("weigh", error))
                if gate.stop_asked():
                    judgements[name] = unread_judgement(name)
                continue
            if scores is not None:
                judgements[name] = make_judgement(name, scores)
        fused, missing = self.fuse(judgements, shown, has_face=face is not None)
        words = judgements.get("both")
        warnings += self._spoken_of(state, fused)
        if fused and words and words.emotions and _leads_clearly(words.emotions, fused.top):
            warnings.append(
                f"person {target['id']}: the explanation leans to {words.emotions.top}, "
                f"the fused reading to {fused.top}"
            )
        moved, candidates = self._apart(state, judgements, gaps)
        if missing:
            gaps.append(Gap(step="fuse", reason=f"person {target['id']}: {missing}").model_dump())
        person = Person(
            id=target["id"],
            box_xyxy=face.xyxy if face else target.get("box"),
            face=face,
            basis="face" if face else "context",
            emotions=fused,
            unanswered=None if fused else _why_unanswered(),
            judgements=tuple(judgements.values()),
            valence=face.valence if face else None,
            arousal=face.arousal if face else None,
            explanation=Explanation.model_validate(state["explanation"])
            if state["explanation"]
            else None,
            examples=tuple(state["shots"]),
            influence=moved,
            incongruence=candidates,
            timeline=tuple(Face.model_validate(face) for face in target["timeline"]),
        )
        return {
            "people": [person.model_dump(mode="json")],
            "gaps": gaps,
            "warnings": warnings,
            "seconds": {"weigh": time.perf_counter() - begun},
        }

    def _spoken_of(self, state: PersonState, fused: FusedScores | None) -> list[str]:
        """A warning where the explanation names other labels of the set than the one that leads."""
        told = state["explanation"]
        if fused is None or not told or self.crew.labels.mode != "single":
            return []
        words = {}
        for label in self.crew.labels.labels:
            known = [re.escape(word) for word in (label.name, *label.synonyms)]
            if label.name in grounding.FEELINGS:
                known.append(grounding.FEELINGS[label.name])
            words[label.name] = "|".join(known)
        named = grounding.named_labels(told["text"], words, of_faces=False)
        if not named or fused.top in named:
            return []
        return [
            f"person {state['target']['id']}: the explanation speaks of "
            f"{' and '.join(sorted(named))}; the reading is {fused.top}"
        ]

    def _apart(
        self,
        state: PersonState,
        judgements: Mapping[str, Judgement],
        gaps: list[Plain],
    ) -> tuple[Influence | None, tuple[Incongruence, ...] | None]:
        """How far the context moved the reading, and the patterns that fit where the two part.

        The patterns go by the readings that the strategy has, else by those of the influence.
        """
        measured = self._influence(state, judgements, gaps) if state["apart"] else None
        face, context = (
            judgements[key].emotions if key in judgements else None for key in ("face", "context")
        )
        if (face is None or context is None) and measured is not None:
            face, context = measured.face, measured.context
        if face is None or context is None:
            return measured, None
        parted = incongruence.Parted(
            face=PersonView(self.crew, state).face,
            face_scores=face,
            context_scores=context,
            evidence=[Evidence.model_validate(item) for item in state["evidence"]],
            labels=self.crew.labels,
            several=state["several"],
            in_turn=_in_turn(state["target"]),
        )
        return measured, incongruence.find_incongruences(parted)

    def _influence(
        self, state: PersonState, judgements: Mapping[str, Judgement], gaps: list[Plain]
    ) -> Influence:
        """Face, context and the two together held against each other.

        The model gives all three, asked in the same way, straight from what it is shown. What a
        rule computes from the first two stands beside the third.
        """
        if self.crew.labels.mode != "single":
            return Influence(unanswered="influence needs labels that exclude one another")
        known = judgements["context"].emotions if "context" in judgements else None
        face = context = both = computed = None
        try:
            face = self.likelihoods(state, "face")
            context = known or self.likelihoods(state, "context")
            both = self.likelihoods(state, "direct")
            if face and context:
                computed = self._computed(state, judgements, face, context)
        except Exception as error:
            gaps.append(gap_of_error("influence", error))
            face = context = both = None
        measured = influence.measure_influence(face, context, both, computed=computed)
        if None in (face, context, both) and gate.stop_asked():
            measured = measured.model_copy(update={"unanswered": gate.STOPPED})
        return measured

    def _computed(
        self,
        state: PersonState,
        judgements: Mapping[str, Judgement],
        face: EmotionScores,
        context: EmotionScores,
    ) -> FusedScores:
        """What the rule makes of the model's two readings alone."""
        shown = PersonView(self.crew, state)
        rule = combining.rule_of(self.crew)
        known = {**judgements, "context": make_judgement("context", context)}
        for name in self.parts(shown, rule):
            if name not in known:
                known[name] = make_judgement(name, self.likelihoods(state, name))
        return combining.combine_scores(
            self.crew, face, self._context_parts(known, shown), by_model=True, rule=rule
        )

    def parts(self, shown: PersonView, rule: str | None = None) -> tuple[Reading, ...]:
        """The parts of the context that are read on their own: what is told and what is seen.

        For the rule `people` (None: the strategy), of a model that is not to be trusted with what
        it sees, where there is both.
        """
        crew = self.crew
        if (rule or crew.fusion) != "people" or crew.seeing >= 1 or not shown.told:
            return ()
        return ("told", "seen") if len(shown.told) < len(shown.items("context")) else ()

    def _context_parts(
        self, judgements: Mapping[str, Judgement], shown: PersonView
    ) -> list[combining.ContextPart]:
        """The readings of the context that a rule computes with."""
        if self.crew.fusion == "bayes":
            judgements = {k: v for k, v in judgements.items() if k == "context"}
        told = bool(shown.told) and len(shown.told) == len(shown.items("context"))
        return combining.context_parts(judgements, told)

    def likelihoods(self, state: PersonState, name: Reading) -> EmotionScores | None:
        """As `_scored`; numbers are asked for where a server's lists do not tell the labels."""
        return self._with_numbers(lambda nodes: nodes._scored(state, name))

    def scored(
        self, shown: PersonView, name: Reading, labels: Sequence[str]
    ) -> EmotionScores | None:
        """As `likelihoods`, of a reading that needs no explanation."""
        return self._with_numbers(
            lambda nodes: nodes._direct(shown.with_crew(nodes.crew), name, labels)
        )

    def _with_numbers(
        self, read: Callable[[PersonNodes], EmotionScores | None]
    ) -> EmotionScores | None:
        try:
            return read(self)
        except CannotScoreError:
            if self.crew.writer.stated:
                raise
            # the method of the reading then says "stated"
            crew = dataclasses.replace(
                self.crew, writer=self.crew.writer.for_numbers(), context_asked="direct"
            )
            return read(PersonNodes(crew))

    def _scored(self, state: PersonState, name: Reading) -> EmotionScores | None:
        """p(label) from the model's label log-likelihoods, or None if there is nothing to go by.

        `both` scores the labels after the explanation, `direct` from the same without one, `face`
        from the face cut out and its evidence, `context` from scene and words with the face
        covered (see `Likelihood.context`), `told` and `seen` from a part of that, `mllm` from the
        face cut out without evidence.
        """
        shown = PersonView(self.crew, state)
        labels = self.crew.labels.names
        if name == "both":
            words = self._words(state)
            if words is None or state["explanation"] is None:
                return None
            talk = self.crew.writer.label(shown.judge(), state["answer"], shown.number, words)
            return self.likelihood.scores(talk, words, "explained", shown.shots)
        return self._direct(shown, name, labels)

    def _direct(
        self, shown: PersonView, name: Reading, labels: Sequence[str]
    ) -> EmotionScores | None:
        asked: Conversation | None
        if name == "mllm":
            asked = shown.expression(labels)
            return (
                self.likelihood.scores(asked, labels, "expression", shown.shots) if asked else None
            )
        if name in ("context", "told", "seen"):
            return self.likelihood.context(shown, name)
        asked = shown.conversation("both" if name == "direct" else name, labels)  # type: ignore[arg-type]
        return self.likelihood.scores(asked, labels, "direct", shown.shots) if asked else None

    def fuse(
        self, judgements: dict[str, Judgement], shown: PersonView, has_face: bool
    ) -> tuple[FusedScores | None, str | None]:
        """The distribution of the strategy from the judgements there are, and what was lacking."""
        crew = self.crew
        face, context, both, alone = (
            judgements[key].emotions if key in judgements else None
            for key in ("face", "context", "both", "mllm")
        )
        lacking = None
        needed = judgements.get(NEEDED.get(crew.fusion, ""))
        if crew.fusion in NEEDED and gate.stop_asked() and (needed is None or not needed.emotions):
            return None, None  # not read; nothing else is passed off as the reading
        parts = self._context_parts(judgements, shown)
        if crew.fusion in combining.COMPUTED and face and parts:
            return combining.combine_scores(crew, face, parts), None
        first = {
            "text": (both, "text"),
            "face": (face, "face"),
            "context": (context, "context"),
            "mllm": (alone, "mllm"),
        }
        source, name = first.get(crew.fusion, (None, ""))
        if source is None:
            # what is left when one side of the strategy is missing; said in the record
            for scores, other in ((face, "face"), (context, "context"), (both, "text")):
                if scores is not None:
                    source, name = scores, other
                    break
            if source is not None and not (crew.fusion in combining.COMPUTED and not has_face):
                lacking = f"{crew.fusion} was not possible; the reading rests on {name} alone"
        if gate.stop_asked():  # told once, for all people
            lacking = None
        if source is None:
            return None, None
        return (
            FusedScores(**source.model_dump(), fusion=name),
            lacking,
        )

    def _face(self, state: PersonState) -> Face | None:
        found = state["target"]["face"]
        return Face.model_validate(found) if found else None

    def _schema(self, state: PersonState) -> Plain | None:
        numbers = range(1, len(state["evidence"]) + 1)
        return self.crew.writer.family.explanation_schema(
            list(numbers), self.crew.labels.mode == "free"
        )

    def _words(self, state: PersonState) -> Sequence[str] | None:
        """The labels to score: the set's, or in free mode the words that the model chose."""
        if self.crew.labels.mode != "free":
            return self.crew.labels.names
        try:
            told = parse_json(state["answer"])["emotions"]
            words = list(dict.fromkeys(word.strip().lower() for word in told if word.strip()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return words or None


def unread_judgement(name: Reading) -> Judgement:
    """The judgement that a stop left out."""
    return make_judgement(name, None, gate.STOPPED)


def make_judgement(
    name: Reading, scores: EmotionScores | None, unanswered: str | None = None
) -> Judgement:
    """The model's reading `name` as the record has it."""
    conditions: dict[Reading, Condition] = {"mllm": "face", "told": "context", "seen": "context"}
    return Judgement(
        condition=conditions.get(name, name),
        source="mllm",
        part=name if name in ("told", "seen") else None,
        emotions=scores,
        unanswered=unanswered,
    )


def _why_unanswered() -> str:
    if gate.stop_asked():
        return gate.STOPPED
    return "no source gave a distribution over these labels"


def _in_turn(target: Plain) -> list[str]:
    """Labels that led on the face at different times of a clip; none of a still."""
    if not target.get("track"):
        return []
    found = moments.cut_segments(Track.model_validate(target["track"]))
    return list(dict.fromkeys(segment.label for segment in found if segment.label))


LEAD = 0.1  # under this a label that is first by chance leads nowhere


def _leads_clearly(scores: EmotionScores, other: str) -> bool:
    """Whether another label than `other` leads clearly."""
    (top, first), *rest = scores.ranked()
    return top != other and (not rest or first - rest[0][1] >= LEAD)
