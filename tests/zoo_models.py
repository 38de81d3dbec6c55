"""Tiny checkpoints of the real classes, one for each mechanism a family brings along.

Random weights; real processors; tokenizers trained here, cut as Qwen's cuts (two newlines are one
token); chat templates written after those of the checkpoints on the Hub. `ANSWER_END` is the token
behind an answer, by which an independent reference can be written out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_models

WIDTH = 32
QWEN = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

_PARTS = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
)


def chat_ml(image: str) -> str:
    """Qwen2.5-VL's form: a turn is closed by <|im_end|>."""
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        + _PARTS.replace("IMAGE", image)
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


SEEN = "<|vision_start|><|image_pad|><|vision_end|>"

OPEN = "<think>\n"
CLOSED = "<think>\n\n</think>\n\n"


def thinking(opening: str, *, past: str = CLOSED) -> str:
    """Qwen3.5's form: an answer to the last question is written behind an empty thought.

    opening: what the prompt for an answer ends in, as a Jinja text; past: the empty thought.
    """
    return (
        "{%- set last = namespace(at=0) %}{%- for message in messages %}"
        "{%- if message.role == 'user' %}{%- set last.at = loop.index0 %}{%- endif %}{%- endfor %}"
        "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
        "{%- if message.role == 'assistant' and loop.index0 > last.at %}"
        + f"{{{{- {past!r} }}}}"
        + "{%- endif %}"
        + _PARTS.replace("IMAGE", SEEN)
        + "{{- '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
        + opening
        + "{%- endif %}"
    )


SWITCH = (
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    f"{{{{- {CLOSED!r} }}}}{{%- else %}}{{{{- {OPEN!r} }}}}{{%- endif %}}"
)
ALWAYS = f"{{{{- {OPEN!r} }}}}"

GLM = (
    "[gMASK]<sop>{% for message in messages %}"
    "{{ '<|user|>\n' if message['role'] == 'user' else '<|assistant|>\n' }}"
    + _PARTS.replace("IMAGE", "<|begin_of_image|><|image|><|end_of_image|>")
    + "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
GLM_THINKING = (
    "[gMASK]<sop>{% for message in messages %}{% if message['role'] == 'user' %}<|user|>\n"
    + _PARTS.replace("IMAGE", "<|begin_of_image|><|image|><|end_of_image|>")
    + "{{ '/nothink' if enable_thinking is defined and not enable_thinking else '' }}"
    "{% else %}{{ '<|assistant|>\n<think></think>\n' + message['content'][0]['text'] }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
    "{{ '<think></think>\n' if enable_thinking is defined and not enable_thinking else '' }}"
    "{% endif %}"
)
"""GLM-4.6V's form: thinking is switched off in the question and in the prompt."""

GEMMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    + _PARTS.replace("IMAGE", "<start_of_image>").replace("part['text']", "part['text'] | trim")
    + "<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA4 = (
    "{{ bos_token }}{% if enable_thinking | default(false) %}"
    "{{ '<|turn>system\n<|think|><turn|>\n' }}{% endif %}{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    + _PARTS.replace("IMAGE", "<|image|>").replace("part['text']", "part['text'] | trim")
    + "<turn|>\n{% endfor %}{% if add_generation_prompt %}{{ '<|turn>model\n' }}"
    "{% if not enable_thinking | default(false) %}{{ '<|channel>thought\n<channel|>' }}{% endif %}"
    "{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    + _PARTS.replace("IMAGE", "<|image|>")
    + "<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
SMOL = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{{ ':' if message['content'][0]['type'] == 'image' else ': ' }}"
    + _PARTS.replace("IMAGE", "<image>")
    + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST]"
    + _PARTS.replace("IMAGE", "[IMG]")
    + "[/INST]{% else %}{{ message['content'][0]['text'] + eos_token }}{% endif %}{% endfor %}"
)

