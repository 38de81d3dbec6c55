"""Models by name: known, cached, downloaded, out of reach."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny_models import picture, user

from kuleshov.tools import mllm, pocket
from kuleshov.tools.mllm import MllmError, hardware, hub
from kuleshov.tools.pocket import weights as pocket_weights
from kuleshov.tools.pocket.weights import WeightsError

Folder = Callable[..., Path]
COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(cache: Path, name: str, folder: Path) -> Path:
    """Lay a checkpoint into the cache as huggingface_hub does."""
    home = cache / f"models--{name.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        (snapshot / file.name).symlink_to(file)
    return snapshot


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pokcet", "pocket"),
        ("Pocket", "pocket"),
        ("llava-1.5-7b", "llava-hf/llava-1.5-7b-hf"),
        ("llava-onevision-qwen2-0.5b-ov-hf", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"),
        ("llava-hf/llava-onevision-qwen2-0.5b", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"),
        ("llava-next-video-7b-hf", "llava-hf/LLaVA-NeXT-Video-7B-hf"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(cache: Path, name: str, meant: str) -> None:
    with pytest.raises(MllmError) as caught:
        mllm.check_model(name)
    assert f"did you mean {meant}?" in str(caught.value)


def test_a_cached_model_is_suggested_too(cache: Path, tiny_llava: Folder) -> None:
    fill(cache, "lab/our-own-llava", tiny_llava("llava"))
    with pytest.raises(MllmError, match=r"did you mean lab/our-own-llava\?"):
        mllm.check_model("our-own-lava")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere", "a/b/c"])
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(MllmError, match=f"there is no folder {name}"):
        mllm.load_model(name)


def test_offline_names_the_three_ways(cache: Path) -> None:
    with pytest.raises(MllmError) as caught:
        mllm.load_model("llava-hf/llava-1.5-7b-hf")
    message = str(caught.value)
    assert "HF_HUB_OFFLINE is set" in message
    assert "`kuleshov models pull llava-hf/llava-1.5-7b-hf`" in message
    assert "local folder" in message
    assert "--model pocket" in message


def test_without_a_network_the_three_ways_are_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(hub, "is_offline", lambda: False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for ask in (mllm.check_model, mllm.load_model, mllm.pull_model):
        with pytest.raises(MllmError) as caught:
            ask(hub.SMALL)
        message = str(caught.value)
        assert "https://huggingface.co cannot be reached" in message
        assert f"`kuleshov models pull {hub.SMALL}`" in message
        assert "--model FOLDER" in message
        assert "--model pocket" in message


def test_a_name_server_that_never_answers_is_not_waited_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import utils

    class Silent:
        def head(self, *_: Any, **__: Any) -> None:
            threading.Event().wait(5)

    monkeypatch.setattr(hub, "is_offline", lambda: False)
    monkeypatch.setattr(hub, "PROBE_S", -0.9)
    monkeypatch.setattr(utils, "get_session", Silent)
    assert "no answer within" in (hub.why_unreachable() or "")


def test_a_cached_model_loads_by_its_id(cache: Path, tiny_llava: Folder) -> None:
    snapshot = fill(cache, "lab/own", tiny_llava("llava_onevision"))
    mllm.check_model("lab/own")
    model = mllm.load_model("lab/own", device="cpu", prompts="full")
    assert model.info.id == "lab/own"
    assert model.info.revision == COMMIT
    assert model.info.kind == "llava_onevision"
    assert model.info.prompts == "full"
    assert model.info.many_images
    assert mllm.pull_model("lab/own") == snapshot  # here already: nothing is asked of the network


def test_an_incomplete_download_is_not_loaded(cache: Path, tiny_llava: Folder) -> None:
    snapshot = fill(cache, "lab/own", tiny_llava("llava"))
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MllmError, match="kuleshov models pull lab/own"):
        mllm.load_model("lab/own")
    row = next(row for row in mllm.list_models() if row.id == "lab/own")
    assert row.state == "incomplete"
    assert row.command == "kuleshov models pull lab/own"


def test_the_listing_says_what_is_here(cache: Path, tiny_llava: Folder) -> None:
    fill(cache, "lab/own", tiny_llava("llava"))
    fill(cache, hub.SMALL, tiny_llava("llava_onevision"))
    words = cache / "models--lab--words" / "refs"
    words.mkdir(parents=True)  # a text model, whatever else is in the cache
    rows = {row.id: row for row in mllm.list_models()}
    assert next(iter(rows)) == "pocket"
    assert set(rows) == {"pocket", "lab/own", *hub.NAMED}
    assert rows["lab/own"].state == rows[hub.SMALL].state == "cached"
    size = sum(file.stat().st_size for file in tiny_llava("llava").iterdir())
    assert rows["lab/own"].bytes == size
    assert rows[hub.SMALL].licence == "Apache-2.0"
    assert rows[hub.LARGE].state == "not here"
    assert rows[hub.LARGE].command == f"kuleshov models pull {hub.LARGE}"
    assert [row.id for row in rows.values() if row.default] == [mllm.default_model()]


@pytest.mark.parametrize(
    ("place", "free", "quantization", "chosen"),
    [
        ("cpu", 200e9, "none", hub.SMALL),
        ("cuda", 80e9, "none", hub.LARGE),
        ("cuda", 12e9, "none", hub.SMALL),
        ("cuda", 12e9, "4bit", hub.LARGE),
        ("cuda", 4e9, "4bit", hub.SMALL),
        ("mps", None, "none", hub.SMALL),
    ],
)
def test_the_default_is_chosen_by_hardware(
    monkeypatch: pytest.MonkeyPatch, place: str, free: float | None, quantization: str, chosen: str
) -> None:
    monkeypatch.setattr(hardware, "choose_device", lambda device: place)
    monkeypatch.setattr(hardware, "choose_dtype", lambda dtype, device: "bfloat16")
    monkeypatch.setattr(hardware, "free_bytes", lambda device: free)
    assert mllm.default_model(quantization=quantization) == chosen


@pytest.fixture
def pocket_folder(tmp_path: Path, tiny_llava: Folder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundled LLaVA that is not the real one, released with its checksum."""
    folder = tmp_path / "llava"
    folder.mkdir()
    for file in tiny_llava("llava").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    released = {"llava/model.safetensors": pocket_weights.hash_file(folder / "model.safetensors")}
    (tmp_path / "checksums.json").write_text(json.dumps(released))
    monkeypatch.setattr(pocket, "weights_folder", lambda: tmp_path)
    monkeypatch.setattr(pocket_weights, "CHECKSUMS", tmp_path / "checksums.json")
    return folder


