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
    from kuleshov.agent import Agent, Event
    from kuleshov.evidence.observer import Observer
    from kuleshov.session.session import Session
    from kuleshov.settings import Settings
    from kuleshov.studies.contrast.experiment import Experiment
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.labels import LabelSet
    from kuleshov.tools.mllm.scripted import ScriptedMllm
    from kuleshov.types import Evidence, Inference, Person

__all__ = [
    "Agent",
    "Event",
    "Evidence",
    "Experiment",
    "Inference",
    "KuleshovError",
    "LabelSet",
    "Observer",
    "Person",
    "ScriptedMllm",
    "Session",
    "Settings",
    "__version__",
]

_homes = {
    "Agent": "kuleshov.agent",
    "Event": "kuleshov.agent",
    "Evidence": "kuleshov.types",
    "Experiment": "kuleshov.studies.contrast.experiment",
    "Inference": "kuleshov.types",
    "KuleshovError": "kuleshov.tools.errors",
    "LabelSet": "kuleshov.tools.labels",
    "Observer": "kuleshov.evidence.observer",
    "Person": "kuleshov.types",
    "ScriptedMllm": "kuleshov.tools.mllm.scripted",
    "Session": "kuleshov.session.session",
    "Settings": "kuleshov.settings",
}

keep_old_addresses()


def __getattr__(name: str) -> Any:
    # lazy: `import kuleshov` and `kuleshov --help` must not wait for torch, pydantic or langgraph
    if name in _homes:
        import importlib

        found = getattr(importlib.import_module(_homes[name]), name)
        if _homes[name] == "kuleshov.types":
            importlib.import_module("kuleshov.output.objects").attach_views()
        return found
    raise AttributeError(f"module 'kuleshov' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
