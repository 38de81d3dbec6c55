"""Face tools: one adapter a toolbox, all behind one protocol.

The adapters below register themselves; none imports its toolbox before it is loaded.
"""

from typing import TYPE_CHECKING

from kuleshov.tools.faces import files, hsemotion, mediapipe, pocket, programs, rules, yunet  # noqa: F401  (registers)
from kuleshov.tools.faces.base import (
    FaceTool,
    FaceToolInfo,
    MeasuringTool,
    MediaFaceTool,
    Observation,
    ToolEntry,
    ToolError,
    ToolStatus,
    check_inputs,
    observe_faces,
    register,
    register_format,
)
from kuleshov.tools.faces.pyfeat import tool  # noqa: F401  (registers)
from kuleshov.tools.faces.registry import file_formats, find_entry, load, tool_names, tool_statuses
from kuleshov.tools.moved import old_names

__all__ = [
    "FaceTool",
    "FaceToolInfo",
    "MeasuringTool",
    "MediaFaceTool",
    "Observation",
    "ToolEntry",
    "ToolError",
    "ToolStatus",
    "check_inputs",
    "file_formats",
    "find_entry",
    "load",
    "observe_faces",
    "register",
    "register_format",
    "tool_names",
    "tool_statuses",
]


if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
