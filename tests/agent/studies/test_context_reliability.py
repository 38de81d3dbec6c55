"""Agreement of the coder with itself and with people; variables that do not look."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kuleshov import Agent, Settings
from kuleshov.apps.cli.main import main
from kuleshov.asking.coding.scheme import Variable
from kuleshov.studies import reliability
from kuleshov.studies.reliability import (
    Repeats,
    code_versions,
    krippendorff_alpha,
    list_wordings,
    measure_reliability,
)
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.mllm import Call, ScriptedMllm
from kuleshov.tools.mllm.base import MllmInfo

from parts import HandFaces

INFO = MllmInfo(id="scripted", kind="scripted", device="cpu", dtype="none", prompts="brief")
SCHEME = """
name = "mine"
source = "made up"
[[variable]]
name = "steady"
type = "yes/no"
question = "Is it steady?"
rewordings = ["Does it stand still?"]
[[variable]]
name = "fickle"
type = "category"
question = "Which is it?"
options = ["a thing", "b thing"]
[[variable]]
name = "blind"
type = "yes/no"
question = "Is it blind?"
[[variable]]
name = "count"
type = "count"
question = "How many?"
[[variable]]
name = "posture"
type = "yes/no"
scope = "person"
question = "Does this person sit?"
"""


def brightness(call: Call) -> int:
    return int(np.asarray(call.conversation[0]["content"][0]["image"])[0, 0, 0])


def scores(call: Call):
    """steady looks at the picture; fickle takes what is listed first; blind always says yes."""
    grey = brightness(call)
    if "blind" in call.text:
        return [1.0, 0.0]
    if "Which is it" in call.text:
        if grey == 127:
            return [0.0, 0.0]
        first = call.text.index("a thing") < call.text.index("b thing")
        return [2.0, 0.0] if first else [0.0, 2.0]
    if grey == 127:
        return [0.0, 0.0]
    return [2.0, 0.0] if grey > 127 else [0.0, 2.0]


@pytest.fixture
def agent(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SCHEME)
    mllm = ScriptedMllm(lambda call: '{"count": 3}', scores, info=INFO)
    return Agent(mllm, HandFaces(), Settings.load(scheme=str(path)))


def shades():
    return {name: np.full((40, 40, 3), grey, np.uint8) for name, grey in (("a", 90), ("b", 200))}


def test_forms_of_a_question():
    variable = Variable(name="x", type="yes/no", question="Is it?", rewordings=("Was it?",))
    assert list_wordings(variable) == [("Is it?", False), ("Is it?", True), ("Was it?", False)]
    count = Variable(name="x", type="count", question="How many?")
    assert list_wordings(count) == [
        ("How many?", False),
        ("Judge by what can be seen. How many?", False),
    ]


def test_self_agreement_and_what_does_not_look(agent):
    repeats = Repeats()
    for name, picture in shades().items():
        repeats.add(name, code_versions(agent, picture))
    rows = {row.name: row for row in measure_reliability(repeats, agent.crew.scheme)}
    steady, fickle, blind = rows["steady"], rows["fickle"], rows["blind"]
    assert (steady.units, steady.forms, steady.same, steady.alpha) == (2, 3, 1.0, 1.0)
    assert steady.js == pytest.approx(0, abs=1e-9)
    assert steady.not_looking is False
    # reversed options turn its answer round: two of three pairs of forms differ
    assert fickle.same == pytest.approx(1 / 3)
    assert fickle.alpha < 0
    assert fickle.js > 0.1
    assert blind.not_looking is True
    assert (rows["count"].alpha, rows["count"].why) == (None, "all codes are the same")
    assert (rows["posture"].units, rows["posture"].why) == (0, "nobody to ask about")
    asked = [c.text for c in agent.crew.mllm.calls if "steady" in c.text or "stand still" in c.text]
    assert any("no; yes" in text for text in asked)
    assert any("Does it stand still?" in text for text in asked)


def test_alpha_is_krippendorffs():
    # Krippendorff (2011), Computing Krippendorff's Alpha-Reliability: nominal data, two observers
    first = ["a", "a", "b", "b", "d", "c", "c", "c", "e", "d", "d", "a"]
    second = ["b", "a", "b", "b", "b", "c", "c", "c", "e", "d", "d", "d"]
    value, why = krippendorff_alpha(list(zip(first, second, strict=True)), "nominal")
    assert value == pytest.approx(0.692, abs=5e-4)
    assert why is None
    assert krippendorff_alpha([["a", "a"]], "nominal") == (None, "alpha needs at least two units")


def test_the_codes_of_people(agent, tmp_path):
    records = []
    for name, picture in shades().items():
        inference = agent.code(picture)
        media = inference.media.model_copy(update={"path": f"/x/{name}.jpg"})
        records.append(inference.model_copy(update={"media": media}))
    path = tmp_path / "codes.csv"
    path.write_text(
        "media,variable,code,coder,person\n"
        "a.jpg,steady,no,one,\nb.jpg,steady,yes,one,\na.jpg,steady,no,two,\nb.jpg,steady,no,two,\n"
        "a.jpg,count,3,one,\nb.jpg,count,4,one,\na.jpg,unknown,x,one,\n"
    )
    rows = {r.name: r for r in reliability.with_people(records, reliability.read_human(str(path)))}
    assert (rows["steady"].units, rows["steady"].people) == (2, 2)
    assert rows["steady"].same == 1.0
    assert rows["steady"].people_alpha == pytest.approx(0.0, abs=0.3)
    assert rows["count"].same == 0.5
    assert rows["unknown"].why == "the model coded none of these"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("media;variable;code;person\na.jpg;mood;café;1\na.jpg;mood;bar\n", "cp1252"),
        (
            "sep=;\r\nmedia;variable;code;person\r\na.jpg;mood;café;1\r\na.jpg;mood;bar;\r\n",
            "utf-8",
        ),
        ("media\tvariable\tcode\tperson\na.jpg\tmood\tcafé\t1\na.jpg\tmood\tbar\n", "utf-16"),
    ],
)
def test_codes_of_people_are_read_as_spreadsheets_save_them(tmp_path, text, encoding):
    path = tmp_path / "codes.csv"
    path.write_bytes(text.encode(encoding))
    notes: list[str] = []
    found = reliability.read_human(str(path), notes)
    assert found == {"mood": {("a.jpg", (1,)): {"coder": "café"}, ("a.jpg", ()): {"coder": "bar"}}}
    assert bool(notes) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("media,variable\na,b\n", "lacks the column 'code'"),
        ("media,variable,code\na,b,c\na,b,d\n", "line 3: coder has coded b of a before"),
        ("media,variable,code,person\na,b,c,she\n", "line 2: person must be a number"),
    ],
)
def test_codes_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "codes.csv"
    path.write_text(text)
    with pytest.raises(KuleshovError, match=message):
        reliability.read_human(str(path))


def test_the_commands_with_the_bundled_models(feat_data, tmp_path, capsys):
    out = tmp_path / "codes.csv"
    pocket = ["--model", "pocket", "--faces", "pocket"]
    photo = str(feat_data / "single_face.jpg")
    assert main(["code", photo, *pocket, "--repeat", "--csv", str(out)]) == 0
    told = capsys.readouterr().out
    assert "Context as data: default" in told
    assert "this model was taught one" in told
    header, *rows = out.read_text().splitlines()
    assert header.startswith("media,sha256,item,scheme,variable,type")
    assert sum(",someone," in row for row in rows) == 2
    assert main(["code", photo, *pocket, "--json"]) == 0
    record = capsys.readouterr().out
    assert {c["name"] for c in json.loads(record)["coded"] if c["value"]} >= {"someone", "snow"}
    (tmp_path / "r.jsonl").write_text(record)
    (tmp_path / "h.csv").write_text("media,variable,code\nsingle_face.jpg,someone,yes\n")
    codes = ["--codes", str(tmp_path / "h.csv")]
    assert main(["agree", str(tmp_path / "r.jsonl"), *codes, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["units"], row["same"]) == ("someone", 1, 1.0)
    assert main(["code", photo, *pocket, "--scheme", "nothing"]) == 2
    assert "there is no coding scheme 'nothing'" in capsys.readouterr().err
    assert main(["code", photo, *pocket, "--csv", "/nowhere/x.csv"]) == 2
    assert "cannot write /nowhere/x.csv" in capsys.readouterr().err
