"""The cost of reasoning: all labels of a set scored at once, against reading the question alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from kuleshov.asking import answers, images
from kuleshov.asking import writer as asking_writer
from kuleshov.asking.family import find_family
from kuleshov.evals.bench.timing import Result, median_seconds
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.mllm.local.prefix_cache import with_cache
from kuleshov.types import Evidence

ROUNDS = 9

# what a face tool and a scene of everyday length yield for one person
EVIDENCE = (
    "expression: happiness 61%, neutral 22%, surprise 9%",
    "AU12 lip corner puller: strong",
    "AU6 cheek raiser: clear",
    "AU25 lips part: slight",
    "not shown: AU1, AU2, AU4, AU5, AU7, AU9, AU15, AU17, AU20, AU23, AU24, AU26, AU43",
    "not measured: AU13, AU16, AU18, AU22",
    "valence 0.62, arousal 0.31",
    "scene: Five friends lean together on a beach at dusk and smile into the camera.",
    "mood: cheerful, relaxed",
    'context: "They have just heard that she passed the exam."',
)


def measure_label_cost(rounds: int = ROUNDS) -> Result:
    """Figures `labels26_ratio`, `naive_labels26_ratio` and `labels26_multi_ratio`.

    The work is a question with ten items of evidence after a picture that has been read.
    `labels26_ratio`: seconds of scoring the 26 labels of EMOTIC over those of one forward of the
    same question. `naive_labels26_ratio`: the labels one after the other, a forward each, from the
    median of those that were taken in turn. `labels26_multi_ratio`: yes and no scored for each of
    them. All are taken in turn; medians of processor time on one core.
    """
    import torch

    from kuleshov.evals.bench import random_model

    mllm = random_model.half_billion()
    labels = LabelSet.load("emotic-26").names
    whole = label_question(mllm, labels)

    each = answers.each_answers(labels)
    one = itertools.cycle(labels)

    works: dict[str, Callable[[], Any]] = {
        "suffix": lambda: one_forward(mllm, whole),
        "labels": lambda: mllm.score(whole, labels),
        "one": lambda: mllm.score(whole, [next(one)]),
        "multi": lambda: mllm.score(whole, each),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more would wait for one another, which counts as work
    try:
        for work in works.values():
            work()
        seconds = median_seconds(works, rounds, time.process_time)
    finally:
        torch.set_num_threads(threads)
    encoded = mllm._encode(whole)
    return Result(
        figures={
            "labels26_ratio": round(seconds["labels"] / seconds["suffix"], 3),
            "naive_labels26_ratio": round(26 * seconds["one"] / seconds["suffix"], 2),
            "labels26_multi_ratio": round(seconds["multi"] / seconds["suffix"], 3),
            "suffix_s": round(seconds["suffix"], 4),
        },
        meaning={
            "labels26_ratio": "26 labels scored at once, over one forward of the question",
            "naive_labels26_ratio": "26 times one label scored alone, over one forward",
            "labels26_multi_ratio": "yes and no scored for each of 26 labels, over one forward",
            "suffix_s": "one forward of the question, the picture read before, processor seconds",
        },
        settings={
            "model": f"random weights, {(mllm.info.parameters or 0) / 1e9:.2f} B, float32, cpu",
            "vocabulary": random_model.TEXT["vocab_size"],
            "question_tokens": len(encoded.ids) - encoded.images[-1].end if encoded.images else 0,
            "label_tokens": sum(len(answer) - 1 for answer in mllm.answer_ids(labels)),
            "time": "processor seconds on one core",
            "rounds": rounds,
        },
    )


def label_question(mllm: Any, labels: Any) -> Conversation:
    """Asks for one of the labels after a picture and ten items of evidence."""
    items = [
        Evidence(n=i, source="bench", kind="context", text=text)
        for i, text in enumerate(EVIDENCE, start=1)
    ]
    writer = asking_writer.Writer(find_family(mllm.info.prompts), mllm.info)
    return writer.direct(images.blank_image(), None, None, items, labels)


def one_forward(mllm: Any, whole: Conversation) -> Any:
    """Read the question after the picture, and nothing else: the least that any answer costs."""
    import torch

    encoded = mllm._encode(whole)
    with mllm._running():
        cache, tail = mllm._read_most(encoded)
        ids = torch.tensor([tail], device=mllm.model.device)
        return mllm.model(input_ids=ids, logits_to_keep=1, **with_cache(cache)).logits
