"""The house: every room on its floor, imports run downwards only, lazy and typing ones included.

A room is a folder of `agent/` or a file that lies in a root; an inner folder (`mllm/local`) is part
of its room. Inside a room no file is part of a circle.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up. A room may import what stands on a line above its own, and nothing else.
FLOORS: list[set[str]] = [
    {"prompts", "tools", "agent/_version.py"},
    {"agent/types.py"},
    {"agent/settings.py", "agent/evidence", "agent/inputs"},
    {"agent/asking", "agent/runs"},
    {"agent/graph", "agent/output"},
    {"agent/agent.py"},
    {"agent/session", "agent/studies"},
    {"agent/apps", "evals"},
]
# Two files that are one room.
TOGETHER = {"agent/settings_files.py": "agent/settings.py"}
# The same inside the large rooms.
INSIDE: dict[str, list[set[str]]] = {
    "tools": [
        {
            "tools/errors.py",
            "tools/moved.py",
            "tools/collector.py",
            "tools/valid_text.py",
            "tools/locks.py",
        },
        {
            "tools/types.py",
            "tools/process.py",
            "tools/scratch.py",
            "tools/stopping.py",
            "tools/tables.py",
            "tools/structured_text.py",
            "tools/home.py",
            "tools/registry.py",
        },
        {"tools/labels", "tools/media", "tools/pocket"},
        {"tools/faces", "tools/mllm"},
        {"tools/speech"},
        {"tools/doctor.py"},
    ],
    "agent/apps": [{"agent/apps/chat", "agent/apps/web"}, {"agent/apps/cli"}],
    "evals": [
        {"evals/types.py", "evals/text.py"},
        {"evals/datasets"},
        {"evals/metrics"},
        {"evals/harness"},
        {"evals/protocols"},
        {"evals/bench", "evals/cli.py"},
    ],
}
# What only some rooms may import, by the library's name.
LIBRARIES = {
    "langgraph": (
        "agent/graph",
        "agent/asking/parts.py",
        "agent/asking/gate.py",
        "agent/apps/chat",
    ),
    "fastapi": ("agent/apps",),
    "uvicorn": ("agent/apps",),
    "prompt_toolkit": ("agent/apps",),
    "argparse": ("agent/apps", "evals/cli.py"),
    "jinja2": ("prompts", "agent/output", "agent/apps", "evals/harness/report"),
}
# Evidence is worded from records alone.
NOT_IN_EVIDENCE = {"PIL", "jinja2", "langgraph", "langchain_core", "rich", "cv2", "torch"}
# Live objects that are handed around: a parameter of this name has the type of that class.
LIVE = {"agent": "Agent", "crew": "Crew", "session": "Session", "house": "House", "state": "State"}
# A parameter whose type is not yet written down: the state of a node is a dict for now.
UNTYPED = {("kuleshov.asking.views", "state")}


def module_of(path: Path) -> str:
    folder, *inner = path.relative_to(ROOT).with_suffix("").parts
    head = ["kuleshov"] if folder == "agent" else ["kuleshov", folder]
    return ".".join([*head, *(part for part in inner if part != "__init__")])


FILES = {
    module_of(path): path
    for folder in ("agent", "tools", "prompts", "evals")
    for path in (ROOT / folder).rglob("*.py")
}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in FILES.items()}


def place(module: str) -> str:
    return FILES[module].relative_to(ROOT).as_posix()


def is_door(module: str) -> bool:
    """A package's `__init__`: it holds names of the files beside it, for those outside."""
    return FILES[module].name == "__init__.py"


