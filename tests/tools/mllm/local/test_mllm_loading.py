"""From a folder to a model: device, number format, quantization, what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import KINDS, picture, user

from kuleshov.tools import mllm
from kuleshov.tools.mllm import MllmError, hardware
from kuleshov.tools.mllm.local import loading, weights

Folder = Callable[..., Path]


@pytest.fixture
def copy(tiny_llava: Folder, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(tiny_llava("llava"), tmp_path / "model"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("kind", KINDS)
def test_the_info_says_what_was_loaded(kind: str, tiny_llava: Folder) -> None:
    folder = tiny_llava(kind)
    info = mllm.load_model(str(folder), device="cpu", dtype="float32").info
    weights_file = folder / "model.safetensors"
    assert info.id == str(folder)
    assert (info.kind, info.device, info.dtype) == (kind, "cpu", "float32")
    assert info.quantization == "none"
    assert info.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert info.parameters == weights.count_parameters(folder)
    assert info.prompts == "brief"
    assert info.many_images is (kind == "llava_onevision")
    assert info.context_tokens == 1024
    assert info.revision is info.licence is info.caveat is None


@pytest.mark.parametrize(("fast", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_bfloat16_where_the_cpu_is_fast_at_it(
    fast: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_cpu_has_bfloat16", lambda: fast)
    assert hardware.choose_dtype(None, "cpu") == dtype
    assert hardware.choose_dtype(None, "cpu", 500_000_000) == dtype
    # Small models gain nothing by it, and their numbers stay the same in any batch.
    assert hardware.choose_dtype(None, "cpu", 5_000_000) == "float32"
    assert hardware.choose_dtype("bf16", "cpu", 5_000_000) == "bfloat16"
    assert hardware.choose_dtype("fp16", "cpu") == "float16"


@pytest.mark.parametrize(
    ("instructions", "fast"),
    [([], False), (["_is_avx512_bf16_supported"], True), (["_is_amx_tile_supported"], True)],
)
def test_the_cpu_is_asked_for_its_instructions(
    instructions: list[str], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not oneDNN, which says yes to every AVX-512 and emulates."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in instructions)
    assert hardware.choose_dtype(None, "cpu") == ("bfloat16" if fast else "float32")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_number_format_can_be_chosen(dtype: str, tiny_llava: Folder) -> None:
    model: Any = mllm.load_model(str(tiny_llava("llava")), device="cpu", dtype=dtype)
    assert model.info.dtype == dtype
    assert {p.dtype for p in model.model.parameters()} == {getattr(torch, dtype)}
    if dtype == "bfloat16":
        conversation = [user(picture(1), "describe")]
        assert model.generate(conversation, max_new_tokens=3).tokens > 0
        together = model.score(conversation, ["yes", "no"])
        alone = [model.score(conversation, [word])[0] for word in ("yes", "no")]
        assert together == pytest.approx(alone, rel=0.03)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"device": "gpu"}, "there is no device 'gpu'"),
        ({"device": "cuda:7"}, r"no CUDA GPU|counted from 0"),
        ({"dtype": "float23"}, r"no dtype 'float23' \(did you mean float32\?\)"),
        ({"quantization": "3bit"}, "no quantization '3bit'; use none, 4bit or 8bit"),
    ],
)
def test_impossible_choices(options: dict[str, Any], match: str, tiny_llava: Folder) -> None:
    with pytest.raises(MllmError, match=match):
        mllm.load_model(str(tiny_llava("llava")), **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_bitsandbytes_quantizes_the_language_model_alone(
    kind: str,
    quantization: Any,
    tiny_llava: Folder,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    folder = str(tiny_llava(kind))
    model: Any = mllm.load_model(folder, device="cpu", quantization=quantization)
    assert model.info.quantization == quantization
    small = {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}[quantization]
    for name, module in model.model.named_modules():
        if isinstance(module, torch.nn.Linear):
            assert (type(module).__name__ == small) is ("language_model" in name), name
    conversation = [user(picture(1), "describe")]
    scores = model.score(conversation, ["happiness", "sadness", "no"])
    exact = mllm.load_model(folder, device="cpu").score(
        conversation, ["happiness", "sadness", "no"]
    )
    assert scores == pytest.approx(exact, rel=0.5)
    assert scores != pytest.approx(exact, abs=1e-3)
    assert model.generate(conversation, max_new_tokens=4).tokens > 0
    assert capfd.readouterr().err == ""
    assert not [warning for warning in recwarn if "MatMul8bitLt" in str(warning.message)]


def test_names_of_what_is_not_quantized_are_whole(tiny_llava: Folder) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(tiny_llava("llava"))
    assert loading.unquantized_modules(config) == [
        "model.vision_tower",
        "model.multi_modal_projector",
        "lm_head",
    ]


def test_device_map_is_accelerates(tiny_llava: Folder) -> None:
    info = mllm.load_model(str(tiny_llava("llava")), device_map="cpu").info
    assert info.device == "cpu"


def test_too_large_a_model_says_what_to_choose(
    tiny_llava: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "free_bytes", lambda device: 100_000)
    with pytest.raises(MllmError) as caught:
        mllm.load_model(str(tiny_llava("llava")), device="cpu", dtype="float32")
    assert str(caught.value).endswith(
        "needs about 0.7 MB on cpu (float32) and 0.1 MB are free; use --quantization 4bit, or a "
        "smaller model (--model llava-hf/llava-onevision-qwen2-0.5b-ov-hf)."
    )
    assert "--device cpu" in hardware.memory_advice("large", "cuda", "none")
    assert "4bit" not in hardware.memory_advice("large", "cuda", "4bit")
    assert "--model pocket" in hardware.memory_advice(hardware.SMALL, "cpu", "none")


def test_running_out_while_loading_says_what_to_choose(
    tiny_llava: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForImageTextToText

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: "
            "can't allocate memory: you tried to allocate 99 bytes."
        )

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", full)
    with pytest.raises(MllmError, match="ran out of memory on cpu; use --quantization 4bit"):
        mllm.load_model(str(tiny_llava("llava")), device="cpu")


def test_only_safetensors_are_loaded(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(MllmError, match=r"holds pytorch_model.bin but no safetensors weights"):
        mllm.load_model(str(copy))
    (copy / "pytorch_model.bin").unlink()
    with pytest.raises(MllmError, match=r"model.safetensors is missing"):
        mllm.check_model(str(copy))
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "one.safetensors"}}')
    with pytest.raises(MllmError, match="lacks some of the weights its index names"):
        mllm.load_model(str(copy))


def test_weights_that_are_cut_off_are_refused(copy: Path) -> None:
    raw = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(raw[:500])
    with pytest.raises(MllmError, match="not safetensors or is cut off"):
        mllm.load_model(str(copy))
    (copy / "model.safetensors").write_bytes(raw[:-5000])
    with pytest.raises(MllmError, match=r"is cut off or damaged; get it again"):
        mllm.check_model(str(copy))


def test_weights_that_lack_a_tensor_are_refused(copy: Path) -> None:
    """transformers would make up the tensor and go on."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    projector = sorted(name for name in tensors if "projector.linear_1" in name)
    whole = {name: value for name, value in tensors.items() if name not in projector}
    save_file(whole, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MllmError, match=r"lack 2 tensors .*linear_1.bias first"):
        mllm.load_model(str(copy))
    tensors[projector[0]] = tensors[projector[0]][:-1].clone()
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MllmError, match="cannot be loaded"):
        mllm.load_model(str(copy))


