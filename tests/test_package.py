"""The package as a user gets it: every folder listed, the wheel whole, nothing heavy on import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAPPED = {
    "agent": "kuleshov",
    "prompts": "kuleshov.prompts",
    "tools": "kuleshov.tools",
    "evals": "kuleshov.evals",
}


def test_every_folder_with_code_is_listed_as_a_package():
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = set()
    for folder, package in MAPPED.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *inner)))
    assert listed == found


def test_import_is_light():
    code = (
        "import sys, kuleshov, kuleshov.apps.cli.main; heavy = [m for m in "
        "('torch', 'transformers', 'feat', 'langgraph', 'pydantic', 'numpy', 'PIL', 'rich') "
        "if m in sys.modules]; print(heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_users_need_is_had_by_name():
    import kuleshov

    public = set(kuleshov.__all__) - {"__version__"}
    assert {"Agent", "Session", "Inference", "Settings", "LabelSet", "KuleshovError"} <= public
    assert public <= set(dir(kuleshov))
    for name in sorted(public):
        assert getattr(kuleshov, name).__name__ == name
        assert getattr(kuleshov, name).__module__.startswith("kuleshov.")
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        kuleshov.Agnet  # noqa: B018


@pytest.fixture(scope="module")
def wheel_env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment outside the checkout with the built wheel in it.

    The libraries come from the environment of the tests by a path entry; its editable install is
    not seen through that, because .pth files there are not read.
    """
    base = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(base),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
    )
    wheel = next(base.glob("kuleshov-*.whl"))
    venv.create(base / "env", with_pip=False)
    python = base / "env" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "-q",
            "--no-deps",
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (Path(site) / "libraries.pth").write_text("\n".join(libraries))
    return base


def in_env(wheel_env: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    return subprocess.run(
        [wheel_env / "env" / "bin" / command[0], *command[1:]],
        cwd=wheel_env,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_runs_outside_the_checkout(wheel_env: Path, feat_data: Path):
    where = in_env(wheel_env, "python", "-c", "import kuleshov; print(kuleshov.__file__)")
    assert str(wheel_env / "env") in where.stdout, where.stderr
    version = in_env(wheel_env, "kuleshov", "--version")
    assert version.stdout == "kuleshov 0.1.0\n"
    done = in_env(
        wheel_env,
        "kuleshov",
        "infer",
        str(feat_data / "single_face.jpg"),
        "--model",
        "pocket",
        "--faces",
        "pocket",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["schema"] == "kuleshov/inference@1"
    assert record["provenance"]["mllm"]["id"] == "pocket"
    assert len(record["people"]) == 1


def test_the_wheel_holds_the_data_files_and_no_training(wheel_env: Path):
    import zipfile

    names = set(zipfile.ZipFile(next(wheel_env.glob("*.whl"))).namelist())
    for needed in (
        "kuleshov/py.typed",
        "kuleshov/output/templates/report.html.jinja",
        "kuleshov/apps/web/templates/page.html.jinja",
        "kuleshov/apps/web/static/page.js",
        "kuleshov/prompts/brief/judge.jinja",
        "kuleshov/prompts/full/judge.jinja",
        "kuleshov/tools/labels/ekman-7.toml",
        "kuleshov/tools/pocket/checksums.json",
        "kuleshov/tools/pocket/face_net.safetensors",
        "kuleshov/tools/pocket/detector.safetensors",
        "kuleshov/tools/pocket/llava/model.safetensors",
        "kuleshov/tools/pocket/cards/llava.md",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("training", "tests"))]
