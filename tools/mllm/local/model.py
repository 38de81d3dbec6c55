"""A LLaVA, or another image-text-to-text model, run here through transformers."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kuleshov.tools import stopping
from kuleshov.tools.errors import first_line
from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.base import Conversation, Generation, MllmError, MllmInfo
from kuleshov.tools.mllm.local import continuing, families, loading, packing, scoring, turns
from kuleshov.tools.mllm.local.encode import (
    Encoded,
    clean_conversation,
    control_tokens,
    defuse_controls,
    encode_conversation,
    from_image,
    to_rgb,
)
from kuleshov.tools.mllm.local.grammar import Grammars
from kuleshov.tools.mllm.local.packing import Question
from kuleshov.tools.mllm.local.prefix_cache import PrefixStore, can_fork, fork_cache, with_cache
from kuleshov.tools.process import at_work, check_own, fork_generation

BLANK = {"type": "text", "text": "."}  # a turn to close what is pinned
LONG_TAIL = 1024
"""Tokens from which a conversation is read before its answers are scored: the tree mask grows
with their square."""

KEPT_ANSWERS = 4096

FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What the code of a model raises that cannot do with what it is given."""

SAME = 3e-5
"""Nats by which two ways of scoring may differ on a made-up question: a third of the 1e-4 to which
scores are meant to hold on any."""


