"""More words as single tokens: byte-pair merging goes on where the first tokenizer ended."""

from __future__ import annotations

import heapq
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

WORD = re.compile(r" ?[A-Za-z]+")
KEPT = 6
"""A pair that stands in known texts more often than that is not merged: those stay as they were."""
RARE = 3


def extend_tokenizer(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    known: Sequence[str],
    size: int,
    whole: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """The tokenizer with up to `size` tokens; old tokens keep their numbers.

    Args:
        texts: where the new words stand.
        known: what the model was trained on; nearly all of it is cut as before.
        whole: words that must become single tokens, at the begin of a text too.
    """
    words: Counter[str] = Counter()
    for text in texts:
        words.update(WORD.findall(f" {text}"))
    for word in whole:
        words[word] += 5000
        words[f" {word}"] += 5000
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary, merges = parts["model"]["vocab"], parts["model"]["merges"]
    names = {number: name for name, number in vocabulary.items()}

    def cut(word: str) -> list[str]:
        return [names[i] for i in tokenizer(word, add_special_tokens=False)["input_ids"]]

    banned: Counter[tuple[str, str]] = Counter()
    for word, count in Counter(w for text in known for w in WORD.findall(f" {text}")).items():
        pieces = cut(word)
        for pair in itertools.pairwise(pieces):
            banned[pair] += count
    split = [(cut(word), count) for word, count in words.items()]
    merges += _merged([pair for pair in split if len(pair[0]) > 1], banned, vocabulary, size)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(parts)),
        pad_token=tokenizer.pad_token,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        padding_side="left",
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": "<image>"},
    )


def _merged(
    split: list[tuple[list[str], float]],
    banned: Counter[tuple[str, str]],
    vocabulary: dict[str, int],
    size: int,
) -> list[list[str]]:
    """New merges, the most frequent pair first; `vocabulary` grows to `size`."""
    cuts, counts = [list(pieces) for pieces, _ in split], [count for _, count in split]
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for i, pieces in enumerate(cuts):
        for pair in itertools.pairwise(pieces):
            pairs[pair] += counts[i]
            where[pair].add(i)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(heap)
    made: list[list[str]] = []
    while len(vocabulary) < size and heap:
        count, pair = heapq.heappop(heap)
        if -count != pairs.get(pair, 0):
            if pairs.get(pair, 0) > 0:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        if -count < RARE:
            break
        if banned[pair] > KEPT:
            continue
        token = pair[0] + pair[1]
        vocabulary.setdefault(token, len(vocabulary))
        made.append(list(pair))
        touched = set()
        for i in list(where[pair]):
            before = list(itertools.pairwise(cuts[i]))
            for other in before:
                pairs[other] -= counts[i]
            cuts[i] = _joined(cuts[i], pair, token)
            after = list(itertools.pairwise(cuts[i]))
            for other in after:
                pairs[other] += counts[i]
                where[other].add(i)
            touched |= {*before, *after}
        del pairs[pair]
        for other in sorted(touched):
            if pairs.get(other, 0) > 0:
                heapq.heappush(heap, (-pairs[other], other))
    return made


def _joined(pieces: list[str], pair: tuple[str, str], token: str) -> list[str]:
    found, k = [], 0
    while k < len(pieces):
        if k + 1 < len(pieces) and (pieces[k], pieces[k + 1]) == pair:
            found.append(token)
            k += 2
        else:
            found.append(pieces[k])
            k += 1
    return found
