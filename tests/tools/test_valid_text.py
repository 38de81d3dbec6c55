"""Text for the formats that are written."""

import csv
import io
import re

from readings import single

from kuleshov.inputs import manifest
from kuleshov.output import coded_table
from kuleshov.tools import valid_text
from kuleshov.types import CodedVariable


def test_cells_come_back_as_they_were():
    for text in ("=1+1.jpg", "+a.jpg", "-1_a.jpg", "@home.jpg", "a.jpg", "'a.jpg", "-2"):
        assert valid_text.out_of_csv(valid_text.in_csv(text)[0]) == text


def test_full_width_signs_and_cells_behind_other_separators_run_nothing():
    for text, written in {
        "＝1+1": "'＝1+1",
        "＋1|a": "'＋1|a",
        "＠SUM(1)": "'＠SUM(1)",
        "－cmd|x": "'－cmd|x",
        "－1": "－1",
        "a;=1+1": "a;'=1+1",
        "a; =1+1;+b": "a;' =1+1;'+b",
        "a\t=1+1": "a\t'=1+1",
        "\t=1": "'\t'=1",
        "\r=1": "' =1",
        "a\n;@SUM(1)": "a ;'@SUM(1)",
        "so;-) fine; -2;+3": "so;-) fine; -2;+3",
    }.items():
        assert valid_text.in_csv(text) == (written, written != text)
        assert valid_text.out_of_csv(written) == " ".join(re.split("[\r\n]", text))


def test_no_cell_of_the_coded_table_runs_in_a_spreadsheet():
    variable = CodedVariable(
        name="place", scheme="mine", type="text", scope="scene", question="Where?",
        value='=HYPERLINK("http://x")', method="written, grammar",
    )  # fmt: skip
    record = single().model_copy(update={"coded": (variable,)})
    record = record.model_copy(
        update={"media": record.media.model_copy(update={"path": "=1+1.jpg"})}
    )
    file = io.StringIO()
    coded_table.write_long([record], file)
    (row,) = csv.DictReader(file.getvalue().splitlines())
    assert row["value"] == '\'=HYPERLINK("http://x")'
    assert row["media"] == "'=1+1.jpg"
    assert valid_text.out_of_csv(row["media"]) == "=1+1.jpg"


def test_a_table_that_was_written_here_names_its_files(tmp_path):
    (tmp_path / "=1+1.jpg").write_bytes(b"x")
    assert manifest.find_file(str(tmp_path), "'=1+1.jpg") == str(tmp_path / "=1+1.jpg")


def test_json_for_others_holds_only_characters_of_xml():
    told = valid_text.in_json({"a\x00": ["\x1b", {"b": "\ud800"}, 1, None]})
    assert told == {"a\ufffd": ["\ufffd", {"b": "\ufffd"}, 1, None]}
