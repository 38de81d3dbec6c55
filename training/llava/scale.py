"""Temperatures that bring the bundled LLaVA's readings to the scale of people's labels.

    python -m training.llava.scale --data ../shared/data

Fusion `people` pools face and context by weights that hold where both are on one scale. The face
net is fitted to the votes of FER+. Here a temperature is fitted to each way in which the LLaVA is
asked without an explanation, by the least negative log-likelihood (Guo et al. 2017):

- context: ISEAR's dev part, which it was not trained on, told beside a blank picture;
  people's own label. Shame and guilt are no labels of ekman-7 and are left out; nobody could
  answer surprise or neutral there, so the reading is taken given that it is one of the five.
- face: FER+ PublicTest faces cut out, with the evidence that the face net gives; the majority.

Writes `tools/pocket/scale.json`, with the SHA-256 of the weights that it holds for.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

from kuleshov import Agent
from kuleshov.asking import images
from kuleshov.asking.scoring import Likelihood
from kuleshov.evidence import collection
from kuleshov.studies.calibrate import fit_temperature, log_losses, temper_table
from kuleshov.tools import pocket
from kuleshov.tools.pocket import weights
from training.llava.situations import place_of, read_situations

SEED = 0
FACES = 600
ISEAR = {
    "joy": "happiness",
    "fear": "fear",
    "anger": "anger",
    "sadness": "sadness",
    "disgust": "disgust",
}
COMMAND = "python -m training.llava.scale --data ../shared/data"


def context_readings(agent: Agent, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Readings of situations that are told, (sentences, the five labels), and people's label."""
    crew, likelihood = agent.crew, Likelihood(agent.crew)
    told = read_situations(folder)
    places = [place_of(name) for name in ISEAR]
    rows = [
        (one.text, list(ISEAR)[int(one.people[places].argmax())])
        for one in (told.all[place] for place in told.rows("dev"))
        if one.source == "isear" and one.people is not None and one.people[places].any()
    ]
    names, blank = crew.labels.names, images.blank_image()
    found, truth = [], []
    for text, felt in rows:
        items = collection.collect_evidence(None, None, [text[:2000]])
        talk = crew.writer.direct(blank, None, None, items, names)
        scores = likelihood.scores(talk, names, "direct")
        found.append([scores.probabilities[name] for name in names])
        truth.append(names.index(ISEAR[felt]))
    asked = [names.index(name) for name in ISEAR.values()]
    given = np.array(found)[:, asked]
    return given / given.sum(1, keepdims=True), np.array([asked.index(place) for place in truth])


def face_readings(agent: Agent, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Readings of faces cut out, (faces, labels), and the label of most votes."""
    crew, likelihood = agent.crew, Likelihood(agent.crew)
    names = crew.labels.names
    with np.load(path) as data:
        order = [str(name) for name in data["vote_names"]]
        places = np.flatnonzero(data["usage"] == "PublicTest")
        votes, pictures = data["votes"][places], data["images"][places]
    known = [order.index(name) for name in names]
    majority = votes.max(1) * 2 > votes.sum(1)
    kept = np.flatnonzero(majority & np.isin(votes.argmax(1), known))
    chosen = np.random.default_rng(SEED).permutation(kept)[:FACES]
    found, truth = [], []
    for place in chosen:
        picture = np.repeat(pictures[place][:, :, None], 3, axis=2)
        faces = crew.faces.observe([picture])[0]
        if not faces:
            continue
        items = collection.collect_evidence(faces[0], None, person=1)
        talk = crew.writer.direct(images.to_image(picture), None, None, items, names)
        scores = likelihood.scores(talk, names, "direct")
        found.append([scores.probabilities[name] for name in names])
        truth.append(names.index(order[votes[place].argmax()]))
    return np.array(found), np.array(truth)


def fitted(given: np.ndarray, truth: np.ndarray, source: str) -> dict[str, object]:
    temperature, at_edge = fit_temperature(given, truth)
    assert not at_edge, "the temperature lies at the edge of the search"
    return {
        "temperature": round(temperature, 4),
        "items": len(truth),
        "accuracy": round(float((given.argmax(1) == truth).mean()), 4),
        "nll_before": round(float(log_losses(given, truth).mean()), 4),
        "nll_after": round(float(log_losses(temper_table(given, temperature), truth).mean()), 4),
        "nll_of_uniform": round(math.log(given.shape[1]), 4),
        "source": source,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    agent = Agent.load(model="pocket", faces="pocket", labels="ekman-7")
    told = {
        "weights_sha256": weights.hash_file(
            pocket.weights_folder() / "llava" / "model.safetensors"
        ),
        "labels": "ekman-7",
        "command": COMMAND,
        "context": fitted(
            *context_readings(agent, data),
            "ISEAR (Scherer & Wallbott 1994), situations of joy, fear, anger, sadness, disgust",
        ),
        "face": fitted(
            *face_readings(agent, data / "ferplus48.npz"),
            "FER+ PublicTest (Barsoum et al. 2016), faces with a majority",
        ),
    }
    path = pocket.SCALE
    path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
