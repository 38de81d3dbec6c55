"""Several answers written at once: one key-value buffer a layer, one slot an answer.

In float32 each row's attention is computed on its own keys alone, and rows are filled up to a
number at which the matrix products of this machine give a row the same bits whoever is beside it
(`even_rows`): a row's numbers do not depend on who else is in the batch. Otherwise all rows share
one masked attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kuleshov.tools.mllm.local.prefix_cache import with_cache

ATTENTION = "kuleshov_rows"
SPARE = 64  # tokens by which a buffer is longer than it need be, so that it seldom grows

Layers = list[tuple[Any, Any]]  # keys and values of each layer, (1, heads, tokens, width)


class CacheRows:
    """What the cache hands to the attention: a layer's buffer and the rows' lengths."""

    def __init__(self, buffer: Any, lengths: Sequence[int], exact: bool) -> None:
        self.buffer, self.lengths, self.exact = buffer, lengths, exact


class SlotCache:
    """A cache of transformers for one token a row; rows have lengths of their own."""

    is_compileable = False

    def __init__(self, *, exact: bool, rows: int = 1) -> None:
        """Args: exact, as the module says; rows: they are filled up to a multiple of this."""
        self.exact, self.rows = exact, rows
        self.lengths: list[int] = []
        self.layers: list[list[Any]] = []

    def join(self, layers: Layers, room: int) -> None:
        """Add a row that has been read as far as `layers`; it may grow to `room` tokens."""
        slot, length = len(self.lengths), layers[0][0].shape[2]
        if not self.layers:
            self.layers = [[None, None] for _ in layers]
        for held, new in zip(self.layers, layers, strict=True):
            for side in (0, 1):
                held[side] = _make_room(held[side], new[side], slot, max(room, length + SPARE))
                held[side][slot, :, :length] = new[side][0]
        self.lengths.append(length)

    def leave(self, row: int) -> None:
        """Take a row out; the last one moves to its place."""
        last = len(self.lengths) - 1
        if row != last:
            length = self.lengths[last]
            for held in self.layers:
                for side in (0, 1):
                    held[side][row, :, :length] = held[side][last, :, :length].clone()
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.layers = []

    def advance(self) -> None:
        """Every row has grown by the token that was just read."""
        self.lengths = [length + 1 for length in self.lengths]

    # what transformers' models ask of a cache

    def update(
        self, keys: Any, values: Any, layer: int, *_: Any, **__: Any
    ) -> tuple[CacheRows, CacheRows]:
        held = self.layers[layer]
        for side, new in ((0, keys), (1, values)):
            if max(self.lengths) >= held[side].shape[2]:
                held[side] = _make_room(held[side], new, 0, max(self.lengths) + SPARE)
            for row, length in enumerate(self.lengths):
                held[side][row, :, length] = new[row, :, 0]
        grown = [length + 1 for length in self.lengths]
        return CacheRows(held[0], grown, self.exact), CacheRows(held[1], grown, self.exact)

    def get_seq_length(self, layer: int = 0) -> int:
        return max(self.lengths, default=0)

    def get_mask_sizes(self, query: Any, layer: int) -> tuple[int, int]:
        return self.get_seq_length() + 1, 0


def _make_room(buffer: Any, new: Any, slot: int, room: int) -> Any:
    """A buffer with the slot and at least `room` tokens; a larger one holds what it held."""
    import torch

    if buffer is not None and buffer.shape[0] > slot and buffer.shape[2] >= room:
        return buffer
    rows, tokens = (0, 0) if buffer is None else (buffer.shape[0], buffer.shape[2])
    rows = max(rows, slot + 1 if slot < 4 else 2 * slot)
    shape = (rows, new.shape[1], max(tokens, room), new.shape[3])
    larger = torch.zeros(shape, dtype=new.dtype, device=new.device)
    if buffer is not None:
        larger[: buffer.shape[0], :, : buffer.shape[2]] = buffer
    return larger


def attend_rows(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
    """transformers' own attention, or for `CacheRows` one query a row against that row's keys."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if not isinstance(key, CacheRows):
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    options["is_causal"] = False
    count, longest = len(key.lengths), max(key.lengths)
    if not key.exact:
        # a key beyond a row's length is another answer's or nobody's
        places = torch.arange(longest, device=query.device)
        lengths = torch.tensor(key.lengths, device=query.device)
        allowed = (places[None] < lengths[:, None])[:, None, None, :]
        keys, values = (side.buffer[:count, :, :longest] for side in (key, value))
        return sdpa_attention_forward(module, query, keys, values, allowed, **options)
    rows = []
    for row, length in enumerate(key.lengths):
        keys, values = (side.buffer[row : row + 1, :, :length] for side in (key, value))
        asked = query[row : row + 1]
        rows.append(sdpa_attention_forward(module, asked, keys, values, None, **options)[0])
    rows += [rows[0]] * (query.shape[0] - count)
    return torch.cat(rows), None


@contextmanager
def patched_attention(text_config: Any) -> Iterator[None]:
    """While it lasts, the model's layers use `attend_rows`."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend_rows)
    before = text_config._attn_implementation
    text_config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        text_config._attn_implementation = before


def even_rows(model: Any, most: int) -> int:
    """The least number such that products of its multiples of rows agree to the bit, row by row.

    Libraries sum in another order for few rows, or where the rows do not divide among the threads:
    it is tried on the model's own weights. Where nothing smaller will do it is `most`, so that
    all products are of one size.

    Args:
        model: loaded; the linear layers of its first text layer and its head are tried.
        most: rows at once.
    """
    import torch

    text = model.model.language_model
    parts = [*text.layers[0].modules(), model.get_output_embeddings()]
    linear = [part for part in parts if isinstance(part, torch.nn.Linear)]
    layers = list({part.weight.shape: part for part in linear}.values())
    several = [rows for rows in (1, 4, 8, 16, 32) if rows < most]
    for layer in layers:
        if not several:
            break
        made = torch.Generator().manual_seed(0)
        asked = torch.randn(most + -most % several[-1], layer.in_features, generator=made)
        asked = asked.to(layer.weight.device, layer.weight.dtype)
        with torch.inference_mode():
            whole = layer(asked)
            several = [
                rows
                for rows in several
                if all(
                    torch.equal(layer(asked[:count]), whole[:count])
                    for count in range(rows, len(asked) + 1, rows)
                )
            ]
    return several[0] if several else most


def step_rows(model: Any, text_config: Any, cache: SlotCache, tokens: Sequence[int]) -> Any:
    """Read one token a row; the logits that follow, (rows, vocabulary) float32."""
    import torch

    count = len(tokens)
    pad = -count % cache.rows if cache.exact else 0
    ids = torch.tensor([*tokens, *[tokens[0]] * pad], device=model.device)[:, None]
    places = [*cache.lengths, *[cache.lengths[0]] * pad]
    # four dimensions: taken as it is, and `attend_rows` looks at the lengths instead
    mask = torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=model.device)
    with patched_attention(text_config):
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=torch.tensor(places, device=model.device)[:, None],
            use_cache=True,
            **with_cache(cache),
        ).logits
    cache.advance()
    return logits[:count, -1].float()
