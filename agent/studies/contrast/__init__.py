"""The Kuleshov experiment: every face under every context, and what each of them contributes.

The design is factorial, without repetition: faces × contexts. A context is a vignette in words or
the picture of a scene. Each face is read alone, each context alone, and each pair together; all
readings are asked for in the same way, so that they differ in what is shown and in nothing else.
"""

from kuleshov.studies.contrast.contexts import read_contexts
from kuleshov.studies.contrast.experiment import Experiment
from kuleshov.studies.contrast.types import Context, Contrast

__all__ = ["Context", "Contrast", "Experiment", "read_contexts"]
