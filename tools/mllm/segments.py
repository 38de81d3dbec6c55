"""What conversations share is read once: key-value pieces by what they hold and what came before.

A conversation is cut where that is the same for everybody who shares its start: after each image,
and where its first question ends. Each piece is always computed from the same cut on and alone,
so that its numbers do not depend on what else is read, or in which order.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov.tools.mllm import scoring
from kuleshov.tools.mllm.base import Conversation
from kuleshov.tools.mllm.encode import Encoded, from_image, without_images
from kuleshov.tools.mllm.slots import Layers


@dataclass(frozen=True)
class Piece:
    """Tokens `ids` from place `start` on, of which the conversation uses the first `used`.

    image: the number of the image among them, None for text; key: by content, for the store.
    """

    start: int
    ids: tuple[int, ...]
    used: int
    image: int | None
    key: bytes


def pieces(processor: Any, conversation: Conversation, encoded: Encoded, last: int) -> list[Piece]:
    """The pieces of a cleaned conversation's start, at most as far as token `last`."""
    found: list[Piece] = []
    at, before = 0, b""
    for number, image in enumerate(encoded.images or []):
        if image.end > last:
            return found
        ids = tuple(encoded.ids[at : image.end])
        before = _key(before, ids, image.digest)
        found.append(Piece(at, ids, len(ids), number, before))
        at = image.end
    turns = [i for i, turn in enumerate(conversation) if turn["role"] == "user"]
    if len(turns) == 1:
        ids, used = tuple(encoded.ids[at:last]), last - at
    else:
        ids, used = _first_question(processor, conversation[: turns[0] + 1], conversation, encoded)
        ids, used = ids[at:], min(used, last) - at
    if used > 0:
        found.append(Piece(at, ids, used, None, _key(before, ids, b"")))
    return found


def _first_question(
    processor: Any, first: Conversation, conversation: Conversation, encoded: Encoded
) -> tuple[tuple[int, ...], int]:
    """The tokens that asking only the first question would read, and how many are the same here.

    Found from the texts alone, because the images' tokens are equal in both; templates may write
    a past answer with another white space than the prompt for one.
    """
    asked = scoring._ids(processor, without_images(first), prompt=True)
    whole = scoring._ids(processor, without_images(conversation), prompt=True)
    shared = 0
    while shared < min(len(asked), len(whole)) and asked[shared] == whole[shared]:
        shared += 1
    rest = whole[shared:]
    cut = len(encoded.ids) - len(rest)
    if not rest or encoded.ids[cut:] != rest:
        return (), 0
    # the last token of a question is read when its answer is begun
    ids = (*encoded.ids[:cut], *asked[shared:])[:-1]
    return ids, min(cut, len(ids))


def _key(before: bytes, ids: Sequence[int], digest: bytes) -> bytes:
    made = hashlib.blake2b(before, digest_size=16)
    made.update(array("q", ids).tobytes())
    made.update(digest)
    return made.digest()


class PieceStore:
    """Computed pieces, the last used last, up to `budget` bytes."""

    def __init__(self, model: Any, text_config: Any, budget: int) -> None:
        self.model, self.text_config, self.budget = model, text_config, budget
        self.held: OrderedDict[bytes, Layers] = OrderedDict()
        self.bytes = 0
        self.read = self.reused = 0  # tokens

    def known(self, wanted: Sequence[Piece]) -> int:
        """Tokens of these that are held."""
        return sum(piece.used for piece in wanted if piece.key in self.held)

    def layers(self, wanted: Sequence[Piece], encoded: Encoded, to_device: Any) -> Layers:
        """Keys and values of the conversation's start; what is not held is computed."""
        import torch

        parts: list[Layers] = []
        for piece in wanted:
            layers = self.held.get(piece.key)
            if layers is None:
                layers = self._compute(piece, _joined(parts), encoded, to_device)
                self._keep(piece.key, layers)
                self.read += len(piece.ids)
            else:
                self.held.move_to_end(piece.key)
                self.reused += piece.used
            parts.append(
                layers
                if piece.used == len(piece.ids)
                else [(k[:, :, : piece.used], v[:, :, : piece.used]) for k, v in layers]
            )
        with torch.inference_mode():
            return _joined(parts)

    def clear(self) -> None:
        self.held.clear()
        self.bytes = 0

    def _compute(self, piece: Piece, before: Layers, encoded: Encoded, to_device: Any) -> Layers:
        import torch

        cache = cache_of(before, self.text_config)
        inputs: dict[str, Any] = {"input_ids": torch.tensor([piece.ids])}
        if piece.image is not None:
            inputs |= {
                name: value[:1] if name in ("pixel_values", "image_sizes") else value
                for name, value in from_image(encoded.inputs, piece.image).items()
                if name not in ("input_ids", "attention_mask")
            }
        self.model(**to_device(inputs), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return [
            (layer.keys[:, :, piece.start :].clone(), layer.values[:, :, piece.start :].clone())
            for layer in cache.layers
        ]

    def _keep(self, key: bytes, layers: Layers) -> None:
        self.held[key] = layers
        self.bytes += _size(layers)
        while self.bytes > self.budget and len(self.held) > 1:
            _, gone = self.held.popitem(last=False)
            self.bytes -= _size(gone)


def _joined(parts: Sequence[Layers]) -> Layers:
    import torch

    if len(parts) == 1:
        return parts[0]
    return [
        (torch.cat([k for k, _ in layer], dim=2), torch.cat([v for _, v in layer], dim=2))
        for layer in zip(*parts, strict=True)
    ]


def cache_of(layers: Layers, text_config: Any) -> Any:
    """A growing cache that begins with these; they are not written to."""
    from transformers import DynamicCache

    cache: Any = DynamicCache(config=text_config)
    for target, (keys, values) in zip(cache.layers, layers, strict=False):
        target.lazy_initialization(keys, values)
        target.keys, target.values = keys, values
    return cache


def _size(layers: Layers) -> int:
    return sum(2 * keys.numel() * keys.element_size() for keys, _ in layers)
