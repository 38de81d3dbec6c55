"""From photos, faces and lists to token trees: what the language model is trained on.

Everything asked about one picture shares that picture's tokens, everything asked about one
evidence list shares the list: a sample is a tree of pieces of conversation. Packed into one row,
a token sees itself and what came before it on its own branch, and its position is its place on
that branch, so every path from the root reads like an ordinary conversation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from kuleshov import prompts
from kuleshov.tools.labels import LabelSet
from kuleshov.tools.pocket.face_net import EXPRESSIONS
from kuleshov.types import Evidence
from training.llava import lists, rules
from training.llava.data import PEOPLE_WORDS, word_set, words_of
from training.llava.model import EOS, IMAGE, IMAGE_TOKENS

ANSWER = " ASSISTANT: "
CAPTION_TOKENS = 18
"""Longer captions are left out where three shorter ones remain: they cost most and say least."""
LABEL, YES_NO, JSON, CITED = 10.0, 3.0, 1.5, 8.0
"""Weights of an answer's tokens against a caption's: few tokens, each of which decides."""

THINGS: dict[str, frozenset[str]] = {
    "a person": PEOPLE_WORDS,
    "a child": frozenset({"child", "children", "toddler", "baby"}),
    "a dog": frozenset({"dog", "dogs", "puppy", "poodle", "greyhound", "greyhounds", "terrier"}),
    "a group of people": frozenset({"group", "crowd", "audience", "team", "crowded"}),
    "water": word_set("water pool ocean lake river sea wave waves surf swimming swims"),
    "snow": word_set("snow snowy ski skier skiing snowboarder snowboard sled"),
    "grass": word_set("grass grassy lawn field"),
    "a ball": word_set("ball football soccer basketball tennis baseball volleyball"),
    "a bike": word_set("bike bicycle biker cyclist bicyclist bmx motorcycle motorbike"),
    "a car": frozenset({"car", "cars", "truck", "vehicle", "van", "taxi"}),
    "a beach": frozenset({"beach", "sand", "sandy", "shore"}),
    "a building": frozenset({"building", "buildings", "house", "houses", "store", "shop"}),
    "a tree": frozenset({"tree", "trees", "forest", "woods"}),
    "a rock": frozenset({"rock", "rocks", "rocky", "cliff", "boulder"}),
    "a skateboard": frozenset({"skateboard", "skateboarder", "skateboarding"}),
    "a horse": frozenset({"horse", "horses", "pony"}),
    "a hat": frozenset({"hat", "cap", "hats", "helmet", "helmets"}),
    "a street": frozenset({"street", "road", "sidewalk", "city"}),
}


def presence(captions: Sequence[str]) -> dict[str, bool]:
    """Thing → whether it is in the photo, as far as five captions tell.

    Yes if at least two captions name it; no if none does; left out if only one does. That a
    photo shows nobody, one caption can refute.
    """
    told: dict[str, bool] = {}
    said = [set(words_of(caption)) for caption in captions]
    for thing, words in THINGS.items():
        votes = sum(bool(words & several) for several in said)
        if votes == 0 or votes >= 2:
            told[thing] = votes > 0
    return told


@dataclass
class Node:
    """A piece of conversation. `targets`: (place, token, weight): what should follow the token
    at `place` of this node; place −1 is the parent's last token."""

    parent: int
    tokens: list[int]
    targets: list[tuple[int, int, float]] = field(default_factory=list)


@dataclass
class Row:
    """A tree of nodes; the first is the root. `picture`: index of its picture, or None."""

    nodes: list[Node]
    picture: int | None = None


