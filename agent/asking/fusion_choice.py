"""Which fusion strategy a model, a face tool and a label set allow; what they cannot do is said."""

from __future__ import annotations

from kuleshov.asking.family import PromptFamily
from kuleshov.settings import Settings
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.base import FaceTool
from kuleshov.tools.labels import LabelSet, mappings
from kuleshov.tools.mllm.base import Mllm


def choose_fusion(
    settings: Settings, labels: LabelSet, faces: FaceTool, mllm: Mllm, family: PromptFamily
) -> str:
    """The fusion strategy that `auto` stands for here, or the one asked for if it can be done.

    Raises:
        KuleshovError: the labels, or the strategy, are beyond this model or face tool.
    """
    _check_labels(labels, mllm, family)
    scored = faces.info.expressions
    pairs, _ = mappings.map_labels(faces.info.label_set or "", scored, labels)
    covered = labels.mode == "single" and pairs is not None
    if settings.fusion == "auto":
        return "people" if covered else "text"
    if settings.fusion in ("people", "bayes", "face") and labels.mode == "multi":
        raise KuleshovError(
            f"fusion {settings.fusion!r} needs labels that exclude one another, as a face tool's "
            f"do, and the labels of {labels.name} do not: use --fusion text."
        )
    if settings.fusion in ("people", "bayes", "face") and not covered:
        raise KuleshovError(
            f"fusion {settings.fusion!r} needs a face tool that scores every label of "
            f"{labels.name}; {faces.info.name} scores "
            f"{', '.join(scored) or 'none'}: use --fusion text."
        )
    if settings.fusion in ("context", "mllm") and labels.mode == "free":
        raise KuleshovError(
            f"fusion {settings.fusion!r} needs a list of labels: use --labels ekman-7."
        )
    return settings.fusion


def _check_labels(labels: LabelSet, mllm: Mllm, family: PromptFamily) -> None:
    """Raises KuleshovError where the model, or the way it is asked, cannot do these labels."""
    taught = mllm.info.taught_labels
    way_out = "use --labels ekman-6, ekman-7 or ekman-8, or another model."
    if labels.mode == "free" and family.free_words:
        raise KuleshovError(
            "the review's prompts are answered in free words, from which no list of feelings can "
            "be read: use --labels ekman-7, or --prompts full."
        )
    if taught is None:
        return
    if labels.mode == "free":
        raise KuleshovError(
            f"{mllm.info.id} was taught a fixed list of labels and cannot choose its own; {way_out}"
        )
    if unknown := [name for name in labels.names if name not in taught]:
        raise KuleshovError(
            f"{mllm.info.id} was not taught {', '.join(unknown)}: not measured by this model; "
            f"{way_out}"
        )
    if labels.mode == "multi":
        raise KuleshovError(
            f"{mllm.info.id} was taught to choose one label, not to say yes or no to each; "
            f"{way_out}"
        )
