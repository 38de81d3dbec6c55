"""The bench of context readings: the tables, the figures by hand, the command."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from kuleshov.apps.cli.main import main
from kuleshov.asking import situation
from kuleshov.evals.bench import situation_readings
from kuleshov.evals.bench.situations import TableSituation, read_situations
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.labels import LabelSet

from parts import EKMAN7, scores

LABELS = LabelSet.load("ekman-7")


def test_the_shipped_table_is_balanced_and_apart_from_the_reference_situations():
    held, tune = (read_situations(None, LABELS, split=split) for split in ("held", "tune"))
    for half in (held, tune):
        assert Counter(item.label for item in half) == dict.fromkeys(EKMAN7, 10)
    texts = {item.text for item in [*held, *tune]}
    assert len(texts) == 140
    assert not texts & set(situation._reference_situations())


def test_isear_is_drawn_and_its_labels_are_mapped(tmp_path: Path):
    table = tmp_path / "isear.tsv"
    lines = ["id\temotion\tsituation\thindered_plans"]
    lines += [f"{i}\t{'joy' if i % 2 else 'guilt'}\tSituation {i}.\t1" for i in range(600)]
    lines.append("600\tjoy\t[ No response.]\t0")
    table.write_text("\n".join(lines))
    drawn = read_situations(str(table), LABELS)
    assert {item.label for item in drawn} == {"happiness"}
    assert len({item.text for item in drawn}) == 200
    assert drawn == read_situations(str(table), LABELS)
    assert drawn != read_situations(str(table), LABELS, seed=1)


def test_event2mind_counts_what_two_people_or_more_agree_on(tmp_path: Path):
    rows = [
        ("PersonX loses PersonY's ___", ["sad", "upset", "unhappy"]),
        ("PersonX wins", ["happy", "excited", "scared"]),
        ("PersonX sits", ["happy", "sad"]),
        ("PersonX naps", ["happy"]),
    ]
    lines = ["source\tevent\tactor\tothers"]
    for event, words in rows:
        told = json.dumps(words).replace('"', '""')
        lines.append(f'x\t{event}\t"{told}"\t"[]"')
    table = tmp_path / "event2mind_dev.tsv.gz"
    table.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert sorted((item.text, item.label) for item in read_situations(str(table), LABELS)) == [
        ("Somebody loses another person's something.", "sadness"),
        ("Somebody wins.", "happiness"),
    ]


def test_a_table_of_one_s_own_and_its_mistakes(tmp_path: Path):
    table = tmp_path / "mine.csv"
    table.write_text("label,situation\nJoy,She won.\nangry,He lost.\n")
    assert read_situations(str(table), LABELS) == [
        TableSituation(text="She won.", label="happiness"),
        TableSituation(text="He lost.", label="anger"),
    ]
    for text, sentence in (
        ("label,situation\npride,She won.\n", "'pride' .* is no label of ekman-7"),
        ("label,text\njoy,She won.\n", "has label and situation"),
        ("label,situation\njoy,\n", "a row without a situation"),
        ("label,situation,split\njoy,She won.,tune\n", "no situation of the split held"),
    ):
        table.write_text(text)
        with pytest.raises(KuleshovError, match=sentence):
            read_situations(str(table), LABELS)
    with pytest.raises(KuleshovError, match="cannot read the situations"):
        read_situations(str(tmp_path / "none.tsv"), LABELS)
    broken = tmp_path / "broken.tsv.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(KuleshovError, match="cannot read the situations"):
        read_situations(str(broken), LABELS)


def test_the_figures_by_hand():
    items = [TableSituation(text="x", label=label) for label in ("anger", "fear", "neutral")]
    found = [scores(anger=0.7), scores(anger=0.5, fear=0.4), scores()]
    figures = situation_readings.summarise_readings(found, items, EKMAN7, seed=0)
    assert figures["items"] == 3
    assert figures["top1"] == pytest.approx(1 / 3)
    # a flat reading puts every label last
    assert figures["rank"] == pytest.approx((1 + 2 + 7) / 3)
    assert figures["p_right"] == pytest.approx((0.7 + 0.4 + 1 / 7) / 3)
    assert figures["largest_share"] == 1
    assert figures["top1_low"] <= figures["top1"] <= figures["top1_high"]


@pytest.mark.parametrize("question", ["own", "direct"])
def test_the_command_reads_a_table_with_the_bundled_model(question, tmp_path: Path, capsys):
    table = tmp_path / "mine.tsv"
    table.write_text("label\tsituation\nhappiness\tThey won the game.\nsadness\tHis dog died.\n")
    arguments = ["bench", "context-reading", "--table", str(table), "--question", question]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["items"] == 2
    assert 0 < told["figures"]["mass"] <= 1
    assert told["settings"]["question"] == "direct"
    assert told["settings"]["method"] == "likelihood, content-free prior removed"


def test_options_of_another_bench_and_a_question_that_does_not_suit(capsys):
    assert main(["bench", "start", "--model", "pocket"]) == 2
    assert "bench start takes no --model" in capsys.readouterr().err
    assert main(["bench", "context-reading", "--question", "situation", "--prompts", "review"]) == 2
    assert "with the prompts review cannot be asked for the sit" in capsys.readouterr().err
    assert main(["bench", "context-reading", "--labels", "free"]) == 2
    assert "cannot choose its own" in capsys.readouterr().err
