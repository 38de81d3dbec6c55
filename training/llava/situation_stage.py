"""The stage that teaches situations: a finished pocket LLaVA goes on learning.

    python -m training.llava.situation_stage --data ../shared/data --start tools/pocket/llava \\
        --teacher runs/s/situation_teacher.npz --out runs/s

1. The tokenizer gets the words of the situations (`vocabulary`), the language model two layers that
   change nothing at first; the folder's answers stay what they were.
2. It learns situations, as lists of evidence with one line of context under many label sets, and in
   every REST-th step all the rest: photos, faces, lists and clips as in `language`, with real
   situations among the notes. What the folder would answer there is learnt beside the data
   (learning without forgetting, Li & Hoiem 2016), from the first step on: what is once forgotten
   comes back slowly.

It ends by the clock (--minutes), because machines differ. What is written lies between the folder
and the moving average of what was learnt (--share of it): such mixtures keep more of what was
known before (Wortsman et al. 2022, Robust fine-tuning of zero-shot models, CVPR).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import decoders
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from kuleshov import prompts
from kuleshov.evidence.collection import collect_evidence
from training.average import Average
from training.llava import data, lists, rules
from training.llava import language as stage
from training.llava import model as shape
from training.llava.situations import (
    SETS,
    Situation,
    Situations,
    place_of,
    read_situations,
    worded,
)
from training.llava.tasks import ANSWER, JSON, LABEL, Row, Writer, corpus, pack
from training.llava.vocabulary import extend_tokenizer

TOKENS, LAYERS = 9216, 6
MIDDLE = 5
"""The layer whose state at the end of a situation learns the teacher's features."""
CHOSEN = {"isear": 1.0, "event2mind": 0.35, "own": 1.5}
"""How often situations of a source are drawn."""
OWN_WORDS = {"isear": 0.5, "event2mind": 0.4, "own": 0.75}
"""Weight of people's own words against the teacher's."""
SETS_ASKED = (0.4, 0.25, 0.12, 0.13, 0.1)
"""How often the sets of `SETS` are asked about; the first one not of Event2Mind."""
LEAST = 0.15
"""People's words count where so much of them is among the labels that are asked about."""
NOTES = 0.55
"""Part of the context notes in lists that are real situations."""
SHORTENED, DROPPED = 0.4, 0.12
RATE, OLD_RATE = 2e-3, 0.3
"""Learning rate of what is new, and the part of it for what the folder knew."""
REST = 3
SAME = 0.8
"""Weight of the folder's own distribution against the data, where no new token is read."""
BATCH = 96
SAVED = 100
"""Steps of the last part after which the folder is written anew."""


@dataclass
class Taught:
    """Situations with what the teacher says of them, and a way to draw them."""

    situations: Situations
    labels: np.ndarray
    features: np.ndarray

    def __post_init__(self) -> None:
        self.rows = self.situations.rows("train")
        weights = np.array([CHOSEN[self.situations.all[i].source] for i in self.rows])
        self._share = weights / weights.sum()

    def draw(self, random: np.random.Generator) -> int:
        """The place of a training situation."""
        return int(self.rows[random.choice(len(self.rows), p=self._share)])

    def target(self, place: int, labels: Sequence[str]) -> dict[str, float]:
        """Shares of the labels: people's words and the teacher's."""
        one = self.situations.all[place]
        places = [place_of(label) for label in labels]
        logs = self.labels[place][places]
        said = np.exp(logs - logs.max())
        said /= said.sum()
        if one.people is not None and (known := one.people[places]).sum() > LEAST:
            weight = OWN_WORDS[one.source]
            said = weight * known / known.sum() + (1 - weight) * said
        return dict(zip(labels, said.tolist(), strict=True))

    def labels_for(self, one: Situation, random: np.random.Generator) -> list[str]:
        """A label set in some order."""
        names = list(SETS)
        share = np.array(SETS_ASKED)
        if one.source == "event2mind":
            share = share * (np.array(names) != "isear")
        labels = list(SETS[names[random.choice(len(names), p=share / share.sum())]])
        if random.random() < 0.5:
            random.shuffle(labels)
        return labels


