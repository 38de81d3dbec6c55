"""Forked processes: what the parent loaded is refused at once, what the child loads works."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")

PARENT = """
import multiprocessing, os, sys
import torch
from kuleshov import Agent
from kuleshov.annotate.annotate import batched
from kuleshov.session.session import Session
from kuleshov.tools.types import KuleshovError

photo = sys.argv[1]
torch.set_num_threads(2)

def told(work):
    try:
        work()
        return "no error"
    except KuleshovError as error:
        return str(error)

def each(way):
    talk = [{"role": "user", "content": [{"type": "text", "text": "yes or no?"}]}]
    return told({
        "infer": lambda: agent.infer(photo),
        "stream": lambda: list(agent.stream(photo)),
        "code": lambda: coder.code(photo),
        "annotate": lambda: agent.annotate([photo], os.path.join(sys.argv[2], "run")),
        "copy": lambda: agent.with_settings(seed=1).infer(photo),
        "copy made before": lambda: before.infer(photo),
        "session": lambda: list(Session(agent, photo).read()),
        "model": lambda: agent.crew.mllm.score(talk, ["yes", "no"]),
        "queue": lambda: queue.score(talk, ["yes", "no"]),
    }[way])

def anew(_):
    return Agent.load(model="pocket", faces="pocket").infer(photo).people[0].emotions.top

if __name__ == "__main__":
    torch.ones(400, 400) @ torch.ones(400, 400)  # OpenMP's threads are there now
    agent = Agent.load(model="pocket", faces="pocket")
    coder = agent.with_settings(scheme="default")
    before = agent.with_settings(seed=2)
    queue = batched(agent.crew.mllm)
    read = agent.infer(photo).people[0].emotions.top
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for way in WAYS:
            print(way, "|", pool.apply_async(each, [way]).get(timeout=60), flush=True)
        print("anew |", pool.apply_async(anew, [0]).get(timeout=60) == read, flush=True)
    print("parent |", agent.infer(photo).people[0].emotions.top == read)
    queue.close()
"""
WAYS = ("infer", "stream", "code", "annotate", "copy", "copy made before", "session", "model")
WAYS += ("queue",)


def test_children_of_a_process_with_a_loaded_agent(tmp_path: Path, feat_data: Path):
    program = tmp_path / "pool.py"
    program.write_text(f"WAYS = {WAYS!r}\n{textwrap.dedent(PARENT)}")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    ran = subprocess.run(
        [sys.executable, str(program), str(feat_data / "single_face.jpg"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    told = dict(line.split(" | ") for line in ran.stdout.splitlines())
    assert set(told) == {*WAYS, "anew", "parent"}, ran.stderr
    for way in WAYS:
        assert "was loaded in process" in told[way]
        assert "load one in each process, or start processes by multiprocessing's" in told[way]
    assert (told["anew"], told["parent"]) == ("True", "True")
