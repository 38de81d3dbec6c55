"""Which face tool a name stands for.

A name (``pyfeat``), several in a row (``yunet+mediapipe``: the first finds the faces, each later
one measures them), or a toolbox and its result file (``openface:result.csv``); a result file may
also come last in a row (``yunet+openface:result.csv``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import suggest_word
from kuleshov.tools.faces import chain
from kuleshov.tools.faces.base import (
    FaceTool,
    ToolEntry,
    ToolError,
    ToolStatus,
    format_readers,
    registry,
)


def tool_names() -> list[str]:
    """Names of tools that run; see `file_formats` for those whose result files can be read."""
    return sorted(registry)


def file_formats() -> list[str]:
    """Toolboxes whose result files can be read."""
    return sorted(format_readers)


def tool_statuses(paths: Mapping[str, str] | None = None) -> dict[str, Callable[[], ToolStatus]]:
    """How the program's own tools are, by name: those that run, those whose result files are read.

    `paths`: model files and programs that the user named, by tool.
    """
    found: dict[str, Callable[[], ToolStatus]] = {
        name: partial(_only_read, name) for name in format_readers
    }
    for name, one in registry.own.items():
        given = (paths or {}).get(name)
        found[name] = partial(one.look, path=given) if given else one.look
    return dict(sorted(found.items()))


def _only_read(name: str) -> ToolStatus:
    reader = format_readers[name]
    return ToolStatus(
        name=name,
        ready=True,
        installed=True,
        weights=f"not run from here; its result files are read: --faces {name}:FILE",
        licence=reader.licence,
        measures=reader.measures,
    )


def find_entry(
    name: str, paths: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> ToolEntry:
    """The tool that `name` stands for: NAME, NAME+NAME, NAME:FILE or NAME+NAME:FILE.

    Args:
        name: see above.
        paths: model files and programs that the user named, by tool.
        timeout_s: how long a tool that runs as a program may take for a picture or clip.

    Raises:
        ToolError: an unknown name, tools in an order that cannot work, a file that is not there,
            a path for a tool that takes none.
    """
    tools, _, path = name.partition(":")
    *heads, last = tools.split("+")
    for tool in paths or {}:
        _takes_a_path(tool)
    parts = [_single_entry(part) for part in heads]
    parts.append(_file_entry(last, path) if ":" in name else _single_entry(last))
    parts = [_with_options(part, paths or {}, timeout_s) for part in parts]
    first, *rest = parts
    if not first.finds:
        raise ToolError(
            f"{first.name} measures faces that another tool has found: "
            f"use e.g. pocket+{name} or yunet+{name}."
        )
    for part in rest:
        if not part.measures:
            raise ToolError(
                f"{part.name} finds faces itself and cannot measure those of {first.name}; "
                f"after a + can come {', '.join(n for n, one in _working() if one.measures)}, "
                "or a result file."
            )
    if not rest:
        return first
    return chain.chain_entry(name, parts)


def _working() -> list[tuple[str, ToolEntry]]:
    return sorted(registry.working().items())


def _takes_a_path(tool: str) -> None:
    known = [name for name, one in _working() if "path" in inspect.signature(one.load).parameters]
    if tool not in known:
        raise ToolError(
            f"setting paths: {tool!r} takes no path{suggest_word(tool, known)}; those that do: "
            f"{', '.join(sorted(known))}."
        )


def _with_options(part: ToolEntry, paths: Mapping[str, str], timeout_s: float | None) -> ToolEntry:
    options: dict[str, Any] = {}
    if part.name in paths:
        options["path"] = paths[part.name]
    if part.program and timeout_s is not None:
        options["timeout_s"] = timeout_s
    return replace(part, load=partial(part.load, **options)) if options else part


def _single_entry(name: str) -> ToolEntry:
    if name in registry:
        one = registry[name]
        return one if name in registry.own else replace(one, load=partial(_load_plug_in, one))
    if name in format_readers:
        raise ToolError(f"{name} is read from its result file: use {name}:FILE.")
    raise ToolError(
        f"there is no face tool {name!r}{suggest_word(name, [*tool_names(), *file_formats()])}; "
        f"known: {', '.join(tool_names())}; result files: "
        f"{', '.join(f'{known}:FILE' for known in file_formats()) or 'none'}."
    )


def _load_plug_in(one: ToolEntry, **options: Any) -> FaceTool:
    with registry.telling_whose(one.name):
        tool: FaceTool = one.load(**options)
        return tool


def _file_entry(name: str, path: str) -> ToolEntry:
    if name not in format_readers:
        raise ToolError(
            f"there is no reader for result files of {name!r}{suggest_word(name, file_formats())}; "
            f"known: {', '.join(file_formats())}."
        )
    if not Path(path).is_file():
        raise ToolError(f"there is no result file {path!r} ({name}:FILE).")

    def load(device: str | None = None) -> FaceTool:
        return format_readers[name].load(Path(path))

    def status() -> ToolStatus:
        return ToolStatus(name=f"{name}:{path}", ready=True, installed=True)

    return ToolEntry(f"{name}:{path}", load, status, finds=True, measures=True)


def load(name: str, **options: Any) -> FaceTool:
    """Load the tool `name`. Raises ToolError if it is unknown, not installed or lacks weights."""
    tool: FaceTool = find_entry(name).load(**options)
    return tool
