"""The stage that teaches situations, on little: words, shares, tokens, a model that grows."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from training.llava import lists, model, rules
from training.llava.situation_stage import (
    LAYERS,
    Taught,
    grow,
    loss_of_situations,
    mix_weights,
    situation_rows,
)
from training.llava.situations import (
    POOL,
    SETS,
    Situation,
    Situations,
    one_label,
    own_situations,
    place_of,
    read_situations,
    shares_of,
    worded,
)
from training.llava.tasks import Writer, corpus, pack
from training.llava.vocabulary import extend_tokenizer

KEPT = Path(__file__).resolve().parents[2] / "evals" / "situations.tsv"
TEXTS = ["She grieved for her grandmother.", "He was humiliated by the neighbours."] * 4


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has learnt nothing, in the shape with which situations begin."""
    folder = tmp_path_factory.mktemp("start") / "llava"
    words = model.train_tokenizer(corpus(["A dog runs on the beach."] * 40))
    model.export(model.build(words, 0).eval(), words, folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(start: Path) -> PreTrainedTokenizerFast:
    old = PreTrainedTokenizerFast.from_pretrained(start)
    whole = ("joy", "shame", "guilt", "trust", "anticipation")
    return extend_tokenizer(old, TEXTS, ["a dog runs on the beach"], 4000, whole)


def taught() -> Taught:
    said = [("own", "She grieved for her grandmother.", "sadness"), ("isear", "I lied.", "guilt")]
    all_ = [Situation(source, text, one_label(label)) for source, text, label in said]
    logs = np.log(np.full((2, len(POOL)), 1 / len(POOL), np.float32))
    where = np.array(["train", "train"])
    return Taught(Situations(tuple(all_), where), logs, np.zeros((2, 8), np.float16))


def test_our_own_situations_stand_in_no_list_that_is_kept_for_measuring() -> None:
    kept = {line.split("\t")[1].lower() for line in KEPT.read_text("utf-8").splitlines()[1:]}
    words = [set(text.strip(".").split()) for text in kept]
    found = own_situations()
    assert len(found) > 600
    assert {POOL[int(one.people.argmax())] for one in found} >= {"surprise", "contempt", "neutral"}
    for one in found:
        own = set(one.text.lower().strip(".").split())
        assert one.text.lower() not in kept
        assert max(len(own & other) / len(own | other) for other in words) < 0.6, one.text
        assert "{" not in one.text


def test_free_words_become_shares_and_unknown_ones_nothing() -> None:
    told = shares_of(["very happy", "sad", "purple"])
    assert told is not None
    assert told[place_of("happiness")] == told[place_of("sadness")] == 0.5
    assert shares_of(["purple"]) is None
    assert shares_of([]) is None


def test_events_are_told_of_somebody() -> None:
    event = Situation("event2mind", 'PersonX spills ___ on PersonY\'s "new" coat', None)
    for seed in range(20):
        text = worded(event, np.random.default_rng(seed))
        assert not set('"_{}') & set(text)
        assert "Person" not in text.replace("Person 1", "")


def test_the_tokenizer_keeps_old_texts_and_numbers(
    start: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    old = PreTrainedTokenizerFast.from_pretrained(start)
    for text in ("A dog runs on the beach.", "Evidence:\n1. AU12 lip corner puller: strong\n"):
        assert tokenizer(text)["input_ids"] == old(text)["input_ids"]
    assert len(tokenizer(TEXTS[0])["input_ids"]) < len(old(TEXTS[0])["input_ids"])
    for labels in SETS.values():
        assert all(len(tokenizer(x, add_special_tokens=False)["input_ids"]) == 1 for x in labels)


def test_a_grown_model_answers_as_before_and_then_learns(
    start: Path,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    old = LlavaForConditionalGeneration.from_pretrained(start, dtype=torch.float32).eval()
    grown = grow(start, tokenizer)
    assert len(grown.model.model.language_model.layers) == LAYERS
    ids = torch.tensor([tokenizer("USER: A dog runs on the beach.")["input_ids"]])
    with torch.no_grad():
        before = old.model.language_model(input_ids=ids).last_hidden_state
        after = grown.model.model.language_model(input_ids=ids).last_hidden_state
    assert torch.allclose(before, after, atol=1e-5)
    grown.fix_what_was_seen()
    began = {name: value.clone() for name, value in grown.model.state_dict().items()}
    head = torch.nn.Linear(192, 8)
    optimiser = grown.optimiser(head)
    for step in range(2):
        random = np.random.default_rng(step)
        loss_of_situations(grown, Writer(tokenizer), taught(), head, random, batch=4).backward()
        optimiser.step()
        optimiser.zero_grad()
    now = grown.model.state_dict()
    changed = {name for name, value in now.items() if not value.equal(began[name])}
    assert not any("vision" in name or "projector" in name for name in changed)
    table = "model.language_model.embed_tokens.weight"
    assert {f"model.language_model.layers.{layer}.mlp.up_proj.weight" for layer in (0, 5)} < changed
    assert now[table][: grown.tokens].equal(began[table][: grown.tokens])
    assert not now[table][grown.tokens :].equal(began[table][grown.tokens :])


def test_between_the_folder_and_what_was_learnt_lies_every_mixture(
    start: Path,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    grown = grow(start, tokenizer)
    learnt = {name: value + 1 for name, value in grown.model.state_dict().items()}
    mixed = mix_weights(grow(start, tokenizer).model, learnt, 0.25)
    for name, value in mixed.items():
        if value.is_floating_point():
            assert torch.allclose(value, grown.model.state_dict()[name] + 0.25, atol=1e-5)


def test_equal_texts_stand_in_one_part(tmp_path: Path) -> None:
    rows = [f"I lost my key number {'x' * (i // 2)}." for i in range(200)]
    lines = ["emotion\tsituation", *(f"sadness\t{text}" for text in rows)]
    (tmp_path / "isear.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    for part in ("train", "dev"):
        with gzip.open(tmp_path / f"event2mind_{part}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write('event\tactor\nPersonX smiles\t["happy"]\n')
    found = read_situations(tmp_path)
    parts: dict[str, set[str]] = {}
    for one, part in zip(found.all, found.part, strict=True):
        if one.source == "isear":
            parts.setdefault(one.text.lower(), set()).add(str(part))
    assert all(len(where) == 1 for where in parts.values())
    assert {"train", "dev", "test"} == {next(iter(where)) for where in parts.values()}


def test_rows_of_situations_are_asked_as_the_product_asks(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    writer = Writer(tokenizer)
    rows = situation_rows(writer, taught(), np.random.default_rng(0), 1, 2, 3)
    packed = pack(rows)
    assert float(packed.weight.sum()) > 0
    texts = [tokenizer.decode(node.tokens) for row in rows for node in row.nodes]
    assert any('context: "She grieved for her grandmother."' in text for text in texts)
    assert any("What does the person feel? One of:" in text for text in texts)


def test_what_people_said_of_a_situation_is_what_the_rule_reads() -> None:
    shares = dict.fromkeys(rules.LABELS, 0.02) | {"anger": 0.7, "sadness": 0.18}
    rules.know("They read my diary aloud.", shares)
    say = lists.Sentences(["A dog."], told=lambda random: "They read my diary aloud.", told_part=1)
    note = lists.note_of(np.random.default_rng(0), say)
    assert note == "They read my diary aloud."
    (known,) = rules.situations(f'context: "{note}"')
    assert known.gist == "an angry situation"
    assert max(known.weights, key=known.weights.__getitem__) == "anger"
    assert rules.situations("They read nothing.") == []
