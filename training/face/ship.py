"""Put trained weights where the program looks for them, and record their sha256.

python -m training.face.ship runs/face/face_net.safetensors
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

from kuleshov.tools.pocket.face_net import NAME, WEIGHTS, load
from kuleshov.tools.pocket.weights import CHECKSUMS, sha256


def ship(weights: Path) -> str:
    """Copy `weights` into the package and write its checksum; other entries stay. Returns it."""
    load(weights)  # refuses what is not a face net
    shutil.copyfile(weights, WEIGHTS)
    known = json.loads(CHECKSUMS.read_text("utf-8")) if CHECKSUMS.is_file() else {}
    known[NAME] = sha256(WEIGHTS)
    beside = CHECKSUMS.with_suffix(".tmp")
    beside.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", "utf-8")
    os.replace(beside, CHECKSUMS)
    return known[NAME]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.face.ship", description=__doc__)
    parser.add_argument("weights", type=Path)
    print(f"{WEIGHTS.name} {ship(parser.parse_args().weights)}")


if __name__ == "__main__":
    main()