class TransformersMllm:
    """A model that is loaded once and called from any thread; calls wait for one another.

    For the LLaVA family, images that a conversation shares with one of the last three, with all
    that comes before them, are not read again. Other models read everything at every call; where
    `load_folder` found that it gives the same numbers, they read it once for all answers.
    """

    def __init__(
        self, model: Any, processor: Any, info: MllmInfo, *, reuse_prefix: bool = True
    ) -> None:
        """Bind a loaded model; see `load_folder` for one from disk.

        Args:
            model: of AutoModelForImageTextToText, on its device, in eval mode.
            processor: its AutoProcessor, with a chat template.
            reuse_prefix: keep key-value caches of the last conversations.
        """
        self.model, self.processor, self.info = model, processor, info
        self.ends = loading.end_tokens(model, processor)
        self.turn_ends = turns.turn_ends(processor, self.ends)
        self.controls = control_tokens(processor)
        text = model.config.get_text_config(decoder=True)
        plain = model.config.model_type in families.FAMILY and can_fork(text)
        self.tree = plain and text._attn_implementation in ("sdpa", "eager")
        self.prefixes = PrefixStore(text) if plain and reuse_prefix else None
        self.text_config = text
        self.continues = info.scored_in == "continued"
        self.lock = threading.RLock()
        stopping.watch_layers(model)
        self._born = fork_generation()
        self._grammars: Grammars | None = None
        self._answers: dict[str, list[int]] = {}

    @property
    def forks(self) -> bool:
        """Whether it can be used in a forked process; a GPU cannot."""
        return self.info.device == "cpu"

    @classmethod
    def load_folder(
        cls,
        folder: Path,
        *,
        name: str,
        device: str | None = None,
        dtype: str | None = None,
        quantization: str = "none",
        device_map: Any = None,
        reuse_prefix: bool = True,
        **facts: Any,
    ) -> TransformersMllm:
        """Load config, processor and safetensors weights from a folder.

        Args:
            folder: as `save_pretrained` or the Hub cache leaves it.
            name: how messages and records call the model.
            device: cpu, cuda, cuda:1, mps; None: the best there is.
            dtype: float32, bfloat16, float16; None: by device and size.
            quantization: none, 4bit (nf4) or 8bit, through bitsandbytes.
            device_map: accelerate's, e.g. "auto"; overrides the device.
            reuse_prefix: keep key-value caches of the last conversations.
            **facts: fields of MllmInfo that the model does not tell itself.

        Raises:
            MllmError: it is incomplete, no image-text-to-text model, or does not fit.
        """
        model, processor, info = loading.load_folder(
            folder,
            name=name,
            device=device,
            dtype=dtype,
            quantization=quantization,
            device_map=device_map,
            facts=facts,
        )
        mllm = cls(model, processor, info, reuse_prefix=reuse_prefix)
        mllm._try_out()
        return mllm

    def generate(
        self,
        conversation: Conversation,
        *,
        schema: dict[str, Any] | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        on_token: Callable[[str], None] | None = None,
    ) -> Generation:
        """Answer the last user turn; see `Mllm.generate`.

        `mean_logprob` is over the tokens of the text, end token left out, under the model's own
        distribution: before the grammar's mask and before the temperature. `tokens` counts the
        end token. The pieces given to `on_token`, joined, are `text`. An answer is also cut off
        (`finished` False) where the model's context ends.

        Raises:
            MllmError: out of memory, a prompt longer than the model's context, a JSON schema
                that cannot be followed.
        """
        begun = time.perf_counter()
        encoded = self._encode(conversation)
        room = self._room(encoded)
        try:
            with self._running():
                text, logs, ids, finished = self._generate(
                    encoded, schema, min(max_new_tokens, room), temperature, seed, on_token
                )
        except _ListenerError as broken:
            raise broken.error from None
        return Generation(
            text=text,
            tokens=len(ids),
            mean_logprob=mean_logprob(logs),
            finished=finished,
            seconds=time.perf_counter() - begun,
        )

    def score(self, conversation: Conversation, answers: Sequence[str]) -> list[float]:
        """Log-likelihood of each answer as the whole next turn; see `Mllm.score`.

        Raises:
            MllmError: out of memory, or a prompt longer than the model's context.
        """
        if not answers:
            return []
        encoded = self._encode(conversation)
        ids = self.answer_ids(answers)
        self._room(encoded, at_least=max(map(len, ids)))
        with self._running():
            if not self.tree:
                way = continuing.continued_scores if self.continues else scoring.plain_scores
                return way(self.model, self._to_device(encoded.inputs), ids, self.turn_ends)
            cache, tail = self._read_most(encoded)
            return scoring.tree_scores(self.model, tail, ids, cache, self.turn_ends)

    def features(self, images: Sequence[Any]) -> Any:
        """What the model's own vision tower makes of pictures: (N, D) float32, each of length 1.

        The mean over the patches of the tower's last hidden states, for the picture as a whole
        (of a model that cuts pictures into tiles, the first tile, which shows all of it). Of a
        tower that wants more than pixels (Qwen-VL, Gemma 4, LFM2-VL, MiniCPM-V), the mean over all
        that the language model is given of the picture.

        Args:
            images: PIL images, or arrays (H, W, 3) uint8 RGB.

        Raises:
            MllmError: out of memory, or a model whose vision tower cannot be asked by itself.
        """
        import torch

        found = []
        for image in images:
            stopping.check()
            picture = to_rgb(image)
            with self.lock, loading.quiet_libraries(), self._telling("prepare what it is shown"):
                inputs = dict(self.processor.image_processor(picture, return_tensors="pt"))
            with self._running():
                found.append(self._seen(self._to_device(inputs)).float().cpu())
        rows = torch.stack(found)
        return (rows / rows.norm(dim=1, keepdim=True)).numpy()

    def _seen(self, inputs: dict[str, Any]) -> Any:
        """One picture's features (D,), from what the image processor made of it."""
        import torch

        tower, pixels = getattr(self.model.model, "vision_tower", None), inputs["pixel_values"]
        if tower is not None and _takes_pixels_alone(tower, inputs):
            tile = pixels.reshape(-1, *pixels.shape[-3:])[:1]
            return tower(tile).last_hidden_state[0].mean(0)
        look = getattr(self.model.model, "get_image_features", None)
        if look is None:
            raise MllmError(f"{self.info.id} has no vision tower that can be asked by itself.")
        taken = inspect.signature(look).parameters
        seen = look(**{name: value for name, value in inputs.items() if name in taken})
        seen = getattr(seen, "pooler_output", seen)
        parts = list(seen) if isinstance(seen, (list, tuple)) else [seen]
        return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts]).mean(0)

    def pin(self, conversation: Conversation) -> None:
        """Read the images of a conversation and keep them for good: what every reading begins with.

        Replaces what was pinned before. Without effect where nothing is reused.
        """
        if self.prefixes is None:
            return
        encoded = self._encode([*conversation, {"role": "user", "content": [BLANK]}])
        if not encoded.images:
            return
        with self._running():
            self._read_images(encoded)
            self.prefixes.pin(encoded)

    def score_many(self, questions: Sequence[Question]) -> list[list[float]]:
        """Log-likelihoods of the answers of many questions about the same pictures.

        The pictures are read once and the questions packed into a few forwards; where that
        cannot be done (other models, other pictures), one question at a time.

        Raises:
            MllmError: out of memory, or a prompt longer than the model's context.
        """
        if len(questions) < 2 or not self.tree or self.prefixes is None:
            return [self.score(conversation, answers) for conversation, answers in questions]
        return packing.packed_scores(self, questions)

    def count_tokens(self, conversation: Conversation) -> int:
        """Tokens of a conversation, pictures included, as `info.context_tokens` counts them."""
        return len(self._encode(conversation).ids)

    def answer_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Tokens of each answer as the next turn, its end token last; kept for the next time."""
        with self.lock:
            if len(self._answers) > KEPT_ANSWERS:
                self._answers.clear()
            for answer in answers:
                if answer not in self._answers:
                    said = defuse_controls(answer, self.controls)
                    self._answers[answer] = scoring.answer_ids(self.processor, said, self.ends)
            return [self._answers[answer] for answer in answers]

    # ---------------------------------------------------------------- before the model

    def _encode(self, conversation: Conversation) -> Encoded:
        check_own(self._born, self.info.id, forks=self.forks)  # before the lock
        cleaned = clean_conversation(conversation, self.controls)
        # a fast tokenizer cannot be used by two threads
        with (
            at_work(),
            self.lock,
            loading.quiet_libraries(),
            self._telling("prepare what it is shown"),
        ):
            return encode_conversation(
                self.processor, cleaned, trace_images=self.prefixes is not None
            )

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """What the code of a model or its processor raises is told as an MllmError."""
        try:
            yield
        except FAILURES as error:
            if hardware.is_out_of_memory(error):
                raise
            raise MllmError(f"{self.info.id} failed to {what}: {first_line(error)}") from error

    def _room(self, encoded: Encoded, at_least: int = 1) -> int:
        """Tokens left for the answer. Raises MllmError if the conversation leaves too few."""
        context = self.info.context_tokens
        if context is None:
            return 1 << 30
        room = context - len(encoded.ids)
        if room < at_least:
            raise MllmError(
                f"the conversation has {len(encoded.ids)} tokens and {self.info.id} reads at most "
                f"{context}, answer included; give less context, fewer pictures or smaller ones."
            )
        return room

    def _to_device(self, inputs: dict[str, Any]) -> dict[str, Any]:
        model = self.model
        return {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            if hasattr(value, "is_floating_point")
            else value
            for name, value in inputs.items()
        }

    # ---------------------------------------------------------------- the model, under the lock

    def _try_out(self) -> None:
        """Find out on a made-up question how labels are scored; a model that fails is refused.

        The LLaVA family is known. Of any other model that computes in float32, a prompt read once
        for all answers must give what whole forwards give; in fewer bits rounding would hide it.

        Raises:
            MllmError: it cannot read a picture.
        """
        if self.tree:
            self.info = self.info.model_copy(update={"scored_in": "tree"})
            return
        answers = self.answer_ids(["yes", "no, not at all", "neither"])
        exact = self.info.dtype == "float32" and self.info.quantization == "none"
        same = exact
        for talk in trial_conversations():
            inputs = self._to_device(self._encode(talk).inputs)
            with self._running():
                whole = scoring.plain_scores(self.model, inputs, answers, self.turn_ends)
                same = same and self._continues_like(whole, inputs, answers)
        self.continues = same
        way = "continued" if same else "plain"
        self.info = self.info.model_copy(update={"scored_in": way})

    def _continues_like(
        self, whole: list[float], inputs: dict[str, Any], answers: list[list[int]]
    ) -> bool:
        try:
            once = continuing.continued_scores(self.model, inputs, answers, self.turn_ends)
        except FAILURES as error:
            if hardware.is_out_of_memory(error):
                raise
            return False
        return all(abs(a - b) <= SAME for a, b in zip(once, whole, strict=True))

    @contextmanager
    def _running(self) -> Iterator[None]:
        """One call at a time, no gradients, no chatter; memory errors say what to choose."""
        check_own(self._born, self.info.id, forks=self.forks)
        import torch

        short = hardware.telling_what_to_choose(
            self.info.id, self.info.device, self.info.quantization
        )
        with at_work(), self.lock, short, loading.quiet_libraries(), torch.inference_mode():
            try:
                with self._telling("compute"):
                    yield
            except stopping.StoppedError:
                raise  # what is kept was read to its end
            except BaseException:
                if self.prefixes is not None:
                    self.prefixes.clear()  # they may be what made the memory short
                raise

    def _generate(
        self,
        encoded: Encoded,
        schema: dict[str, Any] | None,
        most: int,
        temperature: float,
        seed: int,
        on_token: Callable[[str], None] | None,
    ) -> tuple[str, list[float], list[int], bool]:
        import torch
        from transformers import LogitsProcessorList

        recorder = _Recorder()
        processors = LogitsProcessorList([recorder])
        grammar = None
        if schema is not None:
            grammar = self._grammar_maker().for_schema(schema)
            processors.append(grammar)
        cache, _, inputs = self._read_images(encoded)
        options = {} if cache is None else with_cache(cache)
        if temperature > 0:
            options |= {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        writer = _Writer(self.processor.tokenizer, self.ends, on_token)
        cuda = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(cuda):
            torch.manual_seed(seed)
            out = self.model.generate(
                **self._to_device(inputs),
                max_new_tokens=most,
                logits_processor=processors,
                streamer=writer,
                return_dict_in_generate=True,
                **options,
            )
        row = out.sequences[0]
        ids = row[len(encoded.ids) :].tolist()
        ended = bool(ids) and ids[-1] in self.ends
        finished = ended or (grammar is not None and grammar.complete(row))
        logs = recorder.logs(row)
        return writer.text, logs[:-1] if ended else logs, ids, finished

    def _read_images(self, encoded: Encoded) -> tuple[Any | None, int, dict[str, Any]]:
        """Read up to the end of the last image, a piece an image, or take it from what is kept.

        Returns the cache, how many tokens it holds, and the tensors with no image that was read;
        (None, 0, all tensors) without images, or where nothing is reused.
        """
        if self.prefixes is None or not encoded.images:
            return None, 0, encoded.inputs
        from transformers import DynamicCache

        cache, held, read = self.prefixes.fork(encoded)
        if cache is None:
            cache = DynamicCache(config=self.text_config)
        for end in encoded.ends:
            if end <= held:
                continue
            seen = sum(image.end <= end for image in encoded.images)
            piece = from_image(encoded.inputs, read, seen) if seen > read else {}
            self._read(piece, encoded.inputs["input_ids"][:, held:end], cache)
            held, read = end, seen
        self.prefixes.keep(encoded, cache)
        # what follows grows the cache it is given; the one that is kept stays as it is
        return fork_cache(cache, held, self.text_config), held, from_image(encoded.inputs, read)

    def _read_most(self, encoded: Encoded) -> tuple[Any, list[int]]:
        """A cache of the conversation's start, and the tokens that remain: at least one.

        No image is among what remains, and not much text.
        """
        from transformers import DynamicCache

        cache, held, inputs = self._read_images(encoded)
        if cache is None:
            cache = DynamicCache(config=self.text_config)
        tail = encoded.ids[held:]
        unread = "pixel_values" in inputs or "pixel_values_videos" in inputs
        if unread or len(tail) > LONG_TAIL:
            self._read(inputs, encoded.inputs["input_ids"][:, held:-1], cache)
            tail = encoded.ids[-1:]
        return cache, tail

    def _read(self, inputs: dict[str, Any], ids: Any, cache: Any) -> None:
        """Read the tokens `ids` (1, n), with the images among `inputs`, into the cache."""
        pictures = {
            name: value
            for name, value in inputs.items()
            if name not in ("input_ids", "attention_mask")
        }
        # without the head: nobody asks for the logits
        self.model.model(**self._to_device({**pictures, "input_ids": ids}), **with_cache(cache))

    def _grammar_maker(self) -> Grammars:
        if self._grammars is None:
            head = self.model.get_output_embeddings()
            width = head.out_features if head is not None else self.text_config.vocab_size
            self._grammars = Grammars(self.processor.tokenizer, width, self.ends)
        return self._grammars


def trial_conversations() -> list[Conversation]:
    """Made-up questions to try a model with: about a picture, and in words alone."""
    from PIL import Image

    picture = Image.radial_gradient("L").resize((96, 72)).convert("RGB")
    ask = {"type": "text", "text": "Is this a face?"}
    return [
        [{"role": "user", "content": [{"type": "image", "image": picture}, ask]}],
        [{"role": "user", "content": [ask]}],
    ]


def _takes_pixels_alone(tower: Any, inputs: dict[str, Any]) -> bool:
    """Whether a vision tower can be asked with tiles of pixels (…, 3, H, W) and nothing else.

    Args:
        tower: of the model.
        inputs: what the image processor makes of a picture.
    """
    pixels = inputs["pixel_values"]
    if pixels.ndim < 4 or pixels.shape[-3] != 3:
        return False
    taken = inspect.signature(tower.forward).parameters
    others = [part for name, part in taken.items() if name != "pixel_values"]
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if any(part.default is part.empty and part.kind not in kinds for part in others):
        return False
    # sizes say how much of a tile is padding, of which a single picture has none
    return not (inputs.keys() & taken.keys()) - {"pixel_values", "image_sizes"}


def mean_logprob(logs: Sequence[float]) -> float | None:
    """Their mean, to four places: further ones depend on how the products were summed."""
    return round(sum(logs) / len(logs), 4) if logs else None


class _Recorder:
    """A logits processor that changes nothing and notes each token's log-probability, in nats."""

    supports_continuous_batching = False

    def __init__(self) -> None:
        self.last: Any = None
        self.taken: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self._take(input_ids[0, -1])
        self.last = scores[0].float().log_softmax(-1)
        return scores

    def _take(self, token: Any) -> None:
        if self.last is not None:
            self.taken.append(self.last[token])

    def logs(self, row: Any) -> list[float]:
        """Of every token written; `row` is prompt and answer, (n,)."""
        self._take(row[-1])
        self.last = None
        return [float(value) for value in self.taken]


class _ListenerError(Exception):
    """What `on_token` raised: the caller's own, not a failure of the model."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Writer:
    """A streamer of transformers that turns tokens into text as soon as it is certain."""

    def __init__(
        self, tokenizer: Any, ends: Sequence[int], on_token: Callable[[str], None] | None
    ) -> None:
        self.tokenizer, self.ends, self.on_token = tokenizer, set(ends), on_token
        self.ids: list[int] = []
        self.text = ""
        self.prompt = True

    def put(self, value: Any) -> None:
        if self.prompt:  # generate() hands over the prompt first
            self.prompt = False
            return
        self.ids += [token for token in value.flatten().tolist() if token not in self.ends]
        if self.on_token is not None:
            self._write(self._decoded())

    def end(self) -> None:
        self._write(self._decoded(), last=True)

    def _decoded(self) -> str:
        return str(
            self.tokenizer.decode(
                self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def _write(self, text: str, last: bool = False) -> None:
        """A character of several tokens decodes to U+FFFD until its last one is there."""
        if last or not text.endswith("\ufffd"):
            piece, self.text = text[len(self.text) :], text
            if piece and self.on_token is not None:
                try:
                    self.on_token(piece)
                except Exception as error:
                    raise _ListenerError(error) from error
