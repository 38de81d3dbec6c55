"""Damaged files of every kind that is read: each is read, or refused with one sentence.

2,000 mutants of small whole files, the same ones at every call: bytes turned over, cut, spliced,
in other encodings, nested without end, with numbers of thousands of digits. Whatever else than a
KuleshovError a reader raises is a fault.
"""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from PIL import Image
from readings import single

from kuleshov.tools.errors import KuleshovError
from kuleshov.types import Inference

pytestmark = pytest.mark.filterwarnings("ignore")
MUTANTS = 2_000


@dataclass(frozen=True)
class Kind:
    """One kind of file: a whole one, and how it is read. `share`: of the mutants, by weight."""

    name: str
    file: str
    data: bytes
    read: Callable[[Path], Any]
    text: bool = True
    share: int = 6


# ------------------------------------------------------------------------------- what is read


def _settings(path: Path) -> None:
    from kuleshov.settings import Settings

    Settings.load(path)


def _labels(path: Path) -> None:
    from kuleshov.tools.labels import LabelSet

    LabelSet.load.cache_clear()
    LabelSet.load(str(path))


def _scheme(path: Path) -> None:
    from kuleshov.asking.coding.scheme import Scheme

    Scheme.load(str(path))


def _contexts(path: Path) -> None:
    from kuleshov.studies.contrast.contexts import read_contexts

    read_contexts(str(path))


def _candidates(path: Path) -> None:
    from kuleshov.asking.coding import candidates

    candidates.load_candidates(str(path))


def _calibration(path: Path) -> None:
    from kuleshov.evidence import temperatures

    temperatures.load_calibration(path).to_toml()


def _observer(path: Path) -> None:
    from kuleshov.evidence.observer import load_observer

    load_observer(path)


def _manifest(path: Path) -> None:
    from kuleshov.inputs import items, manifest

    manifest.count_rows(str(path))
    for work in items.read_items(str(path)):
        assert work.problem is None or "\n" not in work.problem
        work.item.model_dump_json()


def _shards(path: Path) -> None:
    from kuleshov.inputs import items

    list(items.read_items(str(path)))


def _examples(path: Path) -> None:
    from kuleshov.asking import examples
    from kuleshov.tools.labels import LabelSet

    examples.read_examples(str(path), LabelSet.load("ekman-7"))


def _results(tool: str, turned: int | None = None) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from kuleshov.tools.faces import files
        from kuleshov.tools.media import Frame, Media

        media = Media(
            sha256="a" * 64, path="photo.jpg", kind="image", size=(1600, 1200), format="JPEG",
            orientation=turned,
            frames=(Frame(index=0, time_s=0.0),),
        )  # fmt: skip
        faces = files.load_file(tool, path)
        faces.observe_media([np.zeros((1200, 1600, 3), np.uint8)], media, media.frames)

    return read


def _transcript(path: Path) -> None:
    from kuleshov.tools.media import transcript

    transcript.condense_cues(transcript.read_transcript(path))


def _ratings(path: Path) -> None:
    from kuleshov.studies import ratings

    ratings.mean_cells(ratings.read_ratings(path, scale=(1, 9)))


def _record(path: Path) -> None:
    Inference.from_json(path.read_bytes().decode("utf-8", "surrogateescape"))


def _run_of(path: Path, annotations: bytes) -> Path:
    """A run directory whose file of this name is the mutant."""
    run = path.with_name("run")
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    (run / "run.json").write_text(json.dumps(PLAN))
    (run / "annotations.jsonl").write_bytes(annotations)
    shutil.copy(path, run / path.name)
    return run


PLAN = {"schema": "kuleshov/run@1", "created": "x", "plan": {"input": "set"}, "sessions": []}


def _run(annotations: bytes) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from kuleshov.output.exports import export
        from kuleshov.runs import summary
        from kuleshov.runs.store import RunDirectory
        from kuleshov.studies import agreement, corrections

        run = _run_of(path, annotations)
        wrong = []
        for use in (
            lambda: summary.summarise_run(run),
            lambda: export(run, "csv"),
            lambda: export(run, "fex"),
            lambda: export(run, "html"),
            lambda: export(run, "label-studio"),
            lambda: corrections.compare_run(run, corrections.manifest_labels(run)),
            lambda: agreement.read_sightings(str(run / "annotations.jsonl")),
            lambda: RunDirectory(run).open(PLAN["plan"]).close(),
        ):
            try:
                use()
            except KuleshovError as error:
                wrong.append(error)
        if wrong:
            raise wrong[0]

    return read


