"""Names: functions say verb and object, a class has one name, a concept has one word."""

from __future__ import annotations

import ast
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuleshov.evidence import temperatures
from kuleshov.tools import faces, media, mllm
from kuleshov.tools.faces import facs
from kuleshov.tools.moved import MODULES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "tools", "evals", "prompts")
AT_MOST_ONE_WORD = 0.45
"""Share of functions and methods whose name is one word; `__init__` and its like are not counted.
What is left are protocols' methods (`observe`, `generate`, `score`) and public API (`infer`)."""
ONE_NAME = {
    "Picture": "Rgb: pixels have one name",
    "Pixels": "Rgb: pixels have one name",
    "Toolbox": "FaceTool",
}
"""Class names and type aliases that would be a second word for what has one."""
SAID_OTHERWISE = {"toolbox": "face tool", "strategy": "fusion"}
"""Words that functions do not use for what has another one."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


TREES = dict(sources())


def functions() -> Iterator[tuple[str, str]]:
    for place, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not (node.name.startswith("__") and node.name.endswith("__")):
                yield place, node.name


def test_most_functions_say_verb_and_object() -> None:
    names = [name for _, name in functions()]
    single = [name for name in names if "_" not in name.strip("_")]
    assert len(names) > 2000
    assert len(single) / len(names) <= AT_MOST_ONE_WORD


def test_a_class_name_means_one_class() -> None:
    places = defaultdict(list)
    for place, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(place)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_concept_has_one_word() -> None:
    found = []
    for place, tree in TREES.items():
        if place == "tools/moved.py":
            continue
        for node in tree.body:
            names = []
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names = [node.name]
            elif isinstance(node, ast.Assign):
                names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = [node.target.id]
            found += [f"{place}: {n}, say {ONE_NAME[n]}" for n in names if n in ONE_NAME]
    for place, name in functions():
        words = name.strip("_").split("_")
        found += [
            f"{place}: {name}, say {better}"
            for word, better in SAID_OTHERWISE.items()
            if word in words
        ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "old", "thing"),
    [
        ("kuleshov.tools.mllm", "load", mllm.load_model),
        ("kuleshov.tools.faces", "statuses", faces.tool_statuses),
        ("kuleshov.tools.media", "expand", media.expand_paths),
        ("kuleshov.tools.faces.facs", "patterns", facs.expression_patterns),
        ("kuleshov.calibration", "load", temperatures.load_calibration),
    ],
)
def test_an_old_name_still_leads_to_the_thing(
    module: str, old: str, thing: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    if module in MODULES:  # which tells of itself when it is imported, once
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.deprecated_call(match=r"use kuleshov\."):
        assert getattr(importlib.import_module(module), old) is thing
