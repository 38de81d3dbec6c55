"""Runs annotation in processes that are killed at random moments; prints the kills as JSON.

The models are loaded once here; each run is a fork, because to start Python anew for every kill
would take minutes. Called with the data set, the run directory and the least number of kills.
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


def run(agent: Agent, source: str, out: str) -> int:
    """A fork that annotates; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # torch builds its pool of threads anew after a fork: once, before threads ask for it
            torch.set_num_threads(1)
            agent.annotate(source, out, workers=3, batch=2)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def main(source: str, base: str, kills: int) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    agent = Agent.load(model="pocket", faces="pocket", max_new_tokens=16)
    chance = random.Random(8)
    landed: list[dict[str, int]] = []
    runs = 0
    while len(landed) < kills:
        out = Path(base) / f"run-{runs}"
        runs += 1
        before, longest = 0, 1.0
        while True:
            child = run(agent, source, str(out))
            time.sleep(chance.uniform(0.0, longest))
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended:
                if code:
                    sys.exit("a run ended by itself before it was done")
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            file = out / "annotations.jsonl"
            done = len(file.read_bytes().splitlines()) if file.exists() else 0
            landed.append({"run": runs - 1, "done": done})
            # a busy machine may not finish one item before it is killed: it gets more time
            longest = longest * 1.3 if done == before else 1.0
            before = done
    print(json.dumps({"kills": landed, "runs": runs}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
