"""What a user holds in hand: short in a shell, a card in a notebook, a table, a plot, a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import readings
from test_agent import PICTURE, agent

from kuleshov import Inference, KuleshovError, Person
from kuleshov.tools.types import Face


def test_a_text_in_a_shell_has_eight_lines_at_most() -> None:
    inference = readings.group()
    told = repr(inference)
    assert told.startswith("<Inference of multi_face.jpg: 5 people\n  Person 1: ekman-7: ")
    assert len(told.splitlines()) <= 8
    assert max(map(len, told.splitlines())) < 160
    assert str(inference) == told
    for person in inference:
        assert len(repr(person).splitlines()) <= 8
        for part in (person.face, person.explanation, person.emotions):
            assert part is None or len(repr(part).splitlines()) <= 8


def test_people_labels_and_units_are_reached_by_their_names() -> None:
    inference = readings.group()
    assert len(inference) == 5
    assert [person.id for person in inference] == [1, 2, 3, 4, 5]
    person = inference.people[0]
    assert isinstance(person, Person)
    assert person.emotions["happiness"] == person.emotions.probabilities["happiness"]
    with pytest.raises(KuleshovError, match=r"ekman-7 has no label 'hapiness' \(did you mean hap"):
        person.emotions["hapiness"]
    face: Face = person.face
    assert face.au(12) == face.unit(12)
    assert face.au(99) is None
    with pytest.raises(KuleshovError, match=r"there is no AU120; measured were AU\d"):
        face.au(120)


def test_nobody_is_an_inference_all_the_same() -> None:
    nobody = readings.single().model_copy(update={"people": ()})
    assert len(nobody) == 0
    assert nobody
    assert list(nobody) == []


def test_a_record_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    inference = readings.clip()
    inference.save(tmp_path / "clip.json")
    assert Inference.load(tmp_path / "clip.json") == inference
    assert json.loads((tmp_path / "clip.json").read_text()) == inference.to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.json"]
    with pytest.raises(KuleshovError, match="cannot write"):
        inference.save(tmp_path / "nowhere" / "clip.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(KuleshovError, match="this is not a record"):
        Inference.load(tmp_path / "other.json")


def test_a_notebook_shows_the_card_and_runs_nothing_of_it() -> None:
    inference = readings.group()
    hostile = "<script>alert(1)</script>"
    scene = inference.scene.model_copy(update={"description": hostile})
    html = inference.model_copy(update={"scene": scene})._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "multi_face.jpg" in html


def test_a_table_has_a_row_a_person_and_the_exports_columns() -> None:
    pytest.importorskip("pandas")
    inference = readings.group()
    table = inference.to_pandas()
    assert list(table["person"]) == [1, 2, 3, 4, 5]
    first = inference.people[0]
    assert table.loc[0, "p_happiness"] == first.emotions["happiness"]
    assert set(table["basis"]) == {"face", "context"}


def test_a_plot_has_a_bar_for_each_label_of_each_person() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    inference = readings.group()
    read = [person for person in inference if person.emotions is not None]
    axes = inference.plot()
    assert len(axes.containers) == len(read)
    alone = read[0].plot()
    assert len(alone.containers[0]) == len(read[0].emotions.probabilities)
    with pytest.raises(KuleshovError, match="nobody has a reading"):
        inference.model_copy(update={"people": ()}).plot()


def test_what_can_be_done_is_listed_without_the_librarys_own() -> None:
    names = dir(readings.single())
    assert {"people", "save", "to_pandas", "plot", "show"} <= set(names)
    assert not [name for name in names if name.startswith(("model_", "parse_", "_"))]


def test_an_agent_says_what_is_loaded_and_reads_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    made = agent()
    assert repr(made).startswith("<Agent: model ")
    assert "labels ekman-7" in repr(made)
    several = made.infer([PICTURE, PICTURE], context="They won.")
    assert [one.people for one in several] == [made.infer(PICTURE, context="They won.").people] * 2
    assert capsys.readouterr().err == ""  # progress is for terminals


def test_the_views_are_there_without_an_agent() -> None:
    program = (
        "import sys; from kuleshov import Inference; "
        "assert 'torch' not in sys.modules; "
        "from kuleshov.types import VIEWS; print(sorted(VIEWS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['html', 'pandas', 'plot', 'show']"