def imported(module: str) -> set[str]:
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from kuleshov.tools import media` names a module, `… import KuleshovError` does not
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in FILES else node.module)
    return {name for name in found if name in FILES and name != "kuleshov"} - {module}


def room_in(rooms: set[str], module: str) -> str | None:
    """The room of a list that a file lies in; the file itself goes before its folder."""
    path = TOGETHER.get(place(module), place(module))
    fitting = [room for room in rooms if path == room or path.startswith(f"{room}/")]
    return max(fitting, key=len, default=None)


def heights(floors: list[set[str]]) -> dict[str, int]:
    return {room: height for height, rooms in enumerate(floors) for room in rooms}


def arrows_of(rooms: set[str], modules: list[str]) -> dict[str, dict[str, str]]:
    """Room to the rooms that it imports, each with one import that does it."""
    arrows: dict[str, dict[str, str]] = {room: {} for room in rooms}
    for module in modules:
        here = room_in(rooms, module)
        for other in imported(module):
            there = room_in(rooms, other)
            if here is not None and there is not None and here != there:
                arrows[here][there] = f"{module} imports {other}"
    return arrows


HOUSE = set(heights(FLOORS))


def test_every_file_lies_in_a_room_and_every_room_is_there():
    outside = sorted(m for m in FILES if room_in(HOUSE, m) is None and m != "kuleshov")
    assert not outside, "give them a room in FLOORS"
    for name, floors in INSIDE.items():
        inner = [
            m for m in FILES if room_in(HOUSE, m) == name and place(m) != f"{name}/__init__.py"
        ]
        assert not [m for m in inner if room_in(set(heights(floors)), m) is None]
    for room in [*HOUSE, *(room for floors in INSIDE.values() for room in heights(floors))]:
        assert (ROOT / room).exists(), f"{room} is not there any more"


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_file_imports_only_from_its_room_and_from_floors_below(module):
    for floors in (FLOORS, *INSIDE.values()):
        height = heights(floors)
        here = room_in(set(height), module)
        if here is None:
            continue
        for other in imported(module):
            there = room_in(set(height), other)
            if there is not None and there != here:
                assert height[there] < height[here], f"{module} imports {other}"


def test_the_house_is_small_and_its_floors_are_all_needed():
    """Both ways: no arrow upward, and no room higher than what it imports asks for."""
    arrows = arrows_of(HOUSE, [m for m in FILES if m != "kuleshov"])
    floor: dict[str, int] = {}
    for room in TopologicalSorter({room: set(to) for room, to in arrows.items()}).static_order():
        floor[room] = 1 + max((floor[other] for other in arrows[room]), default=0)
    assert floor == {room: height + 1 for room, height in heights(FLOORS).items()}
    assert max(floor.values()) <= 8
    assert len(HOUSE) <= 20


def test_no_file_is_part_of_a_circle():
    graph = {m: {o for o in imported(m) if not is_door(o)} for m in FILES if not is_door(m)}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle
    assert len(order) == len(graph)
    assert order.index("kuleshov.tools.types") < order.index("kuleshov.types")
    assert order.index("kuleshov.types") < order.index("kuleshov.agent")


def test_no_folder_is_part_of_a_circle():
    """Of folders that lie beside each other, on every level; files of the folder above left out."""
    levels: dict[Path, set[Path]] = defaultdict(set)
    for path in FILES.values():
        for folder in path.parents:
            if folder != ROOT and ROOT in folder.parents:
                levels[folder.parent].add(folder)
    for beside in levels.values():
        rooms = {folder.relative_to(ROOT).as_posix() for folder in beside}
        arrows = arrows_of(rooms, [m for m in FILES if not is_door(m)])
        tuple(TopologicalSorter({room: set(to) for room, to in arrows.items()}).static_order())


def libraries(module: str) -> set[str]:
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_used_where_it_belongs(library):
    users = {place(module) for module in FILES if library in libraries(module)}
    assert users
    for user in users:
        assert user.startswith(LIBRARIES[library]), f"{user} imports {library}"


def test_evidence_is_worded_from_records_alone():
    for module in FILES:
        if place(module).startswith("agent/evidence/"):
            assert not libraries(module) & NOT_IN_EVIDENCE, module
            others = {place(other) for other in imported(module) if place(other)[:6] == "agent/"}
            assert all(o == "agent/types.py" or o.startswith("agent/evidence/") for o in others)


def is_any(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "Any"


def test_any_hides_no_class_of_a_floor_above():
    """`Agent = Any`, or a parameter `agent: Any`, is an import upwards that nobody sees."""
    height = heights(FLOORS)
    homes: dict[str, set[str]] = defaultdict(set)
    for module, tree in TREES.items():
        room = room_in(HOUSE, module)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and room is not None:
                homes[node.name].add(room)
    hidden = set()
    for module, tree in TREES.items():
        here = room_in(HOUSE, module)
        if here is None:
            continue
        found = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign) and is_any(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        found |= {
            node.arg
            for node in ast.walk(tree)
            if isinstance(node, ast.arg) and is_any(node.annotation)
        }
        for name in found:
            above = homes[LIVE.get(name, name)]
            if here not in above and any(height[room] >= height[here] for room in above):
                hidden.add((module, name))
    assert hidden == UNTYPED
