"""Real LLaVA classes with tiny random weights, saved as checkpoints and loaded by the runtime.

Their tokenizers, end tokens and chat templates are made after those of the checkpoints on the
Hub: LLaVA-1.5 (no end token in the template, a first token that the tokenizer adds itself),
LLaVA-NeXT with Mistral, LLaVA-OneVision with Qwen2 (a past answer is written with another white
space than the prompt for one).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINDS = ("llava", "llava_next", "llava_onevision")
VIDEO_KINDS = ("llava_next_video", "llava_onevision")
VOCABULARY = 448  # of the logits: wider than the tokenizer's, as in most checkpoints

WORDS = (
    "describe the scene. which emotion does the person show? happiness sadness surprise fear "
    'anger disgust neutral contempt {"description":"a person smiles", "mood_words":["calm"]} '
    "yes no true false USER ASSISTANT user assistant system evidence: the face shows AU12 "
) * 4

LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' '}}{% endfor %}"
    "{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
NEXT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'][0]['text'] + '</s>' }}{% else %}{{ '[INST] ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] }}{% endfor %}{{ ' [/INST]' }}{% endif %}{% endfor %}"
)
ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}"
    "{{ '<video>' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}"
    "{{'<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_level(text: str, size: int, special: Sequence[str] = ()) -> Any:
    """A byte-level BPE of `size` tokens, trained on `text`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(
        [text],
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[*special],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return words


def tokenizer(kind: str) -> Any:
    """A byte-level BPE of some 350 tokens."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    chat = kind == "llava_onevision"
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] if chat else ["<unk>", "<s>", "</s>"]
    words = byte_level(WORDS, 350, [*special, "<image>", "<video>"])
    if not chat:
        first = ("<s>", words.token_to_id("<s>"))
        words.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[first]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        padding_side="left",
        bos_token=None if chat else "<s>",
        eos_token="<|im_end|>" if chat else "</s>",
        pad_token="<|endoftext|>" if chat else "<unk>",
        extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
    )


def text_config(kind: str, **changes: Any) -> Any:
    from transformers import LlamaConfig, MistralConfig, Qwen2Config

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,  # bitsandbytes packs rows of 64 where a CPU has bfloat16
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        # wide enough that greedy choices are clear and differ from step to step
        "initializer_range": 0.3,
    } | changes
    if kind == "llava":
        return LlamaConfig(**sizes)
    if kind.startswith("llava_next"):
        return MistralConfig(
            sliding_window=changes.get("sliding_window"),
            **{name: value for name, value in sizes.items() if name != "sliding_window"},
        )
    return Qwen2Config(tie_word_embeddings=True, **sizes)


def build(kind: str, folder: Path, **text_changes: Any) -> Path:
    """Save a checkpoint of `kind` with random weights; the same every time.

    Images are 28 pixels a side, 14 a patch: four tokens each, with tiles more.
    """
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        GenerationConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessor,
        LlavaNextProcessor,
        LlavaNextVideoConfig,
        LlavaNextVideoForConditionalGeneration,
        LlavaNextVideoProcessor,
        LlavaNextVideoVideoProcessor,
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        LlavaProcessor,
        SiglipVisionConfig,
    )

    torch.manual_seed(7)
    words = tokenizer(kind)
    tower: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    text = text_config(kind, **text_changes)
    image, video = words.image_token_id, words.video_token_id
    pinpoints = [[28, 56], [56, 28], [56, 56]]
    size = {"height": 28, "width": 28}
    seeing: dict[str, Any] = {
        "vision_config": CLIPVisionConfig(**tower, projection_dim=32),
        "text_config": text,
        "image_token_index": image,
        "image_seq_length": 4,
    }
    patches: dict[str, Any] = {
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    processor: Any
    model: Any
    if kind == "llava":
        model = LlavaForConditionalGeneration(LlavaConfig(**seeing))
        processor = LlavaProcessor(
            CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size),
            words,
            **patches,
            chat_template=LLAVA_TEMPLATE,
        )
    elif kind == "llava_next":
        model = LlavaNextForConditionalGeneration(
            LlavaNextConfig(
                **seeing,
                image_grid_pinpoints=pinpoints,
            )
        )
        processor = LlavaNextProcessor(
            LlavaNextImageProcessor(
                size={"shortest_edge": 28}, crop_size=size, image_grid_pinpoints=pinpoints
            ),
            words,
            **patches,
            chat_template=NEXT_TEMPLATE,
        )
    elif kind == "llava_next_video":
        model = LlavaNextVideoForConditionalGeneration(
            LlavaNextVideoConfig(
                **seeing,
                video_token_index=video,
                image_grid_pinpoints=pinpoints,
            )
        )
        processor = LlavaNextVideoProcessor(
            LlavaNextVideoVideoProcessor(size={"shortest_edge": 28}, crop_size=size),
            LlavaNextImageProcessor(
                size={"shortest_edge": 28}, crop_size=size, image_grid_pinpoints=pinpoints
            ),
            words,
            **patches,
            chat_template=NEXT_TEMPLATE,
        )
    else:
        model = LlavaOnevisionForConditionalGeneration(
            LlavaOnevisionConfig(
                vision_config=SiglipVisionConfig(**tower, vision_use_head=False),
                text_config=text,
                image_token_index=image,
                video_token_index=video,
                image_grid_pinpoints=pinpoints,
                tie_word_embeddings=True,
            )
        )
        processor = LlavaOnevisionProcessor(
            LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints),
            words,
            LlavaOnevisionVideoProcessor(size=size),
            num_image_tokens=4,
            vision_feature_select_strategy="full",
            chat_template=ONEVISION_TEMPLATE,
        )
    # settings of a checkpoint's own, which the runtime must not follow
    model.generation_config = GenerationConfig(
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        do_sample=True,
        temperature=0.7,
        repetition_penalty=1.3,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def picture(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Any:
    """A random PIL image, `size` being width and height."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def user(*parts: Any) -> dict[str, Any]:
    """A user turn of texts, pictures and videos (lists of pictures)."""

    def told(part: Any) -> dict[str, Any]:
        kind = "text" if isinstance(part, str) else "video" if isinstance(part, list) else "image"
        return {"type": kind, kind: part}

    return {"role": "user", "content": [told(part) for part in parts]}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}
