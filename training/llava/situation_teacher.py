"""What larger language models make of the situations: soft labels and features to learn from.

The models are small open ones that packages ship (see the model card for which); their middle
layers are read, a head on them learns the labels of people, and what it then says of each
situation, together with a logistic regression on words, is what the pocket LLaVA learns beside
people's own words (distillation, Hinton et al. 2015). Nothing of those models goes into the folder
that ships.

    python -m training.llava.situation_teacher --data ../shared/data --model FOLDER [FOLDER ...]
        --out runs/s
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from torch import Tensor, nn

from training.llava import data
from training.llava.situations import ISEAR, POOL, Situations, place_of, read_situations

DEPTHS = (0.5, 0.7)
"""Where in the stack of layers a model is read."""
LONGEST = 80
HIDDEN, EPOCHS, RATE, DECAY, DROPOUT = 256, 14, 5e-4, 3e-2, 0.4
HEADS, FOLDS, FEATURES = 2, 4, 192
WORDS_SHARE = 0.45
WEIGHTS = {"isear": 1.0, "event2mind": 0.25, "own": 1.5}


@torch.inference_mode()
def read_features(folder: Path, texts: list[str], batch: int = 32) -> np.ndarray:
    """(texts, 4 × width): at each of DEPTHS the mean over the tokens and the last token."""
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    language = model.model.language_model
    layers = [round(depth * len(language.layers)) for depth in DEPTHS]
    language.layers = language.layers[: max(layers)]
    language.norm = nn.Identity()
    width = language.config.hidden_size
    found = np.zeros((len(texts), len(layers) * 2 * width), np.float16)
    order = np.argsort([len(text) for text in texts])
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        given = tokenizer(
            [texts[i] for i in rows],
            return_tensors="pt",
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=LONGEST,
        )
        seen = language(
            input_ids=given.input_ids,
            attention_mask=given.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        # the first token's state is an outlier of such models and says nothing
        mask = given.attention_mask[..., None].float().clone()
        mask[:, 0] = 0
        last = given.attention_mask.sum(1) - 1
        parts = []
        for layer in layers:
            parts.append((seen[layer].float() * mask).sum(1) / mask.sum(1).clamp(min=1))
            parts.append(seen[layer][torch.arange(len(rows)), last].float())
        found[rows] = torch.cat(parts, 1).numpy().astype(np.float16)
    return found


def train_head(x: Tensor, people: Tensor, isear: Tensor, weight: Tensor, seed: int) -> nn.Module:
    """A head that predicts people's shares, (n, 12); ISEAR's people chose among seven labels."""
    torch.manual_seed(seed)
    head = nn.Sequential(
        nn.Dropout(DROPOUT),
        nn.Linear(x.shape[1], HIDDEN),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, len(POOL)),
    )
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    closed = torch.full((len(POOL),), -1e9)
    closed[[place_of(label) for label in ISEAR]] = 0
    for epoch in range(EPOCHS):
        head.train()
        for rows in torch.randperm(len(x)).split(256):
            logits = head(x[rows]) + isear[rows, None] * closed
            loss = (-(people[rows] * logits.log_softmax(-1)).sum(-1) * weight[rows]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - (epoch + 1) / EPOCHS) + 1e-5
    return head.eval()


@torch.inference_mode()
def said_of(heads: list[nn.Module], x: Tensor) -> np.ndarray:
    """Mean log-probabilities, (n, 12)."""
    return torch.stack([head(x).log_softmax(-1) for head in heads]).mean(0).numpy()


def words_of(situations: Situations) -> np.ndarray:
    """Log-probabilities over ISEAR's labels, (n, 7), of a logistic regression on words and pairs.

    It knows ISEAR's training situations; what is said of one of them comes from a fold that has
    not seen it.
    """
    texts = np.array([one.text for one in situations.all])
    rows = np.array([i for i in situations.rows("train") if situations.all[i].source == "isear"])
    places = [place_of(label) for label in ISEAR]
    people = np.array([one_of(situations, i)[places].argmax() for i in rows])

    def fitted(some: np.ndarray) -> Pipeline:
        counts = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        model = make_pipeline(counts, LogisticRegression(C=8, max_iter=500))
        return model.fit(texts[rows[some]], people[some])

    every = np.arange(len(rows))
    said = fitted(every).predict_log_proba(texts)
    for fold in np.array_split(np.random.default_rng(1).permutation(every), FOLDS):
        model = fitted(np.setdiff1d(every, fold))
        said[rows[fold]] = model.predict_log_proba(texts[rows[fold]])
    return said


def one_of(situations: Situations, place: int) -> np.ndarray:
    """People's shares (12,) of a situation that somebody labelled."""
    people = situations.all[place].people
    assert people is not None
    return people