def test_code_that_comes_with_a_model_is_never_run(copy: Path, tmp_path: Path) -> None:
    (copy / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass OwnConfig: ...\n")
    edit(copy / "config.json", model_type="own", auto_map={"AutoConfig": "own.OwnConfig"})
    with pytest.raises(MllmError, match="cannot be loaded"):
        mllm.load_model(str(copy))
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_something_else(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(MllmError, match=r"has no config.json"):
        mllm.load_model(str(tmp_path))
    edit(copy / "config.json", model_type="llama", architectures=["LlamaForCausalLM"])
    with pytest.raises(MllmError, match="cannot be loaded as an image-text-to-text model"):
        mllm.load_model(str(copy))


def test_a_model_without_a_chat_template(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(MllmError, match="has no chat template"):
        mllm.load_model(str(copy))


def test_early_processors_are_completed(copy: Path) -> None:
    edit(copy / "processor_config.json", patch_size=None, vision_feature_select_strategy=None)
    model = mllm.load_model(str(copy), device="cpu")
    assert model.generate([user(picture(1), "describe")], max_new_tokens=2).tokens == 2


def test_the_fingerprint_says_what_it_is_of(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = copy / "model.safetensors"
    assert weights.weights_fingerprint(copy) == hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "HASHED_WHOLE", 1000)
    large = weights.weights_fingerprint(copy)
    assert large == f"headers:{hashlib.sha256(weights.read_header(file)).hexdigest()}"
    monkeypatch.undo()
    file.rename(copy / "one.safetensors")
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "one.safetensors"}}')
    several = weights.weights_fingerprint(copy)
    assert several is not None
    assert len(several) == 64


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\n# A model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: 'llama2'\n---\n", "llama2"),
        ("# A model\nlicense: mit\n", None),
    ],
)
def test_the_licence_is_the_cards(copy: Path, card: str, licence: str | None) -> None:
    (copy / "README.md").write_text(card)
    assert mllm.load_model(str(copy), device="cpu").info.licence == licence
