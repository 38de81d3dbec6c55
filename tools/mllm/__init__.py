"""Multimodal language models: LLaVA through transformers, label scoring, grammar.

``load(name)`` gives one behind the protocol `Mllm`. Importing this package imports neither torch
nor transformers.
"""

from __future__ import annotations

from kuleshov.tools.mllm.base import Conversation, Generation, Mllm, MllmError, MllmInfo, Turn
from kuleshov.tools.mllm.hub import ModelStatus, default_model, listing, pull
from kuleshov.tools.mllm.loader import check, load
from kuleshov.tools.mllm.scripted import Call, ScriptedMllm

__all__ = [
    "Call",
    "Conversation",
    "Generation",
    "Mllm",
    "MllmError",
    "MllmInfo",
    "ModelStatus",
    "ScriptedMllm",
    "Turn",
    "check",
    "default_model",
    "listing",
    "load",
    "pull",
]
