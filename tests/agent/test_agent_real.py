"""The agent with real LLaVA classes (tiny random weights) and real Py-Feat code (tiny weights)."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models

from kuleshov import Agent, Settings
from kuleshov.evals.bench import tiny_pyfeat
from kuleshov.tools.faces.pyfeat.tool import PyFeat
from kuleshov.tools.mllm.local.model import TransformersMllm

from parts import NO_FROWN, SMILE, HandFaces, face


@pytest.fixture(scope="module", params=tiny_models.KINDS)
def mllm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp(request.param)
    # prompts in a toy vocabulary are long
    tiny_models.build(request.param, folder, max_position_embeddings=16384)
    return TransformersMllm.load_folder(folder, name=request.param, device="cpu")


@pytest.mark.parametrize("family", ["brief", "full"])
def test_every_llava_class_reads_a_photograph(mllm, family, feat_data: Path):
    settings = Settings.load(prompts=family, fusion="text", max_new_tokens=300)
    agent = Agent(mllm, HandFaces(face(SMILE, NO_FROWN, box=(300, 100, 360, 180))), settings)
    inference = agent.infer(feat_data / "multi_face.jpg", context="They won")
    (person,) = inference.people
    told = {gap.step for gap in inference.gaps}
    # random weights may ramble on beyond their tokens: then that is a gap, and never neutral
    assert (inference.scene is None) == ("scene" in told)
    assert (person.explanation is None) == ("judge" in told)
    if person.explanation is not None:
        assert person.emotions.method == "likelihood, content-free prior removed"
        assert sum(person.emotions.probabilities.values()) == pytest.approx(1)
        own = {item.n for item in inference.evidence if item.person in (None, 1)}
        assert {cue.evidence for cue in person.explanation.cues} <= own
    again = agent.infer(feat_data / "multi_face.jpg", context="They won")
    assert again.people == inference.people


def test_py_feat_and_llava_together(feat_data: Path, tmp_path: Path):
    weights = tmp_path / "pyfeat"
    tiny_pyfeat.build_weights(weights)
    folder = tiny_models.build("llava", tmp_path / "llava", max_position_embeddings=16384)
    mllm = TransformersMllm.load_folder(folder, name="tiny", device="cpu")
    agent = Agent(
        mllm,
        PyFeat(resources=weights),
        Settings.load(prompts="brief", max_people=2, max_new_tokens=32),
    )
    assert agent.crew.fusion == "people"
    inference = agent.infer(feat_data / "multi_face.jpg")
    assert inference.provenance.faces["name"] == "pyfeat"
    assert "non-commercial" in inference.provenance.faces["licence"]
    for person in inference.people:
        assert {unit.scale for unit in person.face.action_units} <= {"probability", None}
        assert len(person.face.units_measured) == 20
        assert person.emotions.fusion in ("people", "face")