def grow(folder: Path, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> Grown:
    """The folder's model with `tokenizer` and LAYERS layers; it answers as before.

    A new token begins as the mean of the tokens that it was cut into.
    """
    earlier = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    old = PreTrainedTokenizerFast.from_pretrained(folder)
    model = shape.build(tokenizer, seed, layers=LAYERS)
    known, own = earlier.state_dict(), model.state_dict()
    with torch.no_grad():
        for name, value in known.items():
            if name in own and own[name].shape == value.shape:
                own[name].copy_(value)
        table, before = model.get_input_embeddings().weight, earlier.get_input_embeddings().weight
        table[: len(before)] = before
        texts = {number: name for name, number in tokenizer.get_vocab().items()}
        for number in range(len(before), len(tokenizer)):
            text = decoders.ByteLevel().decode([texts[number]])
            pieces = old(text, add_special_tokens=False)["input_ids"]
            table[number] = before[pieces].mean(0)
        for layer in model.model.language_model.layers[
            earlier.config.text_config.num_hidden_layers :
        ]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.tie_weights()
    return Grown(model.eval(), earlier.eval())


def _rate(progress: float, step: int, warm: int) -> float:
    return min(1.0, (step + 1) / warm) * (0.5 * (1 + math.cos(math.pi * progress)) * 0.96 + 0.04)


@dataclass(frozen=True)
class Grown:
    """A model of LAYERS layers; the first `layers` of them, and the first `tokens` embeddings, are
    those of the folder that it grew from, which `earlier` keeps as they were."""

    model: LlavaForConditionalGeneration
    earlier: LlavaForConditionalGeneration

    @property
    def tokens(self) -> int:
        return int(self.earlier.config.text_config.vocab_size)

    @property
    def layers(self) -> int:
        return int(self.earlier.config.text_config.num_hidden_layers)

    def fix_what_was_seen(self) -> None:
        """Pictures and known tokens keep their embeddings: only the rest of the language model
        learns."""
        for one in (self.model, self.earlier):
            one.model.language_model.config._attn_implementation = "eager"
        self.earlier.requires_grad_(False)
        self.model.requires_grad_(False)
        self.model.model.language_model.requires_grad_(True)
        table = self.model.get_input_embeddings().weight
        new = (torch.arange(len(table)) >= self.tokens).float()[:, None]
        table.register_hook(lambda gradient: gradient * new)

    def optimiser(self, head: nn.Module) -> torch.optim.AdamW:
        """AdamW over the language model and `head`; what the folder knew moves more slowly."""
        language = self.model.model.language_model
        table = self.model.get_input_embeddings().weight
        new = [*language.layers[self.layers :].parameters(), *head.parameters()]
        old = [*language.layers[: self.layers].parameters(), *language.norm.parameters()]
        groups = [
            {"params": [table], "weight_decay": 0.0, "peak": RATE},
            {"params": new, "weight_decay": 0.04, "peak": RATE},
            {"params": old, "weight_decay": 0.0, "peak": RATE * OLD_RATE},
        ]
        return torch.optim.AdamW(groups, RATE, betas=(0.9, 0.98))


def loss_of_situations(
    grown: Grown,
    writer: Writer,
    taught: Taught,
    head: nn.Linear,
    random: np.random.Generator,
    batch: int = BATCH,
) -> Tensor:
    """Situations alone, without a picture: the labels, and the teacher's features by `head`."""
    model = grown.model
    rows, ends, targets, features = [], [], [], []
    for _ in range(batch):
        place = taught.draw(random)
        one = taught.situations.all[place]
        text = worded(one, random)
        if random.random() < SHORTENED:
            kept = [word for word in text.split() if random.random() > DROPPED]
            text = " ".join(kept) or text
        labels = taught.labels_for(one, random)
        head_text, question = _asked(text, labels)
        begin = writer.without + writer.ids(head_text)
        rows.append(begin + writer.ids(question))
        ends.append(len(begin) - 2)  # the quotation mark that ends it
        shares = taught.target(place, labels)
        targets.append({writer.ids(label)[0]: share for label, share in shares.items()})
        features.append(taught.features[place])
    longest = max(map(len, rows))
    ids = torch.zeros(batch, longest, dtype=torch.long)
    mask = torch.zeros(batch, longest, dtype=torch.long)
    for b, row in enumerate(rows):
        ids[b, : len(row)], mask[b, : len(row)] = torch.tensor(row), 1
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.model.language_model(
            input_ids=ids, attention_mask=mask, output_hidden_states=True
        )
    each = torch.arange(batch)
    logs = model.lm_head(seen.last_hidden_state[each, mask.sum(1) - 1].float()).log_softmax(-1)
    loss = torch.stack(
        [
            -(logs[b, list(target)] * torch.tensor(list(target.values()))).sum()
            for b, target in enumerate(targets)
        ]
    ).mean()
    middle = seen.hidden_states[MIDDLE][each, torch.tensor(ends)].float()
    guess = head(functional.rms_norm(middle, (shape.WIDTH,)))
    wanted = torch.from_numpy(np.array(features)).float()
    return loss + 0.5 * functional.mse_loss(guess, wanted)


def _asked(text: str, labels: Sequence[str]) -> tuple[str, str]:
    """The list with one line of context, and the question after it."""
    items, _ = lists.FAMILY.number_evidence(collect_evidence(None, None, [text]))
    whole = prompts.render_prompt("brief", "direct", evidence=items, labels=list(labels))
    cut = whole.rindex("\n") + 1
    return whole[:cut], whole[cut:] + ANSWER


def situation_rows(
    writer: Writer, taught: Taught, random: np.random.Generator, pictures: int, rows: int, each: int
) -> list[Row]:
    """Rows of `each` situations about one picture or none: labels, sometimes an explanation."""
    found = []
    for _ in range(rows):
        row = writer.root(int(random.integers(pictures)) if random.random() < 0.8 else None)
        for _ in range(each):
            place = taught.draw(random)
            one = taught.situations.all[place]
            text = worded(one, random)
            rules.know(text, taught.target(place, rules.LABELS))
            read = writer.add(row, 0, _asked(text, ["x", "y"])[0])
            for _ in range(1 if random.random() < 0.6 else 2):
                labels = taught.labels_for(one, random)
                question = writer.add(row, read, _asked(text, labels)[1])
                writer.spread(row, question, taught.target(place, labels), LABEL)
            if random.random() < 0.12:
                items, _ = lists.FAMILY.number_evidence(collect_evidence(None, None, [text]))
                judge = prompts.render_prompt("brief", "judge", evidence=items)
                asked = writer.add(row, read, judge[judge.rindex("\n") + 1 :] + ANSWER)
                told = json.dumps(rules.explain(items), separators=(",", ":"), ensure_ascii=False)
                writer.answer(row, asked, told, JSON)
        found.append(row)
    return found


def loss_of_the_rest(
    grown: Grown,
    sources: stage.Sources,
    writer: Writer,
    taught: Taught,
    say: lists.Sentences,
    seed: int,
    step: int,
    list_rows: int = 8,
) -> Tensor:
    """Photos, faces, lists and clips: against the data and, in rows that hold no new token, against
    what the folder said before. And situations beside pictures."""
    several, pixels, _ = stage.batches(sources, writer, say, seed, 10_000 + step, list_rows)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = shape.tower_states(grown.model.model.vision_tower, pixels).float()
    weight = sum(float(packed.weight.sum()) for _, packed in several)
    loss: Tensor = torch.zeros(())
    for name, packed in several:
        seen = functional.dropout1d(states, stage.UNSEEN) if name == "photos" else states
        with torch.autocast("cpu", torch.bfloat16):
            logits = stage.forward(grown.model, packed, seen).float()
        each = functional.cross_entropy(logits, packed.target, reduction="none")
        known = (packed.ids < grown.tokens).all(1)[packed.source[:, 0]]
        known &= packed.target < grown.tokens
        if known.any():
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                ids = packed.ids.clamp(max=grown.tokens - 1)
                before = stage.forward(grown.earlier, replace(packed, ids=ids), states).float()
            same = -(before.softmax(-1) * logits.log_softmax(-1)[:, : grown.tokens]).sum(-1)
            each = torch.where(known, (1 - SAME) * each + SAME * same, each)
        loss = loss + (each * packed.weight).sum() / weight
    rows = situation_rows(writer, taught, np.random.default_rng((seed, 7, step)), len(states), 3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = stage.forward(grown.model, packed := pack(rows), states).float()
    summed, own = stage.loss_of(logits, packed)
    return loss + 0.5 * summed / own


def learn_all(
    grown: Grown,
    sources: stage.Sources,
    writer: Writer,
    taught: Taught,
    minutes: float,
    seed: int = 0,
    batch: int = BATCH,
    saved: Callable[[Average], None] = lambda average: None,
) -> Average:
    """Situations in every step, the rest in every REST-th; returns the moving average, which
    `saved` gets now and then."""

    def told(random: np.random.Generator) -> str:
        place = taught.draw(random)
        text = worded(taught.situations.all[place], random)
        rules.know(text, taught.target(place, rules.LABELS))
        return text

    say = lists.Sentences(
        sources.photos.told("train"),
        faces=sources.measured,
        any_lead=stage.UNCLEAR,
        told=told,
        told_part=NOTES,
    )
    model = grown.model
    head = nn.Linear(shape.WIDTH, taught.features.shape[1])
    optimiser, average = grown.optimiser(head), Average(model, 0.995)
    begun, step = time.time(), 0
    while (progress := (time.time() - begun) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * _rate(progress, step, 100)
        random = np.random.default_rng((seed, 6, step))
        loss = loss_of_situations(grown, writer, taught, head, random, batch)
        if step % REST == 0:
            turn = step // REST
            loss = loss + loss_of_the_rest(grown, sources, writer, taught, say, seed, turn)
        loss.backward()
        nn.utils.clip_grad_norm_(model.model.language_model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(model)
        step += 1
        if step % 50 == 1:
            print(f"all {step}: {loss.item():.3f}, {progress:.0%}", flush=True)
        if step % SAVED == 0:
            saved(average)
    return average


def mix_weights(
    before: LlavaForConditionalGeneration, learnt: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Weights at `share` of the way from `before` to `learnt`."""
    return {
        name: torch.lerp(value, learnt[name].to(value.dtype), share)
        if value.is_floating_point()
        else value
        for name, value in before.state_dict().items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA)
    parser.add_argument("--start", type=Path, required=True, help="a pocket LLaVA's folder")
    parser.add_argument("--teacher", type=Path, required=True, help="situation_teacher.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sources = stage.Sources(
        data.read_photos(args.data, args.out / "photos.npy"),
        data.read_faces(args.data),
        data.measured(args.data, "train"),
    )
    situations = read_situations(args.data)
    with np.load(args.teacher) as saved:
        taught = Taught(situations, saved["labels"], saved["features"])
    captions = sources.photos.told("train")
    random = np.random.default_rng(args.seed)
    tokenizer = extend_tokenizer(
        PreTrainedTokenizerFast.from_pretrained(args.start),
        [worded(situations.all[i], random) for i in situations.rows("train")],
        [*captions, *corpus(captions[:100], 1)],
        TOKENS,
        ("joy", "shame", "guilt", "trust", "anticipation"),
    )
    grown = grow(args.start, tokenizer, args.seed)
    grown.fix_what_was_seen()
    writer = Writer(tokenizer)

    def write(average: Average) -> None:
        averaged = grow(args.start, tokenizer, args.seed).model
        averaged.load_state_dict(mix_weights(averaged, average.state, args.share))
        shape.export(averaged.eval(), tokenizer, args.out / "llava")

    write(learn_all(grown, sources, writer, taught, args.minutes, seed=args.seed, saved=write))
    print(f"written: {args.out / 'llava'}")


if __name__ == "__main__":
    main()
