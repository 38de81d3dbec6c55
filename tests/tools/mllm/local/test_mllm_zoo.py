"""Families of vision-language models: label scores against an independent plain forward.

The reference renders prompt and answer by the checkpoint's own template as text, gives the whole
to a processor and a model of its own, and reads one forward an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import zoo_models
from tiny_models import assistant, picture, user

from kuleshov import Agent, Settings
from kuleshov.tools import mllm as mllms
from kuleshov.tools.mllm import MllmError, catalogue
from kuleshov.tools.mllm.local import continuing, scoring
from kuleshov.tools.mllm.local.model import TransformersMllm

from parts import SMILE, HandFaces, face

pytestmark = pytest.mark.filterwarnings("error::FutureWarning")

LABELS = ["happiness", "sadness", "neutral", "no", "no, not at all"]
Checkpoint = Callable[..., Path]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    made: dict[tuple[str, str | None], Path] = {}

    def folder(kind: str, template: str | None = None) -> Path:
        if (kind, template) not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind, template] = zoo_models.build(kind, folder, template)
        return made[kind, template]

    return folder


def load(folder: Path) -> TransformersMllm:
    model = mllms.load_model(str(folder), device="cpu", dtype="float32")
    assert isinstance(model, TransformersMllm)
    return model


class Reference:
    """A processor and a model of its own, and the template as it is on disk."""

    def __init__(self, folder: Path, kind: str, opening: str | None = None) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.end, self.opening = zoo_models.ANSWER_END[kind], opening

    def prompt(self, talk: list[Any]) -> str:
        switch = "enable_thinking" in self.processor.chat_template
        text = self.processor.apply_chat_template(
            talk,
            add_generation_prompt=True,
            tokenize=False,
            **({"enable_thinking": False} if switch else {}),
        )
        return text + (self.opening or "")

    def inputs(self, text: str, talk: list[Any]) -> Any:
        shown = [part["image"] for turn in talk for part in turn["content"] if "image" in part]
        given: dict[str, Any] = {"images": [shown]} if shown else {}
        bos = self.processor.tokenizer.bos_token
        if bos and text.startswith(bos):
            given["add_special_tokens"] = False
        return self.processor(text=[text], return_tensors="pt", **given)

    def score(self, talk: list[Any], answer: str, lead: str = "") -> float:
        prompt = self.prompt(talk)
        whole = self.inputs(prompt + lead + answer + self.end, talk)
        ids, start = whole["input_ids"][0], self.inputs(prompt, talk)["input_ids"].shape[1]
        with torch.inference_mode():
            logs = self.model(**whole, use_cache=False).logits[0].log_softmax(-1)
        return sum(float(logs[i - 1, ids[i]]) for i in range(start, len(ids)))


def talks() -> list[list[Any]]:
    image, other = picture(1, (120, 90)), picture(2, (60, 80))
    ask = user(image, "which emotion does the person show?")
    return [
        [ask],
        [user("which emotion?")],
        [user("describe the scene."), assistant("happiness"), ask],
        [user(image, "the person:", other, "which emotion does the person show?")],
    ]


@pytest.mark.parametrize("kind", zoo_models.MAKE)
def test_scores_are_those_of_a_plain_forward(kind: str, checkpoint: Checkpoint) -> None:
    folder = checkpoint(kind)
    model, reference = load(folder), Reference(folder, kind)
    lead = " " if kind == "smolvlm" else ""  # its template writes "Assistant: happiness"
    for talk in talks():
        expected = [reference.score(talk, label, lead) for label in LABELS]
        assert model.score(talk, LABELS) == pytest.approx(expected, abs=1e-4)
        assert max(expected) - min(expected) > 1
    assert model.info.scored_in == ("tree" if kind == "pixtral" else "continued")
    assert model.info.many_images is (kind != "mllama")
    for known in catalogue.KNOWN.values():  # what the list says of this kind is so
        if known.kind == model.info.kind and kind != "pixtral":
            assert known.quick is (model.info.scored_in == "tree")
            assert known.many_images is model.info.many_images
            assert known.video is model.info.video


@pytest.mark.parametrize("kind", zoo_models.MAKE)
def test_features_of_a_picture(kind: str, checkpoint: Checkpoint) -> None:
    model = load(checkpoint(kind))
    if kind == "mllama":
        with pytest.raises(MllmError, match="no vision tower that can be asked by itself"):
            model.features([picture(1)])
        return
    rows = model.features([picture(1, (120, 90)), picture(2, (60, 80))])
    assert rows.shape[0] == 2
    assert (rows**2).sum(1) == pytest.approx([1, 1], abs=1e-4)
    assert abs(rows[0] - rows[1]).max() > 1e-3


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "gemma3", "mllama", "smolvlm"])
def test_the_prompt_and_its_picture_are_read_once(
    kind: str, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = load(checkpoint(kind)), []
    real = model.model.forward

    def count(*given: Any, **options: Any) -> Any:
        read.append((options["input_ids"].shape[1], options.get("pixel_values") is not None))
        return real(*given, **options)

    count.__signature__ = __import__("inspect").signature(real)  # type: ignore[attr-defined]
    monkeypatch.setattr(model.model, "forward", count)
    talk = talks()[0]
    length = len(model._encode(talk).ids)
    model.score(talk, LABELS)
    longest = max(map(len, model.answer_ids(LABELS))) - 1
    assert read == [(length, True), (longest, False)]


def test_many_answers_to_a_long_prompt_are_read_in_turns(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(checkpoint("qwen2_5_vl"))
    together = model.score(talks()[0], LABELS)
    monkeypatch.setattr(continuing, "MOST", 1)
    assert model.score(talks()[0], LABELS) == pytest.approx(together, abs=1e-4)


def test_where_going_on_gives_other_numbers_each_answer_is_read_whole(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint("qwen2_5_vl")
    expected = load(folder).score(talks()[0], LABELS)
    monkeypatch.setattr(continuing, "continued_scores", lambda *given: [0.0] * len(given[2]))
    model = load(folder)
    assert model.info.scored_in == "plain"
    assert model.score(talks()[0], LABELS) == pytest.approx(expected, abs=1e-4)


# ------------------------------------------------------------------- thoughts


@pytest.mark.parametrize("kind", ["qwen3_5", "qwen3_vl"])
def test_thinking_is_switched_off(kind: str, checkpoint: Checkpoint) -> None:
    model = load(checkpoint(kind))
    assert model.info.thinking == "off"
    decode = model.processor.tokenizer.decode
    for talk in talks():
        prompt = decode(model._encode(talk).ids)
        assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert decode(model.answer_ids(["fear"])[0]) == "fear<|im_end|>"


def test_a_thought_that_is_always_open_is_closed_as_the_template_does(
    checkpoint: Checkpoint,
) -> None:
    folder = checkpoint("qwen3_vl", zoo_models.thinking(zoo_models.ALWAYS))
    model, reference = load(folder), Reference(folder, "qwen3_vl", "\n</think>\n\n")
    assert model.info.thinking == "closed"
    for talk in talks():
        expected = [reference.score(talk, label) for label in LABELS]
        assert model.score(talk, LABELS) == pytest.approx(expected, abs=1e-4)
    schema = {"type": "object", "properties": {"e": {"enum": LABELS}}, "required": ["e"]}
    said = model.generate(talks()[0], schema=schema, max_new_tokens=40)
    assert json.loads(said.text)["e"] in LABELS


@pytest.mark.parametrize(
    ("switch", "mode"),
    [("", "off"), ("is defined and not enable_thinking", "closed")],
    ids=["switched", "no switch"],
)
def test_a_thought_that_only_answers_are_written_with(
    switch: str, mode: str, checkpoint: Checkpoint
) -> None:
    """GLM-4.6V's prompt has an empty thought, GLM-4.1V's has none and its answers have one."""
    template = zoo_models.GLM_THINKING
    if switch:
        template = template.replace(f"enable_thinking {switch}", "false")
    folder = checkpoint("glm4v", template)
    opening = "<think></think>\n" if switch else None
    model, reference = load(folder), Reference(folder, "glm4v", opening)
    assert model.info.thinking == mode
    for talk in talks():
        expected = [reference.score(talk, label) for label in LABELS]
        assert model.score(talk, LABELS) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("opening", "past"),
    [
        (zoo_models.ALWAYS, ""),  # past turns are written without their thoughts
        ("{{- '<think>\\n' }}", "</answer>"),
        ("{{- '<|channel>thought\\n' }}", ""),
        ("{{- '[THINK]' }}", ""),
    ],
)
def test_a_thought_that_cannot_be_closed_is_refused(
    opening: str, past: str, checkpoint: Checkpoint
) -> None:
    folder = checkpoint("qwen3_vl", zoo_models.thinking(opening, past=past))
    with pytest.raises(MllmError, match=r"cannot be used: .*(opens a thought|between the prompt)"):
        load(folder)


def test_nothing_but_white_space_stands_before_a_scored_answer(checkpoint: Checkpoint) -> None:
    """Also where a processor was not made ready."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint("qwen3_5"))
    end = processor.tokenizer.eos_token_id
    with pytest.raises(MllmError, match="opens a thought"):
        scoring.answer_ids(processor, "fear", [end])
    processor.chat_template = zoo_models.thinking("", past="Answer: ")
    with pytest.raises(MllmError, match="writes 'Answer:' between the prompt and an answer"):
        scoring.answer_ids(processor, "fear", [end])


