"""`kuleshov serve` as a process: mistakes in the call, Ctrl-C, a kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra web is not installed")
import httpx

from kuleshov.apps.cli.main import main


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "0.0.0.0"], "at 0.0.0.0 other machines could reach this server"),
        (["--share"], "give --auth USER:PASSWORD, or leave out --host and --share."),
        (["--share", "--auth", "anna"], "--auth takes USER:PASSWORD, or a file"),
        (["--auth", "anna:short"], "the password of anna is too short: at least 8 characters."),
        (["--gallery", "nowhere"], "there is no folder nowhere (--gallery)."),
        (["--max-upload-mb", "0"], "--max-upload-mb must be more than 0."),
        (["--idle-minutes", "nan"], "--idle-minutes must be more than 0."),
        (["--certificate", "a.pem"], "--certificate and --key go together."),
        (["--certificate", "a.pem", "--key", "b.pem"], "there is no file a.pem."),
        (["--host", "192.0.2.1", "--auth", "anna:correct horse"], "cannot listen at 192.0.2.1"),
        (["--port", "99999"], "cannot listen at 127.0.0.1 port 99999"),
        (["--port", "0", "--model", "nobody/no-such-llava"], "nobody/no-such-llava"),
    ],
)
def test_a_mistake_in_the_call_is_one_sentence(options, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--faces", "pocket", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["serve", "--model", "pocket", "--port", str(port)]) == 2
    assert f"cannot listen at 127.0.0.1 port {port}: address already in use" in (
        capsys.readouterr().err
    )


def test_a_missing_extra_names_the_command(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "multipart", None)
    assert main(["serve"]) == 2
    assert "run pip install 'kuleshov[web]'." in capsys.readouterr().err


def test_users_may_stand_in_a_file(tmp_path):
    from kuleshov.apps.web.server import parse_credentials

    path = tmp_path / "users.txt"
    path.write_text("anna:correct horse\n\nbert:battery:staple\n")
    assert parse_credentials([str(path), "cleo:0123456789"]) == {
        "anna": "correct horse",
        "bert": "battery:staple",
        "cleo": "0123456789",
    }


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`kuleshov serve` with the pocket models, whose temporary files lie in `folder`."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "kuleshov.apps.cli.main",
            "serve",
            "--model",
            "pocket",
            "--faces",
            "pocket",
            "--port",
            str(port),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Kuleshov serves at http://127.0.0.1:"), line
        yield process, line.split()[3]
    finally:
        process.kill()
        process.wait()


def uploads(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.jpg")]


def test_ctrl_c_ends_the_server_and_removes_uploads(tmp_path, feat_data):
    with serving(tmp_path) as (process, url), httpx.Client(timeout=120) as client:
        client.get(url)
        with (feat_data / "single_face.jpg").open("rb") as file:
            assert client.post(f"{url}/page/read", files={"file": file}).status_code == 202
        assert uploads(tmp_path) == ["single_face.jpg"]
        heard: list[str] = []
        connected = threading.Event()

        def listen() -> None:
            with client.stream("GET", f"{url}/page/events", timeout=60) as answer:
                for line in answer.iter_lines():
                    heard.append(line)
                    connected.set()

        page = threading.Thread(target=listen)
        page.start()
        assert connected.wait(60)
        process.send_signal(signal.SIGINT)
        page.join(60)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read() == (
            "kuleshov: the server has ended; what was uploaded is removed.\n"
        )
        assert "event: ended" in heard
        assert list(tmp_path.glob("kuleshov-serve-*")) == []