def _label_studio(annotations: bytes) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from collections import Counter

        from kuleshov.output.exports import label_studio

        run = path.with_name("tasks-run")
        if not run.is_dir():
            run.mkdir()
            (run / "run.json").write_text(json.dumps(PLAN))
            (run / "annotations.jsonl").write_bytes(annotations)
        regions = label_studio.regions_of(run)
        passed: Counter[str] = Counter()
        list(label_studio.read_corrections(path, regions, passed))

    return read


def _memory(path: Path) -> None:
    from kuleshov.apps.chat.conversations import Memory

    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    memory = Memory(path.parent)
    try:
        memory.listing()
        memory.keep("b", "photo.jpg", "photo.jpg", {"steps": []})
    finally:
        memory.close()


def _face_net(path: Path) -> None:
    from kuleshov.tools.pocket import face_net

    face_net.load_face_net(path)


def _detector(path: Path) -> None:
    from kuleshov.tools.pocket import detector

    detector.load_detector(path)


def _model_folder(path: Path) -> None:
    from kuleshov.tools.mllm.local import weights

    folder = path.parent
    weights.check_complete(folder, "the model")
    weights.count_parameters(folder)
    weights.weights_fingerprint(folder)
    weights.read_licence(folder)
    weights.reads_images(folder)
    weights.is_whisper(folder)


def _media(path: Path) -> None:
    from kuleshov.tools.media import open_media

    open_media(path, max_pixels=4_000_000)


def _clip(path: Path) -> None:
    from kuleshov.tools.media.opener import open_clip, open_media

    stream = open_clip(path, max_pixels=4_000_000)
    if stream is None:
        open_media(path, max_pixels=4_000_000)


def _credentials(path: Path) -> None:
    from kuleshov.apps.web.server import parse_credentials

    parse_credentials([str(path)])


def _dataset(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        from kuleshov.evals.datasets import registry

        root = path if name == "manifest" else path.parent
        list(registry.find_task(name, root).read(root))

    return read


# ---------------------------------------------------------------------------------- whole files

SRT = "1\n00:00:01,000 --> 00:00:02,500\nSie weint – é.\n\n2\n00:00:03,000 --> 00:00:04,000\nAh\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500 line:0\n<v Anna>Hello &amp; <00:01.500>you\n"
ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, "
    "MarginL, MarginR, MarginV, Effect, Text\nDialogue: 0,0:00:01.00,0:00:02.50,Default,Anna,0,0,"
    "0,,{\\i1}Hello\\N you\n"
)
CHAT = "@Begin\n@Participants:\tCHI Ross Child\n*CHI:\the [/] he &=laughs . \x15100_900\x15\n@End\n"
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
2
<exists>
1
"IntervalTier"
"Anna"
0
2
2
0
1
""
1
2
"Hello"
"""
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="100"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="Anna"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"
 TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>Hi</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>
"""
ITT = """<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"
 ttp:frameRate="25" ttp:timeBase="smpte"><body><div><p begin="00:00:01:05" end="00:00:02:10">Hi</p>
</div></body></tt>
"""
WHISPER = {"segments": [{"start": 0.5, "end": 1.25, "text": " Hello.", "speaker": "A"}]}
YOUTUBE = {"events": [{"tStartMs": 500, "dDurationMs": 700, "segs": [{"utf8": "Hi"}]}]}
WHISPER_CPP = {"transcription": [{"offsets": {"from": 500, "to": 900}, "text": "Hi"}]}
OPENFACE = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, AU01_c, AU12_c\n" + (
    "1, 0, 0.0, 0.98, 1, 0.5, 2.5, 0, 1\n"
)
OPENFACE3 = (
    "timestamp,frame,face_detection,landmarks,emotion,gaze_yaw,gaze_pitch,action_units,face_id,"
    'confidence\n0.0,0,"[[10.0, 20.0, 110.0, 140.0, 0.99]]","[[1, 2]]",1,0.1,0.2,'
    '"[[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]]",0,0.99\n'
)
IMOTIONS = "Timestamp,SourceStimuliName,SlideEvent,Brow Furrow,Smile,Joy,Blink\n" + (
    "0,photo.jpg,StartMedia,0.5,0.9,0.8,0\n100,,,0.1,0.1,0.1,1\n"
)
TURNED = (
    "frame,FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU01,AU12,happiness,input,"
    "FrameHeight,FrameWidth\n0,10,10,50,60,0.99,0.5,0.25,0.9,photo.jpg,1600,1200\n"
)
SETTINGS = 'model = "pocket"\nlabels = "ekman-7"\nrate = 5.0\nseed = 3\n[paths]\nopenface = "é"\n'
LABELS = (
    'name = "mine"\nsource = "me"\n[[labels]]\nname = "joy"\nvalence = 0.8\nsynonyms = ["glad"]\n'
    '[[labels]]\nname = "grief"\ndefinition = "é"\n'
)
SCHEME = (
    'name = "mine"\nsource = "me"\nversion = "1"\n[[variable]]\nname = "crowd"\ntype = "ordinal"\n'
    'steps = 5\nquestion = "How many?"\n[[variable]]\nname = "place"\ntype = "category"\n'
    'options = ["in", "out"]\nquestion = "Where é?"\n'
)
CONTEXTS = '[[contexts]]\nname = "a"\ntext = "at a wedding"\n[[contexts]]\nname = "b"\ntext = "é"\n'
CANDIDATES = (
    '[[situation]]\nname = "a"\ntext = "She won."\n[[situation]]\nname = "b"\ntext = "Ein Café"\n'
)
CALIBRATION = (
    'schema = "kuleshov/calibration@1"\nmodel = "m"\nfaces = "pocket"\nprompts = "brief"\n'
    'prior_correction = true\nlabels = "mine"\nnames = ["joy", "grief"]\nfusion = "bayes"\n'
    "folds = 5\n[counts]\njoy = 3\ngrief = 2\n[fits.direct]\ntemperature = 1.5\nitems = 5\n"
    "nll_before = [1.0, 0.9, 1.1]\nnll_after = [0.9, 0.8, 1.0]\nnll_change = [-0.1, -0.2, 0.0]\n"
    "ece_before = [0.1, 0.0, 0.2]\nece_after = [0.1, 0.0, 0.2]\n"
)
MANIFEST = 'path,context,label,box\nphoto.jpg,"at a wedding, é",happiness,10 10 60 70\n'
SHOTS = 'path,label\nphoto.jpg,happiness\nphoto.jpg,"{""anger"": 2, ""fear"": 1}"\n'
ROW = {"path": "photo.jpg", "context": ["é"], "label": {"happiness": 1, "anger": 2},
       "boxes": [[10, 10, 60, 70]], "id": "a"}  # fmt: skip