def with_words(labels: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The heads' log-probabilities (n, 12), ISEAR's seven labels shared out anew among themselves:
    the geometric mean of heads and words."""
    places = [place_of(label) for label in ISEAR]
    own = labels[:, places]
    mass = np.logaddexp.reduce(own, axis=1, keepdims=True)
    mixed = (1 - WORDS_SHARE) * (own - mass) + WORDS_SHARE * words
    mixed -= np.logaddexp.reduce(mixed, axis=1, keepdims=True)
    found = labels.copy()
    found[:, places] = mixed + mass
    return found


def teach_labels(situations: Situations, features: np.ndarray) -> dict[str, np.ndarray]:
    """`labels` (n, 12) log-probabilities and `features` (n, FEATURES) of all situations.

    What is said of a training situation of ISEAR comes from heads that have not seen it.
    """
    all_ = situations.all
    isear = np.array([one.source == "isear" for one in all_])
    train = situations.part == "train"
    features = features.astype(np.float32)  # the variance of float16 overflows
    mean, scale = features[isear].mean(0), features[isear].std(0) + 1e-3
    x = torch.tensor((features - mean) / scale).clamp(-6, 6)
    known = train & np.array([one.people is not None for one in all_])
    people = torch.tensor(
        np.array([one.people if one.people is not None else np.zeros(len(POOL)) for one in all_])
    ).float()
    weight = torch.tensor([WEIGHTS[one.source] for one in all_])
    closed = torch.tensor(isear).float()

    def head_on(rows: np.ndarray, seed: int) -> nn.Module:
        i = torch.tensor(rows)
        return train_head(x[i], people[i], closed[i], weight[i], seed)

    labels = said_of([head_on(np.flatnonzero(known), seed) for seed in range(HEADS)], x)
    rows = np.flatnonzero(known & isear)
    for k, fold in enumerate(np.array_split(np.random.default_rng(1).permutation(rows), FOLDS)):
        head = head_on(np.setdiff1d(np.flatnonzero(known), fold), 10 + k)
        labels[fold] = said_of([head], x[torch.tensor(fold)])
    labels = with_words(labels, words_of(situations))
    upper = x[:, x.shape[1] // 2 :]
    axes = torch.pca_lowrank(upper[torch.tensor(train)], FEATURES, niter=3)[2]
    turned = upper @ axes
    return {
        "labels": labels.astype(np.float32),
        "features": (turned / turned.std(0)).numpy().astype(np.float16),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA)
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="their folders")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    situations = read_situations(args.data)
    texts = [one.text for one in situations.all]
    features = np.concatenate([read_features(folder, texts) for folder in args.model], 1)
    found = teach_labels(situations, features)
    np.savez(args.out / "situation_teacher.npz", **found)
    places = [place_of(label) for label in ISEAR]
    for part in ("dev", "test"):
        rows = [i for i in situations.rows(part) if situations.all[i].source == "isear"]
        right = [
            found["labels"][i][places].argmax() == one_of(situations, i)[places].argmax()
            for i in rows
        ]
        print(f"teacher, ISEAR {part}: {np.mean(right):.3f} of {len(rows)}")


if __name__ == "__main__":
    main()
