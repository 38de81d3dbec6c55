"""A Ray cluster on this machine, of which a node is killed in mid-run."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from PIL import Image
from test_annotate_killed import content

from kuleshov import Agent
from kuleshov.apps.cli.main import main

ITEMS = 48


@pytest.fixture
def folder(tmp_path: Path, feat_data: Path) -> Path:
    (tmp_path / "set").mkdir()
    photo = Image.open(feat_data / "single_face.jpg").convert("RGB")
    for n in range(ITEMS):
        photo.resize((96 + n, 96 + n)).save(tmp_path / "set" / f"{n:02}.png")
    (tmp_path / "set" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "set"


@pytest.mark.skipif(os.name == "nt", reason="Ray's test cluster needs POSIX")
@pytest.mark.usefixtures("torch_threads")  # one, as in the actors
def test_a_node_that_is_killed_costs_nothing(folder: Path, tmp_path: Path, monkeypatch):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # its workers import as this process does, and are asked nothing of by others
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    agent = Agent.load(model="pocket", faces="pocket", max_new_tokens=16, device="cpu")
    agent.annotate(folder, tmp_path / "local")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    killed = threading.Event()
    seen: list[int] = []

    def watch(progress) -> None:
        seen.append(progress.done)
        if progress.done >= 1 and not killed.is_set():
            killed.set()
            cluster.remove_node(nodes[0], allow_graceful=False)

    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        ended = agent.annotate(folder, tmp_path / "ray", engine="ray", workers=2, watch=watch)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed.is_set()
    assert (ended.done, ended.failed) == (ITEMS, 1)
    assert content(tmp_path / "ray") == content(tmp_path / "local")


def test_an_engine_that_there_is_not(folder, tmp_path, capsys):
    call = ["annotate", str(folder), "--out", str(tmp_path / "x"), "--engine", "spark"]
    assert main([*call, "--model", "pocket", "--faces", "pocket"]) == 2
    assert "there is no engine 'spark'; known: local, ray." in capsys.readouterr().err
