"""From a folder to a loaded model: processor, weights, number format, what it is."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import first_line
from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.base import MllmError, MllmInfo
from kuleshov.tools.mllm.local import families, turns, weights

BRIEF_BELOW = 2_000_000_000
LANGUAGE_MODELS = {"language_model", "text_model"}


def load_folder(
    folder: Path,
    *,
    name: str,
    device: str | None,
    dtype: str | None,
    quantization: str,
    device_map: Any,
    facts: dict[str, Any],
) -> tuple[Any, Any, MllmInfo]:
    """Model (in eval mode), processor, and what they are.

    Args:
        folder: config, processor and safetensors weights.
        name: how messages and records call the model.
        device, dtype: None for the best.
        quantization: none, 4bit or 8bit.
        device_map: accelerate's, e.g. "auto"; overrides the device.
        facts: fields of MllmInfo that are known and not read from the model.

    Raises:
        MllmError: it is no image-text-to-text model, is incomplete, or does not fit.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    if quantization not in ("none", "4bit", "8bit"):
        raise MllmError(f"there is no quantization {quantization!r}; use none, 4bit or 8bit.")
    weights.check_complete(folder, name)
    place = hardware.choose_device(device)
    # of weights that are stored quantized the numbers cannot be counted
    stored_whole = "quantization_config" not in weights.read_config(folder)
    parameters = weights.count_parameters(folder) if stored_whole else None
    chosen = hardware.choose_dtype(dtype, place, parameters)
    if device_map is None and parameters is not None:
        hardware.check_fits(
            name,
            parameters,
            device=place,
            dtype=chosen,
            quantization=quantization,
        )
    with quiet_libraries(), hardware.telling_what_to_choose(name, place, quantization):
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                config=config,
                output_loading_info=True,
                dtype=hardware.torch_dtype(chosen),
                device_map=device_map if device_map is not None else {"": place},
                use_safetensors=True,
                trust_remote_code=False,
                **_quantization_options(config, quantization, chosen),
            )
        except Exception as error:
            if hardware.is_out_of_memory(error) or isinstance(error, MllmError):
                raise
            if isinstance(error, ImportError) and "num2words" in str(error):
                raise MllmError(
                    f"{name} needs num2words: run `pip install 'kuleshov[smolvlm]'`."
                ) from error
            raise MllmError(
                f"{name} cannot be loaded as an image-text-to-text model: {first_line(error)}"
            ) from error
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        # transformers fills them with random numbers and only warns
        raise MllmError(
            f"the weights of {name} lack {len(missing)} tensors that its config asks for, "
            f"{missing[0]} first."
        )
    _check_processor(processor, config, name)
    thinking = turns.settle_thinking(processor, name)
    model.eval()
    _only_ends(model, processor)
    text = config.get_text_config(decoder=True)
    parameters = model.num_parameters()
    described: dict[str, Any] = {
        "id": name,
        "kind": config.model_type,
        "device": _model_device(model, place),
        "dtype": chosen,
        "quantization": quantization,
        "parameters": parameters,
        "prompts": "brief" if parameters < BRIEF_BELOW else "full",
        "many_images": takes_many_images(config, name),
        "video": config.model_type in families.VIDEO and _takes_video(processor),
        "thinking": thinking,
        "scores_texts": True,
        "context_tokens": getattr(text, "max_position_embeddings", None),
    }
    described |= {key: value for key, value in facts.items() if value is not None}
    return model, processor, MllmInfo(**described)


def _quantization_options(config: Any, quantization: str, dtype: str) -> dict[str, Any]:
    if quantization == "none":
        return {}
    if getattr(config, "quantization_config", None):
        raise MllmError("this model's weights are quantized already; use --quantization none.")
    from transformers import BitsAndBytesConfig

    # one line a matrix product otherwise
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    skip = unquantized_modules(config)
    if quantization == "8bit":
        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_8bit=True,
                llm_int8_skip_modules=skip,
            )
        }
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            llm_int8_skip_modules=skip,
            bnb_4bit_compute_dtype=hardware.torch_dtype(dtype),
        )
    }


def unquantized_modules(config: Any) -> list[str]:
    """Full names of all that is not the language model: bitsandbytes matches nothing shorter."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        empty = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    prefix = empty.base_model_prefix
    inner = getattr(empty, prefix)
    beside = [name for name, _ in inner.named_children() if name not in LANGUAGE_MODELS]
    outside = [name for name, _ in empty.named_children() if name != prefix]
    return [*(f"{prefix}.{name}" for name in beside), *outside]


def takes_many_images(config: Any, name: str) -> bool:
    """Whether it was trained on several images a conversation, as far as its kind and name tell."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    if config.model_type not in families.ONE_IMAGE or tower in families.MANY_IMAGE_TOWERS:
        return True
    return "interleave" in name.lower()


def _takes_video(processor: Any) -> bool:
    """Whether it has a video processor, and a chat template that puts a video anywhere."""
    template = str(getattr(processor, "chat_template", ""))
    return getattr(processor, "video_processor", None) is not None and "video" in template


def _check_processor(processor: Any, config: Any, name: str) -> None:
    if getattr(processor, "chat_template", None) is None:
        raise MllmError(
            f"{name} has no chat template (chat_template.jinja), so its prompts are not known; "
            "use a checkpoint that transformers can chat with, e.g. one of llava-hf."
        )
    # early LLaVA processors left to the model's config what they count image tokens by
    vision = getattr(config, "vision_config", None)
    if getattr(processor, "patch_size", 0) is None and vision is not None:
        processor.patch_size = vision.patch_size
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy


def _only_ends(model: Any, processor: Any) -> None:
    """Greedy unless told otherwise: of a checkpoint's own generation settings the ends are kept."""
    from transformers import GenerationConfig

    ends = end_tokens(model, processor)
    padding = processor.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        eos_token_id=ends,
        pad_token_id=padding if padding is not None else ends[0],
        bos_token_id=processor.tokenizer.bos_token_id,
        do_sample=False,
        use_cache=True,  # some fine-tuned checkpoints are saved with it off
    )


def end_tokens(model: Any, processor: Any) -> list[int]:
    """Ids of the tokens that end a turn, the tokenizer's own first.

    Beside those that the checkpoint names, the token that its chat template writes behind an
    answer: some checkpoints name only the end of a text.

    Raises:
        MllmError: there is none, so no answer would ever end.
    """
    given = model.generation_config.eos_token_id
    listed = given if isinstance(given, list) else [given]
    own, written = processor.tokenizer.eos_token_id, turns.written_end(processor)
    ends = list(dict.fromkeys(token for token in [own, *listed, written] if token is not None))
    if not ends:
        raise MllmError("this model names no token that ends a turn (eos_token_id).")
    return ends


def _model_device(model: Any, device: str) -> str:
    spread = getattr(model, "hf_device_map", None)
    if not spread:
        return device
    names = [f"cuda:{value}" if isinstance(value, int) else str(value) for value in spread.values()]
    return ", ".join(dict.fromkeys(names))


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No progress bars and log lines of transformers; errors are still raised."""
    from transformers.utils import logging as chatter

    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()
