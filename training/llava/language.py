"""Stage 2: the language model learns all tasks: first over a fixed tower, then together with it,
at last over the fixed one again, from captions of its own, too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from kuleshov.tools.types import Face
from training.average import Average
from training.llava import data, lists
from training.llava.model import SIZE, build, export, tower_states, with_pictures
from training.llava.optimiser import Pair
from training.llava.reward import Critic, sample
from training.llava.tasks import Packed, Writer, pack
from training.llava.tower import rate
from training.saving import save

PHOTOS_A_STEP, FACES_A_STEP, LISTS_A_ROW = 16, 6, 2
LIST_ROWS = ((0.6, 4), (0.7, 6), (1.0, 10))
"""Rows of evidence lists by progress: more once the words are known."""
UNCLEAR = 0.3
"""Part of the evidence lists that need not be clear: real ones often are not."""
CLIP_ROWS = 3
"""Rows with one evidence list of a clip each."""
PROBES = 2
PEAK_RATE = 4e-3
TOWER_SHARE = 0.2
"""The tower's part of the learning rate once it learns along."""
BLANKED, UNSEEN = 0.15, 0.1
"""Parts of a caption's words, and of a photo's cells, that are hidden while it is learnt: what is
left must tell, and captions are not learnt by heart."""
SMOOTHING = 0.05
"""Label smoothing of captions and their questions."""
REWARD = 2.0
"""Weight of the model's own captions against all else."""
JOINT, OWN = 0.35, 0.7
"""Progress from which the tower learns along, and from which, the tower fixed again, the model
learns from captions of its own."""
MEMORY, OWN_MEMORY = 0.996, 0.99
"""Decay of the moving average, before and with captions of its own."""


@dataclass(frozen=True)
class Sources:
    """`measured`: faces for evidence lists, as the bundled tool measures them."""

    photos: data.Photos
    faces: data.Faces
    measured: Sequence[Face] = ()


def read_layers(
    model: LlavaForConditionalGeneration, packed: Packed, states: Tensor
) -> tuple[Tensor, ...]:
    """States (T, 192) at the places that `packed` asks about: of the embeddings, after each layer,
    and after the last one normed.

    `states`: (pictures, 49, 192), what the tower sees in each picture.
    """
    device = states.device
    ids = packed.ids.to(device)
    embedded = model.get_input_embeddings()(ids)
    if packed.rows:
        rows, seen = packed.rows, states[packed.pictures]
        pictured = with_pictures(model, ids[rows], embedded[rows], seen)
        embedded = embedded.clone()
        embedded[rows] = pictured
    seen = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=packed.mask.to(device),
        position_ids=packed.positions.to(device),
        use_cache=False,
        output_hidden_states=True,
    ).hidden_states
    row, place = packed.source.to(device).T
    return tuple(layer[row, place] for layer in seen)


def forward(model: LlavaForConditionalGeneration, packed: Packed, states: Tensor) -> Tensor:
    """Logits (T, vocabulary) at the places that `packed` asks about; see `read_layers`."""
    return model.lm_head(read_layers(model, packed, states)[-1])


def loss_of(logits: Tensor, packed: Packed, smoothing: float = 0.0) -> tuple[Tensor, float]:
    """Weighted sum of the cross-entropies, in nats, and the sum of the weights."""
    each = functional.cross_entropy(
        logits, packed.target.to(logits.device), reduction="none", label_smoothing=smoothing
    )
    weight = packed.weight.to(logits.device)
    return (each * weight).sum(), float(packed.weight.sum())


def blanked(packed: Packed, answer: int) -> Packed:
    """Some words that are continued, hidden: padding in their place. `answer`: the token that
    ends a question, which stays."""
    row, place = packed.source.T
    ids = packed.ids.clone()
    hide = (torch.rand(len(row)) < BLANKED) & (ids[row, place] != answer)
    ids[row[hide], place[hide]] = 0
    return replace(packed, ids=ids)


