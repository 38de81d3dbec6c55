"""Log-likelihoods of closed answers, all in one forward under a tree attention mask.

Every answer sees what was said before and itself, none sees another, and each takes up the
position ids where the conversation ends: the numbers are those of one forward an answer. What
answers begin with alike is read once.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.mllm.local import turns
from kuleshov.tools.mllm.local.prefix_cache import with_cache


def answer_ids(processor: Any, answer: str, ends: Sequence[int]) -> list[int]:
    """Tokens of the answer as the next assistant turn, its end token last.

    Taken from the model's own template: the turn written out against the prompt for it. Where
    the two part before the prompt's end (LLaVA-OneVision writes ``assistant \\n`` in a past turn,
    ``assistant\\n`` to ask for one), the answer is found in what is left of the former. A template
    that leaves the last turn open (LLaVA-1.5, GLM-4V) gets the end that `turns.turn_ends` finds.

    Args:
        processor: the model's.
        answer: cleaned text.
        ends: ids of the tokens that end a turn.

    Raises:
        MllmError: the template writes other than white space between the prompt and an answer, so
            that the answer would be scored where it never stands (`turns.settle_thinking` mends
            the processors of thinking models).
    """
    turns.TurnForm.of(processor).check()
    closing = turns.turn_ends(processor, ends)
    tokenizer = processor.tokenizer
    prompt = _token_ids(processor, turns.ASKED, prompt=True)
    whole = _token_ids(processor, turns.with_answer(answer), prompt=False)
    shared = 0
    while shared < min(len(prompt), len(whole)) and prompt[shared] == whole[shared]:
        shared += 1
    rest = whole[shared:]
    if shared < len(prompt):
        rest = next(
            (rest[i:] for i in range(len(rest)) if tokenizer.decode(rest[i:]).startswith(answer)),
            tokenizer.encode(answer, add_special_tokens=False),
        )
    for i, token in enumerate(rest):
        if token in closing or token in ends:
            return rest[: i + 1]
    while rest and not tokenizer.decode(rest[-1:]).strip():
        rest = rest[:-1]
    return [*rest, closing[0]]


def _token_ids(processor: Any, conversation: Conversation, *, prompt: bool) -> list[int]:
    features = processor.apply_chat_template(
        conversation,
        add_generation_prompt=prompt,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids: list[int] = features["input_ids"][0].tolist()
    return ids


@dataclass(frozen=True)
class Tree:
    """Answers with what they begin with alike held once.

    tokens: of the nodes, every one after its parent.
    parents: the node before each, -1 for the conversation's last token.
    paths: of each answer, its nodes in order; its last token, which is predicted but never read,
        is no node.
    """

    tokens: list[int]
    parents: list[int]
    paths: list[list[int]]

    @classmethod
    def of(cls, answers: Sequence[Sequence[int]]) -> Tree:
        tokens: list[int] = []
        parents: list[int] = []
        paths = []
        nodes: dict[tuple[int, int], int] = {}
        for ids in answers:
            node, path = -1, []
            for token in ids[:-1]:
                if (node, token) not in nodes:
                    nodes[node, token] = len(tokens)
                    tokens.append(token)
                    parents.append(node)
                node = nodes[node, token]
                path.append(node)
            paths.append(path)
        return cls(tokens, parents, paths)


def tree_mask(kept: int, tail: int, tree: Tree, dtype: Any) -> tuple[Any, list[int]]:
    """The additive mask and the position ids of a row of `tail` tokens and a tree.

    Args:
        kept: tokens in the cache, which all see.
        tail: tokens of the conversation that are not in the cache.
        tree: every node sees the conversation, the nodes that lead to it, and itself.
        dtype: floating, the model's.

    Returns:
        mask (1, 1, tail + nodes, kept + tail + nodes), and as many positions as the row has
        tokens.
    """
    import torch

    row = tail + len(tree.tokens)
    depths: list[int] = []
    allowed = torch.zeros(row, kept + row, dtype=torch.bool)
    allowed[:, :kept] = True
    allowed[:tail, kept : kept + tail] = torch.ones(tail, tail).tril().bool()
    allowed[tail:, kept : kept + tail] = True
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            allowed[tail + node] = allowed[tail + parent]
        allowed[tail + node, kept + tail + node] = True
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    mask = torch.zeros(1, 1, row, kept + row, dtype=dtype)
    positions = [*range(kept, kept + tail), *(kept + tail + depth for depth in depths)]
    return mask.masked_fill(~allowed, torch.finfo(dtype).min), positions


def said_logits(logits: Any, said: Sequence[int], ends: Sequence[int] = ()) -> Any:
    """The logits (n,) float64 of the tokens that were said, last that of the answer's end.

    Args:
        logits: (n, V) float32, a row for every token said.
        said: n token ids, the end token last.
        ends: two or more tokens of which any ends an answer; their probabilities are summed in
            the last row. Fewer: the end is the token that was said.
    """
    values = logits[range(len(said)), list(said)].cpu().double()
    if len(ends) > 1:
        values[-1] = logits[-1, list(ends)].logsumexp(-1).cpu().double()
    return values


def tree_scores(
    model: Any,
    tail: Sequence[int],
    answers: Sequence[Sequence[int]],
    cache: Any,
    ends: Sequence[int] = (),
) -> list[float]:
    """Log-likelihood of each answer, in nats, after the cache and `tail`; the cache grows.

    Args:
        model: takes 4-D masks (attention sdpa or eager, no sliding window).
        tail: at least one token, none of an image.
        answers: token ids with the end token.
        cache: a cache with the tokens before `tail`; it holds the answers' tokens afterwards.
        ends: where the template does not tell which, the tokens that may end an answer
            (`turns.turn_ends`): the score is of the answer with any of them.
    """
    import torch

    tree = Tree.of(answers)
    mask, positions = tree_mask(cache.get_seq_length(), len(tail), tree, model.dtype)
    row = [*tail, *tree.tokens]
    device = model.device
    logits = model(
        input_ids=torch.tensor([row], device=device),
        attention_mask=mask.to(device),
        position_ids=torch.tensor([positions], device=device),
        logits_to_keep=torch.arange(len(tail) - 1, len(row), device=device),
        **with_cache(cache),
    ).logits[0]
    # row 0 is the conversation's last token, which predicts every first token
    rows = [[0, *(node + 1 for node in path)] for path in tree.paths]
    said = torch.tensor([i for places in rows for i in places], device=device)
    tokens = torch.tensor([token for ids in answers for token in ids], device=device)
    # the distribution over the vocabulary is never written out: its normaliser is enough
    total = torch.stack([part.float().logsumexp(-1) for part in logits])
    wanted = logits[said, tokens].float()
    if len(ends) > 1:
        last = torch.tensor([len(ids) for ids in answers], device=device).cumsum(0) - 1
        wanted[last] = logits[said[last]][:, list(ends)].float().logsumexp(-1)
    logs = (wanted - total[said]).cpu().double()
    return [float(part.sum()) for part in logs.split([len(places) for places in rows])]


def plain_scores(
    model: Any, inputs: dict[str, Any], answers: Sequence[Sequence[int]], ends: Sequence[int] = ()
) -> list[float]:
    """The same numbers by one whole forward an answer: slow, and right for any model."""

    some = "logits_to_keep" in inspect.signature(model.forward).parameters
    scores = []
    for ids in answers:
        row = lengthen_inputs(inputs, ids)
        # all rows of logits of a long conversation would take a gigabyte
        keep = {"logits_to_keep": len(ids) + 1} if some else {}
        logits = model(**row, **keep, use_cache=False).logits[0, -len(ids) - 1 : -1].float()
        logs = said_logits(logits, ids, ends) - logits.logsumexp(-1).cpu().double()
        scores.append(float(logs.sum()))
    return scores


def lengthen_inputs(inputs: dict[str, Any], ids: Sequence[int]) -> dict[str, Any]:
    """The inputs of a prompt (one row) with an answer's tokens behind it.

    Whatever has an entry a token grows with it: masks, kinds of tokens, what each token may see of
    the pictures (Mllama's `cross_attention_mask`). The prompt ends in text, so an answer's token
    is as the last one of the prompt.
    """
    import torch

    length = inputs["input_ids"].shape[1]
    row = dict(inputs)
    for name, value in inputs.items():
        if not _by_token(name, value, length):
            continue
        if name == "input_ids":
            more = torch.tensor([list(ids)], device=value.device, dtype=value.dtype)
        else:
            more = value[:, -1:].expand(-1, len(ids), *value.shape[2:])
        if name == "position_ids":
            steps = torch.arange(1, len(ids) + 1, device=value.device, dtype=value.dtype)
            more = more + steps.view(1, -1, *[1] * (value.ndim - 2))
        row[name] = torch.cat([value, more], dim=1)
    return row


def _by_token(name: str, value: Any, length: int) -> bool:
    """Whether an input has one entry a token, and does not only happen to be as long."""
    if not hasattr(value, "shape") or len(value.shape) < 2 or tuple(value.shape[:2]) != (1, length):
        return False
    # pictures and sound are not told by their length: Gemma 4's patches may be as many as tokens
    of_picture = ("pixel_", "image_position", "image_grid", "video_", "input_features", "spatial_")
    return name.endswith(("_ids", "_mask")) and not name.startswith(of_picture)
