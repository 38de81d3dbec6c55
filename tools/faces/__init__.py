"""Face tools: one adapter a toolbox, all behind one protocol.

The adapters below register themselves; none imports its toolbox before it is loaded.
"""

from kuleshov.tools.faces import (  # noqa: F401  (registers)
    files,
    hsemotion,
    mediapipe,
    pocket,
    programs,
    pyfeat,
    reverse,
    yunet,
)
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
from kuleshov.tools.faces.choose import entry, formats, load, names, statuses

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
