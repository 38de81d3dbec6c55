"""Pictures that the model has already read are not read again: caches of recent conversations.

A conversation is read in pieces that end where an image ends; examples in words that it opens with
are a piece too. What two conversations share up to
such an end is read once; and because every piece is read by itself, whether now or earlier, the
same products are formed either way: what the model was asked before does not change a bit of its
answers.

A kept cache is never written to: a `DynamicLayer` grows by concatenation, so a fork is a view of
the kept tensors until it grows, and several conversations can fork from one entry.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache as kept
from typing import Any

from kuleshov.tools.mllm.local.encode import Encoded, ImageSpan


@dataclass(frozen=True)
class CacheEntry:
    """A cache that begins with the tokens `ids`, the images among them in `images`.

    It may hold more (question and answer), which is cut off when it is forked.
    """

    ids: list[int]
    images: list[ImageSpan]
    cache: Any


@kept
def cache_argument() -> str:
    """What the installed transformers calls the key-value cache a model is given: from 5.24 on
    ``cache``, before ``past_key_values``, which 5.40 no longer takes."""
    from transformers import GenerationMixin

    taken = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
    return "cache" if "cache" in taken else "past_key_values"


def with_cache(cache: Any) -> dict[str, Any]:
    """The argument by which a model or its `generate` is given a key-value cache."""
    return {cache_argument(): cache}


def can_fork(text_config: Any) -> bool:
    """Whether every layer's cache is a plain growing one, which can be cut at any token.

    Sliding windows forget, linear attention has no tokens to cut at.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=text_config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def fork_cache(cache: Any, length: int, text_config: Any) -> Any:
    """A cache with the first `length` tokens of `cache`, free to grow; nothing is copied."""
    from transformers import DynamicCache

    new: Any = DynamicCache(config=text_config)
    for target, layer in zip(new.layers, cache.layers, strict=True):
        target.lazy_initialization(layer.keys, layer.values)
        target.keys = layer.keys[..., :length, :]
        target.values = layer.values[..., :length, :]
    return new


def common_length(entry: CacheEntry, ids: list[int], images: list[ImageSpan]) -> int:
    """How many leading tokens of a conversation the entry holds, images compared by content.

    Cuts before an image that differs or of which only a part is held, and always leaves the
    last token to be read, whose logits are wanted.
    """
    length = 0
    for ours, theirs in zip(entry.ids, ids[:-1], strict=False):
        if ours != theirs:
            break
        length += 1
    for i, image in enumerate(images):
        if image.start >= length:
            break
        if image.end > length or i >= len(entry.images) or entry.images[i] != image:
            return image.start
    return length


class PrefixStore:
    """The caches of the last conversations, the last used last; at most `size` are kept."""

    def __init__(self, text_config: Any, size: int = 3) -> None:
        self.text_config = text_config
        self.size = size
        self.entries: list[CacheEntry] = []
        self.pinned: CacheEntry | None = None

    def fork(self, encoded: Encoded) -> tuple[Any | None, int, int]:
        """The longest kept start that ends where a piece ends: its cache, its tokens, its images.

        (None, 0, 0) if nothing of it is kept.
        """
        if encoded.images is None:
            return None, 0, 0
        best: CacheEntry | None = None
        length = 0
        for entry in (*self.entries, *((self.pinned,) if self.pinned else ())):
            held = common_length(entry, encoded.ids, encoded.images)
            held = max((end for end in encoded.ends if end <= held), default=0)
            if held > length:
                best, length = entry, held
        if best is None:
            return None, 0, 0
        if best is not self.pinned:
            self.entries.remove(best)
            self.entries.append(best)
        read = sum(image.end <= length for image in encoded.images)
        return fork_cache(best.cache, length, self.text_config), length, read

    def keep(self, encoded: Encoded, cache: Any) -> None:
        """Keep a cache that begins with the conversation up to the end of its last image.

        An entry that the new one wholly holds is dropped, then the least recently used.
        """
        if not encoded.images:
            return
        ids, held = encoded.ids[: encoded.images[-1].end], encoded.images
        self.entries = [
            entry
            for entry in self.entries
            if ids[: len(entry.ids)] != entry.ids or held[: len(entry.images)] != entry.images
        ]
        self.entries.append(CacheEntry(ids, held, cache))
        del self.entries[: -self.size]

    def pin(self, encoded: Encoded) -> None:
        """Keep for good what is held of this conversation; one such start is kept."""
        for entry in self.entries:
            if encoded.images and entry.images == encoded.images:
                self.pinned = entry
        if self.pinned in self.entries:
            self.entries.remove(self.pinned)

    def clear(self) -> None:
        self.entries.clear()
        self.pinned = None
