"""How the pocket LLaVA learns from captions of its own, with the bundled one as it is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

# `training` is not installed; it is found from the root of the repository.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from kuleshov import prompts
from training.llava import data, language, reward
from training.llava.cider import Frequencies, cider
from training.llava.evaluate import Pocket, user
from training.llava.model import SIZE, tower_states
from training.llava.tasks import Writer, pack

BUNDLED = Path(__file__).resolve().parents[2] / "tools" / "pocket" / "llava"


@pytest.fixture(scope="module")
def model() -> LlavaForConditionalGeneration:
    return LlavaForConditionalGeneration.from_pretrained(BUNDLED, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def writer() -> Writer:
    return Writer(PreTrainedTokenizerFast.from_pretrained(BUNDLED))


@pytest.fixture
def photos(feat_data: Path) -> data.Photos:
    several = [feat_data / "multi_face.jpg", feat_data / "single_face.jpg"]
    images = [np.asarray(Image.open(path).convert("RGB").resize((SIZE, SIZE))) for path in several]
    captions = [["Five people smile.", "Five friends smile at a camera."], ["A person smiles."]]
    return data.Photos(["a", "b"], captions, np.stack(images), np.array(["train", "train"]))


def test_cider_of_a_persons_caption_is_high_and_of_another_photos_low():
    references = [["A dog runs on grass.", "A brown dog runs."], ["Two people eat at a table."]]
    same, other, part = cider(
        ["A brown dog runs.", "Two people eat at a table.", "A brown dog runs on on on grass."],
        [references[0]] * 3,
        Frequencies.of([*references, ["A child swims."]]),
    )
    assert same > part > other == 0
    assert cider(["Two people eat at a table."], references[1:], Frequencies.of(references)) == (
        pytest.approx([10.0])
    )


def test_captions_are_drawn_from_the_distribution_that_answers_come_from(
    model, writer: Writer, photos: data.Photos, monkeypatch
):
    pixels = data.views(torch.from_numpy(photos.images), SIZE, False)
    with torch.no_grad():
        states = tower_states(model.model.vision_tower, pixels)
    torch.manual_seed(3)
    drawn = reward.sample(model, writer, states, tries=4)
    assert len(drawn) == 8
    assert len({tuple(tokens) for tokens in drawn}) > 4
    ends = [tokens[-1] == writer.eos for tokens in drawn]
    assert all(
        end or len(tokens) == reward.MOST_TOKENS for end, tokens in zip(ends, drawn, strict=True)
    )
    # The most probable word each time instead of a drawn one: the greedy answer.
    monkeypatch.setattr(torch, "multinomial", lambda p, _: p.argmax(-1, keepdim=True))
    greedy = reward.sample(model, writer, states, tries=1)
    told = [writer.tokenizer.decode(tokens, skip_special_tokens=True) for tokens in greedy]
    pocket = Pocket(BUNDLED)
    for picture, text in zip(photos.images, told, strict=True):
        ask = user(prompts.render_prompt("brief", "scene"), Image.fromarray(picture))
        assert pocket.write([[ask]], reward.MOST_TOKENS) == [text]


def test_what_agrees_with_people_more_than_its_like_is_made_more_probable(
    writer: Writer, photos: data.Photos
):
    critic = reward.Critic(photos, writer)
    whole = writer.ids("Five people smile.")
    captions = [
        [*whole, writer.eos],
        [*whole[:-1], writer.eos],  # no full stop
        [*writer.ids("A dog runs."), writer.eos],
        *[[*writer.ids("A person smiles."), writer.eos]] * 3,
    ]
    rows, scores = critic.rows(captions, [0, 1])
    assert scores[0, 0] > scores[0, 1] > scores[0, 2] == 0
    weights = [[node.targets[0][2] for node in row.nodes[2:]] for row in rows]
    assert weights[0][0] > 0 > weights[0][2]
    assert sum(weights[0]) == pytest.approx(0, abs=1e-6)
    assert weights[1] == pytest.approx([0, 0, 0])
    assert rows[0].nodes[2].targets[-1][1] == writer.eos, "where to end is learnt, too"


def test_a_step_along_the_reward_makes_the_better_caption_likelier(
    model, writer: Writer, photos: data.Photos
):
    critic = reward.Critic(photos, writer)
    told = ["Five people smile.", "A dog runs.", "A person smiles.", "A dog runs."]
    rows, _ = critic.rows([[*writer.ids(text), writer.eos] for text in told], [0, 1])
    packed = pack(rows)
    states = torch.randn(2, 49, 192, generator=torch.Generator().manual_seed(0))
    head = model.lm_head.weight.detach().clone()

    def loss() -> torch.Tensor:
        return language.loss_of(language.forward(model, packed, states), packed)[0]

    before = loss()
    (slope,) = torch.autograd.grad(before, model.lm_head.weight)
    try:
        with torch.no_grad():
            model.lm_head.weight -= 1e-3 * slope / slope.norm()
        assert loss() < before
    finally:
        with torch.no_grad():
            model.lm_head.weight.copy_(head)


def test_words_are_hidden_where_they_are_continued_and_never_the_question(writer: Writer):
    random = np.random.default_rng(0)
    captions = ["Five friends smile at a camera in the sun.", "Five people smile."]
    packed = pack([writer.photo(random, i, captions, 1) for i in range(30)])
    torch.manual_seed(0)
    hidden = language.blanked(packed, writer.scene[-1])
    changed = hidden.ids != packed.ids
    assert (hidden.ids[changed] == 0).all()
    assert (packed.ids[changed] != writer.scene[-1]).all()
    row, place = packed.source.T
    asked = torch.zeros_like(changed)
    asked[row, place] = True
    assert asked[changed].all()
    assert 0.08 < changed.sum() / asked.sum() < 0.2
    assert torch.equal(hidden.target, packed.target)
