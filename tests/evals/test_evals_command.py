"""`kuleshov eval` on real pictures with the pocket models: whole, resumed, killed, compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from PIL import Image

from kuleshov import Agent
from kuleshov.apps.cli import main
from kuleshov.evals.datasets import registry
from kuleshov.evals.harness import api, baselines, evaluate, scores
from kuleshov.tools.errors import KuleshovError

NAMES = {
    "0-f15-hao-ph.jpg": "happiness",
    "0-f1-su-ph.jpg": "surprise",
    "15-f13-anc-ph.jpg": "anger",
    "45-m7-di-ph.jpg": "disgust",
}
POCKET = ["--model", "pocket", "--faces", "pocket", "--progress", "quiet", "--resamples", "20"]


def lay_out(folder: Path, feat_data: Path) -> Path:
    """Faces with their labels, one picture without anybody, one that is damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,label,gender"]
    for n, (name, label) in enumerate(NAMES.items()):
        shutil.copy(feat_data / name, folder)
        rows.append(f"{name},{label},{'f' if n < 3 else 'm'}")
    Image.new("RGB", (64, 64), "navy").save(folder / "blue.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "list.csv").write_text("\n".join([*rows, "blue.png,fear,f", "bad.png,fear,f"]) + "\n")
    return folder / "list.csv"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, feat_data: Path) -> Path:
    return lay_out(tmp_path_factory.mktemp("set"), feat_data)


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The evaluation made by the command, and its exit code."""
    out = tmp_path_factory.mktemp("done") / "eval"
    log = out.parent / "log.json"
    call = ["eval", "manifest", "--data", str(data), "--out", str(out), "--inspect", str(log)]
    return out, main.main([*call, *POCKET])


def test_rows_with_a_word_that_is_no_label_are_left_out_and_told(data: Path, tmp_path, capsys):
    text = data.read_text().splitlines()
    photo = next(line for line in text[1:] if line.strip()).split(",")
    for word in ("happines", "unknown"):
        text.append(",".join([photo[0], word, *photo[2:]]))
    columns = text[0].split(",")
    text.append(",".join([photo[0], "", *photo[2:]]))
    text = ["id," + text[0], *(f"row{n},{line}" for n, line in enumerate(text[1:]))]
    table = data.parent / "words.csv"
    table.write_text("\n".join(text) + "\n")
    assert columns[:2] == ["path", "label"]
    out = tmp_path / "eval"
    call = ["eval", "manifest", "--data", str(table), "--out", str(out), "--strategy", "majority"]
    main.main([*call, *POCKET])
    said = capsys.readouterr().err
    assert "labelled 'happines' (did you mean happiness?), which is no label of ekman-7" in said
    assert "without a label" in said
    facts = json.loads((out / "eval.json").read_text())
    assert facts["samples"] == len(text) - 4
    assert (facts["left_out"]["rows"], facts["left_out"]["words"]) == (3, {"happines": 1})
    assert facts["left_out"]["others"] == {"without a label": 2}
    assert "Left out: 1 row" in (out / "table.md").read_text()
    head, first = text[:2]
    table.write_text("\n".join([head, first.replace(f",{first.split(',')[2]},", ",zzz,")]) + "\n")
    assert main.main([*call[:-1], "chance", "--out", str(tmp_path / "none"), *POCKET]) == 2
    assert "give the set with --labels" in capsys.readouterr().err


def test_the_command_writes_results_tables_and_a_page(done: tuple[Path, int]):
    out, code = done
    assert code == 1  # one picture could not be read
    result = scores.read_scores(out)
    assert [s.system for s in result.systems] == [
        "face",
        "context",
        "people",
        "text",
        "majority",
        "chance",
    ]
    by_name = {system.system: system for system in result.systems}
    # one run serves all four
    assert sorted(path.name for path in (out / "runs").iterdir()) == [
        "chance",
        "majority",
        "people",
    ]
    assert by_name["face"].states == {"answered": 4, "unanswered": 1, "failed": 1}
    assert by_name["face"].figure("accuracy").n == 4
    assert by_name["face"].figure("accuracy").unanswered == 2
    assert by_name["majority"].states == {"answered": 6}
    assert result.facts["samples"] == 6
    assert result.provenance["people"]["mllm"]["id"] == "pocket"
    assert (out / "table.md").read_text().startswith("# your own labels\n")
    assert "\\begin{tabular}" in (out / "table.tex").read_text()
    page = (out / "report.html").read_text()
    assert "default-src 'none'" in page
    assert page.count("<svg") >= 4
    assert "pocket models: for demonstration" in page


def test_a_second_call_reads_nothing_again(done: tuple[Path, int], data: Path, capsys):
    out, _ = done
    before = (out / "runs" / "people" / "annotations.jsonl").read_bytes()
    first = scores.read_scores(out)
    call = ["eval", "manifest", "--data", str(data), "--out", str(out), "--json"]
    assert main.main([*call, *POCKET]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (out / "runs" / "people" / "annotations.jsonl").read_bytes() == before
    assert scores.read_scores(out).model_dump(by_alias=True) == first.model_dump(by_alias=True)
    assert told["systems"][0]["system"] == "face"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--limit", "3"], "holds another evaluation: samples is 3, was 6; limit is 3, was null"),
        (["--max-people", "3"], "was begun with other settings: settings.max_people is 3, was 20"),
        (["--systems", "facial"], "no system 'facial' (did you mean face?)"),
        (["--shots", "2"], "--shots needs --examples"),
        (["--shots", "1,99"], "--shots must be numbers up to 64"),
        (["--shots", "1,2"], "several numbers of --shots need --protocol shots"),
        (["--protocol", "unit"], "no protocol 'unit' (did you mean units?)"),
        (["--metrics", "acuracy"], "no metric 'acuracy' (did you mean accuracy?)"),
        (["--inspect", "log.txt"], "a log of inspect_ai ends in .json"),
        (["--systems", "clip"], "the baseline clip needs openai/clip-vit-large-patch14"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    done: tuple[Path, int], data: Path, capsys, more: list[str], says: str
):
    call = ["eval", "manifest", "--data", str(data), "--out", str(done[0]), *POCKET, *more]
    assert main.main(call) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_a_task_without_data_says_what_is_needed(capsys):
    assert main.main(["eval", "ferplus"]) == 2
    assert "needs your copy of the data: give --data DIR" in capsys.readouterr().err
    assert main.main(["eval", "feplus", "--data", "."]) == 2
    assert "did you mean ferplus?" in capsys.readouterr().err
    assert main.main(["eval"]) == 0
    assert "repeatability" in capsys.readouterr().out


def test_what_a_shared_run_serves_is_what_own_runs_say(
    data: Path, done: tuple[Path, int], tmp_path
):
    shared = evaluate.open_evaluation(done[0], registry.find_task)
    agent = Agent.load(model="pocket", faces="pocket")
    for system in ("face", "context", "text"):
        out = tmp_path / system
        told = api.evaluate_agent(agent, "manifest", data, out, strategies=(system,), resamples=5)
        assert [s.system for s in told.systems] == [system]
        assert [path.name for path in (out / "runs").iterdir()] == [system]
        assert (out / "report.html").is_file()
        own = evaluate.open_evaluation(out, registry.find_task).read(system)
        here = [(o.state, o.answer and o.answer.probabilities) for o in own]
        there = [(o.state, o.answer and o.answer.probabilities) for o in shared.read(system)]
        assert here == there


def test_two_systems_are_compared_on_the_same_samples(done: tuple[Path, int], capsys):
    out, _ = done
    call = ["eval", "--compare", f"{out}:face", f"{out}:chance", "--metrics", "accuracy"]
    assert main.main([*call, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first, second = (
        {s.id: o.answer.top for s, o in zip(found.known, found.read(name), strict=True) if o.answer}
        for found, name in [
            (evaluate.open_evaluation(out, registry.find_task), n) for n in ("face", "chance")
        ]
    )
    right = {s.id: s.target.label for s in evaluate.open_evaluation(out, registry.find_task).known}
    only = [k for k in first if (first[k] == right[k]) > (second[k] == right[k])]
    assert told["mcnemar"]["only_a"] == len(only)
    assert told["samples"] == 6
    assert told["differences"][0]["n"] == 4
    assert main.main([*call]) == 0
    assert "McNemar's exact test" in capsys.readouterr().out
    assert main.main(["eval", "--compare", str(out), f"{out}:face"]) == 2
    assert "holds several systems: give FOLDER:SYSTEM" in capsys.readouterr().err
    assert main.main(["eval", "--compare", str(out.parent), f"{out}:face"]) == 2
    assert "is not the folder of an evaluation" in capsys.readouterr().err


# ------------------------------------------------------------------------- killed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_and_resumed_is_as_undisturbed(feat_data: Path, tmp_path: Path):
    data = lay_out(tmp_path / "set", feat_data)
    ran = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("evals_killed.py")),
            str(data),
            str(tmp_path),
            "5",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    landed = json.loads(ran.stdout.splitlines()[-1])
    assert len(landed) == 5
    assert len(set(landed)) > 2  # at the beginning, in the middle and later
    assert plain(tmp_path / "killed") == plain(tmp_path / "undisturbed")


def plain(out: Path) -> dict[str, Any]:
    """The results without what names the folder."""
    told = scores.read_scores(out).model_dump()
    for plan in told["provenance"].values():
        plan.pop("input", None)
    return told


# ------------------------------------------------------------------------- CLIP


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights in the real classes, with a tokenizer of its sentences."""
    import torch
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTextConfig,
        CLIPVisionConfig,
    )

    folder = tmp_path_factory.mktemp("clip")
    words = tiny_models.tokenizer("llava")
    words.model_max_length = 40
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=40,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
    )
    tower = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    model = CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=tower.to_dict(), projection_dim=16)
    )
    model.save_pretrained(folder)
    sizes = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    CLIPProcessor(sizes, words).save_pretrained(folder)
    return folder


