"""The blocks of README and docs/ run as they stand, with bundled models on a real photograph."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [README] + [
    path.read_text("utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if path.name != "plugins.md"  # tests/tools/test_plugins.py
]


def blocks(language: str) -> list[str]:
    """All of the README and the pages, one of each."""
    found = (re.findall(rf"^```{language}\n(.*?)^```", page, re.S | re.M) for page in PAGES)
    return list(dict.fromkeys(block for one in found for block in one))


@pytest.fixture
def folder(tmp_path: Path, feat_data: Path) -> Path:
    """A folder with `photo.jpg` and `photos/`, as the README's reader would have it."""
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg"):
        shutil.copy(feat_data / "single_face.jpg", tmp_path / name)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_shell_block(folder: Path):
    block = next(block for block in blocks("sh") if "kuleshov doctor" in block)
    out = run(["bash", "-euc", block], folder)
    assert "photo.jpg  572 × 562 px · JPEG · 1 person" in out
    assert "happiness" in out
    (record,) = [json.loads(line) for line in (folder / "readings.jsonl").read_text().splitlines()]
    assert record["people"]
    assert "<html" in (folder / "reading.html").read_text("utf-8")


def test_the_block_on_face_and_context(folder: Path, feat_data: Path, monkeypatch):
    files = {
        "faces": ["15-f13-anc-ph.jpg"],
        "shots/happiness": ["0-f15-hao-ph.jpg"],
        "shots/surprise": ["0-f1-su-ph.jpg"],
    }
    for place, names in files.items():
        (folder / place).mkdir(parents=True)
        for name in names:
            shutil.copy(feat_data / name, folder / place)
    (folder / "contexts.toml").write_text('[[contexts]]\nname = "soup"\ntext = "Soup."\n')
    monkeypatch.setenv("KULESHOV_MODEL", "pocket")
    monkeypatch.setenv("KULESHOV_FACES", "pocket")
    short, block = (block for block in blocks("sh") if "kuleshov contrast" in block)
    assert "happiness" in run(["bash", "-euc", short], folder)
    shutil.rmtree(folder / "kuleshov-effect")
    out = run(["bash", "-euc", block], folder)
    assert "Influence of the context" in out
    assert (folder / "kuleshov-effect" / "contrast.html").is_file()


def test_the_chat_block(folder: Path, monkeypatch):
    monkeypatch.setenv("KULESHOV_MODEL", "pocket")
    monkeypatch.setenv("KULESHOV_FACES", "pocket")
    monkeypatch.setenv("KULESHOV_DATA", str(folder / "kept"))
    (block,) = [block for block in blocks("sh") if "kuleshov chat" in block]
    out = run(["bash", "-euc", block], folder)
    assert "Supposed: this is a funeral" in out
    assert len(list((folder / "kept").glob("*.sqlite"))) == 1


def test_the_block_about_data_sets(folder: Path):
    (block,) = [block for block in blocks("sh") if "kuleshov annotate" in block]
    run(["bash", "-euc", block], folder)
    head, row = (folder / "run" / "annotations.csv").read_text("utf-8-sig").splitlines()
    assert head.startswith("item,path,person,")
    assert row.startswith("one.jpg,photos/one.jpg,1,")
    assert "<html" in (folder / "run" / "index.html").read_text("utf-8")


def test_the_block_about_evals(tmp_path: Path, feat_data: Path, monkeypatch):
    rows = ["path,label"]
    for name, label in (("0-f15-hao-ph.jpg", "happiness"), ("0-f1-su-ph.jpg", "surprise")):
        shutil.copy(feat_data / name, tmp_path)
        rows.append(f"{name},{label}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setenv("KULESHOV_MODEL", "pocket")
    monkeypatch.setenv("KULESHOV_FACES", "pocket")
    (block,) = [block for block in blocks("sh") if "kuleshov eval" in block]
    out = run(["bash", "-euc", block], tmp_path)
    assert "share that follows the evidence" in out
    assert "McNemar's exact test" in out
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_block(block: str, folder: Path):
    assert run([sys.executable, "-c", block], folder).strip()


def test_the_settings_block_loads(tmp_path: Path):
    from kuleshov import Settings

    (block,) = blocks("toml")
    (tmp_path / "kuleshov.toml").write_text(block)
    assert Settings.load(tmp_path / "kuleshov.toml").faces == "pyfeat"


def test_the_install_commands_are_those_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    assert 'pip install -e ".[test]" && pytest' in README
    assert 'pip install -q -e ".[dev]"' in ci  # .[test] and the checkers
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert any(extra.startswith("kuleshov[test,") for extra in extras["dev"])
    assert re.search(r"^make check$", ci, re.M)
    make = (ROOT / "Makefile").read_text()
    assert re.search(r"^check:.*\btest$", make, re.M)
    assert re.search(r"^test:\n\tpytest$", make, re.M)


def test_the_five_lines_print_what_the_readme_shows(folder: Path):
    code, output = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.S).groups()
    assert run([sys.executable, "-c", code], folder) == output


def test_the_readme_fits_on_two_screens():
    assert len(README.splitlines()) < 90
