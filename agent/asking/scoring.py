"""From what the model would say to probabilities: label log-likelihoods, the prior divided out.

A model that cannot score labels is asked for numbers instead; the method says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kuleshov.asking import answers, images, situation
from kuleshov.asking import writer as asking_writer
from kuleshov.asking.examples import FewShotExample
from kuleshov.asking.gate import PriorKey
from kuleshov.asking.parts import Crew
from kuleshov.asking.views import PersonView
from kuleshov.evidence import fusion
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.types import EmotionScores

STATED_TOKENS = 16  # a label, which is a few tokens, its number, and what JSON puts around them


class Likelihood:
    """Scores labels with a crew's model; the priors are computed once and kept by the crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def scores(
        self,
        talk: Conversation,
        labels: Sequence[str],
        asked: str,
        shots: Sequence[FewShotExample] = (),
    ) -> EmotionScores:
        """p(label | conversation).

        Labels that exclude one another are scored as whole answers; of others, yes and no are
        scored for each ("joy: yes", "joy: no"), and its probability is the share of yes.

        Args:
            talk: ends with a question that one of the labels answers.
            labels: the set's, or in free mode the model's own words.
            asked: how: "explained", "direct" or "expression"; each has a prior of its own.
            shots: the examples that the conversation begins with; the prior is taken after them.

        Raises:
            KuleshovError: numbers were asked for and could not be read.
        """
        crew = self.crew
        mode: Literal["single", "multi"] = "multi" if crew.labels.mode == "multi" else "single"
        if crew.writer.stated:
            numbers, method = self._stated(talk, labels, mode), "stated"
        else:
            numbers, method = self._likely(talk, labels, asked, mode, shots)
        if crew.labels.mode == "free":
            method += " over the model's own words"
        return EmotionScores(
            labels=crew.labels.name,
            mode=mode,
            probabilities=dict(zip(labels, numbers, strict=True)),
            method=method,
        )

    def context(
        self, shown: PersonView, part: Literal["context", "told", "seen"] = "context"
    ) -> EmotionScores | None:
        """p(label | the context alone, or a part of it), asked as fits the model.

        None where there is nothing to go by.

        Raises:
            KuleshovError: as `scores`.
        """
        crew = self.crew
        if crew.context_asked == situation.ASKED:
            around = shown.surroundings(part)
            return None if around is None else situation.read_situation(crew, around)
        labels = crew.labels.names
        if part == "context":
            asked = shown.conversation("context", labels)
        else:
            asked = shown.part(part, labels)
        return self.scores(asked, labels, "direct", shown.shots) if asked else None

    def _likely(
        self,
        talk: Conversation,
        labels: Sequence[str],
        asked: str,
        mode: str,
        shots: Sequence[FewShotExample],
    ) -> tuple[list[float], str]:
        crew = self.crew
        logs = crew.score(talk, _answer_texts(labels, mode))
        method = crew.mllm.info.scores_by
        if mode == "multi":
            method += " of yes against no"
        if crew.settings.prior_correction and crew.labels.mode != "free":
            prior = self._prior(asked, tuple(labels), mode, shots)
            # the prior of a label that is not listed is known as an upper bound only
            unlisted = getattr(prior, "floored", ())
            if unlisted:
                method += f", content-free prior not removed (it lacks {', '.join(unlisted)})"
            else:
                logs = [value - base for value, base in zip(logs, prior, strict=True)]
                method += ", content-free prior removed"
        temperature = crew.temperatures.get(asked, 1.0)
        if asked in crew.temperatures:
            method += f", temperature {temperature:.3g}"
        if mode == "multi":
            pairs = zip(logs[::2], logs[1::2], strict=True)
            return [fusion.softmax(pair, temperature)[0] for pair in pairs], method
        return fusion.softmax(logs, temperature), method

    def _stated(self, talk: Conversation, labels: Sequence[str], mode: str) -> list[float]:
        """The numbers that the model writes, in mode single scaled to sum to 1."""
        settings = self.crew.settings
        answer = self.crew.ask(
            talk,
            step="weigh",
            schema=answers.stated_schema(labels),
            most=max(settings.max_new_tokens, STATED_TOKENS * len(labels)),
        )
        try:
            numbers = answers.stated_numbers(answer.text, labels)
        except (ValueError, KeyError, TypeError):
            why = answers.why_unread("the numbers that the model states", answer.finished)
            raise KuleshovError(f"{why}: unanswered") from None
        if mode == "multi":
            return numbers
        if not sum(numbers):
            raise KuleshovError("the model states 0 for every label: unanswered")
        return [number / sum(numbers) for number in numbers]

    def _prior(
        self, asked: str, labels: tuple[str, ...], mode: str, shots: Sequence[FewShotExample]
    ) -> list[float]:
        """Answers' log-likelihoods for content-free evidence; computed once for a label set."""
        crew = self.crew
        key = PriorKey(asked, labels, tuple(example.id for example in shots))

        def ask(_: Sequence[PriorKey]) -> list[list[float]]:
            writer, blank = crew.writer, images.blank_image()
            nothing = asking_writer.content_free()
            before_all = writer.example_turns(shots, labels)
            if asked == "explained":
                before = writer.judge(blank, None, None, nothing, False)
                talk = writer.label(before, writer.family.content_free_answer(), None, labels)
            elif asked == "expression":
                talk = writer.expression(blank, labels)
                before_all = writer.expression_example_turns(shots, labels)
            else:
                talk = writer.direct(blank, None, None, nothing, labels)
            return [crew.score([*before_all, *talk], _answer_texts(labels, mode))]

        return crew.priors.find([key], ask)[0]


def _answer_texts(labels: Sequence[str], mode: str) -> Sequence[str]:
    return answers.each_answers(labels) if mode == "multi" else labels