def test_clip_runs_in_the_harness(tiny_clip: Path, data: Path, tmp_path: Path, feat_data: Path):
    task = registry.find_task("manifest", data)
    found = evaluate.begin_evaluation(task, str(data), tmp_path / "out")
    evaluate.run_systems(found, ("clip", "majority"), None, clip=str(tiny_clip))  # type: ignore[arg-type]
    outcomes = dict(zip(found.ids, found.outcomes["clip"], strict=True))
    assert outcomes["bad.png"].state == "failed"
    name = next(iter(NAMES))
    answer = outcomes[name].answer
    assert answer is not None
    assert answer.probabilities is not None
    # the same by transformers' own zero-shot pipeline
    from transformers import pipeline

    plain = pipeline("zero-shot-image-classification", model=str(tiny_clip), device="cpu")
    with Image.open(feat_data / name) as picture:
        expected = plain(
            picture.convert("RGB"),
            candidate_labels=list(found.labels.names),
            hypothesis_template=baselines.SENTENCE,
        )
    for row in expected:
        assert answer.probabilities[row["label"]] == pytest.approx(row["score"], abs=1e-4)


def test_a_model_that_is_no_clip_is_refused(tiny_llava):
    with pytest.raises(KuleshovError, match="is no CLIP but a llava model"):
        baselines.ClipModel(str(tiny_llava("llava")))