# ------------------------------------------------------------------- ends of turns


def test_the_end_of_a_turn_is_the_templates(checkpoint: Checkpoint) -> None:
    model = load(checkpoint("glm4v"))
    words = model.processor.tokenizer
    assert words.convert_ids_to_tokens(model.answer_ids(["fear"])[0])[-1] == "<|user|>"
    named = {words.convert_ids_to_tokens(end) for end in model.ends}
    assert named == {"<|endoftext|>", "<|user|>", "<|observation|>"}
    model = load(checkpoint("gemma3"))
    words = model.processor.tokenizer
    assert words.convert_ids_to_tokens(model.answer_ids(["fear"])[0])[-1] == "<end_of_turn>"


def test_an_end_that_only_the_template_names_ends_an_answer(checkpoint: Checkpoint) -> None:
    template = zoo_models.chat_ml(zoo_models.SEEN).replace("<|im_end|>", "<|vision_end|>")
    model = load(checkpoint("qwen2_5_vl", template))
    words = model.processor.tokenizer
    assert words.convert_ids_to_tokens(model.answer_ids(["fear"])[0])[-1] == "<|vision_end|>"
    assert words.convert_tokens_to_ids("<|vision_end|>") in model.ends


@pytest.mark.parametrize("kind", ["glm4v", "pixtral"])
def test_any_end_counts_where_the_template_tells_none(kind: str, checkpoint: Checkpoint) -> None:
    own = {"glm4v": zoo_models.GLM, "pixtral": zoo_models.MISTRAL}[kind]
    template = own.replace("'<|user|>\n'", "'User: '").replace(" + eos_token", "")
    folder = checkpoint(kind, template.replace("[INST]", " Ask:"))
    model, reference = load(folder), Reference(folder, kind)
    model.turn_ends = model.ends = [*model.ends, 3, 4]
    words = reference.processor.tokenizer
    for talk in talks()[:2]:
        expected = []
        for label in LABELS:
            several = []
            for end in model.ends:
                reference.end = words.convert_ids_to_tokens(end)
                several.append(reference.score(talk, label))
            expected.append(float(torch.tensor(several).double().logsumexp(0)))
        assert model.score(talk, LABELS) == pytest.approx(expected, abs=1e-4)
        assert model.score_many([(talk, LABELS)] * 2) == [pytest.approx(expected, abs=1e-4)] * 2


