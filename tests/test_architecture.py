"""The house: imports run downwards only, between folders and between files, lazy ones included."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "prompts": {"prompts"},
    "tools": {"tools"},
    "agent": {"agent", "tools", "prompts"},
    "evals": {"evals", "agent", "tools", "prompts"},
}


def module_of(path: Path) -> str:
    folder, *inner = path.relative_to(ROOT).with_suffix("").parts
    head = ["kuleshov"] if folder == "agent" else ["kuleshov", folder]
    return ".".join([*head, *(part for part in inner if part != "__init__")])


FILES = {module_of(path): path for folder in ALLOWED for path in (ROOT / folder).rglob("*.py")}


def folder_of(module: str) -> str:
    return FILES[module].relative_to(ROOT).parts[0]


def imported(module: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from kuleshov.tools import media` names a module, `… import KuleshovError` does not
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
            if f"{node.module}.{node.names[0].name}" in FILES:
                names.remove(node.module)
        found |= {name for name in names if name in FILES}
    return found - {module}


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_file_imports_only_from_its_floor_and_below(module):
    for other in imported(module):
        assert folder_of(other) in ALLOWED[folder_of(module)], f"{module} imports {other}"


def test_no_file_is_part_of_a_circle():
    packages = {module for module, path in FILES.items() if path.name == "__init__.py"}
    graph = {module: imported(module) - packages for module in FILES if module not in packages}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle
    assert len(order) == len(graph)
    assert order.index("kuleshov.tools.types") < order.index("kuleshov.types")
    assert order.index("kuleshov.types") < order.index("kuleshov.agent")
