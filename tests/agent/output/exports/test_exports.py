"""A run in other forms, opened again by what they are made for."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
from test_agent import agent, script

from kuleshov.apps.cli.main import main
from kuleshov.output import exports
from kuleshov.output.exports import label_studio
from kuleshov.studies import corrections
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import ActionUnit

from parts import NO_FROWN, SMILE, HandFaces, face

FEAR = {
    "description": '=HYPERLINK("http://x")',
    "setting": "-",
    "activity": "+",
    "people": "one",
    "people_present": True,
    "objects": [],
    "mood_words": [],
}


@pytest.fixture
def run(tmp_path: Path, feat_data: Path) -> Path:
    """Two people in each of three pictures; names and words that look like formulas."""
    (tmp_path / "set").mkdir()
    names = ["a.jpg", "=1+1.jpg", "@c.jpg"]
    for name in names:
        shutil.copy(feat_data / "single_face.jpg", tmp_path / "set" / name)
    rows = [f"{name},{name},{label},-9" for name, label in zip(names, "xyz", strict=True)]
    (tmp_path / "set" / "list.csv").write_text("\n".join(["path,id,label,=note", *rows]) + "\n")
    left = ActionUnit(unit=14, side="left", intensity=2.5)
    faces = HandFaces(
        face(SMILE, NO_FROWN), face(SMILE, left, box=(100, 10, 160, 90), expression=None)
    )
    agent(script(scene=FEAR), faces, labels="ekman-7", fusion="text").annotate(
        tmp_path / "set" / "list.csv", tmp_path / "run"
    )
    return tmp_path / "run"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_workbook_has_people_meanings_and_what_made_it_and_no_formula(run: Path, capsys):
    openpyxl = pytest.importorskip("openpyxl")
    assert main(["export", str(run), "--to", "xlsx"]) == 0
    assert "annotations.xlsx: 6 rows" in capsys.readouterr().err
    with zipfile.ZipFile(run / "annotations.xlsx") as file:
        sheets = [file.read(name) for name in file.namelist() if "/sheet" in name]
    assert len(sheets) == 3
    assert not any(b"<f>" in sheet or b"<f " in sheet for sheet in sheets)
    book = openpyxl.load_workbook(run / "annotations.xlsx")
    assert book.sheetnames == ["people", "columns", "run"]
    head, *rows = book["people"].iter_rows(values_only=True)
    assert sorted(row[0] for row in rows)[:2] == ["=1+1.jpg", "=1+1.jpg"]  # as it is called
    first = dict(zip(head, rows[0], strict=True))
    assert first["AU12_probability"] == 0.93
    assert first["probability"] == round(first["probability"], 4)
    assert None in rows[0]  # unknown is an empty cell, not a number
    told = {name: meaning for name, meaning, _ in book["columns"].iter_rows(values_only=True)}
    assert set(head) <= set(told)
    assert told["AU14_left_intensity"].startswith("action unit 14, dimpler, left side: how much")
    made = dict(book["run"].iter_rows(values_only=True))
    assert any(name.endswith("faces.name") for name in made), made


def test_every_table_comes_with_the_meanings_of_its_columns(run: Path):
    assert main(["export", str(run), "--to", "csv"]) == 0
    head = read(run / "annotations.csv")[0]
    told = read(run / "annotations-columns.csv")
    assert [row["column"] for row in told] == list(head)
    assert all(row["meaning"] and row["values"] for row in told)
    (run / "annotations-columns.csv").unlink()
    assert main(["export", str(run), "--to", "parquet"]) == 0
    assert read(run / "annotations-columns.csv") == told


def test_the_long_table_has_the_values_of_the_wide_one_a_row_each(run: Path):
    exports.export(run, "csv")
    exports.export(run, "long")
    long = read(run / "annotations-long.csv")
    found = {(row["item"], row["person"], row["variable"]): row for row in long}
    assert len(found) == len(long)
    seen = 0
    for row in read(run / "annotations.csv"):
        for name, cell in row.items():
            variable = name.startswith(("p_", "AU")) or name in ("valence", "arousal")
            there = found.get((row["item"], row["person"], name))
            assert (there is not None) == (variable and cell != "")
            if there is not None:
                assert float(there["value"]) == pytest.approx(float(cell), abs=5e-4)
                assert there["meaning"]
                seen += 1
    assert seen == len(long) > 40


def test_csv_has_one_row_a_person_and_nothing_that_runs(run: Path, capsys):
    assert main(["export", str(run), "--to", "csv"]) == 0
    rows = sorted(read(run / "annotations.csv"), key=lambda row: (row["item"], row["person"]))
    assert [(row["item"], row["person"]) for row in rows] == [
        ("'=1+1.jpg", "1"), ("'=1+1.jpg", "2"), ("@c.jpg", "1"), ("@c.jpg", "2"),
        ("a.jpg", "1"), ("a.jpg", "2"),
    ]  # fmt: skip
    last = rows[-1]
    assert (last["emotion"], last["face_expression"]) == ("happiness", "")
    assert (last["AU12_probability"], last["AU14_left_intensity"]) == ("0.93", "2.5")
    assert (last["AU04_probability"], last["valence"]) == ("", "")
    assert last["people_label"] == "x"
    assert (last["x0"], last["p_fear"][:4]) == ("100.0", rows[0]["p_fear"][:4])
    for row in rows:
        for name, cell in row.items():
            assert not name.startswith(("=", "+", "-", "@"))
            number = cell.lstrip("-").replace(".", "", 1).replace("e-", "", 1).isdigit()
            runs = cell.startswith(("=", "+", "\t", "\r"))
            assert number or not runs
            assert number or "(" not in cell or not cell.startswith(("-", "@"))
    told = capsys.readouterr().err
    assert "6 rows" in told
    assert "like a formula: written with an apostrophe before it" in told


def test_parquet_and_data_set_hold_the_same_rows(run: Path):
    import datasets
    import pyarrow.parquet

    exports.export(run, "csv")
    exports.export(run, "parquet")
    exports.export(run, "datasets")
    table = pyarrow.parquet.read_table(run / "annotations.parquet").to_pylist()
    assert datasets.load_from_disk(run / "dataset").to_list() == table
    rows = read(run / "annotations.csv")
    assert len(rows) == len(table) == 6
    for row, told in zip(rows, table, strict=True):
        for name, value in told.items():
            if isinstance(value, float):
                assert float(row[name]) == value
            elif value is None:
                assert row[name] == ""


def test_fex_opens_in_py_feat(run: Path):
    from feat.utils.io import read_feat

    exports.export(run, "fex", run / "faces.csv")
    opened = read_feat(str(run / "faces.csv"))
    assert len(opened) == 6
    assert set(opened["AU12"]) == {0.93}


def test_mistakes(run: Path, tmp_path: Path):
    for call, told in (
        (["export", str(run), "--to", "cvs"], "did you mean csv?"),
        (["export", str(tmp_path), "--to", "csv"], "is not a run directory"),
        (["export", str(run), "--to", "csv", "--out", "no/such/x.csv"], "there is no folder"),
        (["corrections", str(run), str(run / "run.json")], "no JSON export of Label Studio"),
        (["corrections", str(run), "gone.json"], "cannot be read"),
    ):
        with pytest.raises(KuleshovError) as error:
            raise KuleshovError(_said(call))
        assert told in str(error.value)


def _said(call: list[str]) -> str:
    import contextlib
    import io

    with contextlib.redirect_stderr(io.StringIO()) as err:
        assert main(call) == 2
    assert "Traceback" not in err.getvalue()
    return err.getvalue()


def corrected(run: Path) -> Path:
    """The exported tasks as Label Studio gives them back after two people's work."""
    exports.export(run, "label-studio")
    tasks = json.loads((run / "label-studio.json").read_text("utf-8"))
    for n, task in enumerate(tasks):
        read = task["predictions"][0]["result"]
        first = json.loads(json.dumps(read))
        second = json.loads(json.dumps(read))
        if n == 0:
            first[0]["value"]["rectanglelabels"] = ["fear"]
            second[0]["value"]["rectanglelabels"] = ["fear"]
            first[1]["value"]["x"] += 3  # a box that was moved stays the same person's
            del second[1]
        if n == 1:
            second[0]["value"]["rectanglelabels"] = ["sadness"]
        task["annotations"] = [
            {"completed_by": 1, "result": first},
            {"completed_by": {"email": "b@example.org"}, "result": second},
            {"completed_by": 3, "was_cancelled": True, "result": []},
        ]
    (run / "corrected.json").write_text(json.dumps(tasks))
    return run / "corrected.json"