RATINGS = "condition,face,context,rater,happy,sad\n" + "".join(
    f"{shown},{face},{context},{rater},{1 + place % 9},{1 + (rater + place * 2) % 9}\n"
    for rater in range(2)
    for place, (shown, face, context) in enumerate(
        [(s, f, c) for s in ("face", "context", "both") for f in ("f1", "f2") for c in ("c1", "c2")]
    )
)
TASKS = [
    {
        "data": {"item": "one.jpg", "image": "x"},
        "predictions": [{"result": []}],
        "annotations": [
            {
                "completed_by": {"email": "é@x", "id": 3},
                "updated_at": "2024-01-01",
                "result": [
                    {
                        "id": "1",
                        "from_name": "label",
                        "type": "rectanglelabels",
                        "meta": {"text": ["1"]},
                        "original_width": 100,
                        "original_height": 80,
                        "value": {"x": 1, "y": 2, "width": 30, "height": 40,
                                  "rectanglelabels": ["happiness"]},
                    }
                ],
            }
        ],
    }
]  # fmt: skip


def _landmarks() -> str:
    names = [f"{axis}_{k}" for axis in "xy" for k in range(68)]
    numbers = [*range(10, 78), *range(20, 88)]
    return f"face,confidence,{','.join(names)},AU12_r\n0,0.9,{','.join(map(str, numbers))},2.5\n"


def _annotations() -> bytes:
    """Two lines of a run."""
    record = json.loads(single().to_json())
    lines = []
    for name in ("one.jpg", "two.jpg"):
        item = {"id": name, "label": "happiness", "extra": {}}
        lines.append(json.dumps({"schema": record["schema"], "item": item, **{
            key: value for key, value in record.items() if key not in ("schema", "item")
        }}, separators=(",", ":")))  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()


def _picture(form: str, **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def _heic() -> bytes:
    import pillow_heif

    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(out, quality=50)
    return out.getvalue()


def _exif() -> Any:
    """Turned, and in Adobe RGB."""
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    return exif


def _coloured_png() -> bytes:
    data = _picture("PNG")
    for kind, told in (
        (b"gAMA", struct.pack(">I", 100000)),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)),
        (b"cICP", bytes([9, 16, 0, 1])),
    ):
        made = struct.pack(">I", len(told)) + kind + told + struct.pack(">I", crc32(kind + told))
        data = data[:33] + made + data[33:]
    return data