# ------------------------------------------------------------------------- inspect_ai


def test_the_log_for_inspect(done: tuple[Path, int]):
    path = done[0].parent / "log.json"
    told = json.loads(path.read_text())
    assert told["version"] == 2
    head = ["version", "status", "eval", "plan", "results", "stats", "samples"]
    assert list(told) == head  # read as a stream, in this order
    assert [s["name"] for s in told["results"]["scores"]][2] == "people"
    face = told["results"]["scores"][0]
    assert (face["scored_samples"], face["unscored_samples"]) == (4, 2)
    by_id = {sample["id"]: sample for sample in told["samples"]}
    assert "face" not in by_id["blue.png"]["scores"]
    assert by_id["blue.png"]["metadata"]["without_answer"]["face"]
    for name, label in NAMES.items():
        score = by_id[name]["scores"]["face"]
        assert score["value"] == ("C" if score["answer"] == label else "I")


def test_inspect_itself_reads_the_log(done: tuple[Path, int]):
    logs = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
    log = logs.read_eval_log(str(done[0].parent / "log.json"))
    assert log.status == "success"
    path = str(done[0].parent / "log.json")
    assert logs.read_eval_log(path, header_only=True).results.total_samples == 6
    assert len(log.samples) == 6
    assert {score.name for score in log.results.scores} >= {"face", "text", "chance"}
