"""Many questions about the same pictures in a few forwards: each question a branch of one tree.

What the conversations share, up to the end of their last image, is read once. Behind it the
questions lie side by side in one row, each with its answers as branches of its own: a question
sees the pictures and itself, an answer sees its question and itself, and the position ids of every
branch start where the pictures end. So the numbers are those of one conversation at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov.tools.mllm.base import Conversation, Mllm
from kuleshov.tools.mllm.local import loading, scoring
from kuleshov.tools.mllm.local.encode import Encoded, clean_conversation
from kuleshov.tools.mllm.local.prefix_cache import fork_cache, with_cache

Question = tuple[Conversation, Sequence[str]]
"""A conversation that ends with the user's turn, and the answers to score."""

ROW = 768
"""Most tokens of one row: the mask and the attention grow with its square."""


def score_many(mllm: Mllm, questions: Sequence[Question]) -> list[list[float]]:
    """Log-likelihood of each answer of each question; see `Mllm.score`.

    Packed where the model offers it (`score_many`), else one call a question.
    """
    packed = getattr(mllm, "score_many", None)
    if packed is not None:
        scores: list[list[float]] = packed(questions)
        return scores
    return [mllm.score(conversation, answers) for conversation, answers in questions]


def packed_scores(mllm: Any, questions: Sequence[Question]) -> list[list[float]]:
    """What `TransformersMllm.score_many` does, for a model whose caches can be forked."""
    talks = [clean_conversation(conversation, mllm.controls) for conversation, _ in questions]
    first = mllm._encode(talks[0])
    with mllm.lock, loading.quiet_libraries():  # a fast tokenizer cannot be used by two threads
        asked = conversation_tails(mllm.processor, talks, first)
    if asked is None:
        return [mllm.score(conversation, answers) for conversation, answers in questions]
    ids = [mllm.answer_ids(answers) for _, answers in questions]
    longest = max(asked, key=len)
    room = Encoded([*first.ids[: len(first.ids) - len(asked[0])], *longest], {}, None)
    mllm._room(room, at_least=max((len(said) for options in ids for said in options), default=1))
    scores: list[list[float]] = []
    with mllm._running():
        kept, held, _ = mllm._read_images(first)
        for places in pack_rows(asked, ids):
            several = slice(places.start, places.stop)
            cache = fork_cache(kept, held, mllm.text_config)
            scores += forest_scores(mllm.model, asked[several], ids[several], cache, mllm.turn_ends)
    return scores


def conversation_tails(
    processor: Any, conversations: Sequence[Conversation], first: Encoded
) -> list[list[int]] | None:
    """What follows the last image in each conversation, as token ids, without reading images anew.

    Args:
        processor: the model's.
        conversations: cleaned; `first` is the encoding of the first of them.

    Returns:
        None where they do not share pictures and everything before the last one, or where the
        tokenizer cuts a text otherwise when it stands alone.
    """
    if not first.images:
        return None
    tokenizer, heads, found = processor.tokenizer, set(), []
    pictures = [_conversation_pictures(conversation) for conversation in conversations]
    if any(not _same_pictures(pictures[0], others) for others in pictures[1:]):
        return None
    for conversation in conversations:
        text = processor.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=False
        )
        head, _, tail = text.rpartition(processor.image_token)
        heads.add(head)
        found.append(tokenizer.encode(tail, add_special_tokens=False))
    same = len(heads) == 1 and found[0] == first.ids[first.images[-1].end :]
    return found if same else None


def _conversation_pictures(conversation: Conversation) -> list[Any]:
    return [
        part["image"]
        for turn in conversation
        for part in turn["content"]
        if part["type"] == "image"
    ]


