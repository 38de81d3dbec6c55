"""Kuleshov: emotion from face and context, with its evidence.

>>> from kuleshov import Agent
>>> agent = Agent.load(model="pocket", faces="pocket")
>>> inference = agent.infer("photo.jpg")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kuleshov._version import __version__
from kuleshov.tools.moved import keep_old_addresses

if TYPE_CHECKING:
    from kuleshov.agent import Agent
    from kuleshov.settings import Settings
    from kuleshov.types import Inference

__all__ = ["Agent", "Inference", "Settings", "__version__"]

_homes = {
    "Agent": "kuleshov.agent",
    "Inference": "kuleshov.types",
    "Settings": "kuleshov.settings",
}

keep_old_addresses()


def __getattr__(name: str) -> Any:
    # lazy: `import kuleshov` and `kuleshov --help` must not wait for torch, pydantic or langgraph
    if name in _homes:
        import importlib

        return getattr(importlib.import_module(_homes[name]), name)
    raise AttributeError(f"module 'kuleshov' has no attribute {name!r}")
