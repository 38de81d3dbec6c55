"""A back end that says what it was told to say: for tests and demonstrations of the agent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kuleshov.tools.mllm.base import Conversation, Generation, MllmError, MllmInfo

Answer = str | Generation | Exception
Scores = Sequence[float] | Mapping[str, float] | Exception

INFO = MllmInfo(
    id="scripted",
    kind="scripted",
    device="cpu",
    dtype="none",
    licence="Apache-2.0",
    caveat="scripted answers: no model looked at anything",
)


@dataclass(frozen=True)
class Call:
    """What was asked: the conversation, and the schema or the answers to score."""

    kind: Literal["generate", "score"]
    conversation: Conversation
    schema: dict[str, Any] | None = None
    answers: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of the last turn, its parts on lines of their own."""
        content = self.conversation[-1]["content"]
        if isinstance(content, str):
            return content
        return "\n".join(part["text"] for part in content if part["type"] == "text")


class ScriptedMllm:
    """Gives the scripted answers in order, notes every call, and complains when they run out.

    Where calls come in no certain order (the graph's branches overlap), script with functions:
    they are given the `Call` and choose.
    """

    def __init__(
        self,
        answers: Iterable[Answer] | Callable[[Call], Answer] = (),
        scores: Iterable[Scores] | Callable[[Call], Scores] = (),
        *,
        info: MllmInfo = INFO,
    ) -> None:
        """Write the script.

        Args:
            answers: for `generate`: texts (or whole Generations), in order, or a function of the
                call. An exception is raised where its turn comes.
            scores: for `score`: one list of log-likelihoods a call (or a mapping from answer to
                log-likelihood), in order, or a function of the call.
            info: what the model says it is.
        """
        self.info = info
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._answers = answers if callable(answers) else _in_order(answers, "answer")
        self._scores = scores if callable(scores) else _in_order(scores, "scores")

    def generate(
        self,
        conversation: Conversation,
        *,
        schema: dict[str, Any] | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        on_token: Callable[[str], None] | None = None,
    ) -> Generation:
        """The next scripted answer; the schema is noted, not enforced.

        Raises:
            MllmError: the script is exhausted, or says so.
        """
        answer = self._next(self._answers, Call("generate", conversation, schema))
        if isinstance(answer, str):
            answer = Generation(answer, len(answer.split()), None, True, 0.0)
        if on_token is not None:
            words = answer.text.split(" ")
            for i, word in enumerate(words):
                on_token(word if i == len(words) - 1 else f"{word} ")
        assert isinstance(answer, Generation)
        return answer

    def score(self, conversation: Conversation, answers: Sequence[str]) -> list[float]:
        """The next scripted log-likelihoods.

        Raises:
            MllmError: the script is exhausted, or does not fit the answers.
        """
        call = Call("score", conversation, answers=tuple(answers))
        given = self._next(self._scores, call)
        if isinstance(given, Mapping):
            missing = [answer for answer in answers if answer not in given]
            if missing:
                raise MllmError(f"the script scores no {', '.join(missing)}.")
            return [float(given[answer]) for answer in answers]
        if len(given) != len(answers):
            raise MllmError(
                f"the script scores {len(given)} answers and {len(answers)} were asked for: "
                f"{', '.join(answers)}."
            )
        return [float(value) for value in given]

    def _next(self, script: Callable[[Call], Any], call: Call) -> Any:
        with self._lock:
            self.calls.append(call)
            given = script(call)
        if isinstance(given, Exception):
            raise given
        return given


def _in_order(items: Iterable[Any], what: str) -> Callable[[Call], Any]:
    left = list(items)
    total = len(left)

    def take(call: Call) -> Any:
        if not left:
            return MllmError(
                f"the script is exhausted: it holds {total} {what.removesuffix('s')}(s), "
                f"and was asked once more: {call.text[-120:]!r}."
            )
        return left.pop(0)

    return take