def _same_pictures(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    return len(ours) == len(theirs) and all(
        a is b or (a.size == b.size and a.tobytes() == b.tobytes())
        for a, b in zip(ours, theirs, strict=True)
    )


def pack_rows(
    questions: Sequence[Sequence[int]], answers: Sequence[Sequence[Sequence[int]]], most: int = ROW
) -> list[range]:
    """Which questions share a row: as many in turn as make at most `most` tokens, at least one."""
    sizes = [
        len(tail) + sum(len(ids) - 1 for ids in options)
        for tail, options in zip(questions, answers, strict=True)
    ]
    found, start, size = [], 0, 0
    for i, more in enumerate(sizes):
        if i > start and size + more > most:
            found.append(range(start, i))
            start, size = i, 0
        size += more
    return [*found, range(start, len(sizes))] if sizes else []


def forest_mask(
    kept: int, branches: Sequence[tuple[int, Sequence[int]]], dtype: Any
) -> tuple[Any, list[int]]:
    """The additive mask and the position ids of a row of questions and their answers.

    Args:
        kept: tokens in the cache, which all see.
        branches: tokens of each question, and of each of its answers.
        dtype: floating, the model's.

    Returns:
        mask (1, 1, row, kept + row), and as many positions as the row has tokens.
    """
    import torch

    row = sum(tail + sum(lengths) for tail, lengths in branches)
    allowed = torch.zeros(row, kept + row, dtype=torch.bool)
    allowed[:, :kept] = True
    positions: list[int] = []
    start = 0
    for tail, lengths in branches:
        asked = slice(kept + start, kept + start + tail)
        allowed[start : start + tail, asked] = torch.ones(tail, tail).tril().bool()
        positions += range(kept, kept + tail)
        start += tail
        for length in lengths:
            own = slice(kept + start, kept + start + length)
            allowed[start : start + length, asked] = True
            allowed[start : start + length, own] = torch.ones(length, length).tril().bool()
            positions += range(kept + tail, kept + tail + length)
            start += length
    mask = torch.zeros(1, 1, row, kept + row, dtype=dtype)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min), positions


def forest_scores(
    model: Any,
    questions: Sequence[Sequence[int]],
    answers: Sequence[Sequence[Sequence[int]]],
    cache: Any,
    ends: Sequence[int] = (),
) -> list[list[float]]:
    """Log-likelihoods, in nats, of each question's answers after the cache; the cache grows.

    Args:
        model: takes 4-D masks (attention sdpa or eager, no sliding window).
        questions: token ids, at least one each, none of an image.
        answers: for each question token ids of its answers, end token included.
        cache: holds what all questions share.
        ends: as `scoring.tree_scores` takes them.
    """
    import torch

    read = [[list(ids[:-1]) for ids in options] for options in answers]
    mask, positions = forest_mask(
        cache.get_seq_length(),
        [
            (len(tail), [len(ids) for ids in options])
            for tail, options in zip(questions, read, strict=True)
        ],
        model.dtype,
    )
    row: list[int] = []
    keep: list[int] = []  # places in the row whose logits are wanted
    wanted: list[list[tuple[list[int], list[int]]]] = []  # for each answer places in keep, tokens
    for tail, options, said in zip(questions, answers, read, strict=True):
        row += tail
        asks = len(keep)
        keep.append(len(row) - 1)
        of_question = []
        for ids, seen in zip(options, said, strict=True):
            places = [asks, *range(len(keep), len(keep) + len(seen))]
            keep += range(len(row), len(row) + len(seen))
            row += seen
            of_question.append((places, list(ids)))
        wanted.append(of_question)
    device = model.device
    logits = (
        model(
            input_ids=torch.tensor([row], device=device),
            attention_mask=mask.to(device),
            position_ids=torch.tensor([positions], device=device),
            logits_to_keep=torch.tensor(keep, device=device),
            **with_cache(cache),
        )
        .logits[0]
        .float()
    )
    norms = logits.logsumexp(-1).double().cpu()
    scores = []
    for of_question in wanted:
        values = [
            float((scoring.said_logits(logits[places], ids, ends) - norms[places]).sum())
            for places, ids in of_question
        ]
        scores.append(values)
    return scores
