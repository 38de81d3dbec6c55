"""JSON under a grammar: at each step only tokens that the schema allows (llguidance)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from kuleshov.tools.mllm.base import MllmError


class Grammars:
    """Makes grammars for one tokenizer; what is dear to set up is set up once."""

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        """Bind the tokenizer.

        Args:
            tokenizer: a fast tokenizer of transformers.
            vocabulary: width of the model's logits, which may exceed the tokenizer's own size.
            ends: ids of the tokens that end a turn.

        Raises:
            MllmError: the tokenizer is not a fast one.
        """
        import llguidance.hf

        self.vocabulary, self.ends = vocabulary, list(ends)
        try:
            self.tokenizer = llguidance.hf.from_tokenizer(
                tokenizer, n_vocab=vocabulary, eos_token=self.ends
            )
        except ValueError as error:
            raise MllmError(
                f"this model's tokenizer cannot follow a JSON schema: {error}."
            ) from None

    def for_schema(self, schema: dict[str, Any]) -> JsonGrammar:
        """A grammar for one answer.

        Raises:
            MllmError: the schema uses what the grammar compiler does not know.
        """
        from llguidance import LLMatcher

        # without this the model may write white space for ever
        defaults: Any = {"whitespace_flexible": False}
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=defaults)
            matcher = LLMatcher(self.tokenizer, grammar)
        except (ValueError, TypeError) as error:
            raise MllmError(f"the JSON schema cannot be followed: {error}.") from None
        if complaint := matcher.get_error():
            raise MllmError(f"the JSON schema cannot be followed: {complaint.splitlines()[0]}.")
        return JsonGrammar(matcher, self.vocabulary, self.ends)


class JsonGrammar:
    """A logits processor of transformers for one row and one `generate()`."""

    supports_continuous_batching = False

    def __init__(self, matcher: Any, vocabulary: int, ends: Sequence[int]) -> None:
        self.matcher, self.vocabulary, self.ends = matcher, vocabulary, list(ends)
        self.seen: int | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Masks `scores`, (1, vocabulary), to the tokens that may follow `input_ids`, (1, n)."""
        import torch

        self._consume(input_ids[0])
        allowed = torch.from_numpy(self._allowed()).to(scores.device)
        return scores.masked_fill(~allowed, -torch.inf)

    def complete(self, ids: Any) -> bool:
        """Whether the answer is whole JSON; `ids` is prompt and answer, (n,)."""
        self._consume(ids)
        return bool(self.matcher.is_stopped() or self.matcher.is_accepting())

    def _consume(self, ids: Any) -> None:
        """Follow the tokens written since the last look; the first look sees the prompt alone."""
        if self.seen is not None:
            for token in ids[self.seen :].tolist():
                if self.matcher.is_stopped() or token in self.ends:
                    break
                self.matcher.consume_token(token)
        self.seen = len(ids)

    def _allowed(self) -> np.ndarray:
        if self.matcher.is_stopped():
            allowed = np.zeros(self.vocabulary, dtype=bool)
            allowed[self.ends] = True
            return allowed
        from llguidance import numpy as masks

        bits = masks.allocate_token_bitmask(1, self.vocabulary)
        masks.fill_next_token_bitmask(self.matcher, bits)
        unpacked = np.unpackbits(bits[0].view(np.uint8), bitorder="little")
        return unpacked[: self.vocabulary].astype(bool)
