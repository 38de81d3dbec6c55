"""Old addresses of modules and names lead to what they led to, and say that they are old."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from kuleshov.tools import moved
from kuleshov.tools.labels import LabelSet


@pytest.mark.parametrize("old", sorted({*moved.MODULES, *moved.NAMES}))
def test_an_old_address_leads_to_the_thing(old: str) -> None:
    module = importlib.import_module(old)
    new = moved.MODULES.get(old)
    if new is not None:
        here = vars(importlib.import_module(new))
        names = [name for name, thing in here.items() if getattr(thing, "__module__", None) == new]
        for name in names:
            assert getattr(module, name) is here[name]
    for name, home in moved.NAMES.get(old, {}).items():
        assert getattr(module, name) is getattr(
            importlib.import_module(home), moved.today(home, name)
        )


@pytest.mark.parametrize("module", sorted(moved.RENAMED))
def test_an_old_name_in_a_module_of_today_leads_to_the_thing(module: str) -> None:
    here = importlib.import_module(module)
    for old, new in moved.RENAMED[module].items():
        assert getattr(here, old) is getattr(here, new)
    with pytest.raises(AttributeError):
        _ = here.never_there


@pytest.mark.parametrize(
    "line",
    [
        "from kuleshov.tools.faces import facs; facs.pspi",
        "from kuleshov.tools.faces import files; files.load",
        "from kuleshov import prompts; prompts.render",
        "from kuleshov import demo; demo.examples",
        "from kuleshov import exports, orders, agreement",
        "from kuleshov.context import associations",
        "from kuleshov.contrast import Context, Experiment",
        "from kuleshov.evidence import collect",
        "from kuleshov.tools.types import KuleshovError, LabelSet",
        "from kuleshov.tools.tracks import Track",
    ],
)
def test_an_old_address_says_so_and_where_the_new_one_is(line: str) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *options, "-c", line]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("-W", "default::DeprecationWarning:__main__")
    assert done.returncode == 0, done.stderr
    assert "is an old address and goes with the next version: use kuleshov." in done.stderr
    assert run("-W", "error::DeprecationWarning:__main__").returncode == 1


def test_an_old_name_is_the_same_class_and_an_unknown_one_is_none() -> None:
    types = importlib.import_module("kuleshov.tools.types")
    with pytest.deprecated_call(match=r"kuleshov\.tools\.labels\.LabelSet"):
        assert types.LabelSet is LabelSet
    with pytest.raises(AttributeError, match="nothing"):
        _ = types.nothing
    with pytest.raises(ImportError):
        importlib.import_module("kuleshov.never_there")


def test_the_command_line_starts_from_its_old_address() -> None:
    command = [sys.executable, "-m", "kuleshov.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kuleshov ")
