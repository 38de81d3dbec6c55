"""The models that are named: one list for the docs and the program, and one of them suggested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.tools.mllm import catalogue, hardware, hub

ROOT = Path(__file__).resolve().parents[3]


def test_the_readme_has_the_catalogues_table() -> None:
    assert catalogue.write_table() in (ROOT / "docs" / "reference" / "models.md").read_text("utf-8")


def test_the_defaults_come_first_and_newer_families_are_there() -> None:
    first, second, *_ = catalogue.KNOWN
    assert (first, second) == (hub.SMALL, hub.LARGE)
    kinds = {known.kind for known in catalogue.KNOWN.values()}
    assert {"qwen3_vl", "qwen3_5", "internvl", "gemma4", "smolvlm"} <= kinds
    assert all(known.licence and known.parameters for known in catalogue.NAMED.values())


@pytest.mark.parametrize("kind", sorted({known.kind for known in catalogue.KNOWN.values()}))
def test_every_kind_is_one_that_transformers_has(kind: str) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    assert kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


@pytest.mark.parametrize(
    ("device", "free", "options", "reason"),
    [
        ("cuda", 80e9, f"--model {hub.LARGE}", "bfloat16 takes 16.0 GB, and 80.0 GB are free"),
        ("cuda", 14e9, f"--model {hub.LARGE} --quantization 8bit", "8bit takes 9.6 GB"),
        ("cuda", 10e9, f"--model {hub.LARGE} --quantization 4bit", "4bit takes 6.4 GB"),
        ("cuda", 6e9, f"--model {hub.SMALL}", "more than the 6.0 GB that are free on cuda"),
        ("cpu", 16e9, f"--model {hub.SMALL}", "grows with the size of the model"),
        ("cpu", 2e9, "--model pocket", "for demonstration only"),
        ("mps", None, f"--model {hub.SMALL}", "free on mps cannot be told"),
    ],
)
def test_a_model_is_suggested_and_why(
    device: str,
    free: float | None,
    options: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hardware, "choose_device", lambda asked=None: asked or device)
    monkeypatch.setattr(hardware, "choose_dtype", lambda *_: "bfloat16")
    monkeypatch.setattr(hardware, "free_bytes", lambda place: free)
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["models", "suggest"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0] == options
    assert reason in told
    if device == "cuda" and free == 10e9:
        assert "Qwen/Qwen3-VL-8B-Instruct (4bit)" not in told  # 7.0 GB and 3 beside are more
        assert "InternVL3_5-8B-HF (4bit)" in told
    assert main(["models", "suggest", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["device"] == device
    assert record["quantization"] == (options.split()[3] if "--quant" in options else "none")


def test_a_device_that_is_not_here_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "suggest", "--device", "cud"]) == 2
    assert "there is no device 'cud' (did you mean cuda?)" in capsys.readouterr().err
