"""Packages that add to Kuleshov, built and installed as their users would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "plugins.md").read_text("utf-8")

# a second package, in which much is wrong
ODD = {
    "pyproject.toml": """\
[project]
name = "odd-lab"
version = "0.3"
[project.entry-points]
"kuleshov.faces" = { "gone" = "odd_lab:NOT_THERE", "misnamed" = "odd_lab:FACES" }
"kuleshov.models" = { "failing" = "odd_lab:MODEL" }
"kuleshov.tasks" = { "ferplus" = "odd_lab:TASK", "nothing" = "odd_lab:TASK" }
"kuleshov.exports" = { "csv" = "odd_lab:FORM", "crashing" = "odd_lab:FORM" }
"kuleshov.commands" = { "hello" = "odd_hello", "broken" = "odd_broken" }
[tool.setuptools]
py-modules = ["odd_lab", "odd_hello", "odd_broken"]
""",
    "odd_lab.py": """\
from kuleshov.output.exports import ExportForm
from kuleshov.tools.faces import ToolEntry
from kuleshov.tools.mllm import ModelEntry

def fail(*_, **__):
    raise RuntimeError("no weights\\nand more")

FACES = ToolEntry("other", load=fail)
MODEL = ModelEntry("failing", load=fail)
TASK = object()
FORM = ExportForm(fail, "x.txt")
""",
    "odd_hello.py": """\
def add_command(commands):
    commands.add_parser("hello", help="says hello").add_argument("--fail", action="store_true")

def run_command(arguments):
    if arguments.fail:
        raise ValueError("not today")
    print("hello")
    return 0
""",
    "odd_broken.py": "import no_such_library\n",
}


def install(files: dict[str, str], folder: Path, site: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--target", str(site), str(folder)], check=True, capture_output=True, text=True
    )


Kuleshov = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the guide and of `ODD` installed in `site`."""
    base = tmp_path_factory.mktemp("plugins")
    blocks = dict(re.findall(r"```(toml|python)\n(.*?)```", GUIDE, re.S))
    lab = {"pyproject.toml": blocks["toml"], "kuleshov_lab.py": blocks["python"]}
    install(lab, base / "lab", base / "site")
    install(ODD, base / "odd", base / "site")
    return base


