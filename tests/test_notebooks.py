"""The notebooks run as they stand with the bundled models, and what they keep is fit to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_500_000
LONGEST_S = 600  # of one cell: a hang, not a measurement
# folders of one machine, wherever they stand in a text
A_MACHINE = re.compile(
    r"(?<![\w.])/(?:work|tmp|root|home|usr|opt|var|mnt|private|Users)/|site-packages|file://"
    r"|\b[A-Z]:\\\\"
)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def opened(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: Any) -> Iterator[str]:
    """What of a cell can be read: its source, and its outputs other than pictures."""
    yield cell.source
    for output in cell.get("outputs", ()):
        yield output.get("text", "")
        for kind, value in output.get("data", {}).items():
            if not kind.startswith("image/"):
                yield value if isinstance(value, str) else repr(value)


def kinds(cell: Any) -> set[str]:
    """What a cell shows: printed text, a value, a picture."""
    found = set()
    for output in cell.outputs:
        if output.output_type == "stream":
            found.add(output.name)
        else:
            found |= set(output.data)
    return found - {"stderr"}  # warnings of libraries differ with their versions


def test_they_are_all_there():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07"]


@every_notebook
def test_what_it_keeps_is_whole_and_small(path: Path):
    assert path.stat().st_size < MOST_BYTES
    notebook = opened(path)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown"
    assert [cell.execution_count for cell in code(notebook)] == [
        n for n, _ in enumerate(code(notebook), 1)
    ]
    shown = set().union(*(kinds(cell) for cell in code(notebook)))
    assert "image/png" in shown
    for cell in code(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            assert not any("widget" in kind for kind in output.get("data", {}))
    assert "widgets" not in notebook.metadata


@every_notebook
def test_it_names_no_folder_of_a_machine(path: Path):
    for cell in opened(path).cells:
        for text in texts(cell):
            assert not A_MACHINE.search(text), text


@every_notebook
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path):
    kept, notebook = opened(path), opened(path)
    for cell in code(notebook):
        cell.outputs = []
    NotebookClient(
        notebook,
        timeout=LONGEST_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    for before, now in zip(code(kept), code(notebook), strict=True):
        assert kinds(now) == kinds(before), before.source
