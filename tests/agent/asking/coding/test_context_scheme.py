"""Coding schemes: what is shipped, and mistakes named with their line."""

from __future__ import annotations

import pytest

from kuleshov.asking.coding import scheme
from kuleshov.asking.coding.scheme import Scheme, by_scope, parse_scheme, shipped_schemes
from kuleshov.tools import pocket
from kuleshov.tools.errors import KuleshovError

GOOD = """\
name = "mine"
source = "made up"

[[variable]]
name = "place"
type = "category"
question = "Where is it?"
options = [
  "home",
  "street",
]

[[variable]]
name = "fire"
type = "yes/no"
question = "Does it burn?"
"""


def test_every_shipped_scheme_loads_with_its_sources():
    assert shipped_schemes() == ["appraisals", "default", "situations"]
    for name in shipped_schemes():
        loaded = Scheme.load(name)
        assert loaded.name == name
        assert any(year in loaded.source for year in ("1985", "2001", "2014", "2024"))
    sizes = {k: len(v) for k, v in by_scope(Scheme.load("default").variables).items()}
    assert sizes == {"scene": 29, "person": 11, "pair": 3}
    dimensions = {variable.name for variable in Scheme.load("appraisals").variables}
    published = {"novelty", "pleasantness", "goal_relevance", "goal_conduciveness", "agency"}
    assert published | {"control", "norm_compatibility"} <= dimensions
    assert all(v.source and v.scope == "person" for v in Scheme.load("appraisals").variables)


def test_no_question_guesses_who_somebody_is():
    for name in shipped_schemes():
        for variable in Scheme.load(name).variables:
            words = f"{variable.question} {' '.join(variable.options)}".lower().split()
            assert not {"age", "old", "gender", "sex", "race", "man", "woman", "child"} & set(words)


def test_the_probes_of_the_default_scheme_are_those_the_pocket_model_was_taught():
    from training.llava.tasks import THINGS

    assert set(pocket.TAUGHT_PROBES) == set(THINGS) - {"a child"}
    probes = {v.probe for v in Scheme.load("default").variables if v.probe}
    assert len(probes) >= 9
    assert probes <= set(pocket.TAUGHT_PROBES)


def test_two_schemes_are_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    both = Scheme.load(f"{path}+situations")
    assert both.name == "mine+situations"
    assert [v.name for v in both.variables][:3] == ["place", "fire", "duty"]
    assert both.facts["variables"] == 10
    with pytest.raises(KuleshovError, match="'place' is in the schemes 'default' and 'mine'"):
        Scheme.load(f"default+{path}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fire", "place"), r"line 14: the name 'place' is already taken on line 5\."),
        (('"street"', '"Home"'), r"line 8: options: 'home' stands there twice\."),
        (('\n  "street",', ""), r"line 8: options: a category needs at least two, got 1\."),
        (('type = "yes/no"\n', ""), r"line 13: the variable of 'fire' has no type\."),
        (('question = "Does', 'asks = "Does'), r"line 13: the variable of 'fire' has no question"),
        (('"yes/no"', '"maybe"'), r"line 15: type: .*got 'maybe'\."),
        (('name = "fire"', 'name = "Fire!"'), r"line 14: name: .*got 'Fire!'\."),
        (("Does it burn?", "\\u0007 burns?"), r"line 16: question: must be one line"),
        (('burn?"', 'burn?"\noption = []'), r"line 17: there is no 'option' \(did you mean opt"),
        (('burn?"', 'burn?"\nsteps = 3'), r"line 17: steps: only an ordinal has steps"),
        (('burn?"', 'burn?"\noptions = ["a", "b"]'), r"line 17: options: only a category"),
        (('"category"', '"ordinal"'), r"line 8: options: only a category has options"),
        (('source = "made up"', ""), r"is not valid: source: Field required\."),
        (("[[variable]]", "[variable]"), r"is not TOML: .*line 13"),
        (("home", 'home"'), r"is not TOML: .*line 9"),
    ],
)
def test_a_mistake_is_named_with_its_line(change, message):
    old, new = change
    with pytest.raises(KuleshovError, match=message) as caught:
        parse_scheme(GOOD.replace(old, new), "the coding scheme mine.toml")
    text = str(caught.value)
    assert text.startswith("the coding scheme mine.toml")
    assert "\n" not in text


def test_five_thousand_variables_are_too_many():
    many = 'name = "m"\nsource = "s"\n' + "".join(
        f'[[variable]]\nname = "v{i}"\ntype = "yes/no"\nquestion = "Is it {i}?"\n'
        for i in range(5000)
    )
    line = 3 + 4 * scheme.MOST_VARIABLES
    with pytest.raises(
        KuleshovError, match=rf"line {line}: it has 5,000 variables and at most 200"
    ):
        parse_scheme(many, "m.toml")


def test_text_over_several_lines_does_not_move_the_count():
    text = GOOD.replace(
        '"Where is it?"', '"Where?"\ndefinition = """\\\n[[variable]] in here"""'
    ).replace('"Does it burn?"', "3")
    with pytest.raises(KuleshovError, match=r"line 18: question: "):
        parse_scheme(text, "mine.toml")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(
        KuleshovError, match=r"no coding scheme 'defualt' \(did you mean default\?\)"
    ):
        Scheme.load("defualt")
    with pytest.raises(KuleshovError, match=r"cannot read the coding scheme .*gone\.toml: No such"):
        Scheme.load(str(tmp_path / "gone.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KuleshovError, match="is not text in UTF-8"):
        Scheme.load(str(tmp_path / "bytes.toml"))
    (tmp_path / "none.toml").write_text('name = "n"\nsource = "s"\n')
    with pytest.raises(KuleshovError, match=r"has no \[\[variable\]\]"):
        Scheme.load(str(tmp_path / "none.toml"))
