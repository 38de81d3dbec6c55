"""Answers from the queue are those one by one, whoever else waits in it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_models import KINDS, assistant, picture, user

from kuleshov.tools import mllm as models
from kuleshov.tools.mllm import MllmError
from kuleshov.tools.mllm.local import segments
from kuleshov.tools.mllm.local.batch_cache import SlotCache, even_rows, step_rows
from kuleshov.tools.mllm.local.batching import BatchedMllm

SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", "tense", "glad"]},
        "why": {"type": "string", "maxLength": 12},
    },
    "required": ["mood", "why"],
    "additionalProperties": False,
}
LABELS = ["happiness", "sadness", "fear", "no"]


def tiny(tiny_llava, kind: str = "llava", dtype: str = "float32", **options):
    return models.load_model(str(tiny_llava(kind)), device="cpu", dtype=dtype, **options)


def work(count: int) -> list[tuple[str, list, dict]]:
    """The calls of `count` items: shared examples, then a picture, questions of any length."""
    calls: list[tuple[str, list, dict]] = []
    shots = [picture(90, (28, 28)), "happiness", picture(91, (28, 28)), "fear"]
    for n in range(count):
        about = [*shots, picture(n, (28, 28))]
        evidence = "evidence: the face shows AU12 " * (n % 4)
        ask = [user(*about, evidence + "which emotion does the person show?")]
        calls += [
            ("generate", [user(*about, "describe the scene.")], {"max_new_tokens": 5 + n % 7}),
            ("generate", ask, {"max_new_tokens": 40, "schema": SCHEMA}),
            ("score", [user(*about, evidence + "which?")], {"answers": LABELS}),
            ("score", [*ask, assistant("a person smiles"), user("which?")], {"answers": LABELS}),
        ]
    return calls


def call(model, one: tuple[str, list, dict]):
    kind, talk, options = one
    if kind == "score":
        return model.score(talk, options["answers"])
    made = model.generate(talk, **options)
    return made.text, made.tokens, made.mean_logprob, made.finished


def together(model, calls, threads: int = 12):
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda one: call(model, one), calls))


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_one_by_one(tiny_llava, kind):
    calls = work(7)
    alone = [call(tiny(tiny_llava, kind, reuse_prefix=False), one) for one in calls]
    queue = BatchedMllm(tiny(tiny_llava, kind), batch=5)
    found = together(queue, calls)
    queue.close()
    assert queue.largest == 5
    for one, expected, answer in zip(calls, alone, found, strict=True):
        if one[0] == "score":
            assert answer == pytest.approx(expected, abs=1e-4)
        else:
            assert (answer[0], answer[1], answer[3]) == (expected[0], expected[1], expected[3])
            assert answer[2] == pytest.approx(expected[2], abs=2e-4)


def row_by_row(model: torch.nn.Module) -> None:
    """Linear layers compute each row by itself: the same bits in any company, on any machine."""
    for linear in [part for part in model.modules() if isinstance(part, torch.nn.Linear)]:
        real = linear.forward
        linear.forward = lambda rows, real=real: torch.cat([real(row[None]) for row in rows])


def test_with_pictures_kept_one_by_one_is_the_same_to_the_bit(tiny_llava):
    calls = work(4)
    single, inner = tiny(tiny_llava), tiny(tiny_llava)
    if even_rows(single.model, 16) > 1:  # a row alone has other bits on this machine
        row_by_row(single.model)
        row_by_row(inner.model)
    alone = [call(single, one) for one in calls]
    queue = BatchedMllm(inner, batch=5)
    found = together(queue, calls)
    queue.close()
    assert found == alone


@pytest.mark.parametrize("torch_threads", [1, 2], indirect=True)
@pytest.mark.usefixtures("torch_threads")
def test_numbers_do_not_depend_on_who_else_is_in_the_queue(tiny_llava):
    calls = work(6)
    results = []
    for batch, threads, order in ((5, 12, 1), (11, 12, 1), (1, 1, -1), (7, 9, -1)):
        queue = BatchedMllm(tiny(tiny_llava), batch=batch)
        results.append(together(queue, calls[::order], threads)[::order])
        queue.close()
    assert results[0] == results[1] == results[2] == results[3]


@pytest.mark.parametrize("torch_threads", [1, 2], indirect=True)
@pytest.mark.usefixtures("torch_threads")
def test_a_row_has_the_same_bits_in_any_company(tiny_llava):
    inner = tiny(tiny_llava)
    text, even = inner.text_config, even_rows(inner.model, 16)
    shape = (1, text.num_key_value_heads, 9, text.hidden_size // text.num_attention_heads)
    read = [
        [(torch.randn(shape), torch.randn(shape)) for _ in range(text.num_hidden_layers)]
        for _ in range(13)
    ]

    def logits(count: int) -> torch.Tensor:
        cache = SlotCache(exact=True, rows=even)
        for layers in read[:count]:
            cache.join(layers, 20)
        with torch.inference_mode():
            return step_rows(inner.model, text, cache, list(range(3, 3 + count)))[0]

    alone = logits(1)
    assert [count for count in range(2, 14) if not torch.equal(logits(count), alone)] == []


@pytest.mark.parametrize(("good", "even"), [((1, 2, 3, 16), 16), ((4, 12, 16), 16), ((), 16)])
def test_rows_are_filled_up_to_a_number_that_keeps_the_bits(tiny_llava, good, even):
    model = tiny(tiny_llava).model
    assert 16 % even_rows(model, 16) == 0
    row_by_row(model)
    assert even_rows(model, 16) == 1
    head = model.get_output_embeddings()
    real = head.forward
    head.forward = lambda rows: real(rows) * (1 if len(rows) in good else 1 + 1e-6 * len(rows))
    assert even_rows(model, 16) == even
    head.forward = lambda rows: real(rows) * (1 if len(rows) % 8 == 0 else 2)
    assert even_rows(model, 16) == 8


def test_what_is_shared_is_read_once(tiny_llava):
    queue = BatchedMllm(tiny(tiny_llava), batch=4)
    read = []
    compute = queue.store._compute

    def note(piece, *rest):
        read.append(piece)
        return compute(piece, *rest)

    queue.store._compute = note
    together(queue, work(5))
    queue.close()
    assert len({piece.key for piece in read}) == len(read)
    assert sum(piece.image is not None for piece in read) == 2 + 5  # examples once, each item once


def test_what_is_kept_does_not_grow_with_the_pictures_that_were_read(tiny_llava, monkeypatch):
    monkeypatch.setattr(segments, "LEAST_KEPT", 0)
    monkeypatch.setattr(segments, "LARGEST_KEPT", 6)
    queue = BatchedMllm(tiny(tiny_llava), batch=4)
    held = []
    for n in range(24):
        queue.score([user(picture(n, (28, 28)), "which?")], LABELS)
        held.append(queue.store.bytes)
    queue.close()
    assert max(held) <= 6 * queue.store.largest
    assert max(held[12:]) == max(held[6:12])


def test_a_model_in_bfloat16_says_the_batch(tiny_llava):
    queue = BatchedMllm(tiny(tiny_llava, dtype="bfloat16"), batch=6)
    found = together(queue, work(3))
    queue.close()
    assert queue.info.batch == 6
    assert all(found)
    exact = BatchedMllm(tiny(tiny_llava), batch=6)
    exact.close()
    assert exact.info.batch is None


def test_one_attention_for_all_rows_gives_the_same_answers(tiny_llava):
    """The way of a GPU, here in float32 so that it can be compared."""
    calls = [one for one in work(6) if one[0] == "generate"]
    alone = [call(tiny(tiny_llava), one) for one in calls]
    queue = BatchedMllm(tiny(tiny_llava), batch=4)
    queue.exact = queue._cache.exact = False
    found = together(queue, calls)
    queue.close()
    assert [answer[0] for answer in found] == [answer[0] for answer in alone]


@pytest.mark.parametrize("moment", [1, 8, 20, 33])
def test_out_of_memory_halves_the_batch_and_goes_on(tiny_llava, moment, monkeypatch):
    calls = work(6)
    alone = BatchedMllm(tiny(tiny_llava), batch=1)
    expected = together(alone, calls, 1)
    alone.close()
    inner = tiny(tiny_llava)
    forward, count = inner.model.forward, 0

    def short(*args, **kwargs):
        nonlocal count
        count += 1
        if count == moment:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(inner.model, "forward", short)
    queue = BatchedMllm(inner, batch=8)
    found = together(queue, calls)
    queue.close()
    assert found == expected
    assert queue.halved == 1
    assert queue.batch < 8


def test_memory_that_never_suffices_is_told(tiny_llava, monkeypatch):
    inner = tiny(tiny_llava)

    def short(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(inner.model, "forward", short)
    queue = BatchedMllm(inner, batch=4)
    for one in work(1):
        with pytest.raises(MllmError, match=r"ran out of memory on cpu; use"):
            call(queue, one)
    queue.close()


def test_a_bad_schema_fails_its_own_request_alone(tiny_llava):
    queue = BatchedMllm(tiny(tiny_llava), batch=4)
    bad = ("generate", work(1)[0][1], {"schema": {"type": "nonsense"}})
    with ThreadPoolExecutor(4) as pool:
        good = [pool.submit(call, queue, one) for one in work(2)]
        failed = pool.submit(call, queue, bad)
        assert all(future.result() for future in good)
        with pytest.raises(MllmError, match="cannot be followed"):
            failed.result()
    queue.close()


def test_sampled_and_streamed_answers_are_as_without_a_queue(tiny_llava):
    talk = work(1)[0][1]
    alone = tiny(tiny_llava).generate(talk, max_new_tokens=8, temperature=1.0, seed=3)
    queue = BatchedMllm(tiny(tiny_llava))
    assert queue.generate(talk, max_new_tokens=8, temperature=1.0, seed=3).text == alone.text
    told: list[str] = []
    assert queue.generate(talk, max_new_tokens=8, on_token=told.append).text == "".join(told)
    text_only = [user("which emotion?")]
    assert queue.generate(text_only, max_new_tokens=4).tokens
    queue.close()


def test_a_closed_queue_refuses(tiny_llava):
    queue = BatchedMllm(tiny(tiny_llava))
    queue.close()
    with pytest.raises(MllmError, match="closed"):
        call(queue, work(1)[0])
    assert not [t for t in threading.enumerate() if t.name == "kuleshov-model"]