def test_label_studio_and_back(run: Path, capsys):
    import krippendorff

    file = corrected(run)
    tasks = json.loads(file.read_text())
    region = tasks[0]["predictions"][0]["result"][1]
    width, height = region["original_width"], region["original_height"]
    assert region["value"]["x"] == pytest.approx(100 * 100 / width)
    assert region["value"]["height"] == pytest.approx(100 * 80 / height)
    sheet = ElementTree.parse(run / "label-studio.xml")
    assert {label.get("value") for label in sheet.iter("Label")} >= {"fear", "happiness"}
    said = list(label_studio.read_corrections(file))
    found = corrections.compare_run(run, said)
    assert (found.people, found.annotators, found.taken_away) == (6, 2, 1)
    assert found.agree == pytest.approx(8 / 11)
    nan = float("nan")
    machine, one, two = [0] * 6, [1, 0, 0, 0, 0, 0], [1, nan, 2, 0, 0, 0]
    expected = krippendorff.alpha([machine, one, two], level_of_measurement="nominal")
    assert found.alpha == pytest.approx(expected)
    expected = krippendorff.alpha([one, two], level_of_measurement="nominal")
    assert found.alpha_people == pytest.approx(expected)
    assert found.labels == ["fear", "happiness", "sadness"]
    assert found.confusion == [[0, 2, 0], [0, 8, 0], [0, 1, 0]]
    assert found.disagreements[0]["people"] == {"1": "fear", "b@example.org": "fear"}
    assert main(["corrections", str(run), str(file)]) == 0
    shown = capsys.readouterr().out
    assert "agree in 72.7 %" in shown
    assert "alternative annotator test (Calderon et al. 2025): not done" in shown
    assert found.alternative.passes is None  # too few answers are not a failure
    assert "epsilon is a share" in _said(["corrections", str(run), str(file), "--epsilon", "2"])
    assert main(["corrections", str(run), str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["taken_away"] == 1


def test_labels_of_a_manifest_need_a_person_they_belong_to(run: Path, tmp_path, feat_data):
    assert "nobody in common" in _said(["corrections", str(run)])  # two people in each picture
    shutil.copy(feat_data / "single_face.jpg", tmp_path / "one.jpg")
    (tmp_path / "one.csv").write_text('path,label\none.jpg,"{""fear"": 0.7, ""joy"": 0.3}"\n')
    agent().annotate(tmp_path / "one.csv", tmp_path / "other")
    found = corrections.compare_run(
        tmp_path / "other", corrections.manifest_labels(tmp_path / "other")
    )
    assert (found.people, found.agree, found.alpha_people) == (1, 0.0, None)


def test_the_page_holds_every_item_and_runs_no_words(run: Path, tmp_path: Path):
    import re

    for name in ("annotations.jsonl", "failures.jsonl"):
        text = (run / name).read_text()
        (run / name).write_text(text.replace("The smile fits", "</script><script>alert(1)<"))
    exports.export(run, "html")
    page = (run / "index.html").read_text("utf-8")
    assert page.count("<script") == 2
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    items = json.loads(data[1])
    assert {item["i"] for item in items} == {"a.jpg", "=1+1.jpg", "@c.jpg"}
    assert all(len(item["p"]) == 2 for item in items)
    assert "</script><script>alert(1)<" in items[0]["p"][0]["w"]
    for item in items:
        from urllib.parse import unquote

        assert (run / unquote(item["f"])).resolve().is_file()
    assert "default-src 'none'" in page


def test_the_page_in_a_browser(run: Path):
    webdriver = pytest.importorskip("selenium.webdriver")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    from selenium.webdriver.common.by import By

    (page,) = exports.export(run, "html")
    assert page.endswith("3 items")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get((run / "index.html").as_uri())
        assert len(driver.find_elements(By.CSS_SELECTOR, "#items li")) == 3
        driver.find_element(By.CSS_SELECTOR, ".bar").click()
        assert driver.find_element(By.ID, "count").text == "3 of 3 items"
        driver.execute_script("document.getElementById('show').value = 'failed'; choose()")
        assert driver.find_element(By.ID, "count").text == "0 of 3 items"
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def test_a_damaged_line_is_named_and_the_rest_is_exported(run: Path, capsys):
    file = run / "annotations.jsonl"
    first, second, third = file.read_bytes().splitlines(keepends=True)
    other = second.replace(b'"people":', b'"peo\xffle":', 1)  # no text in UTF-8
    bent = third.replace(b'"warnings":', b'"warninqs":', 1)  # JSON, and no record
    file.write_bytes(first + other + bent)
    for form in ("csv", "fex", "html", "label-studio"):
        assert main(["export", str(run), "--to", form]) == 0, form
        out, err = capsys.readouterr()
        told = " ".join((out + err).split())
        assert "annotations.jsonl line 2 is damaged or cut off" in told
        assert "annotations.jsonl line 3 is not as this version writes it" in told
        assert "Traceback" not in told
    exported = {row["item"] for row in read(run / "annotations.csv")}
    assert len(exported) == 1


def test_control_characters_reach_no_xml_of_label_studio():
    from kuleshov.output.exports.label_studio import labelling_interface

    text = labelling_interface(["a\x00b", "c\x1b[31m", "d\ud800", "e\ufffe", 'f"<&'])
    values = [label.get("value") for label in ElementTree.fromstring(text).iter("Label")]
    assert values == ["a\ufffdb", "c\ufffd[31m", "d\ufffd", "e\ufffd", 'f"<&']


def test_the_page_holds_no_control_characters(run: Path, capsys):
    file = run / "annotations.jsonl"
    first = json.loads(file.read_bytes().splitlines()[0])
    first["people"][0]["explanation"]["text"] = "a\x00\x1b[31mb"
    file.write_text(json.dumps(first) + "\n")
    assert main(["export", str(run), "--to", "html"]) == 0
    page = (run / "index.html").read_text("utf-8")
    assert "a\ufffd\ufffd[31mb" in page
    assert "\\u0000" not in page
    assert "\\u001b" not in page
