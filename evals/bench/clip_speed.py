"""Clips: frames per second against Py-Feat's own video path, and memory against a clip's length.

Frames per second: a drawn clip with two faces, every frame read, in one process, in turn. Both run
Py-Feat's RetinaFace and multitask network with the same tiny weights. Py-Feat's side is
`detect(..., data_type="video")`, picture by picture as it does by default; its batches of eight are
timed too, and the faster of the two counts. Kuleshov's side decodes, finds the faces, follows
them, analyses their units over time and keeps key frames. Threads as in `face_speed`; the ratio
to a Py-Feat that is given as many as Kuleshov uses stands beside.

Memory: each clip is read from end to end by a process of its own, pocket models and all, which
looks at its resident memory twenty times a second; 10 seconds against 10 minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuleshov import Agent, Settings
from kuleshov.evals.bench import face_speed, tiny_pyfeat
from kuleshov.evals.bench.timing import Result, with_own_time_of_one_thread
from kuleshov.graph.media_nodes import PictureNodes
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.faces.pyfeat import tool as pyfeat
from kuleshov.tools.mllm.scripted import ScriptedMllm

FRAMES, RATE, FACES = 32, 24, 2
ROUNDS = 3
SHORT_S, LONG_S = 10, 600
LONG_SIZE = (640, 360)
PEAK = """
import json, sys, threading, psutil
from kuleshov import Agent
agent = Agent.load(model="pocket", faces="pocket")
process, done = psutil.Process(), threading.Event()
before = process.memory_info().rss
seen = [before]
def watch():
    while not done.wait(0.05):
        seen.append(process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
inference = agent.infer(sys.argv[1])
done.set()
watcher.join()
print(json.dumps({"before": before, "peak": max(seen), "read": inference.media.read}))
"""


def measure_clip_speed() -> Result:
    """Both ratios; both sides must read every frame and find the same faces.

    Raises:
        KuleshovError: Py-Feat cannot decode clips here, for want of torchcodec or FFmpeg.
    """
    import torch

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = Path(folder)
        clip = place / "clip.mp4"
        write_clip(clip, (_draw_frame(k) for k in range(FRAMES)), RATE)
        tiny_pyfeat.build_weights(place / "weights")
        tool = pyfeat.load_pyfeat(resources=place / "weights")
        try:
            speed = _measure_speed(tool, clip, threads, face_speed.threads_of_pyfeat())
        finally:
            torch.set_num_threads(threads)
        memory = _measure_memory(place)
    return Result(
        figures={**speed.figures, **memory.figures},
        meaning={**speed.meaning, **memory.meaning},
        settings={**speed.settings, **memory.settings},
    )


def write_clip(path: Path, frames: Iterable[NDArray[np.uint8]], rate: int) -> None:
    """An H.264 MP4 of pictures (H, W, 3) RGB uint8, all of one size."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in frames:
            if stream is None:
                stream = container.add_stream(
                    "libx264", rate=rate, options={"crf": "12", "preset": "ultrafast"}
                )
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _measure_speed(tool: pyfeat.PyFeat, clip: Path, our_threads: int, their_threads: int) -> Result:
    import torch

    peer = tool.unchanged()
    agent = Agent(
        ScriptedMllm(),
        tool,
        Settings(model="scripted", faces="pyfeat", fusion="face", rate=RATE),
    )
    nodes = PictureNodes(agent.crew)

    def ours(threads: int) -> Callable[[], tuple[int, int]]:
        def work() -> tuple[int, int]:
            torch.set_num_threads(threads)
            key = agent.crew.desk.put(str(clip))
            state: Any = agent.start(key)
            try:
                state |= nodes.open_media(state)
                state |= nodes.clips.follow_faces(state, {})
            finally:
                agent.crew.desk.clear(key)
            tracks = state["tracks"]
            return state["media"]["read"], sum(len(track["frames"]) for track in tracks)

        return work

    def theirs(at_once: int, threads: int) -> Callable[[], tuple[int, int]]:
        def work() -> tuple[int, int]:
            torch.set_num_threads(threads)
            table: Any = peer.detect(
                str(clip), data_type="video", batch_size=at_once, progress_bar=False
            )
            return int(table.frame.nunique()), int((table.FaceScore > 0).sum())

        return work

    works: dict[str, Callable[[], tuple[int, int]]] = {
        "ours": ours(our_threads),
        "ours_one_thread": ours(1),
        "pyfeat": theirs(1, their_threads),
        "pyfeat_batch8": theirs(8, their_threads),
        "pyfeat_same_threads": theirs(1, our_threads),
        "pyfeat_batch8_same_threads": theirs(8, our_threads),
        "pyfeat_one_thread": theirs(1, 1),
        "pyfeat_batch8_one_thread": theirs(8, 1),
    }
    try:
        counts = {name: work() for name, work in works.items()}  # once for caches
    except (ImportError, RuntimeError) as error:
        raise KuleshovError(
            "Py-Feat cannot decode a clip here, so there is nothing to compare with; it needs "
            f"torchcodec and FFmpeg's shared libraries, e.g. `apt install ffmpeg` ({error})."
        ) from None
    if set(counts.values()) != {(FRAMES, FRAMES * FACES)}:
        raise RuntimeError(f"the two sides do not read the same frames and faces: {counts}")
    seconds = with_own_time_of_one_thread(works, ROUNDS)
    best = min(seconds["pyfeat"], seconds["pyfeat_batch8"])
    best_same = min(seconds["pyfeat_same_threads"], seconds["pyfeat_batch8_same_threads"])
    best_one = min(seconds["pyfeat_one_thread"], seconds["pyfeat_batch8_one_thread"])
    rates = {f"{name}_fps": FRAMES / value for name, value in seconds.items()}
    figures = {
        "fps_ratio": best / seconds["ours"],
        "fps_ratio_same_threads": best_same / seconds["ours"],
        "fps_ratio_one_thread": best_one / seconds["ours_one_thread"],
        **rates,
    }
    return Result(
        figures={name: round(value, 4) for name, value in figures.items()},
        meaning={
            "fps_ratio": "frames per second over Py-Feat's video path at its faster batch size",
            "fps_ratio_same_threads": "the same, Py-Feat given as many threads as Kuleshov",
            "fps_ratio_one_thread": "the same, one thread for both, processor time",
            **dict.fromkeys(rates, "frames per second"),
        },
        settings={
            "frames": FRAMES,
            "faces_a_frame": FACES,
            "size": f"{tiny_pyfeat.WIDTH}x{tiny_pyfeat.HEIGHT}",
            "rounds": ROUNDS,
            "threads": our_threads,
            "threads_pyfeat": their_threads,
            "device": str(tool.device),
            "weights": "tiny, the same in both",
        },
    )


def _measure_memory(folder: Path) -> Result:
    short, long = folder / "short.mp4", folder / "long.mp4"
    for path, seconds in ((short, SHORT_S), (long, LONG_S)):
        write_clip(path, _moving_faces(seconds * 10), 10)
    low, high = _peak_memory(short), _peak_memory(long)
    figures = {
        "memory_ratio": high["peak"] / low["peak"],
        "memory_short_mb": low["peak"] / 1e6,
        "memory_long_mb": high["peak"] / 1e6,
        "reading_short_mb": (low["peak"] - low["before"]) / 1e6,
        "reading_long_mb": (high["peak"] - high["before"]) / 1e6,
    }
    return Result(
        figures={name: round(value, 4) for name, value in figures.items()},
        meaning={
            "memory_ratio": f"peak resident memory, {LONG_S} s over {SHORT_S} s of clip",
            "memory_short_mb": f"peak of a process that reads {SHORT_S} s, MB",
            "memory_long_mb": f"peak of a process that reads {LONG_S} s, MB",
            "reading_short_mb": "of it above the memory before reading, MB",
            "reading_long_mb": "of it above the memory before reading, MB",
        },
        settings={
            "memory_frames_read": [low["read"], high["read"]],
            "memory_size": "x".join(map(str, LONG_SIZE)),
            "memory_models": "pocket",
        },
    )


def _peak_memory(clip: Path) -> dict[str, Any]:
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PEAK, str(clip)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def _draw_frame(number: int) -> NDArray[np.uint8]:
    return tiny_pyfeat.draw_picture(number, FACES)


def _moving_faces(count: int) -> Iterator[NDArray[np.uint8]]:
    """A real face that drifts over a grey ground: Py-Feat's sample picture."""
    from importlib.resources import files

    from PIL import Image

    path = files("feat") / "tests" / "data" / "single_face.jpg"
    with path.open("rb") as file, Image.open(file) as photo:
        face = photo.convert("RGB")
    width, height = LONG_SIZE
    face.thumbnail((height, height))
    for k in range(count):
        ground = Image.new("RGB", LONG_SIZE, (90, 90, 90))
        swing = (width - face.width) / 2
        left = round(swing + swing * np.sin(k / 40))
        ground.paste(face, (left, (height - face.height) // 2))
        yield np.asarray(ground)
