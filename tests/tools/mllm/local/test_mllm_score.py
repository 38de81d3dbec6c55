"""Label scoring: one forward under a tree mask equals one forward an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import KINDS, assistant, picture, user

from kuleshov.asking.answers import each_answers
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm.base import MllmError
from kuleshov.tools.mllm.local import scoring
from kuleshov.tools.mllm.local.model import TransformersMllm

LABELS = ["happiness", "sadness", "surprise", "fear", "anger", "disgust", "neutral", "no", "no no"]

TURNS = {
    "llava": (" {}", "</s>"),
    "llava_next": (" {}", "</s>"),
    "llava_onevision": ("{}", "<|im_end|>"),
}
"""How each template goes on after its generation prompt: the answer, its end."""

Folder = Callable[..., Path]


@pytest.fixture(scope="module", params=KINDS)
def mllm(request: Any, tiny_llava: Folder) -> TransformersMllm:
    folder = tiny_llava(request.param)
    return TransformersMllm.load_folder(folder, name=request.param, device="cpu", dtype="float32")


def by_hand(mllm: TransformersMllm, conversation: list[Any], answer: str) -> float:
    """Written out: prompt, answer and end token through the bare model, one answer at a time."""
    form, end = TURNS[mllm.info.kind]
    tokenizer = mllm.processor.tokenizer
    features = mllm.processor.apply_chat_template(
        conversation,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    prompt = features["input_ids"][0].tolist()
    said = tokenizer.encode(form.format(answer), add_special_tokens=False)
    said.append(tokenizer.convert_tokens_to_ids(end))
    features["input_ids"] = torch.tensor([prompt + said])
    features["attention_mask"] = torch.ones_like(features["input_ids"])
    with torch.inference_mode():
        logs = mllm.model(**features, use_cache=False).logits[0].log_softmax(-1)
    return sum(float(logs[len(prompt) + i - 1, token]) for i, token in enumerate(said))


def talks() -> list[list[Any]]:
    image = picture(1)
    judge = [user(image, "which emotion does the person show?")]
    return [
        judge,
        judge,  # nothing left to read but the last token
        [*judge, assistant("a person smiles"), user("happiness sadness")],
        [user("which emotion?")],
        [user(image, picture(2, (30, 60)), "which emotion?")],
    ]


def test_the_tree_equals_one_by_one(mllm: TransformersMllm) -> None:
    assert mllm.tree
    for conversation in talks():
        expected = [by_hand(mllm, conversation, label) for label in LABELS]
        assert mllm.score(conversation, LABELS) == pytest.approx(expected, abs=1e-4)
        assert len({round(value, 2) for value in expected}) == len(LABELS)


def test_answers_do_not_see_one_another(mllm: TransformersMllm) -> None:
    conversation = talks()[0]
    together = mllm.score(conversation, LABELS)
    backwards = mllm.score(conversation, LABELS[::-1])[::-1]
    alone = [mllm.score(conversation, [label])[0] for label in LABELS]
    assert together == pytest.approx(backwards, abs=1e-4)
    assert together == pytest.approx(alone, abs=1e-4)
    assert mllm.score(conversation, ["no", "no"]) == pytest.approx([alone[7]] * 2, abs=1e-4)


def test_one_forward_for_all_answers(
    mllm: TransformersMllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    inner = mllm.model.model.language_model
    real = inner.forward

    def count(*arguments: Any, **options: Any) -> Any:
        widths.append(options["inputs_embeds"].shape[1])
        return real(*arguments, **options)

    image = picture(11)
    mllm.score([user(image, "describe the scene.")], ["yes", "no"])
    monkeypatch.setattr(inner, "forward", count)
    mllm.score([user(image, "describe the person")], LABELS)
    assert len(widths) == 1
    encoded = mllm._encode([user(image, "describe the person")])
    assert widths[0] < len(encoded.ids) + 30  # the image was not read again


def test_the_plain_way_gives_the_same(
    mllm: TransformersMllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What models with sliding windows or positions of their own are scored with."""
    monkeypatch.setattr(mllm, "tree", False)
    for conversation in talks():
        expected = [by_hand(mllm, conversation, label) for label in LABELS]
        assert mllm.score(conversation, LABELS) == pytest.approx(expected, abs=1e-4)