ANSWER_END = {
    "qwen2_5_vl": "<|im_end|>",
    "qwen3_5": "<|im_end|>",
    "qwen3_vl": "<|im_end|>",
    "gemma3": "<end_of_turn>",
    "internvl": "<|im_end|>",
    "smolvlm": "<end_of_utterance>",
    "mllama": "<|eot_id|>",
    "glm4v": "<|user|>",
    "lfm2_vl": "<|im_end|>",
    "gemma4": "<turn|>",
    "pixtral": "</s>",
}


def tokenizer(
    special: tuple[str, ...],
    *,
    eos: str,
    pad: str,
    bos: str | None = None,
    named: dict[str, str] | None = None,
) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(
        [tiny_models.WORDS, "one line\n\nanother\n\n" * 20],
        trainers.BpeTrainer(
            vocab_size=380 + len(special),
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        padding_side="left",
        eos_token=eos,
        pad_token=pad,
        bos_token=bos,
        extra_special_tokens=named or {},
    )


def text(words: Any, **changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(words) + 16,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    } | changes


def seeing(**changes: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
    } | changes


def qwen_words() -> tuple[Any, dict[str, int]]:
    words = tokenizer((*QWEN, "<think>", "</think>"), eos="<|im_end|>", pad="<|endoftext|>")
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return words, {name: words.convert_tokens_to_ids(token) for name, token in names.items()}


def qwen2_5_vl(template: str | None) -> tuple[Any, Any, Any]:
    """Positions in three dimensions (M-RoPE)."""
    import transformers as hf

    words, ids = qwen_words()
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": WIDTH, "num_heads": 2}
    vision |= {"intermediate_size": 48, "patch_size": 14, "fullatt_block_indexes": [1]}
    config = hf.Qwen2_5_VLConfig(
        text_config=text(words, rope_parameters=rope), vision_config=vision, **ids
    )
    size = {"min_pixels": 56 * 56, "max_pixels": 56 * 84}
    processor = hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(**size),
        words,
        hf.Qwen2VLVideoProcessor(**size),
        chat_template=template or chat_ml(SEEN),
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor, None


def _qwen3_processor(words: Any, template: str) -> Any:
    import transformers as hf

    return hf.Qwen3VLProcessor(
        hf.Qwen2VLImageProcessor(min_pixels=64 * 64, max_pixels=64 * 96, patch_size=16),
        words,
        hf.Qwen3VLVideoProcessor(size={"shortest_edge": 64 * 64, "longest_edge": 64 * 96 * 4}),
        chat_template=template,
    )


def qwen3_vl(template: str | None) -> tuple[Any, Any, Any]:
    """What the tower's layers see goes into several layers of the language model (deepstack)."""
    import transformers as hf

    words, ids = qwen_words()
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 1]}
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": WIDTH, "num_heads": 2}
    vision |= {"intermediate_size": 48, "patch_size": 16, "deepstack_visual_indexes": [0]}
    config = hf.Qwen3VLConfig(
        text_config=text(words, head_dim=8, rope_parameters=rope | {"mrope_interleaved": True}),
        vision_config=vision | {"num_position_embeddings": 64},
        **ids,
    )
    processor = _qwen3_processor(words, template or thinking(SWITCH))
    return hf.Qwen3VLForConditionalGeneration(config), processor, None


