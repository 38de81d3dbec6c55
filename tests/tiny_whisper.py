"""A real Whisper with tiny random weights, in the form of the checkpoints on the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiny_models

WORDS = "the quick brown fox says hello and good bye to all of you it is not what we want " * 4
LANGUAGES = ("en", "de", "fr")
SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
    *(f"<|{0.02 * tick:.2f}|>" for tick in range(1501)),
)
"""In Whisper's order: P(no speech) stands before <|notimestamps|>, the timestamps after it."""


def tokenizer() -> Any:
    from transformers import WhisperTokenizer

    state = json.loads(tiny_models.byte_level(WORDS, 300).to_str())["model"]
    merges = [tuple(merge) for merge in state["merges"]]
    made = WhisperTokenizer(vocab=state["vocab"], merges=merges)
    made.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    return made


def build(folder: Path) -> Path:
    """Save it: some 60 thousand parameters beside the embeddings, the same every time."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )

    torch.manual_seed(5)
    words = tokenizer()
    ids = {token: words.convert_tokens_to_ids(token) for token in SPECIAL}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=len(words),
        num_mel_bins=80,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=1500,
        max_target_positions=64,
        init_std=1.5,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        lang_to_id={f"<|{language}|>": ids[f"<|{language}|>"] for language in LANGUAGES},
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        is_multilingual=True,
        max_initial_timestamp_index=50,
        return_timestamps=False,
        suppress_tokens=[],
        begin_suppress_tokens=[end],
    )
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(), words).save_pretrained(folder)
    return folder
