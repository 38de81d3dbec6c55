"""The nodes for one person: judge, ground, repair once if need be, weigh."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from langchain_core.runnables import RunnableConfig

from kuleshov import conversation, fusion, grounding
from kuleshov.crew import Crew, gap
from kuleshov.state import PersonState, Plain
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.types import EmotionScores, Face
from kuleshov.types import (
    Condition,
    Evidence,
    Explanation,
    FusedScores,
    Gap,
    Judgement,
    Person,
)


class PersonNodes:
    """Bound to a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def judge(self, state: PersonState, config: RunnableConfig) -> PersonState:
        """The MLLM weighs the evidence in words, citing it by number."""
        begun = time.perf_counter()
        try:
            answer = self.crew.ask(
                self._judge(state),
                config,
                step="judge",
                person=state["target"]["id"],
                schema=self._schema(state),
            )
        except Exception as error:
            return {"answer": "", "tries": 1, "gaps": [gap("judge", error)]}
        return {"answer": answer.text, "seconds": {"judge": time.perf_counter() - begun}}

    def ground(self, state: PersonState) -> PersonState:
        """Check each cue against what was measured; note what the explanation left out."""
        items = [Evidence.model_validate(item) for item in state["evidence"]]
        by_number = {item.n: item for item in items}
        _, back = conversation.numbered(items)
        try:
            told = json.loads(state["answer"])
            # the same statement twice is one cue
            cited = dict.fromkeys(
                (back[cue["evidence"]], cue["text"].strip()) for cue in told["cues"]
            )
            text = told["explanation"].strip()
            if not text:
                raise ValueError("no explanation")
        except (ValueError, KeyError, TypeError):
            return {"explanation": None, "unreadable": True, "complaints": []}
        face = self._face(state)
        cues = tuple(grounding.check(words, by_number[n], face) for n, words in cited)
        complaints = [
            f"You wrote {cue.text!r}, but the units measured on the face say otherwise."
            for cue in cues
            if cue.status == "contradicted"
        ]
        explanation = Explanation(
            text=text,
            cues=cues,
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

        The brief family was not taught to mend a contradiction; there it stays visible.
        """
        at_odds = bool(state["complaints"]) and self.crew.writer.family == "full"
        return "repair" if (state["unreadable"] or at_odds) and state["tries"] == 0 else "weigh"

    def repair(self, state: PersonState, config: RunnableConfig) -> PersonState:
        begun = time.perf_counter()
        talk = self.crew.writer.repair(
            self._judge(state), state["answer"], state["complaints"], state["unreadable"]
        )
        try:
            answer = self.crew.ask(
                talk,
                config,
                step="repair",
                person=state["target"]["id"],
                schema=self._schema(state),
            )
        except Exception as error:
            return {"tries": 1, "gaps": [gap("repair", error)]}
        # an answer that reads worse than the first does not replace it
        text = answer.text if answer.finished or state["unreadable"] else state["answer"]
        return {"answer": text, "tries": 1, "seconds": {"repair": time.perf_counter() - begun}}

    def weigh(self, state: PersonState) -> PersonState:
        """The distribution: label likelihoods, corrected by the prior, fused by the strategy."""
        begun = time.perf_counter()
        target, face = state["target"], self._face(state)
        gaps: list[Plain] = []
        warnings: list[str] = []
        if state["explanation"] is None and not state.get("gaps"):
            gaps.append(
                Gap(
                    step="judge", reason="the explanation could not be read: unanswered"
                ).model_dump()
            )
        judgements: dict[str, Judgement] = {}
        if target["expression"] is not None and self.crew.labels.mode != "free":
            scores, note = fusion.onto(
                EmotionScores.model_validate(target["expression"]), self.crew.labels
            )
            judgements["face"] = Judgement(
                condition="face", emotions=scores, unanswered=None if scores else note
            )
            if note and scores:
                warnings.append(f"person {target['id']}: {note}")
        wanted: dict[str, tuple[Condition, ...]] = {
            "text": ("both",),
            "bayes": ("context", "both"),
            "context": ("context",),
            "face": (),
        }
        for condition in wanted[self.crew.strategy]:
            try:
                scores = self.likelihoods(state, condition)
                if scores is not None:
                    judgements[condition] = Judgement(condition=condition, emotions=scores)
            except Exception as error:
                gaps.append(gap("weigh", error))
        fused, missing = self._fuse(judgements, has_face=face is not None)
        words = judgements.get("both")
        if fused and words and words.emotions and words.emotions.top != fused.top:
            warnings.append(
                f"person {target['id']}: the explanation leans to {words.emotions.top}, "
                f"the fused reading to {fused.top}"
            )
        if missing:
            gaps.append(Gap(step="fuse", reason=f"person {target['id']}: {missing}").model_dump())
        person = Person(
            id=target["id"],
            box_xyxy=face.xyxy if face else target.get("box"),
            face=face,
            emotions=fused,
            unanswered=None if fused else "no source gave a distribution over these labels",
            judgements=tuple(judgements.values()),
            valence=face.valence if face else None,
            arousal=face.arousal if face else None,
            explanation=Explanation.model_validate(state["explanation"])
            if state["explanation"]
            else None,
            timeline=tuple(Face.model_validate(face) for face in target["timeline"]),
        )
        return {
            "people": [person.model_dump(mode="json")],
            "gaps": gaps,
            "warnings": warnings,
            "seconds": {"weigh": time.perf_counter() - begun},
        }

    def likelihoods(self, state: PersonState, condition: Condition) -> EmotionScores | None:
        """p(label | condition) from the MLLM's label log-likelihoods, or None if nothing to go by.

        `both` scores the labels after the explanation, `context` from scene and words alone.
        """
        crew, number = self.crew, state["target"]["id"]
        whole = conversation.image(self.crew.middle_picture(state["key"]))
        if condition == "both":
            before = self._judge(state)
            labels = self._words(state)
            if labels is None or state["explanation"] is None:
                return None
            talk = crew.writer.label(before, state["answer"], number, labels)
        else:
            labels = crew.labels.names
            own = [Evidence.model_validate(item) for item in state["evidence"]]
            context = [item for item in own if item.person is None]
            if not context:
                return None
            local, _ = conversation.numbered(context)
            talk = crew.writer.direct(whole, None, None, local, labels)
        logs = crew.mllm.score(talk, labels)
        method = "likelihood"
        if crew.labels.mode == "free":
            method = "likelihood over the model's own words"
        elif crew.settings.prior_correction:
            prior = self._prior(condition, tuple(labels))
            logs = [value - base for value, base in zip(logs, prior, strict=True)]
            method = "likelihood, content-free prior removed"
        return EmotionScores(
            labels=crew.labels.name,
            probabilities=dict(zip(labels, fusion.softmax(logs), strict=True)),
            method=method,
        )

    def _prior(self, condition: str, labels: tuple[str, ...]) -> list[float]:
        """Label log-likelihoods for content-free evidence; computed once for a label set."""
        crew = self.crew
        with crew.lock:
            if (condition, labels) not in crew.priors:
                nothing = conversation.content_free()
                if condition == "both":
                    before = crew.writer.judge(conversation.blank(), None, None, nothing, False)
                    answer = '{"cues":[{"evidence":1,"text":"N/A"}],"explanation":"N/A"}'
                    talk = crew.writer.label(before, answer, None, labels)
                else:
                    talk = crew.writer.direct(conversation.blank(), None, None, nothing, labels)
                crew.priors[condition, labels] = crew.mllm.score(talk, labels)
            return crew.priors[condition, labels]

    def _fuse(
        self, judgements: dict[str, Judgement], has_face: bool
    ) -> tuple[FusedScores | None, str | None]:
        """The distribution of the strategy from the judgements there are, and what was lacking."""
        crew = self.crew
        face, context, both = (
            judgements[key].emotions if key in judgements else None
            for key in ("face", "context", "both")
        )
        lacking = None
        if crew.strategy == "bayes" and face and context:
            return (
                FusedScores(
                    labels=crew.labels.name,
                    probabilities=fusion.bayes(face, context, weight=crew.context_weight),
                    method=f"face: {face.method}; context: {context.method}",
                    fusion="bayes",
                    context_weight=crew.context_weight,
                ),
                None,
            )
        first = {"text": (both, "text"), "face": (face, "face"), "context": (context, "context")}
        source, name = first.get(crew.strategy, (None, ""))
        if source is None:
            # what is left when one side of the strategy is missing; said in the record
            for scores, other in ((face, "face"), (context, "context"), (both, "text")):
                if scores is not None:
                    source, name = scores, other
                    break
            if source is not None and not (crew.strategy == "bayes" and not has_face):
                lacking = f"{crew.strategy} was not possible; the reading rests on {name} alone"
        if source is None:
            return None, None
        return (
            FusedScores(**source.model_dump(), fusion=name),
            lacking,
        )

    def _face(self, state: PersonState) -> Face | None:
        found = state["target"]["face"]
        return Face.model_validate(found) if found else None

    def _judge(self, state: PersonState) -> Conversation:
        """The conversation that asks for the explanation."""
        items = [Evidence.model_validate(item) for item in state["evidence"]]
        local, _ = conversation.numbered(items)
        face, number = self._face(state), state["target"]["id"]
        writer = self.crew.writer
        whole = conversation.image(self.crew.middle_picture(state["key"]))
        crop = None
        if face is not None and writer.several and writer.family == "full":
            found_in = self.crew.desk.pictures(state["key"])[state["target"]["picture"]]
            crop = conversation.person_crop(found_in, face, number)
        return writer.judge(whole, crop, number, local, self.crew.labels.mode == "free")

    def _schema(self, state: PersonState) -> Plain:
        numbers = range(1, len(state["evidence"]) + 1)
        return conversation.judge_schema(list(numbers), self.crew.labels.mode == "free")

    def _words(self, state: PersonState) -> Sequence[str] | None:
        """The labels to score: the set's, or in free mode the words that the model chose."""
        if self.crew.labels.mode != "free":
            return self.crew.labels.names
        try:
            told = json.loads(state["answer"])["emotions"]
            words = list(dict.fromkeys(word.strip().lower() for word in told if word.strip()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return words or None
