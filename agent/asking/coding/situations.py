"""From face to context: in which situation does this face belong?

The model is shown the face alone, cut out, with what was measured on it. It weighs the candidates
by the likelihood of their names, over several orders of the list, each corrected by the same
question about a blank picture (Zhao et al. 2021).

A model that was only taught to read emotions from evidence goes round by them:
p(situation | face) ∝ Σ p(emotion | situation) · p(emotion | face) / p(emotion), with equal
weights for situations and for emotions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kuleshov.asking import answers, gate, images, writer
from kuleshov.asking.coding.candidates import Situation
from kuleshov.asking.parts import Crew
from kuleshov.asking.scoring import Likelihood
from kuleshov.evidence import fusion, generated
from kuleshov.evidence.collection import collect_evidence
from kuleshov.tools.media.types import Rgb
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.structured_text import parse_json
from kuleshov.tools.types import EmotionScores, Face
from kuleshov.types import Evidence, FaceContexts

ORDERS = 4
"""Rotations of the list of candidates: a small model leans to what stands first or last."""
NOT_MEASURED = "not measured by this model"
MOST_WORDS = 160  # characters of what came before, and of what follows


class WayBack:
    """Bound to a crew and the candidates; what does not depend on the face is asked once."""

    def __init__(self, crew: Crew, situations: Sequence[Situation]) -> None:
        self.crew, self.situations = crew, tuple(situations)
        self.names = tuple(situation.name for situation in situations)
        self.orders = [
            (*self.situations[k:], *self.situations[:k])
            for k in range(0, len(self.situations), max(1, len(self.situations) // ORDERS))
        ][:ORDERS]
        self._blank: list[list[float]] | None = None
        self._emotions: list[EmotionScores] | None = None

    def of(self, picture: Rgb, face: Face, evidence: Sequence[Evidence]) -> FaceContexts:
        """Where one face belongs, and what may come before and after.

        Args:
            picture: (H, W, 3) RGB uint8, which holds the face.
            face: as measured.
            evidence: of this face alone, with the record's numbers.
        """
        shown = images.to_image(images.face_alone(picture, face))
        local, numbers = self.crew.writer.family.number_evidence(evidence)
        if self.crew.mllm.info.taught_labels is not None:
            told = {"untold": NOT_MEASURED}
            return FaceContexts(**{**self._by_emotions(face), **told})
        return FaceContexts(**self._direct(shown, local), **self._around(shown, local, numbers))

    # ------------------------------------------------------------------ likelihoods

    def _direct(self, shown: Any, evidence: Sequence[Evidence]) -> dict[str, Any]:
        crew = self.crew
        if not crew.mllm.info.scores_labels:
            return {"unanswered": f"{NOT_MEASURED}: it gives no likelihoods"}
        try:
            logs = self._scores(shown, evidence)
            if crew.settings.prior_correction:
                if self._blank is None:
                    nothing = writer.content_free()
                    self._blank = self._scores(images.blank_image(), nothing)
                logs = [
                    [value - base for value, base in zip(ours, blank, strict=True)]
                    for ours, blank in zip(logs, self._blank, strict=True)
                ]
        except Exception as error:
            return {"unanswered": gate.error_sentence(error)}
        spreads = [fusion.softmax(values) for values in logs]
        mean = [sum(column) / len(column) for column in zip(*spreads, strict=True)]
        prior = ", content-free prior removed" if crew.settings.prior_correction else ""
        return {
            "situations": dict(zip(self.names, mean, strict=True)),
            "method": f"likelihood, mean of {len(self.orders)} orders{prior}",
        }

    def _scores(self, shown: Any, evidence: Sequence[Evidence]) -> list[list[float]]:
        """Log-likelihoods of the names for each order of the list, names in the file's order."""
        talks = [self._talk("contexts", shown, evidence, situations=order) for order in self.orders]
        return self.crew.score_many([(talk, self.names) for talk in talks])

    def _talk(
        self, node: str, shown: Any, evidence: Sequence[Evidence], **variables: Any
    ) -> Conversation:
        text = self.crew.writer.family.render_prompt(
            node, evidence=evidence, person=None, **variables
        )
        return [writer.user_turn(shown, text)]

    def _by_emotions(self, face: Face) -> dict[str, Any]:
        labels = self.crew.labels
        if face.expression is None or labels.mode == "free":
            return {"unanswered": "the face tool gives no expression to go by"}
        scores, note = fusion.map_scores(face.expression, labels)
        if scores is None:
            return {"unanswered": note}
        try:
            if self._emotions is None:
                self._emotions = [self._emotion(situation) for situation in self.situations]
        except Exception as error:
            return {"unanswered": gate.error_sentence(error)}
        logs = [
            math.log(
                max(
                    fusion.FLOOR,
                    sum(expected.probabilities[e] * p for e, p in scores.probabilities.items()),
                )
            )
            for expected in self._emotions
        ]
        return {
            "situations": dict(zip(self.names, fusion.softmax(logs), strict=True)),
            "method": f"by way of the emotions of {labels.name} that each situation lets expect",
        }

    def _emotion(self, situation: Situation) -> EmotionScores:
        """p(emotion | situation), from words alone: no face is shown."""
        crew = self.crew
        words = collect_evidence(None, None, [situation.text])
        names = crew.labels.names
        talk = crew.writer.direct(images.blank_image(), None, None, words, names)
        return Likelihood(crew).scores(talk, names, "direct")

    # ------------------------------------------------------------------ words

    def _around(
        self, shown: Any, evidence: Sequence[Evidence], numbers: dict[int, int]
    ) -> dict[str, Any]:
        """What may have come before and what may follow, each citing evidence."""
        if not evidence:
            return {"untold": "there is no evidence to cite"}
        cites = {
            "type": "array",
            "items": {"enum": list(numbers)},
            "minItems": 1,
            "maxItems": 4,
        }
        text = {"type": "string", "minLength": 3, "maxLength": MOST_WORDS}
        properties = {
            "before": text,
            "before_evidence": cites,
            "after": text,
            "after_evidence": cites,
        }
        schema = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        try:
            answer = self.crew.ask(
                self._talk("around", shown, evidence), step="go_back", schema=schema
            )
        except Exception as error:
            return {"untold": gate.error_sentence(error)}
        try:
            told = parse_json(answer.text)
            found: dict[str, Any] = {}
            for when in ("before", "after"):
                found[when] = generated.tidy_field(told[when], MOST_WORDS) or None
                cited = dict.fromkeys(numbers[n] for n in told[f"{when}_evidence"])
                found[f"{when}_evidence"] = tuple(cited)
            return found
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"untold": answers.why_unread("the answer", answer.finished)}
