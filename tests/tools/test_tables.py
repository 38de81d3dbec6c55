"""Tables as programs and spreadsheets write them: what is read, and one sentence for the rest."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from kuleshov.tools.tables import TableError, parse_number, read_table

PLAIN = [["1", "a", "0.98"], ["2", "b", "2.5"]]


def saved(delimiter: str, *, first: str = "", comma: bool = False) -> str:
    rows = [["frame", "name", "score"], *PLAIN]
    lines = [delimiter.join(row) for row in rows]
    text = first + "\r\n".join(lines) + "\r\n"
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    "data",
    [
        saved(",").encode(),
        codecs.BOM_UTF8 + saved(",").encode(),
        saved(";", comma=True).encode(),
        saved(";", first="sep=;\r\n", comma=True).encode(),
        saved("|", first="sep=|\r\n").encode(),
        saved("\t", first="sep=\t\n").encode(),
        saved("\t", comma=True).encode("utf-16"),
        codecs.BOM_UTF16_BE + saved("\t").encode("utf-16-be"),
        saved(";", comma=True).encode("utf-16-le"),
        b'"frame","name","score"\n"1","a","0,98"\n"2","b","2,5"\n',
    ],
)
def test_spreadsheets_tables_are_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    table = read_table(path)
    assert table.columns == ("frame", "name", "score")
    rows = [(line.whole("frame"), line.text("name"), line.value("score")) for line in table.lines]
    assert rows == [(1, "a", 0.98), (2, "b", 2.5)]
    assert table.notes == ()


def test_one_bad_row_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    long = b"x" * 200_000
    path.write_bytes(
        b"\xef\xbb\xbfname;score\nJos\xc3\xa9;1\nJos\xe9;2\na\nb;2;3\n" + long + b";1\nc;3\n"
    )
    rows = list(read_table(path, tell_rows=True).lines)
    assert [row.values.get("name") for row in rows] == ["José", "José", "a", "b", None, "c"]
    assert [row.strange for row in rows] == [(), (3,), (), (), (), ()]
    assert [row.problem for row in rows] == [
        None,
        None,
        "1 cells for 2 columns",
        "3 cells for 2 columns",
        "field larger than field limit (131072)",
        None,
    ]


def test_short_rows_are_filled_up_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2\n1,2,3\n")
    rows = list(read_table(path, short_rows=True).lines)
    assert [row.text("c") for row in rows] == [None, "3"]
    with pytest.raises(TableError, match="row 2: has 2 fields"):
        list(read_table(path).lines)


def test_a_header_that_is_known_goes_before_a_wider_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path;note, or, what\na.jpg;x\n")
    assert read_table(path).delimiter == ","
    table = read_table(path, prefers=lambda names: "path" in names)
    assert (table.delimiter, table.columns) == (";", ("path", "note, or, what"))


def test_a_guessed_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("name;score\nJosé;1,5\n".encode("cp1252"))
    table = read_table(path)
    assert [(line.text("name"), line.value("score")) for line in table.lines] == [("José", 1.5)]
    assert table.notes == ("t.csv is not text in UTF-8: read as Windows-1252",)


@pytest.mark.parametrize(
    "text",
    ["", " ", "nan", "NaN", "-nan(ind)", "+nan(snan)", "1.#IND", "-1.#IND00", "1.#QNAN", "1.#INF",
     "inf", "-Infinity", "N/A", "#N/A", "NA", "<NA>", "#NUM!", "#DIV/0!", "#ZAHL!", "#NV", "NULL",
     "None", "-", "."],
)  # fmt: skip
def test_spellings_of_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("0,5", 0.5), ("-1,25e-3", -0.00125), ("1.234,5", 1234.5), ("\u22122", -2.0), (".5", 0.5)],
)
def test_numbers(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["high", "1_000", "9" * 400, "1.2.3", "0x10", "12 s"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=text[:3]):
        parse_number(text)


def test_a_comma_that_may_part_thousands_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="nobody can tell"):
        parse_number("1,234", ",")
    assert parse_number("0,234", ",") == 0.234


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04\0\0", "binary data"),
        (b"a,b\n" + b"1,2\n" * 20000 + b"1,\0\n", "row 20002: holds binary data"),
        (codecs.BOM_UTF16_LE + "a;b\n1;2".encode("utf-16-le")[:-1], "breaks off"),
        (b"a,b\n1,2\n3\n", "row 3: has 1 fields but row 1 names 2 columns"),
        (b"a,b\n1,2,5\n", "where its numbers have decimal commas"),
        (b"x" * 200_000 + b"\n1\n", "field larger than field limit"),
    ],
)
def test_damaged_tables_are_one_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(TableError) as error:
        list(read_table(path).lines)
    assert str(path) in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_too_large_a_number_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1;" + "9" * 400 + "\n")
    (line,) = read_table(path).lines
    with pytest.raises(TableError, match=r"row 2: b must be a number but is 9+…, which is too"):
        line.value("b")
