"""Put a trained model folder where the program looks for it, and record its sha256.

python -m training.llava.ship runs/llava/llava
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from transformers import AutoProcessor, LlavaForConditionalGeneration

from kuleshov.tools.pocket.weights import CHECKSUMS
from training.checksums import enter

HOME = CHECKSUMS.with_name("llava")
NAME = "llava/model.safetensors"


def ship(folder: Path) -> str:
    """Copy the folder into the package, whole or not at all, and write the checksum of its
    weights; other entries stay. Returns the checksum."""
    AutoProcessor.from_pretrained(folder)  # both refuse what is not a model folder
    LlavaForConditionalGeneration.from_pretrained(folder)
    fresh, old = HOME.with_name("llava.new"), HOME.with_name("llava.old")
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder, fresh)
    for path in fresh.iterdir():
        path.chmod(0o644)
    if HOME.exists():
        HOME.rename(old)
    fresh.rename(HOME)
    shutil.rmtree(old, ignore_errors=True)
    return enter(NAME, HOME / "model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.llava.ship", description=__doc__)
    parser.add_argument("folder", type=Path)
    print(f"{NAME} {ship(parser.parse_args().folder)}")


if __name__ == "__main__":
    main()
