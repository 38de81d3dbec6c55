"""From what the model would say to a distribution: label log-likelihoods, the prior divided out."""

from __future__ import annotations

from collections.abc import Sequence

from kuleshov import conversation, fusion
from kuleshov.crew import Crew
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.types import EmotionScores


class Likelihood:
    """Scores labels with a crew's model; the priors are computed once and kept by the crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def scores(self, talk: Conversation, labels: Sequence[str], asked: str) -> EmotionScores:
        """p(label | conversation).

        Args:
            talk: ends with a question that one of the labels answers.
            labels: the set's, or in free mode the model's own words.
            asked: how: "explained", "direct" or "expression"; each has a prior of its own.
        """
        crew = self.crew
        logs = crew.mllm.score(talk, labels)
        method = "likelihood"
        if crew.labels.mode == "free":
            method = "likelihood over the model's own words"
        elif crew.settings.prior_correction:
            prior = self._prior(asked, tuple(labels))
            logs = [value - base for value, base in zip(logs, prior, strict=True)]
            method = "likelihood, content-free prior removed"
        return EmotionScores(
            labels=crew.labels.name,
            probabilities=dict(zip(labels, fusion.softmax(logs), strict=True)),
            method=method,
        )

    def _prior(self, asked: str, labels: tuple[str, ...]) -> list[float]:
        """Label log-likelihoods for content-free evidence; computed once for a label set."""
        crew = self.crew
        with crew.lock:
            if (asked, labels) not in crew.priors:
                writer, blank = crew.writer, conversation.blank()
                nothing = conversation.content_free()
                if asked == "explained":
                    before = writer.judge(blank, None, None, nothing, False)
                    talk = writer.label(
                        before, conversation.content_free_answer(writer.family), None, labels
                    )
                elif asked == "expression":
                    talk = writer.expression(blank, labels)
                else:
                    talk = writer.direct(blank, None, None, nothing, labels)
                crew.priors[asked, labels] = crew.mllm.score(talk, labels)
            return crew.priors[asked, labels]
