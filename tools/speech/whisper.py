"""Whisper (Radford et al. 2022) through transformers, a window of 30 s at a time.

Greedy, without the words of the window before, so that the same sound gives the same words and no
slip is carried on. Whisper writes words for silence and noise too; the paper's rules tell them:
a window is quiet if the probability of no speech is above 0.6 and the mean log-probability of its
words below -1; words that compress too well (a loop) or are unlikely are not used (section 4.5).
"""

from __future__ import annotations

import copy
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kuleshov.tools import stopping
from kuleshov.tools.errors import first_line
from kuleshov.tools.media.sound import RATE, Samples
from kuleshov.tools.media.transcript import Cue
from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.local import weights
from kuleshov.tools.mllm.local.loading import quiet_libraries
from kuleshov.tools.speech.base import Heard, SpeechError, SpeechInfo
from kuleshov.tools.speech.windows import Windows, is_silent, pause_before, window_lines

# the thresholds of section 4.5 of the paper
NO_SPEECH, UNLIKELY, COMPRESSED = 0.6, -1.0, 2.4

SHORTEST_S = 0.1

MARGIN_S = 0.2
"""A pause before the first sound is not heard, but for this much of it."""

CAVEAT = (
    "words recognised by {name} can be wrong, and Whisper may write words that nobody said, above "
    "all in silence and noise (Radford et al. 2022; Koenecke et al. 2024)"
)


