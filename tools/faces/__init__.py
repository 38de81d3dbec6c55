"""Face tools: one adapter a toolbox, all behind one protocol.

The adapters below register themselves; none imports its toolbox before it is loaded.
"""

from kuleshov.tools.faces import files, hsemotion, mediapipe, pocket, programs, rules, yunet  # noqa: F401  (registers)
from kuleshov.tools.faces.base import (
    FaceTool,
    FaceToolInfo,
    MeasuringTool,
    MediaFaceTool,
    Observation,
    ToolError,
    ToolStatus,
    check_inputs,
    observe,
    register,
    register_format,
)
from kuleshov.tools.faces.pyfeat import tool  # noqa: F401  (registers)
from kuleshov.tools.faces.registry import entry, formats, load, names, statuses

__all__ = [
    "FaceTool",
    "FaceToolInfo",
    "MeasuringTool",
    "MediaFaceTool",
    "Observation",
    "ToolError",
    "ToolStatus",
    "check_inputs",
    "entry",
    "formats",
    "load",
    "names",
    "observe",
    "register",
    "register_format",
    "statuses",
]
