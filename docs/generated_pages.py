"""Pages of the site that are made when it is built: tutorials, commands, the record, the changelog.

A hook of MkDocs (`hooks` in mkdocs.yml). Nothing is downloaded and no notebook is run: their kept
outputs are shown, which the tests keep true.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(os.environ.get("DOCS_SOURCE", ROOT / "build" / "docs-source"))
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The reference finds the modules under their names: the folders are mapped by pyproject."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    only = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.json")
    shutil.copytree(ROOT / "agent", SOURCE / "kuleshov", ignore=only)
    for name in ("prompts", "tools", "evals"):
        shutil.copytree(ROOT / name, SOURCE / "kuleshov" / name, ignore=only)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = f"tutorials/{notebook.stem}"
        text, pictures = render_notebook(json.loads(notebook.read_text("utf-8")), notebook.stem)
        files.append(File.generated(config, f"{name}.md", content=text))
        for picture, data in pictures.items():
            files.append(File.generated(config, f"tutorials/{picture}", content=data))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "reference/schema.json", content=run_command("schema")))
    files.append(File.generated(config, "changelog.md", content=changelog_page()))
    return files


def render_notebook(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown with its kept outputs, and its pictures by file name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if not source:
            continue
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        if cell["cell_type"] != "code":
            continue
        parts.append(f"````python\n{source}\n````")
        for output in cell.get("outputs", []):
            parts += _render_output(output, stem, pictures)
    return "\n\n".join(parts) + "\n", pictures


def _render_output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    data = output.get("data", {})
    for kind, suffix in (("image/png", "png"), ("image/jpeg", "jpg")):
        if kind in data:
            name = f"{stem}_{len(pictures) + 1}.{suffix}"
            pictures[name] = base64.b64decode("".join(data[kind]))
            yield f"![Output of the cell above]({name})"
            return
    text = "".join(output.get("text", data.get("text/plain", [])))
    if text.strip():
        yield f"````text\n{ESCAPES.sub('', text).rstrip()}\n````"


def run_command(*arguments: str) -> str:
    """What `kuleshov` prints, at 90 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "kuleshov.apps.cli.main", *arguments],
        env={**os.environ, "COLUMNS": "90", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def commands_page() -> str:
    from kuleshov.apps.cli.main import COMMANDS

    parts = ["# Commands\n\nAs `--help` prints it.\n"]
    parts.append(f"```text\n{run_command('--help').rstrip()}\n```\n")
    for name in sorted({*COMMANDS.own}):
        told = run_command(name, "--help").rstrip()
        parts.append(f"## kuleshov {name}\n\n```text\n{told}\n```\n")
    return "\n".join(parts)


def changelog_page() -> str:
    return (ROOT / "CHANGELOG.md").read_text("utf-8")