def qwen3_5(template: str | None) -> tuple[Any, Any, Any]:
    """Layers of linear attention beside full ones; a template that opens a thought."""
    import transformers as hf

    words, ids = qwen_words()
    rope = {"rope_type": "default", "rope_theta": 1e7, "mrope_section": [2, 1, 1]}
    rope |= {"mrope_interleaved": True, "partial_rotary_factor": 0.5}
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    linear |= {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": WIDTH, "num_heads": 2}
    vision |= {"intermediate_size": 48, "patch_size": 16, "num_position_embeddings": 64}
    layers = {"num_hidden_layers": 4, "head_dim": 16, "initializer_range": 0.15}
    config = hf.Qwen3_5Config(
        text_config=text(words, **layers, **linear, rope_parameters=rope),
        vision_config=vision,
        **ids,
    )
    processor = _qwen3_processor(words, template or thinking(SWITCH))
    return hf.Qwen3_5ForConditionalGeneration(config), processor, None


def gemma3(template: str | None) -> tuple[Any, Any, Any]:
    """A sliding window shorter than the prompt; the tokens of a picture see one another."""
    import transformers as hf

    named = {"image_token": "<image_soft_token>"}
    named |= {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    special = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *named.values())
    words = tokenizer(special, eos="<eos>", pad="<pad>", bos="<bos>", named=named)
    kinds = ["sliding_attention", "full_attention"]
    window = {"sliding_window": 16, "layer_types": kinds, "query_pre_attn_scalar": 8}
    config = hf.Gemma3Config(
        text_config=text(words, head_dim=8, initializer_range=0.1, **window),
        vision_config=hf.SiglipVisionConfig(**seeing(), vision_use_head=False),
        mm_tokens_per_image=4,
        boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id,
        image_token_index=words.image_token_id,
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    model.model.multi_modal_projector.mm_input_projection_weight.data.normal_(std=0.2)
    processor = hf.Gemma3Processor(
        hf.Gemma3ImageProcessor(size={"height": 56, "width": 56}),
        words,
        image_seq_length=4,
        chat_template=template or GEMMA,
    )
    return model, processor, ["<eos>", "<end_of_turn>"]


def internvl(template: str | None) -> tuple[Any, Any, Any]:
    """A picture is cut into tiles."""
    import transformers as hf

    named = {"start_image_token": "<img>", "end_image_token": "</img>"}
    named |= {"context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values())
    words = tokenizer(special, eos="<|im_end|>", pad="<|endoftext|>", named=named)
    size = {"height": 56, "width": 56}
    config = hf.InternVLConfig(
        text_config=hf.Qwen2Config(**text(words)),
        vision_config=hf.InternVLVisionConfig(
            **seeing(image_size=[56, 56], patch_size=[14, 14]),
        ),
        image_token_id=words.context_image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    tiles = hf.GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4)
    processor = hf.InternVLProcessor(
        tiles,
        words,
        hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=template or chat_ml("<IMG_CONTEXT>\n"),
    )
    return hf.InternVLForConditionalGeneration(config), processor, None


def smolvlm(template: str | None) -> tuple[Any, Any, Any]:
    """One token of the template becomes rows and columns of tiles, each named by tokens."""
    import transformers as hf

    named = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    named |= {"global_image_token": "<global-img>", "video_token": "<video>"}
    named |= {"end_of_utterance_token": "<end_of_utterance>"}
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values(), *rows)
    eos, bos = "<end_of_utterance>", "<|im_start|>"
    words = tokenizer(special, eos=eos, pad="<|im_end|>", bos=bos, named=named)
    config = hf.SmolVLMConfig(
        text_config=hf.LlamaConfig(**text(words)),
        vision_config=seeing(),
        image_token_id=words.image_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
    )
    edge = {"longest_edge": 56}
    video = {"fps": 1, "max_frames": 8, "video_size": edge}
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(size={"longest_edge": 112}, max_image_size=edge),
        words,
        hf.SmolVLMVideoProcessor(size=edge, max_image_size=edge, video_sampling=video),
        image_seq_len=4,
        chat_template=template or SMOL,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor, None


def mllama(template: str | None) -> tuple[Any, Any, Any]:
    """The picture is no token: layers of the language model look at it (cross-attention)."""
    import torch
    import transformers as hf
    from transformers.models.mllama import configuration_mllama as parts

    special = (
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|finetune_right_pad_id|>",
        "<|image|>",
    )
    pad, bos = "<|finetune_right_pad_id|>", "<|begin_of_text|>"
    words = tokenizer(special, eos="<|eot_id|>", pad=pad, bos=bos)
    vision = {"hidden_size": 32, "num_hidden_layers": 2, "num_global_layers": 1}
    vision |= {"attention_heads": 2, "intermediate_size": 48, "vision_output_dim": 96}
    vision |= {"image_size": 56, "patch_size": 14, "intermediate_layers_indices": [0, 1]}
    ratios = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
    rope = {"rope_type": "default", "rope_theta": 5e5}
    layers = {"num_hidden_layers": 3, "cross_attention_layers": [1], "rope_parameters": rope}
    config = hf.MllamaConfig(
        vision_config=parts.MllamaVisionConfig(
            **vision, max_num_tiles=4, supported_aspect_ratios=ratios
        ),
        text_config=parts.MllamaTextConfig(**text(words, **layers)),
        image_token_index=words.convert_tokens_to_ids("<|image|>"),
    )
    model = hf.MllamaForConditionalGeneration(config)
    for name, part in model.named_parameters():  # gates are shut before training
        if "gate" in name and part.numel() <= 8:
            torch.nn.init.constant_(part, 0.7)
    processor = hf.MllamaProcessor(
        hf.MllamaImageProcessor(size={"height": 56, "width": 56}, max_image_tiles=4),
        words,
        chat_template=template or LLAMA,
    )
    return model, processor, None


def glm4v(template: str | None) -> tuple[Any, Any, Any]:
    """The template writes no end of turn: the user's next turn ends an answer."""
    import transformers as hf

    special = (
        "<|endoftext|>",
        "[gMASK]",
        "<sop>",
        "<|user|>",
        "<|assistant|>",
        "<|observation|>",
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
        "<|image|>",
        "<|video|>",
    )
    words = tokenizer(special, eos="<|endoftext|>", pad="<|endoftext|>")
    names = {"image_token_id": "<|image|>", "video_token_id": "<|video|>"}
    for kind in ("image", "video"):
        names |= {f"{kind}_start_token_id": f"<|begin_of_{kind}|>"}
        names |= {f"{kind}_end_token_id": f"<|end_of_{kind}|>"}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1]}
    vision = {"depth": 2, "hidden_size": 32, "out_hidden_size": WIDTH, "num_heads": 2}
    vision |= {"intermediate_size": 48, "patch_size": 14, "image_size": 56}
    config = hf.Glm4vConfig(
        text_config=text(words, rope_parameters=rope | {"partial_rotary_factor": 0.5}),
        vision_config=vision,
        **{name: words.convert_tokens_to_ids(token) for name, token in names.items()},
    )
    size = {"shortest_edge": 56 * 56, "longest_edge": 56 * 84 * 2}
    processor = hf.Glm4vProcessor(
        hf.Glm4vImageProcessor(size=size),
        words,
        hf.Glm4vVideoProcessor(size=size),
        chat_template=template or GLM,
    )
    ends = ["<|endoftext|>", "<|user|>", "<|observation|>"]
    return hf.Glm4vForConditionalGeneration(config), processor, ends


