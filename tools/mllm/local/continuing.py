"""A prompt that is read once for all its answers, by the model's own way of going on.

Models whose caches cannot be cut at any token, or whose positions are not plain (Qwen-VL's M-RoPE,
Gemma's sliding windows, linear attention, cross-attention to the picture), still know how to go on
from a prompt: `generate` does it. The prompt is read as `generate` reads it, picture included, and
its cache is repeated for the answers, which are read side by side. That this gives what whole
forwards give is not taken from a list of names: it is tried when a model is loaded.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from kuleshov.tools.mllm.local.prefix_cache import cache_argument, with_cache
from kuleshov.tools.mllm.local.scoring import said_logits

MOST = 32_768
"""Tokens of all repeated caches together; more answers are read in several forwards."""


def continued_scores(
    model: Any, inputs: dict[str, Any], answers: Sequence[Sequence[int]], ends: Sequence[int] = ()
) -> list[float]:
    """Log-likelihood of each answer, in nats: what `scoring.plain_scores` gives.

    Args:
        model: of transformers, with `generate`.
        inputs: the prompt's, as its processor makes them, one row.
        answers: token ids with the end token.
        ends: as `scoring.tree_scores` takes them.
    """
    import torch

    ids, state, first = _read_prompt(model, inputs)
    length, width = ids.shape[1], max(map(len, answers)) - 1
    several = max(1, MOST // (length + width))
    scores: list[float] = []
    for start in range(0, len(answers), several):
        group = answers[start : start + several]
        rows = torch.tensor([[*said[:-1], *[said[0]] * (width + 1 - len(said))] for said in group])
        after = _read_answers(model, ids, state, rows.to(ids.device)) if width else None
        for row, said in enumerate(group):
            logits = first if after is None else torch.cat([first, after[row, : len(said) - 1]])
            logits = logits.float()
            wanted = said_logits(logits, said, ends)
            scores.append(float((wanted - logits.logsumexp(-1).cpu().double()).sum()))
    return scores


def _read_prompt(model: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any], Any]:
    """Its ids, what `generate` would carry on with (the cache included), the last logits (1, V)."""
    state = {name: value for name, value in inputs.items() if name != "input_ids"}
    ids = inputs["input_ids"]
    taken = inspect.signature(model.forward).parameters
    if "position_ids" in taken and "position_ids" not in state:
        state["position_ids"] = model._prepare_position_ids_for_generation(ids, state)
    state |= {"attention_mask": None, "use_cache": True}
    if "logits_to_keep" in taken:
        # all rows of logits of a long conversation would take a gigabyte
        state["logits_to_keep"] = 1
    read = model(**model.prepare_inputs_for_generation(ids, is_first_iteration=True, **state))
    state.pop("logits_to_keep", None)
    state |= with_cache(read[cache_argument()])
    return ids, state, read.logits[0, -1:]


def _read_answers(model: Any, ids: Any, state: dict[str, Any], rows: Any) -> Any:
    """Logits (answers, tokens, V) behind every token of `rows` (answers, tokens)."""
    import torch

    count, width = rows.shape
    own = dict(state)
    cache = copy.deepcopy(own.pop(cache_argument()))
    if count > 1:
        # as a beam search would: the one way that caches of every kind have
        cache.reorder_cache(torch.zeros(count, dtype=torch.long, device=ids.device))
        ids, own = model._expand_inputs_for_generation(expand_size=count, input_ids=ids, **own)
    for _ in range(width):  # one at a time: the kind of a token is that of the one before it
        own = model._update_model_kwargs_for_generation({}, own, is_encoder_decoder=False)
    prepared = model.prepare_inputs_for_generation(
        torch.cat([ids, rows], dim=1),
        next_sequence_length=width,
        is_first_iteration=False,
        **with_cache(cache),
        **own,
    )
    return model(**prepared).logits[:, -width:]
