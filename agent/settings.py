"""Settings: one place for every choice, from arguments, environment and a TOML file.

Precedence, highest first: arguments, ``KULESHOV_…`` environment variables, the file named by
``--settings`` (else ``kuleshov.toml`` here as far as it is harmless, then the user's
own), defaults.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from kuleshov import settings_files
from kuleshov.settings_files import MOST_PIXELS, Layer
from kuleshov.tools.errors import KuleshovError, first_line, suggest_word
from kuleshov.types import SettingsFile

Fusion = Literal["auto", "people", "text", "bayes", "face", "context", "mllm"]


class Settings(BaseSettings):
    """Every choice that changes a reading. Recorded in full with each inference."""

    model_config = SettingsConfigDict(env_prefix="KULESHOV_", extra="forbid", frozen=True)
    model: str | None = Field(
        None, description="Hub id, local folder or 'pocket'; None: by hardware"
    )
    faces: str = Field(
        "pyfeat", description="face tool, NAME+NAME or NAME:FILE, see `kuleshov doctor`"
    )
    paths: dict[str, str] = Field(
        {}, description="model files and programs of face tools, by tool; see `kuleshov doctor`"
    )
    tool_timeout_s: float = Field(
        600, gt=0, description="seconds a face tool that runs as a program may take for one medium"
    )
    labels: str = Field("ekman-7", description="label set, 'free', or a .toml file")
    fusion: Fusion = Field(
        "auto", description="auto: people where the tool gives expressions, else text"
    )
    observer: str | None = Field(
        None,
        description="fusion people: the weights of `kuleshov integrate`, an observer.toml; None: "
        "fitted to Ong et al. (2015)",
    )
    context_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="bayes: weight of the scene reading, None: by model; people: times what a "
        "context weighs",
    )
    prompts: Literal["auto", "brief", "full", "review"] = Field(
        "auto", description="auto: by model"
    )
    examples: str | None = Field(
        None, description="few-shot examples: a folder per label, or a manifest with labels"
    )
    shots: int = Field(4, ge=1, le=64, description="examples shown for each person")
    shot_selection: Literal["fixed", "balanced", "nearest-units", "nearest-features"] = "balanced"
    shot_seed: int | None = Field(
        None, ge=0, description="shuffles the order of the examples; None: as selected"
    )
    scheme: str | None = Field(
        None, description="coding scheme of the context: default, appraisals, situations, a .toml"
    )
    influence: bool = Field(
        False,
        description="read face alone, context alone and the two together, and how far they part",
    )
    cover: Literal["judged", "all"] = Field(
        "judged",
        description="context alone: whose face is covered; judged: of the person judged, and the "
        "other faces are context",
    )
    device: str | None = Field(None, description="cpu, cuda, cuda:1, mps; None: the best there is")
    dtype: str | None = Field(None, description="float32, bfloat16, float16; None: by device, size")
    quantization: Literal["none", "4bit", "8bit"] = "none"
    device_map: str | None = Field(None, description="accelerate's device map, e.g. auto")
    temperature: float = Field(0.0, ge=0, le=5, description="0: greedy")
    seed: int = Field(0, ge=0)
    max_new_tokens: int = Field(400, ge=16, le=4096)
    prior_correction: bool = Field(
        True, description="divide by the content-free prior of the labels"
    )
    calibration: str | None = Field(
        None, description="temperatures of the label likelihoods, from `kuleshov calibrate`"
    )
    max_people: int = Field(
        20, ge=1, description="most people judged in one picture, largest first"
    )
    speech: str | None = Field(
        None,
        description="clips: recognise what is said with this Whisper model, Hub id or folder; "
        "None: sound is ignored",
    )
    speech_language: str | None = Field(
        None, description="language of the speech, e.g. de; None: detected"
    )
    sampling: Literal["rate", "count", "cuts", "moments"] = Field(
        "rate",
        description="clips: frames looked at; moments: as rate, kept only where units peak",
    )
    rate: float = Field(5.0, gt=0, le=240, description="clips: frames a second looked at")
    frames: int = Field(8, ge=1, le=512, description="frames of a clip kept as pictures")
    moments: int = Field(
        6, ge=0, le=100, description="clips: moments of each person read on their own"
    )
    start_s: float = Field(0.0, ge=0, description="clips: read from this time on, seconds")
    max_pixels: int = Field(MOST_PIXELS, ge=1)
    allow_remote: bool = Field(False, description="a model server may be another machine")
    concurrency: int = Field(8, ge=1, le=1024, description="requests to a model server at once")
    requests_per_minute: float | None = Field(None, gt=0, description="to a model server")
    server_timeout_s: float = Field(
        300,
        gt=0,
        description="seconds that a model server may be silent; an answer that is being written "
        "may take ten times as long",
    )
    server_proxy: bool = Field(
        False, description="reach a model server elsewhere through the proxy of the environment"
    )
    picture_pixels: int = Field(
        1_048_576,
        ge=65_536,
        description="most pixels of a picture sent to a model server; larger ones are scaled",
    )
    price_in: float | None = Field(None, ge=0, description="of a million tokens read")
    price_out: float | None = Field(None, ge=0, description="of a million tokens written")
    _files: tuple[SettingsFile, ...] = PrivateAttr(())

    @field_validator("context_weight", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    def files(self) -> tuple[SettingsFile, ...]:
        """The files that these were read from, the one that goes before first; none: no file."""
        return self._files

    @classmethod
    def load(cls, file: str | os.PathLike[str] | None = None, **overrides: Any) -> Settings:
        """Settings from all sources; an override of None leaves the choice to the other sources.

        Raises:
            KuleshovError: a file that is missing or not TOML, an unknown or impossible setting, a
                file of this folder that sets what counts only where the user wrote it.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        return cls._made(given, settings_files.read_layers(file), environment=True)

    def changed(self, **changes: Any) -> Settings:
        """A copy with other values; an explicit None is None. No file or environment is read.

        Raises:
            KuleshovError: an unknown or impossible setting.
        """
        made = self._made({**self.model_dump(), **changes}, (), environment=False)
        made._files = self._files
        return made

    @classmethod
    def _made(
        cls, given: Mapping[str, Any], layers: Sequence[Layer], *, environment: bool
    ) -> Settings:
        """Checked settings from what is given, the environment if it counts, and files."""

        def sources(
            _: type[BaseSettings],
            /,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            **others: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            files = (InitSettingsSource(settings_cls, layer.values) for layer in layers)
            return (init_settings, *((env_settings,) if environment else ()), *files)

        # a subclass, because pydantic-settings takes the sources from the class
        made = type("Settings", (cls,), {"settings_customise_sources": classmethod(sources)})
        try:
            settings = cls.model_construct(**dict(made(**given)))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            if first["type"] == "extra_forbidden":
                hint = suggest_word(name, list(cls.model_fields))
                raise KuleshovError(f"there is no setting {name!r}{hint}.") from None
            raise KuleshovError(f"setting {first_line(error)}, got {first['input']!r}.") from None
        except SettingsError as error:
            raise KuleshovError(f"{first_line(error)}.") from None
        settings._files = tuple(layer.used for layer in layers)
        return settings