def lfm2_vl(template: str | None) -> tuple[Any, Any, Any]:
    """Convolutions beside attention; a tower that wants to know which patches are padding."""
    import transformers as hf

    named = {"image_token": "<image>", "image_start_token": "<|image_start|>"}
    named |= {"image_end_token": "<|image_end|>", "image_thumbnail": "<|img_thumbnail|>"}
    special = ("<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>", *named.values())
    words = tokenizer(special, eos="<|im_end|>", pad="<|pad|>", bos="<|startoftext|>", named=named)
    kinds = {"layer_types": ["conv", "full_attention"], "full_attn_idxs": [1]}
    tower = {key: value for key, value in seeing(patch_size=16).items() if key != "image_size"}
    config = hf.Lfm2VlConfig(
        text_config=hf.Lfm2Config(**text(words, **kinds)),
        vision_config=hf.Siglip2VisionConfig(**tower, num_patches=256, vision_use_head=False),
        image_token_id=words.image_token_id,
        projector_hidden_size=32,
        downsample_factor=2,
    )
    small = {"min_image_tokens": 4, "max_image_tokens": 16, "max_num_patches": 64}
    processor = hf.Lfm2VlProcessor(
        hf.Lfm2VlImageProcessor(do_image_splitting=False, **small),
        words,
        chat_template=template or "{{ bos_token }}" + chat_ml("<image>"),
    )
    return hf.Lfm2VlForConditionalGeneration(config), processor, None


