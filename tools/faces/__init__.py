"""Face tools: one adapter a toolbox, all behind one protocol.

The adapters below register themselves; none imports its toolbox before it is loaded.
"""

from kuleshov.tools.faces import pocket, pyfeat  # noqa: F401  (registers)
from kuleshov.tools.faces.base import (
    FaceTool,
    FaceToolInfo,
    ToolError,
    ToolStatus,
    entry,
    load,
    names,
    register,
)

__all__ = [
    "FaceTool",
    "FaceToolInfo",
    "ToolError",
    "ToolStatus",
    "entry",
    "load",
    "names",
    "register",
]
