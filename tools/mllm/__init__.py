"""Multimodal language models: LLaVA through transformers, label scoring, grammar.

``load(name)`` gives one behind the protocol `Mllm`. Importing this package imports neither torch
nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuleshov.tools.mllm.base import (
    Conversation,
    Generation,
    Mllm,
    MllmError,
    MllmInfo,
    ModelEntry,
    Turn,
)
from kuleshov.tools.mllm.hub import ModelStatus, default_model, list_models, pull_model
from kuleshov.tools.mllm.loader import check_model, load_model
from kuleshov.tools.mllm.scripted import Call, ScriptedMllm
from kuleshov.tools.moved import old_names

__all__ = [
    "Call",
    "Conversation",
    "Generation",
    "Mllm",
    "MllmError",
    "MllmInfo",
    "ModelEntry",
    "ModelStatus",
    "ScriptedMllm",
    "Turn",
    "check_model",
    "default_model",
    "list_models",
    "load_model",
    "pull_model",
]


if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
