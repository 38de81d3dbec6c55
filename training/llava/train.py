"""Train the pocket LLaVA: one command from the data to the model folder.

    python -m training.llava.train --data ../shared/data --out runs/llava

Stages: photos decoded (`photos.npy`), what a published network sees in them (`teacher.npz`, needs
`pip install -e ".[training]"`), tokenizer (`tokenizer/`), picture tower (`warm_up.pt`), language
model with all tasks (`language.pt`), the model folder (`llava/`). Started again with the same
`--out`, it goes on after the last saved step of the stage it was in. Every step draws its random
numbers from (seed, step) alone. On one AVX2 core that nobody else uses: about 20 minutes for the
teacher, 60 and 70 for the two trainings.

`--language-from FOLDER` begins the last stage with the language model of an earlier run, which then
needs half the steps: what it knows of evidence lists does not depend on the tower.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from training.llava import data
from training.llava.language import Sources, teach
from training.llava.model import train_tokenizer
from training.llava.tasks import corpus
from training.llava.tower import warm_up


def train(
    folder: Path,
    out: Path,
    tower_steps: int,
    language_steps: int,
    seed: int,
    device: str,
    language_from: Path | None = None,
) -> Path:
    """Run all stages that `out` lacks; returns the model folder.

    `language_from`: a model folder of an earlier run, whose tokenizer and language model the last
    stage starts from; it sees the new tower's pictures only.
    """
    out.mkdir(parents=True, exist_ok=True)
    sources = Sources(
        data.read_photos(folder, out / "photos.npy"),
        data.read_faces(folder),
        data.measured(folder, "train"),
    )
    if language_from is not None:
        AutoTokenizer.from_pretrained(language_from).save_pretrained(out / "tokenizer")
    elif not (out / "tokenizer").is_dir():
        train_tokenizer(corpus(sources.photos.told("train"), seed)).save_pretrained(
            out / "tokenizer"
        )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "tokenizer")
    tower = warm_up(sources.photos, sources.faces, out, tower_steps, seed, device)
    teach(sources, tokenizer, tower, out, language_steps, seed, device, language_from)
    return out / "llava"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=data.DEFAULT_DATA)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tower-steps", type=int, default=3600)
    parser.add_argument("--language-steps", type=int, default=1560)
    parser.add_argument("--language-from", type=Path, metavar="FOLDER", help="of an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    folder = train(
        args.data,
        args.out,
        args.tower_steps,
        args.language_steps,
        args.seed,
        args.device,
        args.language_from,
    )
    print(f"written: {folder}")


if __name__ == "__main__":
    main()
