"""Forked processes: an agent goes on in a child, or says at once that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")


def ran(program: str, tmp_path: Path, photo: Path) -> dict[str, str]:
    """What a program told, `name | words` on each line; torch may use two threads in it."""
    file = tmp_path / "program.py"
    file.write_text(program)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    tests = Path(__file__).resolve().parents[1]
    environment["PYTHONPATH"] = os.pathsep.join([str(tests), str(tests / "agent")])
    done = subprocess.run(
        [sys.executable, str(file), str(photo), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" | ") for line in done.stdout.splitlines())


BEGIN = """
import multiprocessing, os, sys, threading
import torch
from kuleshov import Agent, Settings
from kuleshov.tools.mllm.local.batching import batch_model
from kuleshov.tools.errors import KuleshovError

photo, folder = sys.argv[1:]
torch.set_num_threads(2)
torch.ones(500, 500) @ torch.ones(500, 500)  # OpenMP's threads are there now

def told(work):
    try:
        return str(work())
    except KuleshovError as error:
        return str(error)

def top(inference):
    return inference.people[0].emotions.top
"""

IDLE = """
from kuleshov.session.session import Session

TALK = [{"role": "user", "content": [{"type": "text", "text": "yes or no?"}]}]

def session():
    talk = Session(agent, photo)
    list(talk.read())
    list(talk.what_if("this is a funeral"))
    talk.undo()
    return top(talk.current)

def annotated():
    done = agent.annotate([photo], os.path.join(folder, f"run-{os.getpid()}"))
    return read if (done.done, done.failed) == (1, 0) else done

WAYS = {
    "infer": lambda: top(agent.infer(photo)),
    "stream": lambda: top(list(agent.stream(photo))[-1].inference),
    "annotate": annotated,
    "copy": lambda: top(agent.with_settings(seed=1).infer(photo)),
    "copy made before": lambda: top(before.infer(photo)),
    "session": session,
    "queue": lambda: top(queued.infer(photo)),
    "another": lambda: top(Agent.load(model="pocket", faces="pocket").infer(photo)),
    "model": lambda: len(agent.crew.mllm.score(TALK, ["yes", "no"])),
}

def each(way):
    return told(WAYS[way])

if __name__ == "__main__":
    agent = Agent.load(model="pocket", faces="pocket")
    before = agent.with_settings(seed=2)
    queued = agent.with_model(batch_model(agent.crew.mllm))
    read = top(queued.infer(photo))
    print("read |", read)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for way in WAYS:
            print(way, "|", pool.apply_async(each, [way]).get(timeout=60), flush=True)
    print("parent |", top(agent.infer(photo)))
    queued.crew.mllm.close()
"""


def test_children_read_as_their_parent_does(tmp_path: Path, feat_data: Path):
    found = ran(BEGIN + IDLE, tmp_path, feat_data / "single_face.jpg")
    assert found.pop("model") == "2"
    assert len(found) == 10
    assert set(found.values()) == {found["read"]}


AT_WORK = """
from test_agent import agent as made, script
from parts import HandFaces, SMILE, face

class Slow(HandFaces):
    def observe(self, images):
        if os.getpid() == parent:
            inside.set()
            go_on.wait(60)
        return super().observe(images)

def child():
    return told(lambda: top(agent.infer(photo)))

def children():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply_async(child).get(timeout=60)

if __name__ == "__main__":
    parent, inside, go_on = os.getpid(), threading.Event(), threading.Event()
    agent = made(script(), Slow(face(SMILE)))
    print("idle |", children())
    reading = threading.Thread(target=agent.infer, args=(photo,))
    reading.start()
    inside.wait(60)
    print("at work |", children())
    go_on.set()
    reading.join()
    print("idle again |", children())
    agent.crew.faces.forks = False
    print("with threads |", children())
    print("parent |", child())
"""


def test_what_cannot_work_in_a_child_is_refused_at_once(tmp_path: Path, feat_data: Path):
    found = ran(BEGIN + AT_WORK, tmp_path, feat_data / "single_face.jpg")
    assert found["idle"] == found["idle again"] == found["parent"] == "happiness"
    way_out = (
        ", and cannot be used here: load one in each process, or start processes by "
        "multiprocessing's 'spawn'."
    )
    assert found["at work"] == (
        f"this agent was at work when this process was forked from its own{way_out}"
    )
    assert found["with threads"] == (
        "this agent has threads or a GPU that stayed with the process that this one was forked "
        f"from{way_out}"
    )


SERVER = """
from model_server import ModelServer

def child():
    connection = mllm.http
    said = told(lambda: bool(mllm.generate(TALK).text))
    return f"{said} {mllm.http is connection}"

TALK = [{"role": "user", "content": [{"type": "text", "text": "yes or no?"}]}]

if __name__ == "__main__":
    from kuleshov.tools import mllm as models

    with ModelServer() as server:
        mllm = models.load_model(server.url)
        print("parent |", child())
        with multiprocessing.get_context("fork").Pool(1) as pool:
            print("child |", pool.apply_async(child).get(timeout=60))
"""


def test_a_child_does_not_share_its_parents_connection(tmp_path: Path, feat_data: Path):
    found = ran(BEGIN + SERVER, tmp_path, feat_data / "single_face.jpg")
    assert found == {"parent": "True True", "child": "True False"}