def test_scores_are_the_same_bits_whatever_was_asked_before(
    mllm: TransformersMllm,
) -> None:
    fresh = TransformersMllm(mllm.model, mllm.processor, mllm.info)
    conversation = talks()[2]
    first = [fresh.score(talk, LABELS) for talk in talks()]
    for talk, scores in zip(talks(), first, strict=True):
        expected = [by_hand(mllm, talk, label) for label in LABELS]
        assert scores == pytest.approx(expected, abs=1e-4)
    written = fresh.generate(conversation, max_new_tokens=8)
    fresh.score([user(picture(5), "which emotion?")], LABELS)
    again = [fresh.score(talk, LABELS) for talk in reversed(talks())]
    assert again[::-1] == first
    alone = TransformersMllm(mllm.model, mllm.processor, mllm.info)
    assert alone.score(conversation, LABELS) == first[2]
    assert alone.generate(conversation, max_new_tokens=8).mean_logprob == written.mean_logprob


def test_a_shared_picture_is_read_once(
    mllm: TransformersMllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = TransformersMllm(mllm.model, mllm.processor, mllm.info)
    image, inner, widths = picture(12), mllm.model.model.language_model, []
    real = inner.forward

    def count(*arguments: Any, **options: Any) -> Any:
        widths.append(options["inputs_embeds"].shape[1])
        return real(*arguments, **options)

    fresh.score([user(image, "which emotion?")], LABELS)
    monkeypatch.setattr(inner, "forward", count)
    fresh.score([user(image, "describe the person")], LABELS)
    encoded = mllm._encode([user(image, "describe the person")])
    assert len(widths) == 1
    assert widths[0] < len(encoded.ids) - encoded.images[0].end + 30


def test_scoring_leaves_a_clean_cache(mllm: TransformersMllm) -> None:
    """What is said next must not see the answers that were scored."""
    conversation = talks()[0]
    fresh = TransformersMllm(mllm.model, mllm.processor, mllm.info, reuse_prefix=False)
    mllm.score(conversation, LABELS)
    assert mllm.generate(conversation, max_new_tokens=8).text == (
        fresh.generate(conversation, max_new_tokens=8).text
    )


def test_a_long_prompt_is_read_before_the_tree(
    mllm: TransformersMllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tree's mask grows with the square of what is read under it."""
    from kuleshov.tools.mllm.local import model as runtime

    monkeypatch.setattr(runtime, "LONG_TAIL", 8)
    asked: list[int] = []
    real = scoring.tree_mask

    def note(kept: int, tail: int, *rest: Any) -> Any:
        asked.append(tail)
        return real(kept, tail, *rest)

    monkeypatch.setattr(scoring, "tree_mask", note)
    conversation = [user("which emotion does the person in the scene show?")]
    expected = [by_hand(mllm, conversation, label) for label in LABELS]
    assert mllm.score(conversation, LABELS) == pytest.approx(expected, abs=1e-4)
    assert asked == [1]


def test_no_answers_no_scores(mllm: TransformersMllm) -> None:
    assert mllm.score(talks()[0], []) == []


def test_the_longest_answer_must_fit(tiny_llava: Folder) -> None:
    folder = tiny_llava("llava_onevision", max_position_embeddings=32)
    mllm = TransformersMllm.load_folder(folder, name="short", device="cpu")
    conversation = [user("which emotion?")]
    assert len(mllm.score(conversation, ["yes"])) == 1
    with pytest.raises(MllmError, match="reads at most 32"):
        mllm.score(conversation, ["yes", "happiness sadness " * 8])


def test_the_mask_is_a_tree() -> None:
    tree = scoring.Tree.of([[5, 0], [6, 7, 0], [6, 8, 0]])
    assert (tree.tokens, tree.parents) == ([5, 6, 7, 8], [-1, -1, 1, 1])
    assert tree.paths == [[0], [1, 2], [1, 3]]
    mask, positions = scoring.tree_mask(2, 2, tree, torch.float32)
    seen = (mask[0, 0] == 0).int().tolist()
    assert seen == [
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 1, 0, 0],
        [1, 1, 1, 1, 0, 1, 1, 0],
        [1, 1, 1, 1, 0, 1, 0, 1],
    ]
    assert positions == [2, 3, 4, 4, 5, 5]


def test_26_labels_of_several_tokens_and_yes_and_no_for_each(mllm: TransformersMllm) -> None:
    names = LabelSet.load("emotic-26").names
    conversation = [user(picture(1), "which emotion does the person show?")]
    for answers in (names, each_answers(names)):
        ids = mllm.answer_ids(answers)
        assert max(map(len, ids)) > 4
        tree = scoring.Tree.of(ids)
        assert len(tree.tokens) < sum(len(answer) - 1 for answer in ids)  # some begin alike
        expected = [by_hand(mllm, conversation, answer) for answer in answers]
        assert mllm.score(conversation, answers) == pytest.approx(expected, abs=1e-4)
    assert len(each_answers(names)) == 52
