"""What a multimodal language model is to the agent: generate text, score labels.

A conversation is a list of turns in the form of transformers' chat templates:
``[{"role": "user", "content": [{"type": "text", "text": …}, {"type": "image", "image": PIL}]}]``;
a model whose `info.video` is True also takes ``{"type": "video", "video": [PIL, …]}``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

Turn = dict[str, Any]
Conversation = list[Turn]


class MllmError(KuleshovError):
    """A model is missing, cannot load, ran out of memory or answered with an error."""


class CannotScoreError(MllmError):
    """This model gives no likelihoods of answers; it may be asked for numbers in words."""


class EndpointError(MllmError):
    """A server that does not answer, or refuses one request, in its own words.

    passing: it may answer another time; status: of HTTP, or what the answer says instead; said:
    the server's own words, "" where it said none.
    """

    def __init__(
        self, text: str, *, passing: bool = False, status: int = 0, said: str = ""
    ) -> None:
        super().__init__(text)
        self.passing, self.status, self.said = passing, status, said

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {"passing": self.passing, "status": self.status, "said": self.said}
        return type(self), (str(self),), facts


class ServerRefusedError(EndpointError):
    """The server refuses for a reason that holds for every item: key, credit, model, no eyes.

    It says nothing of the item that was asked about: a run stops, and the item stays undone.
    """


class ListedScores(list[float]):
    """Log-likelihoods that rest on the tokens a server lists.

    mass: the probability that the listed tokens give to the answers; floored: answers that were
    not listed and were given the smallest listed probability, which is their upper bound.
    """

    def __init__(self, logs: Sequence[float], mass: float, floored: Sequence[str]) -> None:
        super().__init__(logs)
        self.mass, self.floored = mass, tuple(floored)


class MllmInfo(Record):
    """What a model is and how it is run; goes into the provenance of every record."""

    id: str
    kind: str
    revision: str | None = None
    sha256: str | None = None
    device: str
    dtype: str
    quantization: Literal["none", "4bit", "8bit"] = "none"
    parameters: int | None = None
    licence: str | None = None
    prompts: Literal["brief", "full"] = "full"
    many_images: bool = True
    video: bool = False  # takes the frames of a clip as one video
    # how answers come without a thought: "off" by the chat template's switch, "closed" with an
    # empty thought before them, "none" where the template has none; None: not known
    thinking: Literal["none", "off", "closed"] | None = None
    # how labels are scored: answers share a forward ("tree"), a prompt read once ("continued"), or
    # each a forward of its own ("plain"); None: elsewhere
    scored_in: Literal["tree", "continued", "plain"] | None = None
    scores_labels: bool = True
    scores_texts: bool = False  # `score` takes any text, such as the words of a situation
    scores_by: str = "likelihood"  # what `score` rests on; "top log-probabilities" of an endpoint
    taught_labels: tuple[str, ...] | None = None  # None: open vocabulary
    taught_examples: bool = True  # False: was never shown few-shot examples in training
    taught_questions: bool = True  # False: was never taught to answer free questions
    taught_probes: tuple[str, ...] | None = None  # None: any question about a picture
    probe_margin: float = 0.0  # log-odds below which its yes or no about a picture tells nothing
    context_weight: float = 1.0  # what its reading of a scene weighs in fusion, by default
    scale: dict[str, float] | None = None  # temperatures of "context", "face"; None: not fitted
    scale_source: dict[str, str] | None = None  # what each was fitted on, and the command
    context_tokens: int | None = None
    batch: int | None = None  # answers written at once, where that may change them; None: it cannot
    caveat: str | None = None


@dataclass(frozen=True)
class Generation:
    """What a model wrote.

    `mean_logprob` is the mean log-probability per token in nats, None where not offered.
    `finished` is False if it stopped for want of tokens (its text may be cut off).
    """

    text: str
    tokens: int
    mean_logprob: float | None
    finished: bool
    seconds: float


@dataclass(frozen=True)
class ModelEntry:
    """A model that a package adds under a name; what a plug-in of ``kuleshov.models`` is.

    load: makes it, called with `device`, `dtype` and `quantization` as `load_model` takes them.
    """

    name: str
    load: Callable[..., Mllm]
    licence: str = ""
    note: str = ""


class Mllm(Protocol):
    """A local LLaVA, another image-text-to-text model, an endpoint, or a scripted fake.

    One that can answer many questions about a picture at once also has `score_many`; ask through
    `packing.score_many`, which does without where it must. One that knows how long a conversation
    is also has `count_tokens(conversation)`, never fewer than `info.context_tokens` counts.
    """

    info: MllmInfo

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
        """Answer the last user turn.

        Args:
            conversation: turns, the last one the user's.
            schema: a JSON schema; the answer is then JSON that follows it (grammar-constrained).
            max_new_tokens: the answer stops there, `finished` False.
            temperature: 0 is greedy; above it samples with `seed`.
            on_token: called with each piece of text as it is written.

        Raises:
            MllmError: out of memory, too long a prompt, a failing endpoint.
        """
        ...

    def score(self, conversation: Conversation, answers: Sequence[str]) -> list[float]:
        """Log-likelihood of each answer as the whole of the next assistant turn.

        The sum over its tokens and its end token, in nats, order as given.

        Raises:
            MllmError: also where the model cannot score (`info.scores_labels` is False).
        """
        ...