@pytest.fixture(scope="module")
def kuleshov(base: Path) -> Kuleshov:
    """The command line where both packages are."""

    def run(*arguments: str, sites: tuple[str, ...] = ("site",)) -> Any:
        command = [sys.executable, "-m", "kuleshov.apps.cli.main", *arguments]
        path = os.pathsep.join(str(base / site) for site in sites)
        env = {**os.environ, "PYTHONPATH": path, "COLUMNS": "400"}
        return subprocess.run(
            command, cwd=base, env=env, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def record_and_run(kuleshov: Kuleshov, base: Path, feat_data: Path) -> tuple[dict[str, Any], Path]:
    """A photo read with the guide's face tool, and a run of it."""
    (base / "photos").mkdir()
    shutil.copy(feat_data / "single_face.jpg", base / "photos" / "photo.jpg")
    parts = ("--model", "pocket", "--faces", "whole-picture")
    one = kuleshov("infer", "photos/photo.jpg", *parts, "--json")
    assert one.returncode == 0, one.stderr
    done = kuleshov("annotate", "photos", "--out", "run", *parts)
    assert done.returncode == 0, done.stderr
    return json.loads(one.stdout), base / "run"


def test_the_guides_package_adds_a_face_tool_and_an_export(
    kuleshov: Kuleshov, record_and_run: tuple[dict[str, Any], Path]
) -> None:
    record, run = record_and_run
    assert record["provenance"]["faces"]["name"] == "whole-picture"
    assert record["provenance"]["faces"]["version"] == "1.0"
    assert record["people"][0]["box_xyxy"] == [0, 0, 572, 562]
    told = kuleshov("export", str(run), "--to", "tally")
    assert told.returncode == 0, told.stderr
    assert "tally.tsv: 1 people" in told.stderr
    label, count = (run / "tally.tsv").read_text().split()
    assert (label, count) == (
        max(record["people"][0]["emotions"]["probabilities"].items(), key=lambda item: item[1])[0],
        "1",
    )
    known = kuleshov("export", str(run), "--to", "taly")
    assert known.returncode == 2
    assert "no export 'taly' (did you mean tally?); known: csv," in known.stderr


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        (
            ["infer", "photos/photo.jpg", "--model", "pocket", "--faces", "gone"],
            2,
            "the face tool gone of odd-lab 0.3 cannot be loaded (AttributeError: ",
        ),
        (
            ["infer", "photos/photo.jpg", "--model", "pocket", "--faces", "misnamed"],
            2,
            "the face tool misnamed of odd-lab 0.3 calls itself 'other': give both the same name.",
        ),
        (
            ["infer", "photos/photo.jpg", "--model", "failing", "--faces", "pocket"],
            2,
            "the model failing of odd-lab 0.3 failed (RuntimeError: no weights).",
        ),
        (
            ["eval", "nothing", "--data", "photos", "--out", "evaluated"],
            2,
            "the task nothing of odd-lab 0.3 is no task: odd_lab:TASK has no name or read or "
            "metrics.",
        ),
        (
            ["export", "run", "--to", "crashing"],
            2,
            "the export crashing of odd-lab 0.3 failed (RuntimeError: no weights).",
        ),
        (["hello"], 0, ""),
        (
            ["hello", "--fail"],
            2,
            "the command hello of odd-lab 0.3 failed (ValueError: not today).",
        ),
        (
            ["broken"],
            2,
            "the command broken of odd-lab 0.3 cannot be loaded (ModuleNotFoundError: No module "
            "named 'no_such_library').",
        ),
    ],
)
def test_what_is_broken_is_one_sentence(
    call: list[str], code: int, sentence: str, kuleshov: Kuleshov, record_and_run: Any
) -> None:
    done = kuleshov(*call)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_one_hinders_nothing_else(kuleshov: Kuleshov, record_and_run: Any) -> None:
    """Names of the program stay its own; help, lists and other names work."""
    _, run = record_and_run
    assert kuleshov("export", str(run), "--to", "csv").returncode == 0
    assert (run / "annotations.csv").is_file()
    shown = kuleshov("--help")
    assert shown.returncode == 0
    assert "says hello" in shown.stdout
    assert "broken" not in shown.stdout
    listed = kuleshov("eval", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "ferplus" in listed.stdout + listed.stderr


def test_doctor_lists_them_all(kuleshov: Kuleshov) -> None:
    told = kuleshov("doctor", "--json")
    rows = {row["name"]: row for row in json.loads(told.stdout)}
    assert {"whole-picture", "tally", "gone", "failing", "nothing", "hello", "broken"} <= set(rows)
    assert rows["whole-picture"]["ready"]
    assert rows["whole-picture"]["version"] == "1.0"
    assert "face tool of the package kuleshov-lab" in rows["whole-picture"]["measures"]
    assert rows["tally"]["ready"]
    assert not rows["broken"]["ready"]
    assert "No module named 'no_such_library'" in rows["broken"]["weights"]
    assert "not used: the name is the program's own" in rows["csv"]["weights"]


def test_of_two_packages_with_one_name_neither_is_taken(
    kuleshov: Kuleshov, base: Path, record_and_run: Any
) -> None:
    rival = {name: text.replace("crashing", "tally") for name, text in ODD.items()}
    install(rival, base / "rival", base / "twice")
    done = kuleshov("export", "run", "--to", "tally", sites=("twice", "site"))
    assert done.returncode == 2
    assert "kuleshov-lab and odd-lab offer the same export 'tally'" in done.stderr


def test_nothing_is_imported_before_it_is_asked_for(base: Path) -> None:
    code = (
        "import sys; from kuleshov.apps.cli.main import build_parser; "
        "build_parser(['infer']); from kuleshov.output import exports; list(exports.FORMS); "
        "print([m for m in sys.modules if m.startswith(('kuleshov_lab', 'odd_'))])"
    )
    env = {**os.environ, "PYTHONPATH": str(base / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
