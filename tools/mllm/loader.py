"""Check and load a model by its name, its folder or its address."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from kuleshov.tools.labels import LabelSet
from kuleshov.tools.mllm import endpoint, hub
from kuleshov.tools.mllm.base import Mllm
from kuleshov.tools.mllm.catalogue import KNOWN, MODELS
from kuleshov.tools.mllm.hub import default_model
from kuleshov.tools.process import note_loaded


def check_model(
    name: str | None,
    *,
    device: str | None = None,
    quantization: str = "none",
    allow_remote: bool = False,
) -> None:
    """Tell at once, and before anything is loaded, that a model cannot be had.

    Raises:
        MllmError: unknown, incomplete, neither here nor to be downloaded now, or a server off
            this machine that was not allowed.
    """
    if name is not None and endpoint.is_address(name):
        endpoint.check_address(name, allow_remote=allow_remote)
    elif name is not None and name in MODELS:
        MODELS.find(name)
    else:
        hub.check_source(name, device=device, quantization=quantization)


def load_model(
    name: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    quantization: Literal["none", "4bit", "8bit"] = "none",
    device_map: Any = None,
    prompts: Literal["brief", "full"] | None = None,
    reuse_prefix: bool = True,
    allow_remote: bool = False,
    limits: endpoint.Limits | None = None,
) -> Mllm:
    """Load a model, downloading it first if it is a Hub model that is not here.

    Args:
        name: an id of the Hub, a local folder, "pocket", a plug-in's name, or the address of an
            OpenAI-compatible server with the model's name after a #; None: `default_model()`.
        device: cpu, cuda, cuda:1, mps; None: the best there is.
        dtype: float32, bfloat16, float16; None: bfloat16 where the device is fast at it, float32
            for a small model on a CPU.
        quantization: none, 4bit (nf4) or 8bit of the language model, through bitsandbytes.
        device_map: accelerate's, e.g. "auto" to spread over devices; overrides the device.
        prompts: the prompt family it is given; None: brief below 2 B parameters.
        reuse_prefix: keep key-value caches of the last conversations.
        allow_remote: a server may be another machine: faces leave this one.
        limits: how a server is asked.

    Raises:
        MllmError: unknown, not here and no network, incomplete, or too large; says what to do.
        WeightsError: the bundled model's weights are missing or damaged.
    """
    note_loaded()
    if name is not None and endpoint.is_address(name):
        return endpoint.EndpointMllm(name, allow_remote=allow_remote, limits=limits)
    if name is not None and name in MODELS:
        with MODELS.telling_whose(name):
            return MODELS.find(name).load(device=device, dtype=dtype, quantization=quantization)
    from kuleshov.tools.mllm.local import weights

    source = hub.find_model(name or default_model(device, quantization))
    facts: dict[str, Any] = {"revision": source.revision, "prompts": prompts}
    if source.kind == "bundled":
        facts |= _pocket_facts(source.folder)
        facts["prompts"] = prompts or "brief"
    else:
        source = hub.fetch_model(source)
        assert source.folder is not None
        known = KNOWN.get(source.id)
        facts["revision"] = source.revision
        facts["licence"] = weights.read_licence(source.folder) or (known.licence if known else None)
        facts["many_images"] = known.many_images if known else None
        if source.kind == "folder":
            facts["sha256"] = weights.weights_fingerprint(source.folder)
    from kuleshov.tools.mllm.local.model import TransformersMllm

    assert source.folder is not None
    return TransformersMllm.load_folder(
        source.folder,
        name=source.id,
        device=device,
        dtype=dtype,
        quantization=quantization,
        device_map=device_map,
        reuse_prefix=reuse_prefix,
        **facts,
    )


def _pocket_facts(folder: Path | None) -> dict[str, Any]:
    from kuleshov.tools import pocket
    from kuleshov.tools.pocket import weights

    assert folder is not None
    sha256 = weights.check_weights(folder / "model.safetensors", "llava/model.safetensors")
    return {
        "sha256": sha256,
        "caveat": pocket.CAVEAT,
        "taught_labels": LabelSet.load("ekman-8").names,
        "taught_examples": False,
        "taught_questions": False,
        "taught_probes": pocket.TAUGHT_PROBES,
        "probe_margin": pocket.PROBE_MARGIN,
        "context_weight": pocket.CONTEXT_WEIGHT,
        **pocket.scale_facts(sha256),
        "many_images": False,
        "licence": hub.POCKET_LICENCE,
    }