# ------------------------------------------------------------------- the agent


@pytest.mark.parametrize(("kind", "mode"), [("qwen3_5", "off"), ("mllama", "none")])
def test_a_reading_rests_on_the_model_and_the_record_says_how(
    kind: str, mode: str, checkpoint: Checkpoint
) -> None:
    agent = Agent(load(checkpoint(kind)), HandFaces(face(SMILE)), Settings.load(max_new_tokens=48))
    read = agent.infer(picture(3, (200, 150)))
    assert read.provenance.mllm["thinking"] == mode
    assert read.provenance.mllm["scored_in"] == "continued"
    (person,) = read.people
    assert person.emotions is not None
    assert person.emotions.fusion == "people"
    assert not [gap for gap in read.gaps if "failed" in gap.reason or gap.step == "weigh"]


# ------------------------------------------------------------------- what fails


def test_a_model_that_cannot_read_a_picture_is_refused_when_loaded(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Qwen2_5_VLForConditionalGeneration as Qwen

    def broken(*_: Any, **__: Any) -> Any:
        raise AttributeError("'Output' object has no attribute 'image_outputs'")

    monkeypatch.setattr(Qwen, "forward", broken)
    with pytest.raises(MllmError, match=r"qwen2_5_vl.* failed to compute: 'Output' object"):
        load(checkpoint("qwen2_5_vl"))


def test_a_picture_that_a_processor_refuses_is_told(checkpoint: Checkpoint) -> None:
    model, strip = load(checkpoint("qwen2_5_vl")), picture(1, (900, 3))
    with pytest.raises(MllmError, match=r"failed to prepare what it is shown: .*aspect ratio"):
        model.score([user(strip, "which emotion?")], LABELS)
    with pytest.raises(MllmError, match=r"failed to prepare what it is shown: .*aspect ratio"):
        model.features([strip])


def test_a_missing_package_names_its_extra(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(
        MllmError, match=r"needs num2words: run `pip install 'kuleshov\[smolvlm\]'`"
    ):
        load(checkpoint("smolvlm"))


def test_what_has_an_entry_a_token_grows_with_the_answer() -> None:
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7]]),
        "attention_mask": torch.ones(1, 3),
        "cross_attention_mask": torch.tensor([[[[0]], [[1]], [[1]]]]),
        "moe_mm_token_type_ids": torch.tensor([[0, 1, 0]]),
        "position_ids": torch.tensor([[0, 1, 2]]),
        "image_position_ids": torch.ones(1, 3, 2),
        "pixel_values": torch.ones(1, 3, 8, 8),
        "image_grid_thw": torch.ones(1, 3),
    }
    row = scoring.lengthen_inputs(inputs, [8, 9])
    assert row["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert row["attention_mask"].tolist() == [[1] * 5]
    assert row["cross_attention_mask"].flatten().tolist() == [0, 1, 1, 1, 1]
    assert row["moe_mm_token_type_ids"].tolist() == [[0, 1, 0, 0, 0]]
    assert row["position_ids"].tolist() == [[0, 1, 2, 3, 4]]
    for name in ("image_position_ids", "pixel_values", "image_grid_thw"):
        assert row[name] is inputs[name]