def _deep(suffix: str) -> bytes:
    import cv2

    pixels = np.random.default_rng(0).integers(0, 1 << 14, (24, 32, 3), dtype=np.uint16)
    return bytes(cv2.imencode(f".{suffix}", pixels)[1])


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data in {
            "a.jpg": _picture("JPEG"),
            "a.json": json.dumps({"context": "é", "label": "happiness"}).encode(),
            "b.jpg": _picture("JPEG"),
            "b.txt": b"at a wedding",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"path": ["photo.jpg", "b.jpg"], "context": ["é", "b"], "label": [1, 2]})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _conversations(folder: Path) -> bytes:
    from kuleshov.apps.chat.conversations import FILE, Memory

    memory = Memory(folder)
    memory.keep("a", "photo.jpg", "photo.jpg", {"steps": [], "readings": [{"x": "é" * 50}]})
    memory.close()
    return (folder / FILE).read_bytes()


def _mp4(path: Path) -> bytes:
    import av

    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 250, 50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), "rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path.read_bytes()


def _safetensors(metadata: dict[str, str] | None = None) -> bytes:
    from safetensors.numpy import save

    return save({"w": np.ones((2, 3), np.float32), "b": np.zeros(3, np.float32)}, metadata)


def _pocket_header(path: Path) -> bytes:
    """The weights with their real header: mutants are of its first bytes as a rule."""
    return path.read_bytes()