def batches(
    sources: Sources, writer: Writer, say: lists.Sentences, seed: int, step: int, list_rows: int
) -> tuple[list[tuple[str, Packed]], Tensor, list[int]]:
    """What step `step` learns from: packed rows by kind, the pictures they are about, and which
    photos the first of these are."""
    random = np.random.default_rng((seed, 1, step))
    torch.manual_seed(seed * 1_000_003 + step)
    photos, faces = sources.photos, sources.faces
    # each photo once before any comes again
    rows = photos.rows("train")
    places = np.arange(step * PHOTOS_A_STEP, (step + 1) * PHOTOS_A_STEP)
    orders = {
        turn: np.random.default_rng((seed, 2, turn)).permutation(rows)
        for turn in set((places // len(rows)).tolist())
    }
    chosen = [int(orders[place // len(rows)][place % len(rows)]) for place in places.tolist()]
    pixels = [data.views(torch.from_numpy(photos.images[np.array(chosen)]), SIZE, True)]
    about = [writer.photo(random, i, photos.captions[row], PROBES) for i, row in enumerate(chosen)]
    kinds = [("photos", about)]
    options = np.flatnonzero(faces.part == "train")
    # rare expressions more often than they come, by the fourth root
    counts = np.bincount(faces.soft[options].argmax(1), minlength=8)
    share = (counts / counts.max())[faces.soft[options].argmax(1)] ** -0.25
    shown = random.choice(options, FACES_A_STEP, replace=False, p=share / share.sum())
    pixels.append(data.tinted(data.face_views(faces.images[shown], SIZE, True)))
    kinds.append(
        (
            "faces",
            [
                writer.face(random, PHOTOS_A_STEP + i, faces.soft[row])
                for i, row in enumerate(shown)
            ],
        )
    )
    several = []
    for _ in range(list_rows):
        picture = int(random.integers(PHOTOS_A_STEP + FACES_A_STEP))
        row = writer.root(picture if random.random() < 0.7 else None)
        for _ in range(LISTS_A_ROW):
            items = lists.nothing() if random.random() < 0.05 else lists.make(random, say)
            writer.evidence(random, row, items)
        several.append(row)
    kinds.append(("lists", several))
    clips = []  # beside the others, not among them: these lists are twice as long
    for _ in range(CLIP_ROWS):
        clips.append(writer.root(int(random.integers(PHOTOS_A_STEP))))
        writer.evidence(random, clips[-1], lists.make_clip(random, say))
    kinds.append(("clips", clips))
    parts = [(name, pack(rows_)) for name, rows_ in kinds]
    parts[0] = ("photos", blanked(parts[0][1], writer.scene[-1]))
    return parts, torch.cat(pixels), chosen


def settle(model: LlavaForConditionalGeneration, states: Tensor) -> None:
    """Start the projector so that it passes on the tower's states centred and at unit scale."""
    first = model.model.multi_modal_projector.linear_1
    second = model.model.multi_modal_projector.linear_2
    flat = states.reshape(-1, states.shape[-1])
    with torch.no_grad():
        scale = flat.std(0).clamp(min=0.05)
        first.weight.normal_(0, states.shape[-1] ** -0.5).div_(scale)
        first.bias.copy_(-(first.weight @ flat.mean(0)))
        second.weight.normal_(0, 0.04 * states.shape[-1] ** -0.5)


def teach(
    sources: Sources,
    tokenizer: PreTrainedTokenizerFast,
    tower: dict[str, Tensor],
    out: Path,
    steps: int,
    seed: int,
    device: str,
    start: Path | None = None,
    export_every: int = 200,
) -> LlavaForConditionalGeneration:
    """Train and return the model (moving average). Goes on from `out`/language.pt.

    Every `export_every` steps the model folder `out`/llava is written anew.
    `start`: the model folder whose language model it begins with, at half the learning rate.
    """
    writer = Writer(tokenizer)
    photos = sources.photos
    say = lists.Sentences(photos.told("train"), faces=sources.measured, any_lead=UNCLEAR)
    critic = Critic(photos, writer)
    model = build(tokenizer, seed)
    vision = model.model.vision_tower
    missing, extra = vision.load_state_dict(tower, strict=False)
    assert not extra, extra
    assert all(name.startswith("pooler") for name in missing), missing
    if start is not None:
        earlier = LlavaForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
        model.model.language_model.load_state_dict(earlier.model.language_model.state_dict())
        model.tie_weights()
    model.to(device).eval()  # eval: the tower's batch statistics stay as they are
    with torch.no_grad():
        some = torch.from_numpy(photos.images[photos.rows("train")[:128]])
        settle(model, tower_states(vision, data.views(some, SIZE, False).to(device)))
    language = nn.ModuleDict(
        {"text": model.model.language_model, "projector": model.model.multi_modal_projector}
    )
    peak = PEAK_RATE if start is None else PEAK_RATE / 2
    learner = Pair(language, peak, weight_decay=0.05, share=0.6)
    seeing = Pair(vision, peak * TOWER_SHARE, weight_decay=0.05)
    average, begin = Average(model, MEMORY), 0
    saved = out / "language.pt"
    if saved.is_file():
        state = torch.load(saved, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        learner.load_state_dict(state["learner"])
        seeing.load_state_dict(state["seeing"])
        average.state, average.steps, begin = state["average"], state["step"], state["step"]
    losses: dict[str, list[float]] = {}
    started = time.time()
    for step in range(begin, steps):
        progress = step / steps
        joint, own_captions = JOINT <= progress < OWN, progress >= OWN
        vision.requires_grad_(joint)
        list_rows = next(rows for until, rows in LIST_ROWS if progress < until)
        parts, pixels, chosen = batches(sources, writer, say, seed, step, list_rows)
        with torch.set_grad_enabled(joint):
            states = tower_states(vision, pixels.to(device))
        total = sum(float(packed.weight.sum()) for _, packed in parts)
        loss = torch.zeros((), device=device)
        for name, packed in parts:
            photo = name == "photos"
            seen = functional.dropout1d(states, UNSEEN) if photo else states
            logits = forward(model, packed, seen)
            sum_, weight = loss_of(logits, packed, SMOOTHING if photo else 0.0)
            loss = loss + sum_ / total
            losses.setdefault(name, []).append(sum_.item() / weight)
        if own_captions:
            about = states[: len(chosen)]
            told = sample(model, writer, about.detach())
            rows, scores = critic.rows(told, chosen)
            own = pack(rows)
            sum_, _ = loss_of(forward(model, own, about), own)
            loss = loss + REWARD * sum_ / len(own.target)
            losses.setdefault("own captions' CIDEr-D", []).append(float(scores.mean()))
        loss.backward()
        nn.utils.clip_grad_norm_(language.parameters(), 1.0)
        factor = rate(progress, 0.03)
        learner.step(factor)
        if joint:
            nn.utils.clip_grad_norm_(vision.parameters(), 1.0)
            seeing.step(min(1.0, (step - JOINT * steps + 1) / 50) * factor)
        average.decay = OWN_MEMORY if own_captions else MEMORY
        average.update(model)
        if (step + 1) % 25 == 0:
            told = " ".join(f"{name} {np.mean(each[-25:]):.3f}" for name, each in losses.items())
            pace = (step + 1 - begin) / (time.time() - started)
            print(f"language {step + 1}/{steps} {told} {pace:.2f} steps/s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            save(
                {
                    "model": model.state_dict(),
                    "learner": learner.state_dict(),
                    "seeing": seeing.state_dict(),
                    "average": average.state,
                    "step": step + 1,
                },
                saved,
            )
        if (step + 1) % export_every == 0 or step + 1 == steps:
            averaged = build(tokenizer, seed)
            averaged.load_state_dict({k: v.cpu() for k, v in average.state.items()})
            export(averaged.eval(), tokenizer, out / "llava")
    return averaged
