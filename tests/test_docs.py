"""The site builds offline, loads nothing from elsewhere, and its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from kuleshov.apps.cli import COMMANDS

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
ROOT = Path(__file__).resolve().parents[1]


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []  # by the browser, unasked
        self.linked: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := found.get(key))}
        rel = found.get("rel") or ""
        if source := found.get("src"):
            self.loaded.append(source)
        elif (address := found.get("href")) and tag == "link" and rel not in ("canonical",):
            self.loaded.append(address)
        elif address and tag == "a":
            self.linked.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; strict: a link of a page that leads nowhere ends the build."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={
            **os.environ,
            "NO_MKDOCS_2_WARNING": "1",
            # a folder of its own: wheels are built in `build/` beside this
            "DOCS_SOURCE": str(tmp_path_factory.mktemp("source")),
            "https_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    assert len(pages) > 25
    outside = re.compile(r"^(https?:)?//")
    assert [(p.name, a) for p, page in pages.items() for a in page.loaded if outside.match(a)] == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text("utf-8")), (
            sheet
        )


def test_every_link_leads_to_a_page_and_a_place_on_it(site: Path, pages: dict[Path, Links]) -> None:
    lost = []
    for path, page in pages.items():
        if path.name == "404.html":  # its addresses are those of the site's root
            continue
        for address in page.linked + page.loaded:
            parts = urlsplit(address)
            if parts.scheme or address.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                lost.append((path.name, address))
            elif parts.fragment and target in pages:
                ids = pages[target].ids | {"__codelineno"}
                if unquote(parts.fragment) not in ids and "codelineno" not in parts.fragment:
                    lost.append((path.name, address))
    assert lost == []


def test_notebooks_commands_and_record_are_on_it(site: Path) -> None:
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        page = (site / "tutorials" / f"{notebook.stem}.html").read_text("utf-8")
        shown = "Output of the cell above" in page
        assert shown == ("image/png" in notebook.read_text("utf-8"))
    commands = (site / "reference" / "commands.html").read_text("utf-8")
    assert all(f"kuleshov {name}" in commands for name in COMMANDS.own)
    schema = json.loads((site / "reference" / "schema.json").read_text("utf-8"))
    assert "properties" in schema
    python = (site / "reference" / "python.html").read_text("utf-8")
    assert "kuleshov.agent.Agent.infer" in python


def test_the_links_of_the_readme_lead_to_files() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text("utf-8")):
        assert (ROOT / path).is_file(), path


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_docs_builds_it_by_that_command() -> None:
    told = subprocess.run(
        ["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "mkdocs build" in told