def kinds(folder: Path) -> list[Kind]:
    """All kinds of files; `folder` is for what is made on the way."""
    from kuleshov.evidence.observer import SHIPPED
    from kuleshov.tools.faces.files import READERS
    from kuleshov.tools.pocket import detector, face_net

    annotations = _annotations()
    for name in ("chat", "clip"):
        (folder / name).mkdir()
    found = [
        Kind("settings", "mine.toml", SETTINGS.encode(), _settings),
        Kind("labels", "mine.toml", LABELS.encode(), _labels),
        Kind("scheme", "mine.toml", SCHEME.encode(), _scheme),
        Kind("contexts", "mine.toml", CONTEXTS.encode(), _contexts),
        Kind("candidates", "mine.toml", CANDIDATES.encode(), _candidates),
        Kind("calibration", "mine.toml", CALIBRATION.encode(), _calibration),
        Kind("observer", "mine.toml", Path(SHIPPED).read_bytes(), _observer),
        Kind("manifest csv", "set.csv", MANIFEST.encode(), _manifest),
        Kind("manifest jsonl", "set.jsonl", json.dumps(ROW).encode() + b"\n", _manifest),
        Kind("manifest parquet", "set.parquet", _parquet(), _manifest, text=False),
        Kind("examples", "shots.csv", SHOTS.encode(), _examples),
        Kind("srt", "a.srt", SRT.encode(), _transcript),
        Kind("vtt", "a.vtt", VTT.encode(), _transcript),
        Kind("ass", "a.ass", ASS.encode(), _transcript),
        Kind("txt", "a.txt", "Anna: Hello é\n[00:01] Bert: yes\n".encode(), _transcript),
        Kind("lrc", "a.lrc", b"[00:01.50]Hello\n[00:03.00]you\n", _transcript),
        Kind("chat", "a.cha", CHAT.encode(), _transcript),
        Kind("textgrid", "a.TextGrid", TEXTGRID.encode(), _transcript),
        Kind("eaf", "a.eaf", EAF.encode(), _transcript),
        Kind("itt", "a.itt", ITT.encode(), _transcript),
        Kind("tsv", "a.tsv", b"start\tend\ttext\n500\t900\tHello\n", _transcript),
        Kind("whisper", "a.json", json.dumps(WHISPER).encode(), _transcript),
        Kind("youtube", "a.json", json.dumps(YOUTUBE).encode(), _transcript),
        Kind("whisper.cpp", "a.json", json.dumps(WHISPER_CPP).encode(), _transcript),
        Kind("ratings", "r.csv", RATINGS.encode(), _ratings, share=3),
        Kind("record", "r.json", single().to_json().encode(), _record),
        Kind("run", "annotations.jsonl", annotations, _run(annotations), share=3),
        Kind("failures", "failures.jsonl",
             b'{"key":"a","path":"a.jpg","reason":"it is cut off"}\n', _run(annotations), share=3),
        Kind("description", "run.json", json.dumps(PLAN).encode(), _run(annotations), share=3),
        Kind("label studio", "tasks.json", json.dumps(TASKS).encode(), _label_studio(annotations)),
        Kind("conversations", "conversations.sqlite", _conversations(folder / "chat"), _memory,
             text=False, share=3),
        Kind("users", "users.txt", "anna:correct horse é\n".encode(), _credentials, share=2),
        Kind("face net", "face.safetensors", _pocket_header(face_net.WEIGHTS), _face_net,
             text=False, share=2),
        Kind("detector", "detector.safetensors", _pocket_header(detector.WEIGHTS), _detector,
             text=False, share=2),
        Kind("weights", "model.safetensors", _safetensors(), _model_folder, text=False),
        Kind("config", "config.json",
             b'{"architectures": ["LlavaForConditionalGeneration"], "vision_config": {"n": 1}}',
             _model_folder),
        Kind("index", "model.safetensors.index.json",
             b'{"metadata": {"total_size": 36}, "weight_map": {"w": "a.safetensors"}}',
             _model_folder),
        Kind("card", "README.md", b"---\nlicense: mit\n---\n# A model\n", _model_folder, share=2),
        Kind("shard", "set.tar", _tar(), _shards, text=False),
        Kind("clip", "a.mp4", _mp4(folder / "clip" / "a.mp4"), _clip, text=False, share=2),
        Kind("eval manifest", "set.csv", MANIFEST.encode(), _dataset("manifest"), share=3),
    ]  # fmt: skip
    for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"),
                         ("TIFF", "tif"), ("BMP", "bmp")):  # fmt: skip
        found.append(Kind(form, f"a.{suffix}", _picture(form), _media, text=False, share=3))
    for name, suffix, data in (
        ("HEIC", "heic", _heic()),
        ("AVIF", "avif", _picture("AVIF")),
        ("photo with EXIF", "jpg", _picture("JPEG", exif=_exif())),
        ("PNG with colours", "png", _coloured_png()),
        ("16 bit TIFF", "tif", _deep("tiff")),
        ("16 bit PNG", "png", _deep("png")),
    ):
        found.append(Kind(name, f"a.{suffix}", data, _media, text=False, share=3))
    tables = {
        "openface": OPENFACE.encode(),
        "openface3": OPENFACE3.encode(),
        "libreface": b"frame_idx,frame_time_in_ms,au_1_intensity,au_12,facial_expression\n"
        b"0,0.0,0.5,1,Happiness\n",
        "pyafar": b"Frame,Occ_au_1,Occ_au_12,Int_au_12\n1,0.5,0.25,1.5\n",
        "affdex": json.dumps({"browFurrow": 3.5, "smile": 90.0, "Timestamp": 0.1}).encode(),
        "facet": b"StudyName\tEventSource\tFrameNo\tFrameTime\tNoOfFaces\tAU1 Evidence\t"
        b"FaceRect X\tFaceRect Y\tFaceRect Width\tFaceRect Height\tJoy Evidence\n"
        b"a\tEmotient FACET\t1\t33.0\t1\t-0.5\t10\t10\t50\t60\t1.5\n",
        "pyfeat": b"frame,FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU01,AU12,"
        b"happiness,input\n0,10,10,50,60,0.99,0.5,0.25,0.9,photo.jpg\n",
    }
    found.append(Kind("iMotions", "r.csv", IMOTIONS.encode(), _results("affdex"), share=4))
    found.append(Kind("turned", "r.csv", TURNED.encode(), _results("pyfeat", 6), share=4))
    found.append(Kind("landmarks", "r.csv", _landmarks().encode(), _results("openface"), share=4))
    for tool in READERS:
        suffix = "json" if tool == "affdex" else "csv"
        found.append(Kind(tool, f"r.{suffix}", tables[tool], _results(tool), share=4))
    return found


# -------------------------------------------------------------------------------------- mutants

HUGE = [
    "9" * 5000,
    "1" + "0" * 400,
    *["1e999", "-1", "NaN", "-inf", "1e308", "0xff", "2", "²", "0", "-0.0"],
]
DEEP = ["[" * 100_000, "[" * 3000 + "]" * 3000, '{"a":' * 20_000, "{a=" * 2000 + "1" + "}" * 2000]
ODD = ["null", "[]", "{}", '"\\ud800"', "true", '""', '["a"]', '{"a":1}', "7", "\x1b[31m"]
LONG = ["x", "\u202e", '"', "\\", ",", "é"]
BYTES = ("flip", "cut", "splice", "drop", "nul")
WORDS = ("encode", "deep", "repeat", "long", *("huge", "odd") * 4)
VALUE = re.compile(r'-?\d+(\.\d+)?|"[^"\n]*"|\[[^\[\]]*\]|\{[^{}]*\}|true|false|null')


