"""The lock file of the container: every dependency, within the bounds, with its checksum."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging.requirements")
ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("web", "clips", "data")


def locked() -> dict[str, tuple[str, int]]:
    """Name to version and number of checksums."""
    found = {}
    for part in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text()):
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", part):
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            found[name] = match[2], part.count("--hash=sha256:")
    return found


def test_the_lock_file_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    found = locked()
    for text in wanted:
        asked = packaging.Requirement(text)
        version, _ = found[re.sub(r"[-_.]+", "-", asked.name).lower()]
        assert asked.specifier.contains(version, prereleases=True), text


def test_everything_in_it_has_a_checksum() -> None:
    found = locked()
    assert len(found) > 80
    assert [name for name, (_, hashes) in found.items() if not hashes] == []


def test_the_container_installs_from_it_and_serves_with_a_password() -> None:
    steps = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in steps
    assert "USER kuleshov" in steps
    assert "--auth=/run/secrets/users" in (ROOT / "compose.yaml").read_text()
