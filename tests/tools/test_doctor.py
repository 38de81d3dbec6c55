"""The rows of `kuleshov doctor`, with each part here, missing or broken."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kuleshov.tools import doctor, faces, pocket
from kuleshov.tools.faces import ToolStatus
from kuleshov.tools.mllm import hardware, hub
from kuleshov.tools.pocket import weights


def rows() -> dict[str, ToolStatus]:
    return {row.name: row for row in doctor.doctor_rows()}


def test_every_part_has_its_row_in_order() -> None:
    assert [row.name for row in doctor.doctor_rows()] == [
        "kuleshov",
        *faces.tool_statuses(),
        "torch",
        "transformers",
        "pocket (LLaVA)",
        "default model",
        "speech (Whisper)",
        "bitsandbytes",
        "captum",
    ]
    assert set(faces.tool_statuses()) == set(faces.tool_names()) | set(faces.file_formats())
    assert {"pocket", "pyfeat", "mediapipe", "affdex", "facet"} <= set(faces.tool_statuses())


def test_versions_and_licences_are_told() -> None:
    found = rows()
    for name in ("kuleshov", "torch", "transformers"):
        assert found[name].ready
        assert found[name].version == importlib.metadata.version(name)
    assert "non-commercial research" in found["pyfeat"].licence
    assert all(row.licence for row in found.values())


def test_what_is_not_ready_names_its_command() -> None:
    for row in doctor.doctor_rows():
        assert (row.command is None) == row.ready, row


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (
            "bfloat16",
            "it computes bfloat16; models are loaded in bfloat16, "
            "those below 100 M parameters in float32",
        ),
        ("float32", "it only emulates bfloat16, which is slow; models are loaded in float32"),
    ],
)
def test_the_cpu_says_whether_it_is_fast_at_bfloat16(
    monkeypatch: pytest.MonkeyPatch, dtype: str, words: str
) -> None:
    monkeypatch.setattr(hardware, "choose_device", lambda device=None: "cpu")
    monkeypatch.setattr(hardware, "choose_dtype", lambda dtype_, device: dtype)
    measures = rows()["torch"].measures
    assert measures.startswith("CPU only, ")
    assert measures.endswith(f"memory free; {words}")


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Properties:
        total_memory = 143_000_000_000

    monkeypatch.setattr(hardware, "choose_device", lambda device=None: "cuda")
    monkeypatch.setattr(hardware, "choose_dtype", lambda dtype, device: "bfloat16")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda k: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda k: Properties)
    monkeypatch.setattr(torch.version, "cuda", "12.9")
    assert doctor._torch_row().measures == (
        "CUDA 12.9: NVIDIA H200 (143.0 GB); models are loaded in bfloat16"
    )


def test_the_bundled_llava_is_compared_with_its_checksum(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pocket, "weights_folder", lambda: tmp_path)
    path = tmp_path / "llava" / "model.safetensors"
    row = doctor._bundled_row()
    assert (row.ready, row.command) == (False, "pip install --force-reinstall kuleshov")
    assert row.weights.startswith(f"the weights file {path} is missing; ")
    path.parent.mkdir()
    path.write_bytes(b"weights")
    sums = tmp_path / "checksums.json"
    monkeypatch.setattr(weights, "CHECKSUMS", sums)
    sums.write_text(f'{{"llava/model.safetensors": "{weights.hash_file(path)}"}}')
    row = doctor._bundled_row()
    assert (row.ready, row.weights, row.command) == (True, "bundled, checksum right", None)
    path.write_bytes(b"other weights")
    assert " is damaged (sha256 " in doctor._bundled_row().weights


def test_the_default_model_follows_the_hardware_and_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def listed(state: Any, path: str | None) -> None:
        row = hub.ModelStatus(
            id=hub.LARGE,
            state=state,
            bytes=16_100_000_000,
            licence="Apache-2.0",
            note="a note",
            path=path,
            default=True,
            command=None if path else f"kuleshov models pull {hub.LARGE}",
        )
        monkeypatch.setattr(doctor.mllm, "list_models", lambda: [row])

    monkeypatch.setattr(doctor.mllm, "default_model", lambda: hub.LARGE)
    listed("not here", None)
    assert doctor._default_row() == ToolStatus(
        name="default model",
        ready=False,
        installed=False,
        version=hub.LARGE,
        weights="not here (16.1 GB)",
        licence="Apache-2.0",
        measures="a note",
        command=f"kuleshov models pull {hub.LARGE}",
    )
    listed("cached", "/models/large")
    row = doctor._default_row()
    assert (row.ready, row.weights, row.command) == (
        True,
        "cached (16.1 GB) in /models/large",
        None,
    )


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    found = rows()
    apart = {"openface", "openface3", "libreface", "pyafar"}
    for name in apart:
        assert not found[name].installed
        assert f"--faces {name}:FILE" in found[name].weights
    assert {
        name: row.command for name, row in found.items() if not row.installed and name not in apart
    } == {
        "hsemotion": found["hsemotion"].command,
        "mediapipe": found["mediapipe"].command,
        "pyfeat": "pip install 'py-feat>=2.1,<3'",
        "pyfeat-v1": "pip install 'py-feat>=2.1,<3'",
        "torch": "pip install 'torch>=2.6'",
        "transformers": "pip install 'transformers>=5,<6'",
        "default model": f"kuleshov models pull {found['default model'].version}",
        "bitsandbytes": "pip install bitsandbytes",
        "captum": "pip install 'kuleshov[explain]'",
    }


def test_extras_name_their_command_and_their_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is missing in an installation without the extras, and without any weights."""
    from kuleshov.tools.faces import hsemotion, mediapipe

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(mediapipe, "find_spec", lambda name: None)
    monkeypatch.setattr(hsemotion, "find_spec", lambda name: None)
    found = rows()
    assert found["mediapipe"].command == (
        "pip install 'kuleshov[mediapipe]' && curl -L --create-dirs -o "
        f"{tmp_path}/.cache/kuleshov/face_landmarker.task https://storage.googleapis.com/"
        "mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
        "  (or set MEDIAPIPE_FACE_LANDMARKER to its path)"
    )
    assert found["mediapipe"].weights == "missing: face_landmarker.task (3.8 MB)"
    command = found["hsemotion"].command
    assert command is not None
    assert command.startswith("pip install 'kuleshov[hsemotion]' && curl -L --create-dirs -o ")
    assert found["affdex"].ready
    assert "--faces affdex:FILE" in found["affdex"].weights


def test_a_part_that_breaks_becomes_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> ToolStatus:
        raise ImportError("libcudart.so.12: cannot open shared object file\nand more")

    monkeypatch.setattr(doctor, "_torch_row", broken)
    found = rows()
    assert found["torch"] == ToolStatus(
        name="torch",
        ready=False,
        installed=False,
        weights="cannot be examined (ImportError: libcudart.so.12: cannot open shared object file)",
    )
    assert found["kuleshov"].ready


def test_importing_it_leaves_torch_out() -> None:
    code = (
        "import sys, kuleshov.tools.doctor;"
        "print(sorted({'torch', 'feat', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
