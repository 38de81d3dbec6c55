"""A LLaVA of real size with random weights: its answers mean nothing, its speed is real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kuleshov import prompts
from kuleshov.tools.labels import LabelSet, shipped_label_sets
from kuleshov.tools.mllm.base import MllmInfo
from kuleshov.tools.mllm.local.model import TransformersMllm

# Text model with the sizes of Qwen2-0.5B (its config.json on the Hub), tower with those of
# CLIP ViT-B/16 at 224 pixels (Radford et al. 2021): 0.58 B parameters, 196 image tokens.
TEXT: dict[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": True,
}
TOWER: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "projection_dim": 512,
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def half_billion(seed: int = 0, also: Sequence[str] = ()) -> TransformersMllm:
    """A 0.5B-class LLaVA on the CPU in float32 (2.3 GB), made in memory.

    Its tokenizer is a byte-level BPE trained on the project's prompts and label sets, so that they
    have about as many tokens as with a real one, labels rather more (2.8 on average for EMOTIC);
    the vocabulary of the logits is as wide as a real one.
    """
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        GenerationConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        Qwen2Config,
    )

    words = train_tokenizer(also)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**TOWER),
        text_config=Qwen2Config(**TEXT, eos_token_id=words.eos_token_id),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=196,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id
    )
    processor = LlavaProcessor(
        CLIPImageProcessor(
            size={"height": 224, "width": 224}, crop_size={"height": 224, "width": 224}
        ),
        words,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    info = MllmInfo(
        id="random 0.5B",
        kind="llava",
        device="cpu",
        dtype="float32",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        prompts="brief",
        many_images=False,
        context_tokens=TEXT["max_position_embeddings"],
        caveat="random weights: the answers mean nothing",
    )
    return TransformersMllm(model, processor, info)


def train_tokenizer(also: Sequence[str] = ()) -> Any:
    """A byte-level BPE trained on the prompts, the label sets and `also`, what is to be asked."""
    from importlib.resources import files

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [
        item.read_text("utf-8")
        for family in prompts.FAMILIES
        for item in (files("kuleshov.prompts") / family).iterdir()
    ] * 3
    texts += [LabelSet.load(name).model_dump_json() for name in shipped_label_sets()]
    texts += [*also] * 3
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
    words.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=2500 if also else 1000,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        padding_side="left",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={"image_token": "<image>"},
    )
