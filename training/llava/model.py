"""The pocket LLaVA's shape: a convolutional tower, a Llama, and all files of the model folder.

Only classes of transformers are used, so the folder loads without custom code. The tower is
`DPTModel` in its hybrid form (Ranftl et al. 2021): a small ResNet whose last map goes through one
transformer layer. Plain vision transformers learn too little from some thousand pictures.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    CLIPImageProcessor,
    DPTConfig,
    DPTModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    ResNetConfig,
)

from training.llava.data import MEAN, STD

SIZE = 112
"""Side of the pictures that the tower reads, pixels."""
PATCH = 16
IMAGE_TOKENS = (SIZE // PATCH) ** 2
WIDTH = 192
LAYERS = 4
VOCABULARY = 3072
MAX_TOKENS = 2048

PAD, BOS, EOS, IMAGE = "<pad>", "<s>", "</s>", "<image>"
SPECIAL = (PAD, BOS, EOS, IMAGE)

# How text is cut before byte-pair merging. A JSON skeleton, a role, a list number, an action unit
# or a percentage becomes a single token: fewer tokens to compute, and fewer to get wrong.
PIECES = (
    r'\{"cues":\[\{"evidence":|,"text":"|"\},\{"evidence":|"\}\],"explanation":"|"\}'
    r"| ?USER: | ?ASSISTANT: |\n\d{1,2}\.| ?AU\d{1,2}| ?\d{1,3}%| ?[A-Za-z]+| ?\d{1,2}"
    r'| ?["{}\[\]]| ?[^\sA-Za-z\d"{}\[\]]+|\s'
)

# The role marks end in a space that belongs to their token, so the prompt's tokens are the same
# whether or not an answer follows.
CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message.role == "assistant" -%}{{- " ASSISTANT: " -}}
{%- elif loop.first -%}{{- message.role | upper + ": " -}}
{%- else -%}{{- " " + message.role | upper + ": " -}}
{%- endif -%}
{%- if message.content is string -%}{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == "image" -%}{{- "<image>\\n" -}}
{%- elif part.type == "text" -%}{{- part.text -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- if message.role == "assistant" -%}{{- eos_token -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- " ASSISTANT: " -}}{%- endif -%}
"""


def tower_config() -> DPTConfig:
    """The picture tower: (B, 3, 112, 112) to hidden states (B, 1 + 49, 192)."""
    channels = [48, 96, WIDTH]
    return DPTConfig(
        is_hybrid=True,
        backbone_config=ResNetConfig(
            embedding_size=32,
            hidden_sizes=channels,
            depths=[1, 2, 2],
            layer_type="basic",
            out_features=["stage1", "stage2", "stage3"],
        ),
        backbone_featmap_shape=[1, channels[-1], SIZE // PATCH, SIZE // PATCH],
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=6,
        intermediate_size=3 * WIDTH,
        layer_norm_eps=1e-6,
        image_size=SIZE,
        patch_size=PATCH,
        pooler_output_size=1,  # DPTModel has a pooler that nothing here reads
    )


def build(
    tokenizer: PreTrainedTokenizerFast, seed: int = 0, layers: int = LAYERS
) -> LlavaForConditionalGeneration:
    """The untrained model for `tokenizer`."""
    torch.manual_seed(seed)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=512,
        num_hidden_layers=layers,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=ids[PAD],
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
    )
    config = LlavaConfig(
        vision_config=tower_config(),
        text_config=text,
        image_token_index=ids[IMAGE],
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.tie_weights()
    generation = model.generation_config
    generation.pad_token_id, generation.bos_token_id = ids[PAD], ids[BOS]
    generation.eos_token_id, generation.do_sample = ids[EOS], False
    return model


def tower_states(tower: DPTModel, pixels: Tensor) -> Tensor:
    """The states that enter the projector, (B, S, 192), S = (side / 16)²; any side that fits.

    What `LlavaModel` reads as `hidden_states[-1][:, 1:]`, without the fixed size of `DPTModel`.
    """
    embedded = tower.embeddings(pixels, interpolate_pos_encoding=True).last_hidden_states
    return tower.encoder(embedded).last_hidden_state[:, 1:]


def with_pictures(
    model: LlavaForConditionalGeneration, ids: Tensor, embedded: Tensor, states: Tensor
) -> Tensor:
    """Embeddings (B, L, 192) of `ids` (B, L), what the tower saw (B, 49, 192) projected into the
    place of the picture tokens, which is the same in all rows."""
    first = int((ids[0] == model.config.image_token_id).nonzero()[0])
    seen = model.model.multi_modal_projector(states).to(embedded.dtype)
    return torch.cat([embedded[:, :first], seen, embedded[:, first + IMAGE_TOKENS :]], 1)


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE (any text can be encoded) over `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        padding_side="left",
        model_max_length=MAX_TOKENS,
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE},
    )


def processor_of(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Tokenizer, picture preparation and chat template in one.

    Pictures are squashed to a square, not cropped: Flickr8k's were, and nobody at the border
    of a photo should be cut off.
    """
    pictures = CLIPImageProcessor(
        do_resize=True,
        size={"height": SIZE, "width": SIZE},
        do_center_crop=False,
        do_rescale=True,
        do_normalize=True,
        do_convert_rgb=True,
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def export(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write the model folder in float16, whole or not at all: beside it first, then renamed.

    The config goes on saying float32: that is what to compute in where no GPU is.
    """
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    model.save_pretrained(fresh, state_dict=state, safe_serialization=True)
    processor_of(tokenizer).save_pretrained(fresh)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