class Whisper:
    """One model and its processor, loaded once; one window is heard at a time."""

    def __init__(self, model: Any, processor: Any, info: SpeechInfo) -> None:
        self.model, self.processor, self.info = model, processor, info
        stopping.watch_layers(model)
        extractor, settings = processor.feature_extractor, model.generation_config
        self._size = int(extractor.chunk_length * RATE)
        self._tick_s = extractor.chunk_length / model.config.max_source_positions
        self._first_timestamp = settings.no_timestamps_token_id + 1
        self._no_speech = settings.no_timestamps_token_id - 1  # as in all of Whisper's vocabularies
        self._languages: dict[str, int] = dict(getattr(settings, "lang_to_id", None) or {})
        self._language = _language_code(info, self._languages)
        self._lock = threading.Lock()
        self.forks = info.device == "cpu"

    @classmethod
    def load_folder(
        cls,
        folder: Path,
        *,
        name: str,
        language: str | None,
        device: str | None,
        dtype: str | None,
        **facts: Any,
    ) -> Whisper:
        """Load from a folder of transformers' form; only safetensors weights, no remote code.

        Raises:
            SpeechError: it cannot be loaded, or does not know the language.
            MllmError: it does not fit the device, or its weights file is damaged.
        """
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        place = hardware.choose_device(device)
        chosen = hardware.choose_dtype(dtype, place, weights.count_parameters(folder))
        with quiet_libraries(), hardware.telling_what_to_choose(name, place, "none"):
            try:
                processor = WhisperProcessor.from_pretrained(folder, trust_remote_code=False)
                loaded: Any = WhisperForConditionalGeneration.from_pretrained(
                    folder,
                    dtype=hardware.torch_dtype(chosen),
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
            except Exception as error:
                if hardware.is_out_of_memory(error):
                    raise
                raise SpeechError(
                    f"{name} cannot be loaded as a Whisper model: {first_line(error)}"
                ) from error
            model, report = loaded
            model = model.to(place).eval()
        if missing := sorted(report["missing_keys"]):
            # transformers fills them with random numbers and only warns
            raise SpeechError(
                f"the weights of {name} lack {len(missing)} tensors that its config asks for, "
                f"{missing[0]} first."
            )
        if getattr(model.generation_config, "no_timestamps_token_id", None) is None:
            raise SpeechError(
                f"{name} says nothing of its timestamps (generation_config.json lacks "
                "no_timestamps_token_id); get a newer copy of the model."
            )
        info = SpeechInfo(
            id=name,
            kind="whisper",
            device=place,
            dtype=chosen,
            parameters=model.num_parameters(),
            language=language,
            caveat=CAVEAT.format(name=name),
            **facts,
        )
        return cls(model, processor, info)

    def hear(
        self,
        pieces: Iterator[Samples],
        *,
        start_s: float = 0.0,
        stop: threading.Event | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Heard:
        """See `Recogniser`."""
        heard = Heard(language=self._language, until_s=start_s)
        windows = Windows(pieces, self._size)
        while len(samples := windows.window()) >= SHORTEST_S * RATE:
            if stop is not None and stop.is_set():
                heard.stopped = True
                break
            begin_s = start_s + windows.at / RATE
            if (pause_s := pause_before(samples) - MARGIN_S) > 0:
                # a window begins where the sound does: Whisper likes to begin a line at 0 s, and
                # may not begin the first one after 1 s
                heard.quiet.append((round(begin_s, 3), round(begin_s + pause_s, 3)))
                windows.move(round(pause_s * RATE))
                continue
            try:
                with stopping.heeding(stop):
                    step_s = self._window(samples, begin_s, heard)
            except stopping.StoppedError:  # in mid-window: nothing of it is known
                heard.stopped = True
                break
            windows.move(min(len(samples), round(step_s * RATE)))
            heard.until_s = round(start_s + windows.at / RATE, 3)
            if progress is not None:
                progress(heard.until_s)
        return heard

    def _window(self, samples: Samples, begin_s: float, heard: Heard) -> float:
        """Add what is said in one window to `heard`; how far to move on, seconds."""
        length_s = len(samples) / RATE
        whole = (round(begin_s, 3), round(begin_s + length_s, 3))
        if is_silent(samples):
            heard.quiet.append(whole)
            return length_s
        with self._lock:
            tokens, mean_logprob, no_speech, language = self._asked(samples, heard.language)
        if no_speech > NO_SPEECH and mean_logprob < UNLIKELY:
            heard.quiet.append(whole)
            return length_s
        found, step_s = window_lines(
            tokens, first_timestamp=self._first_timestamp, tick_s=self._tick_s, length_s=length_s
        )
        texts = [self._text(line.tokens) for line in found]
        if not any(texts):
            heard.quiet.append(whole)
            return length_s
        if mean_logprob < UNLIKELY or _compression_ratio(" ".join(texts)) > COMPRESSED:
            heard.unsure.append(whole)
            return length_s
        heard.language = language  # what the first words were in holds for the rest
        for line, text in zip(found, texts, strict=True):
            if text:
                start_s, end_s = round(begin_s + line.start_s, 3), round(begin_s + line.end_s, 3)
                heard.cues.append(Cue(start_s=start_s, end_s=max(start_s, end_s), text=text))
        return step_s

    def _asked(
        self, samples: Samples, language: str | None
    ) -> tuple[list[int], float, float, str | None]:
        """Token ids without the end, their mean log-probability, P(no speech), the language."""
        import torch

        model = self.model
        features = self.processor.feature_extractor(
            samples, sampling_rate=RATE, return_tensors="pt"
        ).input_features.to(model.device, model.dtype)
        settings = model.generation_config
        with torch.inference_mode():
            encoded = model.get_encoder()(features)
            begin = torch.tensor([[settings.decoder_start_token_id]], device=model.device)
            first = model(encoder_outputs=encoded, decoder_input_ids=begin).logits[0, -1].float()
            no_speech = float(first.softmax(-1)[self._no_speech])
            if language is None and self._languages:
                language = max(self._languages, key=lambda k: float(first[self._languages[k]]))
                language = language.strip("<|>")
            with quiet_libraries():  # it warns of arguments that its own code passes on
                written = model.generate(
                    encoder_outputs=encoded,
                    generation_config=self._greedy(),
                    return_timestamps=True,
                    return_dict_in_generate=True,
                    force_unique_generate_call=True,
                    **({"language": language, "task": "transcribe"} if self._languages else {}),
                )
            tokens = written.sequences[0, -len(written.scores) :].tolist()
            logs = [
                float(score[0].float().log_softmax(-1)[token])
                for score, token in zip(written.scores, tokens, strict=True)
            ]
        end = settings.eos_token_id
        ends = set(end) if isinstance(end, list) else {end}
        kept = [token for token in tokens if token not in ends]
        return kept, sum(logs) / max(1, len(logs)), no_speech, language

    def _greedy(self) -> Any:
        """Settings of `generate`: the likeliest words, with their scores."""
        settings = copy.deepcopy(self.model.generation_config)
        settings.update(
            do_sample=False,
            num_beams=1,
            max_length=self.model.config.max_target_positions // 2,
            return_dict_in_generate=True,
            output_scores=True,
        )
        return settings

    def _text(self, tokens: tuple[int, ...]) -> str:
        text = self.processor.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return " ".join(text.replace("\ufffd", "").split())  # half a letter at a line's end


def _language_code(info: SpeechInfo, known: dict[str, int]) -> str | None:
    """The code of the language asked for, checked against those the model knows."""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    if info.language is None:
        return None if known else "en"
    code = TO_LANGUAGE_CODE.get(info.language.lower(), info.language.lower())
    if f"<|{code}|>" not in (known or {"<|en|>": 0}):
        codes = ", ".join(sorted(name.strip("<|>") for name in known)) or "en alone"
        raise SpeechError(
            f"{info.id} does not know the language {info.language!r}; it knows {codes}."
        )
    return code


def _compression_ratio(text: str) -> float:
    """Bytes before and after zlib: a loop compresses well."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
