"""Check and load a Whisper model by its name or folder."""

from __future__ import annotations

from kuleshov.tools.mllm import hub
from kuleshov.tools.mllm.hub import ModelSource
from kuleshov.tools.mllm.local import weights
from kuleshov.tools.speech.base import Recogniser, SpeechError

EXAMPLE = "openai/whisper-small"
WAYS = hub.Ways(option="--speech", example=EXAMPLE, bundled=False)


def check_recogniser(name: str) -> None:
    """Tell before anything is loaded that a model cannot be had or is no Whisper.

    Raises:
        SpeechError: there is no bundled one, or the model is of another kind.
        MllmError: unknown, incomplete, or neither here nor to be downloaded now.
    """
    source = _find_source(name)
    if source.folder is None:
        hub.check_source(name, ways=WAYS)
    else:
        _check_kind(source)
        weights.check_complete(source.folder, name)


def load_recogniser(
    name: str, *, language: str | None = None, device: str | None = None, dtype: str | None = None
) -> Recogniser:
    """Load a Whisper model, downloading it first if it is a Hub model that is not here.

    Args:
        name: an id of the Hub, e.g. openai/whisper-small, or a local folder; safetensors only.
        language: of the speech, e.g. de or German; None: told by the model from the sound.
        device: cpu, cuda, cuda:1, mps; None: the best there is.
        dtype: float32, bfloat16, float16; None: by device and size.

    Raises:
        SpeechError, MllmError: as `check_recogniser`, and a language that the model does not know.
    """
    source = hub.fetch_model(_find_source(name), WAYS)
    assert source.folder is not None
    _check_kind(source)
    weights.check_complete(source.folder, name)
    from kuleshov.tools.speech.whisper import Whisper

    return Whisper.load_folder(
        source.folder,
        name=name,
        language=language,
        device=device,
        dtype=dtype,
        revision=source.revision,
        sha256=weights.weights_fingerprint(source.folder),
        licence=weights.read_licence(source.folder),
    )


def _find_source(name: str) -> ModelSource:
    if name == "pocket":
        raise SpeechError(
            "no speech recognition is bundled: name a Whisper model (--speech "
            f"{EXAMPLE}) or its folder, or give the words with --transcript."
        )
    return hub.find_model(name, WAYS)


def _check_kind(source: ModelSource) -> None:
    assert source.folder is not None
    if not (source.folder / "config.json").is_file():
        return  # told by `weights.check_complete`
    kind = weights.read_config(source.folder).get("model_type")
    if kind != "whisper":
        raise SpeechError(
            f"{source.id} is no Whisper model (its config says {kind or 'nothing'}); "
            f"--speech takes one such as {EXAMPLE}."
        )