class Writer:
    """Writes rows with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.eos = tokenizer.convert_tokens_to_ids(EOS)
        self.with_image = self.ids(f"<s>USER: {IMAGE * IMAGE_TOKENS}\n")
        self.without = self.ids("<s>USER: ")
        self.scene = self.ids(prompts.render_prompt("brief", "scene") + ANSWER)
        self.numbers = {self.ids(str(n))[0] for n in range(1, 31)}
        self.sets = [LabelSet.load(f"ekman-{n}").names for n in (6, 7, 8)]

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def root(self, picture: int | None) -> Row:
        tokens = self.without if picture is None else self.with_image
        return Row([Node(-1, tokens)], picture)

    def add(self, row: Row, parent: int, text: str | list[int]) -> int:
        """A node that is only read; returns its index."""
        row.nodes.append(Node(parent, self.ids(text) if isinstance(text, str) else text))
        return len(row.nodes) - 1

    def answer(self, row: Row, parent: int, text: str, weight: float = 1.0) -> int:
        """A node that the model is to write, with its end token."""
        tokens = [*self.ids(text), self.eos]
        targets = [(i - 1, token, weight) for i, token in enumerate(tokens)]
        row.nodes.append(Node(parent, tokens, targets))
        return len(row.nodes) - 1

    def spread(self, row: Row, parent: int, shares: dict[str, float], weight: float) -> None:
        """Answers weighed by `shares`: soft targets for the first token; the two most probable
        answers are written out to their ends. `weight` is that of the first token."""
        ranked = sorted(shares.items(), key=lambda item: -item[1])
        for place, (text, share) in enumerate(ranked):
            tokens = [*self.ids(text), self.eos]
            first = (-1, tokens[0], weight * share)
            if place < 2 or len(tokens) > 2:
                rest = [(i - 1, token, share) for i, token in enumerate(tokens) if i]
                row.nodes.append(Node(parent, tokens, [first, *rest]))
            elif share > 0.003:
                row.nodes[-1].targets.append(first)

    def photo(
        self, random: np.random.Generator, picture: int, captions: Sequence[str], probes: int
    ) -> Row:
        """All captions of a photo and some yes/no questions about it."""
        row = self.root(picture)
        scene = self.add(row, 0, self.scene)
        several = sorted((self.ids(caption) for caption in captions), key=len)
        for place, ids in enumerate(several):
            if len(ids) > (CAPTION_TOKENS if place >= 3 else 2 * CAPTION_TOKENS):
                continue
            tokens = [*ids, self.eos]
            row.nodes.append(
                Node(scene, tokens, [(i - 1, token, 1.0) for i, token in enumerate(tokens)])
            )
        told = presence(captions)
        asked = []
        if "a person" in told and (not told["a person"] or random.random() < 0.6):
            asked.append("a person")
        # as many yes as no, or the model would learn to say no
        truths = [True, False] if random.random() < 0.5 else [False, True]
        for truth in truths:
            options = [t for t, there in told.items() if there == truth and t != "a person"]
            if options and len(asked) < probes:
                asked.append(options[random.integers(len(options))])
        for thing in asked:
            self.probe(row, thing, told[thing])
        return row

    def probe(self, row: Row, thing: str, truth: bool) -> None:
        prompt = self.add(row, 0, prompts.render_prompt("brief", "probe", thing=thing) + ANSWER)
        self.answer(row, prompt, "yes" if truth else "no", YES_NO)

    def face(self, random: np.random.Generator, picture: int, soft: np.ndarray) -> Row:
        """A face: which expression, over a label set in random order; sometimes a description."""
        row = self.root(picture)
        labels = list(self.sets[1 + random.integers(2)])
        random.shuffle(labels)
        shares = {label: float(soft[EXPRESSIONS.index(label)]) for label in labels}
        total = sum(shares.values())
        if total > 0.5:
            text = prompts.render_prompt("brief", "expression", labels=labels) + ANSWER
            self.spread(
                row,
                self.add(row, 0, text),
                {label: share / total for label, share in shares.items()},
                LABEL,
            )
        extra = random.random()
        if extra < 0.25:
            self.probe(row, "a person", True)
        elif extra < 0.4:
            away = [thing for thing in THINGS if thing not in ("a person", "a child", "a hat")]
            self.probe(row, away[random.integers(len(away))], False)
        elif extra < 0.6:
            self.answer(row, self.add(row, 0, self.scene), "A close-up of a person's face.")
        return row

    def evidence(self, random: np.random.Generator, row: Row, items: Sequence[Evidence]) -> None:
        """Adds one evidence list: the explanation, the label after it, the label at once."""
        direct = prompts.render_prompt("brief", "direct", evidence=items, labels=["x", "y"])
        judge = prompts.render_prompt("brief", "judge", evidence=items)
        shared = direct[: direct.rindex("\n") + 1]
        assert judge.startswith(shared)
        read = self.add(row, 0, shared)
        asked = self.add(row, read, judge[len(shared) :] + ANSWER)
        text = json.dumps(rules.explain(items), separators=(",", ":"), ensure_ascii=False)
        told = self.answer(row, asked, text, JSON)
        # the number that a cue cites is one token among many, and the one that must be right
        row.nodes[told].targets = [
            (place, token, CITED if token in self.numbers else weight)
            for place, token, weight in row.nodes[told].targets
        ]
        if random.random() < 0.03:
            again = " USER: " + prompts.render_prompt("brief", "repair") + ANSWER
            self.answer(row, self.add(row, told, again), text)
        labels = list(self.sets[random.integers(3)])
        if random.random() < 0.5:
            random.shuffle(labels)
        shares = rules.read(items, labels)
        after = " USER: " + prompts.render_prompt("brief", "label", labels=labels) + ANSWER
        self.spread(row, self.add(row, told, after), shares, LABEL)
        labels = list(self.sets[random.integers(3)])
        if random.random() < 0.5:
            random.shuffle(labels)
        at_once = prompts.render_prompt("brief", "direct", evidence=items, labels=labels)[
            len(shared) :
        ]
        self.spread(row, self.add(row, read, at_once + ANSWER), rules.read(items, labels), LABEL)


@dataclass(frozen=True)
class Packed:
    """Rows side by side, padded on the right. B rows of L tokens.

    ids, positions: (B, L). mask: (B, 1, L, L) float, 0 or the lowest number.
    pictures: for the rows with a picture, (rows,) and the index of each one's picture.
    source: (T, 2) row and place of the token whose next token is asked; target (T,); weight (T,).
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    rows: list[int]
    pictures: list[int]
    source: Tensor
    target: Tensor
    weight: Tensor


