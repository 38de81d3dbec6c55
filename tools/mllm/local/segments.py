"""What conversations share is read once: key-value pieces by what they hold and what came before.

As in `prefix`, a conversation is read in pieces that end where an image ends, each by itself, so
that its numbers do not depend on what else is read, or in which order.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuleshov.tools.mllm.local.batch_cache import Layers
from kuleshov.tools.mllm.local.encode import Encoded, from_image


@dataclass(frozen=True)
class Piece:
    """Tokens `start` ≤ i < `end` of a conversation, the last of them those of one image.

    image: its number, None for the opening, which has none; key: by content and all that comes
    before, for the store.
    """

    start: int
    end: int
    image: int | None
    key: bytes


def split_pieces(encoded: Encoded) -> list[Piece]:
    """The pieces of a conversation up to the end of its last image."""
    found: list[Piece] = []
    at, before = 0, b""
    if encoded.opening and encoded.images:
        at = encoded.opening
        before = _piece_key(before, encoded.ids[:at], b"")
        found.append(Piece(0, at, None, before))
    for number, image in enumerate(encoded.images or []):
        before = _piece_key(before, encoded.ids[at : image.end], image.digest)
        found.append(Piece(at, image.end, number, before))
        at = image.end
    return found


def _piece_key(before: bytes, ids: Sequence[int], digest: bytes) -> bytes:
    made = hashlib.blake2b(before, digest_size=16)
    made.update(array("q", ids).tobytes())
    made.update(digest)
    return made.digest()


LEAST_KEPT, LARGEST_KEPT = 256 << 20, 64
"""What is kept: bytes, or so many times the largest piece, whichever is more. What a run has done
with is not asked for again, so more of it would only fill the memory."""


class PieceStore:
    """Computed pieces, the last used last, up to `budget` bytes and what is of use."""

    def __init__(self, text_config: Any, budget: int) -> None:
        self.text_config, self.budget = text_config, budget
        self.held: OrderedDict[bytes, Layers] = OrderedDict()
        self.bytes = self.largest = 0
        self.read = self.reused = 0  # tokens

    def known(self, wanted: Sequence[Piece]) -> int:
        """Tokens of these that are held."""
        return sum(piece.end - piece.start for piece in wanted if piece.key in self.held)

    def layers(self, wanted: Sequence[Piece], encoded: Encoded, read: Any) -> Layers:
        """Keys and values of the conversation's start; what is not held is computed.

        `read(inputs, ids, cache)` makes the model read tokens with the images among the inputs.
        """
        parts: list[Layers] = []
        for piece in wanted:
            layers = self.held.get(piece.key)
            if layers is None:
                layers = self._compute(piece, _join_layers(parts), encoded, read)
                self._keep(piece.key, layers)
                self.read += piece.end - piece.start
            else:
                self.held.move_to_end(piece.key)
                self.reused += piece.end - piece.start
            parts.append(layers)
        return _join_layers(parts)

    def clear(self) -> None:
        self.held.clear()
        self.bytes = 0

    def _compute(self, piece: Piece, before: Layers, encoded: Encoded, read: Any) -> Layers:
        cache = cache_of(before, self.text_config)
        picture: dict[str, Any] = {}
        if piece.image is not None:
            picture = from_image(encoded.inputs, piece.image, piece.image + 1)
        read(picture, encoded.inputs["input_ids"][:, piece.start : piece.end], cache)
        return layers_of(cache, piece.start)

    def _keep(self, key: bytes, layers: Layers) -> None:
        self.held[key] = layers
        size = _layers_size(layers)
        self.bytes += size
        self.largest = max(self.largest, size)
        most = min(self.budget, max(LEAST_KEPT, LARGEST_KEPT * self.largest))
        while self.bytes > most and len(self.held) > 1:
            _, gone = self.held.popitem(last=False)
            self.bytes -= _layers_size(gone)


def _join_layers(parts: Sequence[Layers]) -> Layers:
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


def layers_of(cache: Any, start: int = 0) -> Layers:
    """What a growing cache holds from token `start` on, as tensors of its own."""
    return [
        (layer.keys[:, :, start:].clone(), layer.values[:, :, start:].clone())
        for layer in cache.layers
    ]


def _layers_size(layers: Layers) -> int:
    return sum(2 * keys.numel() * keys.element_size() for keys, _ in layers)
