"""Frames of a clip as one video: real LLaVA classes that take videos, with tiny weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import VIDEO_KINDS, picture, user
from tracks import write_clip

from kuleshov import Agent, Settings
from kuleshov.tools.mllm.local.batching import BatchedMllm
from kuleshov.tools.mllm.local.model import TransformersMllm

from parts import HandFaces, face, scores

Folder = Callable[..., Path]
FRAMES = [picture(seed) for seed in range(3)]
ANSWERS = ["happiness", "sadness", "fear"]


@pytest.fixture(scope="module", params=VIDEO_KINDS)
def model(request: Any, tiny_llava: Folder) -> TransformersMllm:
    folder = tiny_llava(request.param, max_position_embeddings=8192)
    return TransformersMllm.load_folder(folder, name="tiny", device="cpu", dtype="float32")


def test_a_model_that_takes_videos_says_so(model: TransformersMllm, tiny_llava: Folder) -> None:
    assert model.info.video
    one = TransformersMllm.load_folder(tiny_llava("llava"), name="tiny", device="cpu")
    assert not one.info.video


def test_every_frame_is_in_the_prompt_and_bears_on_the_answer(model: TransformersMllm) -> None:
    ask = "which emotion does the person show?"
    inputs = model._encode([user(FRAMES, ask)]).inputs
    assert tuple(inputs["pixel_values_videos"].shape[:2]) == (1, 3)
    one = int((model._encode([user(FRAMES[:1], ask)]).inputs["input_ids"] == video(model)).sum())
    three = int((inputs["input_ids"] == video(model)).sum())
    assert three - one == 2 * (one - (model.info.kind == "llava_onevision"))  # one ends a video
    whole = model.score([user(FRAMES, ask)], ANSWERS)
    other = model.score([user([*FRAMES[:2], picture(9)], ask)], ANSWERS)
    turned = model.score([user(FRAMES[::-1], ask)], ANSWERS)
    assert np.abs(np.subtract(whole, other)).max() > 1e-4
    assert np.abs(np.subtract(whole, turned)).max() > 1e-4


def video(model: TransformersMllm) -> int:
    return int(model.processor.video_token_id)


def test_scores_and_answers_are_those_of_the_plain_model(model: TransformersMllm) -> None:
    """Against transformers called by hand, beside a picture, and behind the queue."""
    import torch

    talk = [user(FRAMES, picture(5), "describe the scene.")]
    encoded = model._encode(talk)
    ids = model.answer_ids(ANSWERS)
    expected = []
    for answer in ids:
        row = torch.tensor([[*encoded.ids, *answer]])
        inputs = {**encoded.inputs, "input_ids": row, "attention_mask": torch.ones_like(row)}
        with torch.inference_mode():
            logs = model.model(**inputs).logits[0].log_softmax(-1)
        places = range(len(encoded.ids) - 1, row.shape[1] - 1)
        expected.append(sum(float(logs[i, row[0, i + 1]]) for i in places))
    assert model.score(talk, ANSWERS) == pytest.approx(expected, abs=1e-3)
    written = model.generate(talk, max_new_tokens=6).text
    with torch.inference_mode():
        out = model.model.generate(**encoded.inputs, max_new_tokens=6, do_sample=False)
    text = model.processor.tokenizer.decode(out[0][len(encoded.ids) :], skip_special_tokens=True)
    assert written == text
    queue = BatchedMllm(model)
    try:
        assert queue.score(talk, ANSWERS) == pytest.approx(expected, abs=1e-3)
        many = queue.score_many([(talk, ANSWERS), (talk, ANSWERS[:2])])
        assert many[1] == pytest.approx(expected[:2], abs=1e-3)
    finally:
        queue.close()


@pytest.mark.parametrize("kind", [*VIDEO_KINDS, "llava_next"])
def test_the_agent_shows_a_clip_as_the_model_takes_it_and_the_record_says_how(
    kind: str, tiny_llava: Folder, tmp_path: Path
) -> None:
    folder = tiny_llava(kind, max_position_embeddings=8192)
    model = TransformersMllm.load_folder(
        folder, name="tiny", device="cpu", dtype="float32", prompts="full"
    )
    asked: list[set[str]] = []
    encode = model._encode

    def watched(talk: Any) -> Any:
        asked.append({part["type"] for turn in talk for part in turn["content"]})
        return encode(talk)

    model._encode = watched  # type: ignore[method-assign]
    still = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    clip = write_clip(tmp_path / "clip.mp4", [np.roll(still, k, 1) for k in range(8)])
    faces = HandFaces(face(expression=scores(happiness=0.9)))
    settings = Settings.load(rate=5, frames=3, moments=1, max_new_tokens=16, fusion="text")
    read = Agent(model, faces, settings).infer(clip)
    shown = "video" if kind in VIDEO_KINDS else "one sheet"
    assert read.provenance.mllm is not None
    assert read.provenance.mllm["clip_frames"] == shown
    assert any("video" in kinds for kinds in asked) == (shown == "video")
    # sixteen tokens of a random model are no explanation; the moment's label is scored all the same
    (moment,) = read.people[0].moments
    assert [gap for gap in read.gaps if gap.step == "moment"] == []
    (both,) = [judged for judged in moment.judgements if judged.condition == "both"]
    assert both.source == "mllm"
    assert both.emotions is not None
