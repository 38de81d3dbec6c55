"""Runs an evaluation in processes that are killed, and once undisturbed; prints the kills as JSON.

The models are loaded once and each run is a fork, as in `annotate_killed`. Called with the data,
the folder for both evaluations and the number of kills.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from kuleshov import Agent
from kuleshov.evals.datasets import registry
from kuleshov.evals.harness import evaluate, scores

SYSTEMS = ("face", "bayes", "text", "chance")


def work(agent: Agent, data: str, out: str) -> None:
    found = evaluate.begin_evaluation(registry.find_task("manifest", data), data, Path(out))
    evaluate.run_systems(
        found, SYSTEMS, lambda settings: evaluate.reset_agent(agent, settings), workers=2, batch=2
    )
    scores.write_scores(found, scores.score_evaluation(found, resamples=20))


def fork(agent: Agent, data: str, out: str) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # torch builds its pool of threads anew after a fork: once, before threads ask for it
            torch.set_num_threads(1)
            work(agent, data, out)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def lines(file: Path) -> int:
    return len(file.read_bytes().splitlines()) if file.exists() else 0


def wait(child: int, file: Path, least: int | None) -> int | None:
    """Until the run has so many lines (None), or has ended (its code)."""
    while least is None or lines(file) < least:
        ended, code = os.waitpid(child, os.WNOHANG)
        if ended:
            return code
        time.sleep(0.01)
    return None


def whole(agent: Agent, data: str, out: str, kills: int) -> list[int]:
    """Run to the end through so many kills; the lines that there were at each."""
    chance = random.Random(5)
    landed: list[int] = []
    file = Path(out) / "runs" / "bayes" / "annotations.jsonl"
    while True:
        child = fork(agent, data, out)
        code = wait(child, file, len(landed) if len(landed) < kills else None)
        if code == 0:
            return landed
        if code is not None:
            sys.exit("a run ended by itself before it was done")
        time.sleep(chance.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        landed.append(lines(file))


def main(data: str, base: str, kills: int) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    agent = Agent.load(model="pocket", faces="pocket", max_new_tokens=16)
    landed = whole(agent, data, f"{base}/killed", kills)
    whole(agent, data, f"{base}/undisturbed", 0)
    print(json.dumps(landed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
