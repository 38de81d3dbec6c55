"""Captions that the model writes itself, weighed by how well they agree with people's.

Learning to continue people's captions is not learning to write one: greedy captions agree more
with people's after self-critical sequence training (Rennie et al. 2017), in which captions sampled
from the model are made more or less probable by their CIDEr-D. Each caption's score is compared
with the mean of the others of its photo (Kool, van Hoof & Welling 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, LlavaForConditionalGeneration

from kuleshov.tools.mllm.local.prefix_cache import with_cache
from training.llava.cider import Frequencies, cider
from training.llava.data import Photos
from training.llava.model import with_pictures
from training.llava.tasks import Node, Row, Writer

TRIES = 5
"""Captions sampled for each photo."""
MOST_TOKENS = 24
END = " endofcaption"
"""Stands for a caption's full stop and end, so that a caption broken off scores less."""


@torch.no_grad()
def sample(
    model: LlavaForConditionalGeneration, writer: Writer, states: Tensor, tries: int = TRIES
) -> list[list[int]]:
    """`tries` captions of each picture, drawn from the model's distribution.

    `states`: (P, 49, 192), what the tower sees. Returns P · tries lists of token ids, those of one
    picture side by side; a caption that came to its end has the end token last.
    """
    prompt = [*writer.with_image, *writer.scene]
    ids = torch.tensor([prompt] * len(states), device=states.device)
    embedded = with_pictures(model, ids, model.get_input_embeddings()(ids), states)
    cache = DynamicCache()
    text = model.model.language_model
    last = text(inputs_embeds=embedded, use_cache=True, **with_cache(cache)).last_hidden_state
    cache.batch_repeat_interleave(tries)
    logits = model.lm_head(last[:, -1]).repeat_interleave(tries, 0)
    drawn: list[Tensor] = []
    ended = torch.zeros(len(logits), dtype=torch.bool, device=states.device)
    for _ in range(MOST_TOKENS):
        drawn.append(torch.multinomial(logits.float().softmax(-1), 1))
        ended |= drawn[-1][:, 0] == writer.eos
        if ended.all():
            break
        last = text(input_ids=drawn[-1], use_cache=True, **with_cache(cache)).last_hidden_state
        logits = model.lm_head(last[:, -1])
    captions = torch.cat(drawn, 1).tolist()
    return [
        tokens[: tokens.index(writer.eos) + 1] if writer.eos in tokens else tokens
        for tokens in captions
    ]


class Critic:
    """Scores captions of training photos."""

    def __init__(self, photos: Photos, writer: Writer) -> None:
        self.photos, self.writer = photos, writer
        self.frequencies = Frequencies.of([self._ended(int(row)) for row in photos.rows("train")])

    def _ended(self, row: int) -> list[str]:
        return [caption.rstrip(".") + END for caption in self.photos.captions[row]]

    def _text(self, tokens: list[int]) -> str:
        text = self.writer.tokenizer.decode(tokens, skip_special_tokens=True)
        whole = tokens[-1:] == [self.writer.eos] and text.endswith(".")
        return text + END if whole else text

    def scores(self, captions: Sequence[list[int]], rows: Sequence[int]) -> np.ndarray:
        """CIDEr-D of token lists (P · tries) about the photos `rows` (P): (P, tries)."""
        tries = len(captions) // len(rows)
        references = [self._ended(row) for row in rows for _ in range(tries)]
        told = [self._text(tokens) for tokens in captions]
        return cider(told, references, self.frequencies).reshape(len(rows), tries)

    def rows(
        self, captions: Sequence[list[int]], about: Sequence[int]
    ) -> tuple[list[Row], np.ndarray]:
        """Rows to learn from, one a photo, and the scores.

        Picture i of the batch is photo `about[i]`. A token's weight is its caption's advantage in
        standard deviations of the batch: positive makes it more probable, negative less.
        """
        scores = self.scores(captions, about)
        tries = scores.shape[1]
        others = (scores.sum(1, keepdims=True) - scores) / (tries - 1)
        advantage = scores - others
        advantage /= advantage.std() + 1e-6
        rows = []
        for picture in range(len(about)):
            row = self.writer.root(picture)
            scene = self.writer.add(row, 0, self.writer.scene)
            for i in range(tries):
                tokens = captions[picture * tries + i]
                weight = float(advantage[picture, i])
                targets = [(place - 1, token, weight) for place, token in enumerate(tokens)]
                row.nodes.append(Node(scene, tokens, targets))
            rows.append(row)
        return rows, scores
