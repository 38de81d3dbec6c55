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

ASKED: Conversation = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
"""Any question: an answer's tokens depend on how the template asks for it, not on what is asked."""


def answer_ids(processor: Any, answer: str, ends: Sequence[int]) -> list[int]:
    """Tokens of the answer as the next assistant turn, its end token last.

    Taken from the model's own template: the turn written out against the prompt for it. Where
    the two part before the prompt's end (LLaVA-OneVision writes ``assistant \\n`` in a past turn,
    ``assistant\\n`` to ask for one), the answer is found in what is left of the former. A template
    that leaves the last turn open (LLaVA-1.5's) gets the tokenizer's end token.

    Args:
        processor: the model's.
        answer: cleaned text.
        ends: ids of the tokens that end a turn.
    """
    tokenizer = processor.tokenizer
    told = [*ASKED, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]
    prompt = _ids(processor, ASKED, prompt=True)
    whole = _ids(processor, told, prompt=False)
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
        if token in ends:
            return rest[: i + 1]
    while rest and not tokenizer.decode(rest[-1:]).strip():
        rest = rest[:-1]
    return [*rest, ends[0]]


def _ids(processor: Any, conversation: Conversation, *, prompt: bool) -> list[int]:
    features = processor.apply_chat_template(
        conversation,
        add_generation_prompt=prompt,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    return features["input_ids"][0].tolist()


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


def tree_scores(
    model: Any, tail: Sequence[int], answers: Sequence[Sequence[int]], cache: Any
) -> list[float]:
    """Log-likelihood of each answer, in nats, after the cache and `tail`; the cache grows.

    Args:
        model: takes 4-D masks (attention sdpa or eager, no sliding window).
        tail: at least one token, none of an image.
        answers: token ids with the end token.
        cache: a cache with the tokens before `tail`; it holds the answers' tokens afterwards.
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
        past_key_values=cache,
        logits_to_keep=torch.arange(len(tail) - 1, len(row), device=device),
    ).logits[0]
    # row 0 is the conversation's last token, which predicts every first token
    rows = [[0, *(node + 1 for node in path)] for path in tree.paths]
    said = torch.tensor([i for places in rows for i in places], device=device)
    tokens = torch.tensor([token for ids in answers for token in ids], device=device)
    # the distribution over the vocabulary is never written out: its normaliser is enough
    total = torch.stack([part.float().logsumexp(-1) for part in logits])
    logs = (logits[said, tokens].float() - total[said]).double().cpu()
    return [float(part.sum()) for part in logs.split([len(places) for places in rows])]


def plain_scores(
    model: Any, inputs: dict[str, Any], answers: Sequence[Sequence[int]]
) -> list[float]:
    """The same numbers by one whole forward an answer: slow, and right for any model."""
    import torch

    some = "logits_to_keep" in inspect.signature(model.forward).parameters
    scores = []
    for ids in answers:
        row = dict(inputs)
        added = torch.tensor([list(ids)], device=row["input_ids"].device)
        row["input_ids"] = torch.cat([row["input_ids"], added], dim=1)
        row["attention_mask"] = torch.ones_like(row["input_ids"])
        for name in ("token_type_ids", "mm_token_type_ids"):
            if name in row:
                row[name] = torch.cat([row[name], torch.zeros_like(added)], dim=1)
        # all rows of logits of a long conversation would take a gigabyte
        keep = {"logits_to_keep": len(ids) + 1} if some else {}
        logits = model(**row, **keep, use_cache=False).logits[0, -len(ids) - 1 : -1]
        logs = logits.float().log_softmax(-1).cpu()
        scores.append(float(logs[range(len(ids)), list(ids)].double().sum()))
    return scores
