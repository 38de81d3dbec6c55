"""Evaluations in numbers worked by hand: samples drawn, systems read, baselines, comparisons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kuleshov.evals.datasets.base import Task
from kuleshov.evals.harness import baselines, compare, evaluate, samples, systems
from kuleshov.evals.harness.report import tables
from kuleshov.evals.harness.samples import KnownSample
from kuleshov.evals.harness.systems import Outcome
from kuleshov.evals.types import Answer, Sample, Target
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

LABELS = LabelSet.load("ekman-7")


def sample(number: int, label: str | None = "anger", **changes: Any) -> Sample:
    target = Target(label=label) if label else Target(votes={"anger": 1, "fear": 1})
    return Sample(str(number), Path(f"{number}.png"), target, "test", **changes)


def known(*labels: str | None) -> list[KnownSample]:
    return [
        KnownSample(str(n), Target(label=label) if label else Target(text="?"), "test", None, {})
        for n, label in enumerate(labels)
    ]


# ------------------------------------------------------------------------- samples


def test_a_limit_keeps_each_labels_share():
    every = [sample(n, "anger") for n in range(60)]
    every += [sample(60 + n, "fear") for n in range(30)] + [sample(90 + n, None) for n in range(10)]
    found = samples.draw_samples(every, 15, seed=3)
    # 9, 4.5 and 1.5 of 15: one place is left after 9 + 4 + 1, both rests are a half, "" sorts first
    counts = {name: sum(s.target.label == name for s in found) for name in ("anger", "fear", None)}
    assert counts == {"anger": 9, "fear": 4, None: 2}
    assert [int(s.id) for s in found] == sorted(int(s.id) for s in found)
    assert found == samples.draw_samples(every, 15, seed=3)
    assert found != samples.draw_samples(every, 15, seed=4)
    assert samples.draw_samples(every, 500, seed=0) == every
    with pytest.raises(KuleshovError, match="--limit must be at least 1 but is 0"):
        samples.draw_samples(every, 0, seed=0)


def test_samples_are_laid_out_without_their_answers_in_view(tmp_path: Path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    folder = tmp_path / "frames"
    folder.mkdir()
    frames = [np.random.default_rng(n).integers(0, 255, (20, 24, 3), np.uint8) for n in range(4)]
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:03}.png")
    given = [
        Sample(
            "one",
            (tmp_path / "a.png").read_bytes(),
            Target(text="she smiles"),
            "test",
            box_xyxy=(0, 0, 4, 4),
            context=("A wedding.",),
            transcript="Yes.\n\nNo.",
            group="v1",
            slices={"gender": "female"},
        ),
        Sample("two", folder, Target(labels=("joy",)), "test"),
    ]
    (tmp_path / "out").mkdir()
    samples.lay_out(given, tmp_path / "out")
    first, second = map(json.loads, (tmp_path / "out" / "items.jsonl").read_text().splitlines())
    assert first == {
        "path": "media/000000.png",
        "id": "one",
        "box": [0, 0, 4, 4],
        "context": ["A wedding."],
        "said": ["Yes.", "No."],
    }
    assert "smiles" not in json.dumps([first, second])
    # frames become a clip without loss
    opened = media.open_media(tmp_path / "out" / second["path"], frames=4)
    assert opened.media.kind == "clip"
    assert all((a == b).all() for a, b in zip(opened.images, frames, strict=True))
    back = samples.known_samples(tmp_path / "out")
    assert [b.target for b in back] == [s.target for s in given]
    assert (back[0].group, back[0].slices) == ("v1", {"gender": "female"})
    assert samples.samples_digest(given) != samples.samples_digest(given[:1])


def test_an_item_of_a_manifest_may_carry_words_that_are_heard(tmp_path: Path):
    from kuleshov.inputs import items
    from kuleshov.runs import local_engine

    (tmp_path / "list.jsonl").write_text('{"path": "a.png", "said": ["Yes.", "No."]}\n')
    (work,) = items.read_items(str(tmp_path / "list.jsonl"))
    given: dict[str, Any] = {}

    class Listener:
        def infer(self, source: Any, **options: Any) -> Any:
            given.update(options)
            raise KuleshovError("enough")

    assert local_engine.read_one(Listener(), work, []).reason == "enough"
    assert given["said"] == ["Yes.", "No."]
    assert work.item.extra == {}


def test_labels_in_other_words_count_and_strange_ones_are_told(tmp_path: Path):
    (tmp_path / "a.png").touch()
    sad = LABELS.labels[LABELS.names.index("sadness")]
    word = sad.synonyms[0] if sad.synonyms else "Sadness"
    table = tmp_path / "list.csv"
    table.write_text(f"path,label\na.png,{word}\n")
    from kuleshov.evals.datasets import registry

    task = registry.find_task("manifest", table)
    found = evaluate.begin_evaluation(task, str(table), tmp_path / "out")
    assert found.targets == [Target(label="sadness")]
    table.write_text("path,label\na.png,hungry\n")
    with pytest.raises(
        KuleshovError, match=r"left out: 1 row \(a.png\) labelled 'hungry'.*no label of ekman-7"
    ):
        evaluate.begin_evaluation(task, str(table), tmp_path / "other")
    table.write_text("path,label\na.png,fear\n")
    with pytest.raises(KuleshovError, match=r"out holds another evaluation: .*sha256"):
        evaluate.begin_evaluation(task, str(table), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(KuleshovError, match="not empty and no evaluation"):
        evaluate.begin_evaluation(task, str(table), tmp_path / "full")


def test_a_label_set_survives_its_file(tmp_path: Path):
    for name in ("ekman-8", "emotic-26", "free"):
        labels = LabelSet.load(name)
        path = tmp_path / f"{name}-copy.toml"
        path.write_text(evaluate.as_toml(labels))
        assert LabelSet.load(str(path)) == labels


# ------------------------------------------------------------------------- systems


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [
        (("face", "context", "bayes", "text"), {"bayes": ("face", "context", "bayes", "text")}),
        (("face",), {"face": ("face",)}),
        (("face", "context"), {"context": ("face", "context")}),
        (("text", "context"), {"context": ("context",), "text": ("text",)}),
        (("mllm", "bayes", "clip"), {"mllm": ("mllm",), "bayes": ("bayes",)}),
        (
            ("face", "context", "people", "text"),
            {"people": ("face", "context", "people", "text")},
        ),
    ],
)
def test_runs_are_shared(wanted: tuple[str, ...], runs: dict[str, tuple[str, ...]]):
    assert systems.shared_runs(wanted) == runs


def test_what_each_run_serves_is_what_the_agent_asks_for():
    from kuleshov.graph.person_nodes import WANTED

    for fusion, asked in WANTED.items():
        names = {{"both": "text"}.get(name, name) for name in asked}
        assert names | {"face"} == set(systems.SERVES[fusion]) - set(systems.COMPUTED)


def test_unknown_systems_name_the_nearest():
    with pytest.raises(KuleshovError, match=r"no system 'baies' \(did you mean bayes\?\)"):
        systems.parse_systems("face,baies")


def reading(top: str, **more: Any) -> dict[str, Any]:
    shares = {name: 0.4 if name == top else 0.1 for name in LABELS.names}
    told = {"labels": "ekman-7", "mode": "single", "method": "by hand"}
    return {**told, "probabilities": shares, **more}


def judgement(condition: str, source: str, top: str | None) -> dict[str, Any]:
    scores = reading(top) if top else None
    return {"condition": condition, "source": source, "emotions": scores, "unanswered": "why not"}


def person(**changes: Any) -> dict[str, Any]:
    return {
        "box_xyxy": [0, 0, 10, 10],
        "face": {"tool": "pocket"},
        "emotions": reading("fear", fusion="bayes"),
        "unanswered": None,
        "judgements": [
            judgement("face", "faces:pocket", "anger"),
            judgement("context", "mllm", "sadness"),
            judgement("both", "mllm", "surprise"),
        ],
        "valence": -0.3,
        "arousal": None,
        "explanation": None,
        **changes,
    }


def test_each_system_has_its_own_reading_of_one_record():
    record = {"people": [person()]}
    tops = {
        name: systems.system_answer(record, name, LABELS).answer.top  # type: ignore[union-attr]
        for name in ("face", "context", "text", "bayes")
    }
    assert tops == {"face": "anger", "context": "sadness", "text": "surprise", "bayes": "fear"}
    assert systems.system_answer(record, "face", LABELS).answer.valence == -0.3  # type: ignore[union-attr]
    outcome = systems.system_answer(record, "mllm", LABELS)
    assert (outcome.answer, outcome.state) == (None, "unanswered")


def test_another_sources_reading_is_no_answer():
    fallen = person(emotions=reading("anger", fusion="face"))
    outcome = systems.system_answer({"people": [fallen]}, "bayes", LABELS)
    assert outcome.why == "one side was missing; the reading rests on face alone"
    # without a face, cue integration is the reading of the context
    faceless = person(face=None, emotions=reading("sadness", fusion="context"))
    assert systems.system_answer({"people": [faceless]}, "bayes", LABELS).state == "answered"
    unread = person(judgements=[judgement("face", "faces:pocket", None)])
    assert systems.system_answer({"people": [unread]}, "face", LABELS).why == "why not"
    assert systems.system_answer({"people": []}, "text", LABELS).why == "nobody was found"


def test_what_an_answer_must_hold_depends_on_the_task():
    bare = person(valence=None, arousal=None)
    outcome = systems.system_answer({"people": [bare]}, "face", LABELS, "affect")
    assert outcome.why == "it gives neither valence nor arousal"
    record = {"people": [person()], "scene": {"description": "A street."}}
    assert systems.system_answer(record, "text", LABELS, "text").why == "there is no explanation"
    record["people"] = [person(explanation={"text": "She frowns."}, judgements=[])]
    answer = systems.system_answer(record, "text", LABELS, "text").answer
    assert answer == Answer(text="A street. She frowns. Emotion: fear.")


def test_several_words_a_picture_are_an_open_task(tmp_path: Path):
    (tmp_path / "a.png").touch()
    (tmp_path / "list.csv").write_text("path,labels\na.png,joy;calm\n")
    from kuleshov.evals.datasets import registry

    task = registry.find_task("manifest", tmp_path / "list.csv")
    found = evaluate.begin_evaluation(
        task, str(tmp_path / "list.csv"), tmp_path / "out", labels="free"
    )
    assert (found.task.kind, found.task.metrics) == ("open", ("set_f_words", "hit_rate"))
    again = evaluate.open_evaluation(tmp_path / "out", registry.find_task)
    assert (again.task.kind, again.targets) == ("open", [Target(labels=("joy", "calm"))])


def test_the_largest_face_counts():
    small, large = person(), person(box_xyxy=[0, 0, 30, 30], valence=0.5)
    assert systems.judged_person({"people": [small, large]}) is large


def test_valence_by_anchors_is_unknown_where_a_label_has_none():
    values = {label.name: label.valence for label in LABELS.labels}
    half = {"anger": 0.5, "happiness": 0.5}
    expected = (values["anger"] + values["happiness"]) / 2  # type: ignore[operator]
    assert systems.anchor_rating(half, LABELS, "valence") == pytest.approx(expected)
    bare = LABELS.model_copy(
        update={
            "labels": tuple(label.model_copy(update={"valence": None}) for label in LABELS.labels)
        }
    )
    assert systems.anchor_rating(half, bare, "valence") is None


# ------------------------------------------------------------------------- baselines


def test_the_majority_answers_with_the_shares():
    told = baselines.majority_answer(known("anger", "anger", "fear", None), "single", LABELS.names)
    assert told.top == "anger"
    assert told.probabilities is not None
    assert told.probabilities["anger"] == pytest.approx(2 / 3)
    several = [
        KnownSample(str(n), Target(labels=x), "t", None, {}) for n, x in enumerate([("anger",), ()])
    ]
    shares = baselines.majority_answer(several, "multi", LABELS.names).probabilities
    assert shares is not None
    assert (shares["anger"], shares["fear"]) == (0.5, 0.0)
    rated = [
        KnownSample("0", Target(valence=1), "t", None, {}),
        KnownSample("1", Target(valence=0), "t", None, {}),
    ]
    assert baselines.majority_answer(rated, "affect", ()) == Answer(valence=0.5, arousal=None)


def test_a_guess_hits_about_one_in_seven():
    random = np.random.default_rng(0)
    said = [baselines.random_answer(random, "single", LABELS.names).top for _ in range(7000)]
    assert abs(said.count("fear") - 1000) < 120  # four standard deviations


# ------------------------------------------------------------------------- comparing


def answers(*labels: str | None) -> list[Answer | None]:
    return [Answer(label=label) if label else None for label in labels]


def test_mcnemar_by_hand():
    targets = [Target(label="anger")] * 12
    a = answers(*["anger"] * 3, "anger", *["fear"] * 7, None)
    b = answers(*["anger"] * 3, "fear", *["anger"] * 7, "anger")
    found = compare.mcnemar_test(targets, a, b, LABELS.names)
    assert found is not None
    assert (found.both, found.only_a, found.only_b, found.neither) == (3, 1, 7, 0)
    # two-sided binomial: 2 · (C(8,0) + C(8,1)) / 2⁸
    assert found.p == pytest.approx(2 * (1 + 8) / 256)
    assert found.odds == 7
    assert found.odds_low is not None
    assert found.odds_low < 1 < found.odds < (found.odds_high or 0)
    same = compare.mcnemar_test(targets[:3], a[:3], b[:3], LABELS.names)
    assert same is not None
    assert (same.p, same.odds) == (1.0, None)
    assert compare.mcnemar_test([Target(text="x")], a[:1], b[:1], LABELS.names) is None


def two_labels() -> LabelSet:
    return LabelSet.load("ekman-7")


def evaluation(tmp_path: Path, labels: list[str], **outcomes: list[str | None]) -> Any:
    """An evaluation whose answers are made by hand."""
    task = Task(
        name="hand",
        title="By <b>hand</b> & more",
        licence="none",
        source="nobody",
        kind="single",
        metrics=("accuracy", "uar"),
        protocol="50 % of <script>alert(1)</script> it_all",
        splits=("test",),
        split="test",
        layout="",
        reader=lambda root, split: iter(()),
        labels="ekman-7",
    )
    facts = {"split": "test", "samples": len(labels), "of": len(labels), "seed": 0, "task": "hand"}
    found = evaluate.Evaluation(task, tmp_path, two_labels(), known(*labels), facts, "")
    for name, said in outcomes.items():
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "run.json").write_text('{"plan": {"baseline": "x"}, "sessions": []}')
        found.outcomes[name] = [
            Outcome(Answer(label=s)) if s else Outcome(None, "<i>unread</i>", "unanswered")
            for s in said
        ]
    return found


def test_scores_count_what_is_unanswered_and_pages_escape(tmp_path: Path):
    from kuleshov.evals.harness import scores
    from kuleshov.evals.harness.report import page

    found = evaluation(
        tmp_path,
        ["anger", "anger", "fear", "fear"],
        clip=["anger", "fear", None, "fear"],
        chance=["anger"] * 4,
    )
    told = scores.score_evaluation(found, resamples=50)
    first = told.systems[0]
    assert first.states == {"answered": 3, "unanswered": 1}
    assert first.figure("accuracy").value == pytest.approx(2 / 3)
    assert first.figure("accuracy").strict == pytest.approx(2 / 4)
    assert first.figure("uar").value == pytest.approx((0.5 + 1) / 2)
    assert first.confusion is not None
    assert sum(first.confusion.unanswered) == 1
    text = tables.render_markdown(told)
    assert "| CLIP, zero-shot | 3 of 4 | .667 [" in text
    latex = tables.render_latex(told)
    assert r"By <b>hand</b> \& more" in latex
    assert r"\toprule" in latex
    shown = page.render_page(found, told)
    assert "By &lt;b&gt;hand&lt;/b&gt;" in shown
    assert "<script" not in shown
    assert "&lt;i&gt;unread" in shown
    scores.write_scores(found, told)
    assert scores.read_scores(tmp_path) == told


def test_folds_are_averaged_where_papers_do(tmp_path: Path):
    from dataclasses import replace

    from kuleshov.evals.harness import scores

    found = evaluation(tmp_path, ["anger", "fear", "fear"], clip=["anger", "fear", "anger"])
    (alone,) = scores.score_evaluation(found, resamples=0).systems
    assert alone.figure("accuracy").value == pytest.approx(2 / 3)
    found.task = replace(found.task, mean_of_folds=True)
    found.known = [
        replace(k, split=f"fold{n}") for k, n in zip(found.known, (1, 2, 2), strict=True)
    ]
    told = scores.score_evaluation(found, resamples=0)
    assert told.systems[0].figure("accuracy").value == pytest.approx((1 + 0.5) / 2)
    assert "mean over the folds" in tables.render_markdown(told)


def test_special_letters_of_latex():
    assert tables.escape_latex("a_b & 50 % ↑") == r"a\_b \& 50 \% $\uparrow$"


def test_a_judge_is_asked_once_about_an_answer(tmp_path: Path):
    from kuleshov.evals.harness import judging
    from kuleshov.evals.metrics import judge, registry
    from kuleshov.evals.metrics.base import measure_figure
    from kuleshov.tools.mllm.scripted import ScriptedMllm

    found = evaluation(tmp_path, ["anger", "anger"])
    found.facts["sha256"] = "0"
    found.known = [KnownSample(str(n), Target(text="a frown"), "test", None, {}) for n in range(2)]

    def outcomes() -> list[Outcome]:
        return [Outcome(Answer(text="she frowns")), Outcome(None, "no", "unanswered")]

    for replies in (["8", "I cannot say."], []):  # the second time nothing is asked
        found.outcomes = {"text": outcomes()}
        judging.judge_with(found, ScriptedMllm(replies))
        answer = found.outcomes["text"][0].answer
        assert answer is not None
        assert dict(answer.judged) == {"clue_overlap": 8.0, "label_overlap": None}
    told = [o.answer for o in found.outcomes["text"]]
    clues = measure_figure(registry.find_metric("clue_overlap"), found.targets, told, resamples=0)
    assert (clues.value, clues.unanswered) == (8.0, 1)
    assert set(judge.TEMPLATES) == {"clue_overlap", "label_overlap"}
