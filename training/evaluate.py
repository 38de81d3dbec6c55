"""Every figure of the bundled models, measured again: `python -m training.evaluate`.

Runs the evaluation of the face net, the detector and the LLaVA on the parts of the data that
their training did not see, prints one table, and with `--json` writes the figures as one object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from kuleshov.tools import pocket

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    "face": "face_net.safetensors",
    "detector": "detector.safetensors",
    "llava": "llava",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", choices=sorted(MODELS), action="append")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"there is no data folder {arguments.data}; give it with --data.")
    found: dict[str, dict[str, float]] = {}
    for name in arguments.only or MODELS:
        module = importlib.import_module(f"training.{name}.evaluate")
        found[name] = module.figures(arguments.data, pocket.weights_folder() / MODELS[name])
        width = max(map(len, found[name]))
        print(f"\n{name}")
        for figure, value in found[name].items():
            print(f"  {figure:{width}}  {value:.4g}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