def pack(rows: Sequence[Row], pad: int = 0) -> Packed:
    """Lay the rows out for one forward pass."""
    length = max(sum(len(node.tokens) for node in row.nodes) for row in rows)
    ids = np.full((len(rows), length), pad, np.int64)
    positions = np.zeros((len(rows), length), np.int64)
    allowed = np.zeros((len(rows), length, length), bool)
    allowed[:, np.arange(length), np.arange(length)] = True
    causal = np.tril(np.ones((length, length), bool))
    source: list[tuple[int, int]] = []
    target: list[int] = []
    weight: list[float] = []
    for b, row in enumerate(rows):
        begin, end, lines = [], [], []
        offset = 0
        for index, node in enumerate(row.nodes):
            size = len(node.tokens)
            begin.append(offset)
            ids[b, offset : offset + size] = node.tokens
            start = 0 if node.parent < 0 else end[node.parent]
            positions[b, offset : offset + size] = start + np.arange(size)
            end.append(start + size)
            line = [index] if node.parent < 0 else [*lines[node.parent], index]
            lines.append(line)
            for ancestor in line:
                a, n = begin[ancestor], len(row.nodes[ancestor].tokens)
                allowed[b, offset : offset + size, a : a + n] = causal[
                    offset : offset + size, a : a + n
                ]
            for place, token, share in node.targets:
                if place < 0:
                    up = node.parent
                    source.append((b, begin[up] + len(row.nodes[up].tokens) - 1))
                else:
                    source.append((b, offset + place))
                target.append(token)
                weight.append(share)
            offset += size
    mask = np.where(allowed, np.float32(0), np.finfo(np.float32).min)[:, None]
    pictured = [b for b, row in enumerate(rows) if row.picture is not None]
    return Packed(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(mask),
        rows=pictured,
        pictures=[rows[b].picture for b in pictured],  # type: ignore[misc]
        source=torch.tensor(source, dtype=torch.long).view(-1, 2),
        target=torch.tensor(target, dtype=torch.long),
        weight=torch.tensor(weight),
    )


def corpus(captions: Sequence[str], seed: int = 0) -> list[str]:
    """Texts to train the tokenizer on: captions, and whole conversations of the other tasks."""
    random = np.random.default_rng(seed)
    say = lists.Sentences(captions)
    texts = list(captions)
    labels = list(rules.LABELS)
    for _ in range(4000):
        items = lists.make(random, say)
        random.shuffle(labels)
        texts.append("USER: " + prompts.render_prompt("brief", "judge", evidence=items) + ANSWER)
        texts.append(json.dumps(rules.explain(items), separators=(",", ":")))
        texts.append(" USER: " + prompts.render_prompt("brief", "label", labels=labels) + ANSWER)
    for thing in THINGS:
        texts += ["USER: \n" + prompts.render_prompt("brief", "probe", thing=thing) + ANSWER] * 50
    texts += [
        "yes",
        "no",
        "N/A",
        prompts.render_prompt("brief", "scene") + ANSWER,
        prompts.render_prompt("brief", "expression", labels=labels) + ANSWER,
        " USER: " + prompts.render_prompt("brief", "repair") + ANSWER,
        *rules.LABELS,
    ] * 300
    return texts
