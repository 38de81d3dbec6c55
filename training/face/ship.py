"""Put trained weights where the program looks for them, and record their sha256.

python -m training.face.ship runs/face/face_net.safetensors
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from kuleshov.tools.pocket.face_net import NAME, WEIGHTS, load_face_net
from training.checksums import enter


def ship(weights: Path) -> str:
    """Copy `weights` into the package and write its checksum; other entries stay. Returns it."""
    load_face_net(weights)  # refuses what is not a face net
    shutil.copyfile(weights, WEIGHTS)
    return enter(NAME, WEIGHTS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.face.ship", description=__doc__)
    parser.add_argument("weights", type=Path)
    print(f"{WEIGHTS.name} {ship(parser.parse_args().weights)}")


if __name__ == "__main__":
    main()