def gemma4(template: str | None) -> tuple[Any, Any, Any]:
    """Layers that share keys and values; a closed thought that only the prompt has."""
    import transformers as hf

    named = {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>"}
    named |= {"audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>"}
    special = ("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>")
    special = (*special, *named.values(), "<|video|>", "<|think|>")
    words = tokenizer(special, eos="<eos>", pad="<pad>", bos="<bos>", named=named)
    kinds = ["sliding_attention", "full_attention"] * 2
    layers = {"num_hidden_layers": 4, "layer_types": kinds, "sliding_window": 16}
    layers |= {"num_kv_shared_layers": 2, "head_dim": 8, "global_head_dim": 16}
    layers |= {"vocab_size_per_layer_input": len(words) + 16, "hidden_size_per_layer_input": 8}
    tower = {key: value for key, value in seeing(patch_size=16).items() if key != "image_size"}
    tower |= {"num_key_value_heads": 2, "head_dim": 16, "pooling_kernel_size": 3}
    config = hf.Gemma4Config(
        text_config=text(words, initializer_range=0.1, **layers),
        vision_config=tower | {"position_embedding_size": 256},
        audio_config=None,
        image_token_id=words.image_token_id,
        boi_token_id=words.boi_token_id,
        eoi_token_id=words.eoi_token_id,
        video_token_id=words.convert_tokens_to_ids("<|video|>"),
        audio_token_id=words.audio_token_id,
        boa_token_id=words.boa_token_id,
        eoa_token_index=words.eoa_token_id,
    )
    processor = hf.Gemma4Processor(
        hf.Gemma4AudioFeatureExtractor(),
        hf.Gemma4ImageProcessor(max_soft_tokens=70),
        words,
        hf.Gemma4VideoProcessor(),
        image_seq_length=70,
        chat_template=template or GEMMA4,
    )
    return hf.Gemma4ForConditionalGeneration(config), processor, ["<eos>", "<turn|>"]


def pixtral(template: str | None) -> tuple[Any, Any, Any]:
    """A LLaVA by its type, with a tower that was trained on several pictures."""
    import transformers as hf

    named = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]"}
    named |= {"image_end_token": "[IMG_END]"}
    special = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", *named.values(), "<pad>")
    words = tokenizer(special, eos="</s>", pad="<pad>", bos="<s>", named=named)
    config = hf.LlavaConfig(
        text_config=hf.MistralConfig(**text(words, sliding_window=None, head_dim=8)),
        vision_config=hf.PixtralVisionConfig(**seeing(image_size=64, patch_size=16)),
        image_token_index=words.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    patch = {"height": 16, "width": 16}
    processor = hf.PixtralProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 64}, patch_size=patch),
        words,
        patch_size=16,
        chat_template=template or MISTRAL,
    )
    return hf.LlavaForConditionalGeneration(config), processor, None


MAKE: dict[str, Callable[[str | None], tuple[Any, Any, Any]]] = {
    made.__name__: made
    for made in (
        qwen2_5_vl,
        qwen3_vl,
        qwen3_5,
        gemma3,
        internvl,
        smolvlm,
        mllama,
        glm4v,
        lfm2_vl,
        gemma4,
        pixtral,
    )
}


def build(kind: str, folder: Path, template: str | None = None) -> Path:
    """Save a checkpoint of `kind`; the same every time. `template`: in place of its own."""
    import torch
    from transformers import GenerationConfig

    torch.manual_seed(7)
    model, processor, ends = MAKE[kind](template)
    words = processor.tokenizer
    model.generation_config = GenerationConfig(
        eos_token_id=words.convert_tokens_to_ids(ends) if ends else words.eos_token_id,
        pad_token_id=words.pad_token_id,
        do_sample=True,
        temperature=0.7,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
