"""YuNet and MediaPipe, alone and together, with their real models where these are at hand."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kuleshov.evidence.collection import collect_evidence
from kuleshov.tools.faces import ToolError, mediapipe, rules, yunet
from kuleshov.tools.faces.chain import CombinedFaces
from kuleshov.tools.faces.model_file import ModelFile
from kuleshov.tools.media import open_media
from kuleshov.tools.types import ActionUnit, Face

pytest.importorskip("mediapipe", reason="the extra kuleshov[mediapipe] is not installed")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def finder() -> yunet.Yunet:
    path = SHARED / "face_detection_yunet.onnx"
    if not path.is_file():
        pytest.skip("YuNet's model (../shared/data/face_detection_yunet.onnx) is not here")
    return yunet.load_yunet(path=str(path))


@pytest.fixture(scope="module")
def landmarker() -> mediapipe.MediaPipe:
    path = SHARED / "face_landmarker.task"
    if not path.is_file():
        pytest.skip("MediaPipe's model (../shared/data/face_landmarker.task) is not here")
    return mediapipe.load_mediapipe(path=str(path))


@pytest.fixture(scope="module")
def both(finder: yunet.Yunet, landmarker: mediapipe.MediaPipe) -> CombinedFaces:
    return CombinedFaces("yunet+mediapipe", finder, [landmarker])


def picture(path: Path) -> np.ndarray:
    return open_media(path).images[0]


def told(found: list[Face]) -> list[Face]:
    return [face for face in found if any(unit.value is not None for unit in face.action_units)]


def test_small_faces_are_found_and_measured(
    both: CombinedFaces, landmarker: mediapipe.MediaPipe, feat_data: Path, photos: Path
) -> None:
    images = [
        picture(feat_data / "multi_face.jpg"),
        picture(photos / "sg_classroom_in_tanzania.jpg"),
    ]
    five, classroom = both.observe(images)
    assert (len(five), len(told(five))) == (5, 5)
    assert len(told(classroom)) >= 12
    # a face that was found but not measured says so
    for face in classroom:
        if face not in told(classroom):
            assert "mediapipe could not find its landmarks: units unknown" in face.notes
    assert [len(found) for found in landmarker.observe(images)] == [2, 2]
    assert [face.score for face in five] == sorted((f.score for f in five), reverse=True)  # type: ignore[type-var]
    assert {face.tool for face in five} == {"yunet+mediapipe"}


def test_a_laughing_face(landmarker: mediapipe.MediaPipe, feat_data: Path) -> None:
    ((face,),) = landmarker.observe([picture(feat_data / "single_face.jpg")])
    shown = {unit.unit: unit.shown for unit in face.whole_units()}
    assert (shown[12], shown[4], shown[15]) == ("above 99% of calm faces", "absent", "absent")
    assert {unit.side for unit in face.action_units if unit.unit == 12} == {"left", "right"}
    # the lips part over the teeth while the jaw is closed
    assert (shown[25], shown[26]) == ("above 99% of calm faces", "absent")
    assert face.pose is not None
    assert abs(face.pose.roll or 0) < 10
    assert not {5, 6, 9, 34} & set(face.units_measured)
    assert {unit.scale for unit in face.action_units} == {"activation"}
    assert face.score is None
    x0, y0, x1, y1 = face.xyxy
    assert 150 < x0 < 250 < 300 < x1 < 420
    assert 100 < y0 < 250 < 350 < y1 < 480


def test_no_face(both: CombinedFaces, feat_data: Path) -> None:
    assert both.observe([picture(feat_data / "free-mountain-vector-01.jpg")]) == [[]]


def test_rules_read_an_expression_from_the_units(
    finder: yunet.Yunet, landmarker: mediapipe.MediaPipe, feat_data: Path
) -> None:
    tool = CombinedFaces("yunet+mediapipe+rules", finder, [landmarker, rules.load_rules()])
    ((face,),) = tool.observe([picture(feat_data / "single_face.jpg")])
    assert face.expression is not None
    assert face.expression.top == "happiness"
    assert face.expression.method.startswith("rules: ")
    assert tool.info.expressions
    assert tool.info.caveat is not None
    assert "follows from the units by rules" in tool.info.caveat


def test_left_is_the_persons_own(landmarker: mediapipe.MediaPipe, feat_data: Path) -> None:
    """A photo of one person in a mirror and turned by 20 degrees: sides and angles follow."""
    from PIL import Image

    image = picture(feat_data / "single_face.jpg")
    ((face,),) = landmarker.observe([image])
    ((mirrored,),) = landmarker.observe([np.ascontiguousarray(image[:, ::-1])])
    turned = np.array(Image.fromarray(image).rotate(-20))  # clockwise in the picture
    ((tilted,),) = landmarker.observe([turned])
    assert face.pose is not None
    assert mirrored.pose is not None
    assert tilted.pose is not None
    # her eyes look to the right of the picture, which is her left; in the mirror it is the other
    gaze = {unit: face.unit(unit).activation for unit in (61, 62)}  # type: ignore[union-attr]
    other = {unit: mirrored.unit(unit).activation for unit in (61, 62)}  # type: ignore[union-attr]
    assert gaze[61] > gaze[62]  # type: ignore[operator]
    assert other[62] > other[61]  # type: ignore[operator]
    assert face.pose.yaw == pytest.approx(-(mirrored.pose.yaw or 0), abs=4)
    # clockwise in the picture is towards the person's left shoulder
    assert (tilted.pose.roll or 0) - (face.pose.roll or 0) == pytest.approx(-20, abs=5)


def test_silence_is_not_absence() -> None:
    names = {name for names in mediapipe.facs.BLENDSHAPES.values() for name in names}
    silent = {unit.unit for unit in mediapipe.from_blendshapes(dict.fromkeys(names, 0.0))}
    assert silent == set(mediapipe.UNITS)
    fired = mediapipe.from_blendshapes(
        {**dict.fromkeys(names, 0.0), "cheekSquintLeft": 0.3, "cheekSquintRight": 0.0}
    )
    assert ActionUnit(unit=6, side="left", activation=0.3) in fired
    assert ActionUnit(unit=6, side="right") in fired
    unknown = mediapipe.from_blendshapes({"mouthSmileLeft": 0.4, "mouthSmileRight": float("nan")})
    assert ActionUnit(unit=12, side="right") in unknown
    assert [unit.side for unit in unknown if unit.value is not None] == ["left"]


def test_a_one_sided_smile_stays_one_sided() -> None:
    names = {name for names in mediapipe.facs.BLENDSHAPES.values() for name in names}
    still = dict.fromkeys(names, 0.0)
    one = Face(
        xyxy=(0, 0, 1, 1),
        action_units=mediapipe.from_blendshapes(
            {**still, "mouthSmileRight": 0.3, "mouthDimpleRight": 0.25, "jawOpen": 0.6}
        ),
        tool="mediapipe",
        version="1",
    )
    told = [item.text for item in collect_evidence(one, None)]
    assert "AU12 lip corner puller: above 95% of calm faces, right side" in told
    assert "AU14 dimpler: above 99% of calm faces, right side" in told
    assert one.unit(25) is None  # an open jaw alone does not say that the lips part


def test_the_thresholds_are_those_of_the_training_script() -> None:
    if not (SHARED / "ferplus_blendshapes.npz").is_file():
        pytest.skip("the blendshapes of FER+ (../shared/data) are not here")
    from training.face.thresholds import thresholds

    assert thresholds() == mediapipe.THRESHOLDS


# ---------------------------------------------------------------------------------- model files


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real HTTP server that gives `model.bin`."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "model.bin").write_bytes(b"weights")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "served"))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def model(url: str, digest: str = hashlib.sha256(b"weights").hexdigest()) -> ModelFile:
    return ModelFile("toy", "model.bin", f"{url}/model.bin", digest, 7, "MIT", "TOY_MODEL")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "cache" / "kuleshov" / "model.bin"


def test_a_model_is_downloaded_once_and_checked(server: str, cache: Path, tmp_path: Path) -> None:
    assert model(server).get() == cache
    assert cache.read_bytes() == b"weights"
    (tmp_path / "served" / "model.bin").write_bytes(b"changed")
    assert model(server).get().read_bytes() == b"weights"
    assert [path.name for path in cache.parent.iterdir()] == ["model.bin"]


def test_what_is_not_the_published_file_is_refused(server: str, cache: Path) -> None:
    with pytest.raises(ToolError, match=r"is not the published model.bin: its SHA-256 differs"):
        model(server, "0" * 64).get()
    assert not cache.exists()


def test_a_model_that_cannot_be_had(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ToolError, match=r"could not be downloaded \(HTTPError: .*404.*curl -L"):
        model(f"{server}/nowhere").get()
    assert not cache.exists()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ToolError, match=r"HF_HUB_OFFLINE forbids downloads"):
        model(server).get()
    monkeypatch.setenv("TOY_MODEL", str(tmp_path / "missing"))
    with pytest.raises(ToolError, match=r"there is no file .*missing, which TOY_MODEL names"):
        model(server).get()
    own = tmp_path / "own.bin"
    own.write_bytes(b"of my own")
    assert model(server).get(own) == own


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(b"not a model")
    with pytest.raises(ToolError, match=r"MediaPipe cannot start with .*broken.bin"):
        mediapipe.load_mediapipe(path=str(path))
    with pytest.raises(ToolError, match=r"cannot read .*broken.bin as YuNet"):
        yunet.load_yunet(path=str(path))
