"""From a conversation to the model's input: clean text, pictures, token ids, image positions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike
from typing import Any

from kuleshov.tools.mllm.base import Conversation, MllmError, Turn

BY_IMAGE = ("pixel_values", "image_sizes")
"""Inputs of the LLaVA family with one row an image."""


@dataclass(frozen=True)
class ImageSpan:
    """Where one image lies among the tokens, `start` ≤ i < `end`, and a digest of its pixels."""

    start: int
    end: int
    digest: bytes


@dataclass
class Encoded:
    """A conversation as token ids and tensors.

    `images` is None where the processor does not say which tokens belong to which image, and where
    a turn holds a video: nothing of such a conversation is kept for the next. `opening`
    counts the tokens of past turns without an image that a conversation with images begins with
    (examples in words), 0 if there are none.
    """

    ids: list[int]
    inputs: dict[str, Any]
    images: list[ImageSpan] | None
    opening: int = 0

    @property
    def ends(self) -> list[int]:
        """Where the pieces end in which a conversation is read: its opening, then each image."""
        found = [image.end for image in self.images or []]
        return [self.opening, *found] if found and self.opening else found


def control_tokens(processor: Any) -> tuple[str, ...]:
    """Token strings that steer the model and must not be written by a user, longest first."""
    tokenizer = processor.tokenizer
    words = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    words |= set(tokenizer.all_special_tokens) | {"<image>", "<video>"}
    words |= {
        word
        for kind in ("image", "video", "audio")
        if isinstance(word := getattr(processor, f"{kind}_token", None), str)
    }
    return tuple(sorted((word for word in words if len(word) > 2), key=len, reverse=True))


def defuse_controls(text: str, controls: tuple[str, ...]) -> str:
    """The text with every control token broken by a space, as in ``< image>``.

    transformers' own `sanitize_control_tokens` refuses tokenizers that add their first token
    themselves, which LLaVA-1.5's does; and what is broken here is broken for every processor.
    """
    for word in controls:
        text = text.replace(word, f"{word[0]} {word[1:]}")
    return text


def clean_conversation(conversation: Conversation, controls: tuple[str, ...]) -> Conversation:
    """A copy with texts defused and pictures as RGB PIL images; nothing is ever fetched.

    Raises:
        MllmError: no turn, a turn that is not the user's at the end, an unknown kind of content.
    """
    if not conversation or conversation[-1].get("role") != "user":
        raise MllmError("a conversation must end with a user turn.")
    return [_clean_turn(turn, controls) for turn in conversation]


def _clean_turn(turn: Turn, controls: tuple[str, ...]) -> Turn:
    content = turn["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts: list[dict[str, Any]] = []
    for part in content:
        if part.get("type") == "text":
            parts.append({"type": "text", "text": defuse_controls(part["text"], controls)})
        elif part.get("type") == "image":
            parts.append({"type": "image", "image": to_rgb(part["image"])})
        elif part.get("type") == "video":
            parts.append({"type": "video", "video": [to_rgb(frame) for frame in part["video"]]})
        else:
            raise MllmError(
                f"a turn holds content of type {part.get('type')!r}; "
                "only text, image and video can be read."
            )
    return {"role": turn["role"], "content": parts}


def to_rgb(picture: Any) -> Any:
    """A PIL image in RGB from a PIL image, an array (H, W, 3) uint8, or the path of a file."""
    import numpy as np
    from PIL import Image

    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    elif isinstance(picture, (str, PathLike)):
        try:
            picture = Image.open(picture)
        except OSError as error:
            raise MllmError(f"cannot open the picture {picture}: {error}.") from None
    if not isinstance(picture, Image.Image):
        raise MllmError(
            f"a picture must be a PIL image, an array or a path, got {type(picture).__name__}."
        )
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def encode_conversation(
    processor: Any, conversation: Conversation, *, trace_images: bool
) -> Encoded:
    """Token ids and tensors of a cleaned conversation, ready for the model's answer.

    Args:
        processor: the model's.
        conversation: as `clean_conversation` returns it.
        trace_images: find out which tokens belong to which image.
    """
    if any(part["type"] == "video" for turn in conversation for part in turn["content"]):
        trace_images = False
    options: dict[str, Any] = {"return_text_replacement_offsets": True} if trace_images else {}
    features = dict(
        processor.apply_chat_template(
            conversation,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=options,
        )
    )
    offsets = features.pop("text_replacement_offsets", None)
    ids = features["input_ids"][0].tolist()
    pictures = [
        part["image"]
        for turn in conversation
        for part in turn["content"]
        if part["type"] == "image"
    ]
    images = _image_spans(processor, ids, pictures, offsets) if trace_images else None
    return Encoded(
        ids, features, images, _opening_length(processor, conversation, ids) if images else 0
    )


def _opening_length(processor: Any, conversation: Conversation, ids: list[int]) -> int:
    """Tokens that past turns without an image share with the conversation that they open."""
    shown = [any(part["type"] == "image" for part in turn["content"]) for turn in conversation]
    turns = shown.index(True) if True in shown else 0
    if turns < 2:  # a question and its answer at least
        return 0
    alone = processor.apply_chat_template(
        conversation[:turns], tokenize=True, return_dict=True, return_tensors="pt"
    )["input_ids"][0].tolist()
    shared = 0
    while shared < min(len(alone), len(ids)) and alone[shared] == ids[shared]:
        shared += 1
    return shared


def _image_spans(
    processor: Any, ids: list[int], pictures: list[Any], offsets: list[list[dict[str, Any]]] | None
) -> list[ImageSpan] | None:
    """Neighbouring images leave one run of equal tokens, so the replacements are counted."""
    if not pictures:
        return []
    counts = [
        found["replacement"].count(processor.image_token)
        for found in (offsets[0] if offsets else [])
        if found["type"] == "image"
    ]
    places = [i for i, token in enumerate(ids) if token == processor.image_token_id]
    if len(counts) != len(pictures) or sum(counts) != len(places):
        return None
    spans, first = [], 0
    for picture, count in zip(pictures, counts, strict=True):
        spans.append(ImageSpan(places[first], places[first + count - 1] + 1, image_digest(picture)))
        first += count
    return spans


def image_digest(picture: Any) -> bytes:
    """Two RGB images have equal digests if and only if (but for chance) they are equal."""
    hashed = hashlib.blake2b(repr(picture.size).encode(), digest_size=16)
    hashed.update(picture.tobytes())
    return hashed.digest()


def from_image(inputs: dict[str, Any], first: int, end: int | None = None) -> dict[str, Any]:
    """The tensors with those of the images `first` ≤ i < `end` only; None: to the last.

    OneVision's `batch_num_images` stays as it is: it says whether the images were cut into
    tiles, which depends on how many the conversation holds and not on how many are left.
    """
    rest = dict(inputs)
    pixels = rest.get("pixel_values")
    if pixels is not None and first >= len(pixels):
        for name in (*BY_IMAGE, "batch_num_images"):
            rest.pop(name, None)
    elif first or end is not None:
        for name in BY_IMAGE:
            if name in rest:
                rest[name] = rest[name][first:end]
    return rest