def mutant(kind: Kind, random: random.Random) -> bytes:
    """One damaged copy of a file."""
    data = kind.data
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        way = random.choice(BYTES + WORDS if kind.text else BYTES)
        data = _of_bytes(way, data, random) if way in BYTES else _of_words(way, data, random)
    return data


def _of_bytes(way: str, data: bytes, random: random.Random) -> bytes:
    # half of them in the first bytes, where formats say what they are
    at = random.randrange(min(len(data), random.choice((400, len(data)))) + 1)
    end = min(len(data), at + random.choice((1, 4, 40, 400)))
    if way == "flip":
        four = bytes(byte ^ (1 << random.randrange(8)) for byte in data[at : at + 4])
        return data[:at] + four + data[at + 4 :]
    if way == "cut":
        return data[:at]
    if way == "splice":
        other = random.randrange(len(data) + 1)
        return data[:at] + data[other : other + 200] + data[at:]
    zeros = b"\0" * random.choice((1, 7, 64)) if way == "nul" else b""
    return data[:at] + zeros + data[end:]


def _of_words(way: str, data: bytes, random: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    if way == "encode":
        form = random.choice(["latin-1", "cp1252", "utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
        made = text.encode(form, "replace")
        return made[: len(made) - random.choice((0, 0, 1))]
    if way == "repeat":
        lines = text.splitlines(keepends=True) or [""]
        at = random.randrange(len(lines))
        lines[at] *= random.choice((2, 300))
        return "".join(lines).encode()
    if way == "long":
        at = random.randrange(len(text) + 1)
        return (text[:at] + random.choice(LONG) * 2000 + text[at:]).encode()
    word = random.choice({"huge": HUGE, "deep": DEEP, "odd": ODD}[way])
    spots = list(VALUE.finditer(text))
    begin, end = random.choice(spots).span() if spots else (len(text), len(text))
    return (text[:begin] + word + text[end:]).encode()


# ---------------------------------------------------------------------------------------- tests


def _beside(kind: Kind, folder: Path) -> None:
    """What a kind of file lies together with."""
    if kind.name in ("config", "index", "card", "weights"):
        if kind.name == "index":
            (folder / "a.safetensors").write_bytes(_safetensors())
        elif kind.name != "weights":
            (folder / "model.safetensors").write_bytes(_safetensors())
        if kind.name != "config":
            (folder / "config.json").write_text("{}")
    (folder / "photo.jpg").write_bytes(_picture("JPEG"))


def _read(kind: Kind, folder: Path, data: bytes) -> KuleshovError | None:
    """The sentence with which a file is refused; None: it was read."""
    (folder / kind.file).write_bytes(data)
    try:
        kind.read(folder / kind.file)
    except KuleshovError as error:
        return error
    return None


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Kind, Path]]:
    root = tmp_path_factory.mktemp("fuzz")
    found = []
    for kind in kinds(root):
        folder = root / f"{kind.name} file"
        folder.mkdir()
        _beside(kind, folder)
        found.append((kind, folder))
    return found


def test_the_whole_files_are_read(every_kind):
    refused = {kind.name: _read(kind, folder, kind.data) for kind, folder in every_kind}
    assert {name: str(error) for name, error in refused.items() if error} == {}


def test_2000_mutants_are_read_or_refused_with_a_sentence(every_kind):
    shares = sum(kind.share for kind, _ in every_kind)
    counted, broke = 0, []
    for place, (kind, folder) in enumerate(every_kind, 1):
        own = round(MUTANTS * kind.share / shares)
        for number in range(own if place < len(every_kind) else MUTANTS - counted):
            counted += 1
            data = mutant(kind, random.Random(f"{kind.name} {number}"))
            try:
                error = _read(kind, folder, data)
            except Exception as fault:
                broke.append(f"{kind.name} {number}: {type(fault).__name__}: {fault}"[:300])
                continue
            if error is not None and (len(str(error)) > 1500 or "\n" in str(error)):
                broke.append(f"{kind.name} {number}: no sentence: {str(error)[:300]!r}")
    assert broke == []
    assert counted == MUTANTS