def test_pocket_is_loaded_and_says_what_it_is(pocket_folder: Path) -> None:
    mllm.check_model("pocket")
    model = mllm.load_model("pocket")
    info = model.info
    assert (info.id, info.kind, info.prompts) == ("pocket", "llava", "brief")
    assert not info.many_images
    assert info.caveat == pocket.CAVEAT
    assert info.licence == "CC BY-NC 4.0 (research use)"
    assert info.sha256 == pocket_weights.hash_file(pocket_folder / "model.safetensors")
    assert info.taught_labels is not None
    assert "contempt" in info.taught_labels
    assert info.context_weight == 0.25
    assert model.generate([user(picture(), "describe")], max_new_tokens=3).tokens > 0


def test_pocket_weights_that_are_not_there(pocket_folder: Path) -> None:
    (pocket_folder / "model.safetensors").unlink()
    for ask in (mllm.check_model, mllm.pull_model):
        with pytest.raises(MllmError, match="bundled model's weights are not in this installation"):
            ask("pocket")
    with pytest.raises(WeightsError, match="missing"):
        mllm.load_model("pocket")
    row = next(iter(mllm.list_models()))
    assert (row.id, row.state, row.bytes) == ("pocket", "incomplete", None)


def test_damaged_pocket_weights_are_refused(pocket_folder: Path) -> None:
    raw = bytearray((pocket_folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (pocket_folder / "model.safetensors").write_bytes(raw)
    with pytest.raises(WeightsError, match="damaged"):
        mllm.load_model("pocket")


# -------------------------------------------------------------------- a small Hub of our own


class _Hub(BaseHTTPRequestHandler):
    """The few answers of the Hub's that a download asks for."""

    folder: Path

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        files = {file.name: file for file in self.folder.iterdir()}
        if path == "/":
            self.answer(200, b"")
        elif "/tiny/broken" in path:
            self.answer(418, b"{}")
        elif path.startswith("/api/models/tiny/llava"):
            listed = [{"rfilename": n, "size": f.stat().st_size} for n, f in files.items()]
            listed.append({"rfilename": "pytorch_model.bin", "size": 10})
            listed.append({"rfilename": "modeling_own.py", "size": 10})
            about: Any = {
                "id": "tiny/llava",
                "sha": COMMIT,
                "siblings": listed,
                "cardData": {"license": "cc-by-nc-4.0"},
            }
            if "/tree/" in path:
                about = [
                    {"type": "file", "path": file["rfilename"], "size": file["size"], "oid": "0"}
                    for file in listed
                ]
            self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/tiny/llava/resolve/") and path.split("/")[-1] in files:
            data = files[path.split("/")[-1]].read_bytes()
            self.answer(
                200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            )
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815

    def answer(self, code: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def online(tiny_llava: Folder, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process that sees a Hub with one model, tiny/llava."""
    handler = type("Handler", (_Hub,), {"folder": tiny_llava("llava")})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }
    del environment["HF_HUB_OFFLINE"]
    yield environment
    server.shutdown()


def test_a_download_names_licence_and_size_then_loads_offline(
    online: dict[str, str], tiny_llava: Folder
) -> None:
    program = """
from kuleshov.tools import mllm
try:
    mllm.pull_model("tiny/nothing")
except mllm.MllmError as error:
    print(error)
try:
    mllm.pull_model("tiny/broken")
except mllm.MllmError as error:
    print(error)
folder = mllm.pull_model("tiny/llava")
print(*sorted(file.name for file in folder.iterdir()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=online, capture_output=True, text=True, check=True
    )
    error, broken, files = done.stdout.strip().splitlines()
    assert error == "the Hub has no model tiny/nothing, or it is private."
    assert broken.startswith("tiny/broken could not be downloaded (")
    assert "`kuleshov models pull tiny/broken` again" in broken
    assert "--model pocket" in broken
    assert files.split() == sorted(file.name for file in tiny_llava("llava").iterdir())
    first, *progress = done.stderr.strip().splitlines()
    assert first.startswith("downloading tiny/llava: 0.")
    assert " MB, licence cc-by-nc-4.0, to " in first
    assert any("100%" in line for line in progress)

    program = "from kuleshov.tools import mllm; print(mllm.load_model('tiny/llava').info.revision)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**online, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{COMMIT}\n", "")  # and nothing chatters


def test_importing_the_package_imports_no_torch() -> None:
    program = (
        "import sys, kuleshov.tools.mllm as m; m.check_model; "
        "print([n for n in ('torch', 'transformers', 'huggingface_hub') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_default_model_is_chosen_without_torch_where_there_can_be_no_gpu():
    import subprocess
    import sys

    code = (
        "import sys; from kuleshov.tools.mllm import hardware; "
        "hardware._may_have_gpu = lambda: False; "
        "from kuleshov.tools.mllm import default_model; "
        "print(default_model(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "llava-hf/llava-onevision-qwen2-0.5b-ov-hf False\n"
