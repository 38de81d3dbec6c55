"""`kuleshov infer`: read pictures and clips."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuleshov.apps.cli import resume
from kuleshov.apps.cli.options import (
    Commands,
    add_choices,
    add_words,
    expand_patterns,
    given_words,
    load_agent,
)
from kuleshov.apps.cli.parsing import option_group
from kuleshov.output.terminal import CLEAR, FAILED, OK, USAGE, make_console, say, working
from kuleshov.tools.valid_text import in_terminal

INTERRUPTED = 130

if TYPE_CHECKING:
    from kuleshov.agent import Agent, Event
    from kuleshov.types import Inference


def add_command(commands: Commands) -> None:
    infer = commands.add_parser("infer", help="read pictures and clips")
    add_options(infer)
    infer.add_argument(
        "--influence",
        action="store_true",
        default=None,
        help="also read face alone and context alone, and how far the context moves the reading",
    )


def _parse_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers."""
    return [int(part) for part in text.split(",")]


def add_options(infer: argparse.ArgumentParser) -> None:
    """The options of a command that reads pictures and clips."""
    infer.add_argument("paths", nargs="+", metavar="PATH", help="pictures, clips or globs")
    add_words(infer)
    add_choices(infer)
    output = option_group(infer, "output")
    output.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="units, evidence, all labels and what read, too",
    )
    output.add_argument("--json", action="store_true", help="one JSON record per line on stdout")
    output.add_argument("--report", metavar="FILE.html", help="write a self-contained report")
    output.add_argument(
        "--heatmap",
        action="store_true",
        help="in the report: what the expression rested on (--faces pocket)",
    )
    option_group(infer, "advanced").add_argument(
        "--shuffle-seeds",
        type=_parse_seeds,
        metavar="0,1,2",
        help="read under several orders of the examples, and say how far the readings part",
    )
    option_group(infer, "input").add_argument(
        "--transcript",
        metavar="FILE",
        help="clips: what is said (.srt, .vtt, .TextGrid, .eaf, .cha, .txt …)",
    )
    output.add_argument(
        "--export",
        metavar="PATH",
        help="clips: a folder for tables (Fex, moments, events), ELAN, BORIS and WebVTT files; "
        "or FILE.mp4: the clip with boxes, units and readings drawn into it",
    )
    output.add_argument("--stream", action="store_true", help="show the model's words as they come")


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.output import card, short_card
    from kuleshov.tools.errors import KuleshovError
    from kuleshov.tools.faces import check_inputs
    from kuleshov.tools.media import transcript
    from kuleshov.tools.media.transcript import TWICE

    paths, failed = expand_patterns(arguments.paths)
    if not paths:
        return USAGE
    if arguments.report:
        from kuleshov.output import files

        files.check_path(arguments.report)
    if getattr(arguments, "transcript", None):
        if arguments.speech:
            raise KuleshovError(TWICE)
        if arguments.stream or arguments.shuffle_seeds:
            raise KuleshovError("--transcript goes with neither --stream nor --shuffle-seeds.")
        transcript.read_transcript(
            arguments.transcript
        )  # a mistake is found before anything is loaded
    if _wants_video(arguments):
        from kuleshov.output.exports import video

        if len(paths) > 1:
            raise KuleshovError(f"--export {arguments.export} is one clip's: name one clip.")
        video.check_target(paths[0], Path(arguments.export))
    elif getattr(arguments, "export", None) and Path(arguments.export).is_file():
        raise KuleshovError(
            f"--export {arguments.export} is a file: name a folder, or a file that ends in .mp4."
        )
    agent = load_agent(arguments)
    check_inputs(agent.crew.faces, paths)
    if arguments.heatmap and not hasattr(agent.crew.faces, "heatmap"):
        raise KuleshovError("--heatmap needs a face tool that offers it: use --faces pocket.")
    names = _export_names(paths, arguments)
    terminal = make_console()
    done: list[tuple[Inference, str]] = []
    stop = threading.Event()
    for place, path in enumerate(paths):
        if stop.is_set():
            rest = " ".join(shlex.quote(other) for other in paths[place:])
            say(f"not read: {rest}; what was read before is kept")
            break
        try:
            inference, *others = _read_medium(agent, path, arguments, stop)
        except KuleshovError as error:
            say(f"kuleshov: {error}")
            failed += 1
            continue
        done.append((inference, path))
        _tell_where(inference, path, arguments)
        if arguments.json:
            for reading in (inference, *others):
                sys.stdout.write(reading.to_json() + "\n")
            sys.stdout.flush()
        elif getattr(arguments, "verbose", True):
            card.print_card(inference, terminal)
        else:
            short_card.print_short(inference, terminal)
        if others:
            _tell_orders([inference, *others])
        if getattr(arguments, "export", None) and inference.media.kind == "clip":
            _export_inference(inference, path, arguments, stop, names[place])
    if not (arguments.json or getattr(arguments, "verbose", True)):
        short_card.print_closing([inference for inference, _ in done], terminal)
    if arguments.report and done:
        _write_report(agent, arguments.report, done, heatmap=arguments.heatmap)
        say(f"report: {arguments.report}")
    if stop.is_set():
        return INTERRUPTED
    if not done:
        return USAGE if len(paths) == 1 and failed == 1 else FAILED
    return FAILED if failed else OK


def _tell_where(inference: Inference, path: str, arguments: argparse.Namespace) -> None:
    """Of a clip that was stopped: the command that goes on."""
    stopped = [gap.stopped_s for gap in inference.gaps if gap.stopped_s is not None]
    if not stopped:
        if any(gap.reason == "stopped by the user" for gap in inference.gaps):
            say(f"{path} was seen to its end but not judged; run the same command again to read it")
        return
    if arguments.paths == [path]:
        say(f"to resume: {resume.resume_command(arguments.argv, stopped[0])}")
    else:
        say(f"to resume {path}: the same command for it alone, with --start-s {stopped[0]:.1f}")


def _wants_video(arguments: argparse.Namespace) -> bool:
    return str(getattr(arguments, "export", None) or "").lower().endswith(".mp4")


def _export_names(paths: Sequence[str], arguments: argparse.Namespace) -> list[str | None]:
    """What the files of each path are called, so that two clips of one name stay apart.

    None where it is not exported, and for pictures.
    """
    from kuleshov.output.exports import clip
    from kuleshov.tools.media import IMAGE_SUFFIXES

    if not getattr(arguments, "export", None) or _wants_video(arguments):
        return [None] * len(paths)
    still = tuple(s for s in IMAGE_SUFFIXES if s not in (".gif", ".webp", ".apng", ".avif"))
    clips = list(dict.fromkeys(path for path in paths if not path.lower().endswith(still)))
    named = dict(zip(clips, clip.name_apart(clips), strict=True))
    return [named.get(path) for path in paths]


def _export_inference(
    inference: Inference,
    path: str,
    arguments: argparse.Namespace,
    stop: threading.Event,
    name: str | None,
) -> None:
    target = Path(arguments.export)
    if not _wants_video(arguments):
        from kuleshov.output.exports import clip

        files = clip.write_all(inference, target, name)
        own = files[0].name.removesuffix(clip.ENDINGS[0])
        if name is not None and own != name:
            say(f"{name}.* in {target} is of another clip and stays; this one is {own}.*")
        for written in files:
            say(f"written: {written}")
    elif stop.is_set():
        say(f"not written: {target}, because the reading was stopped")
    else:
        from kuleshov.output.exports import video

        with _watch_clip(path, stop, "written") as progress:
            video.write_video(inference, path, target, progress=progress, stop=stop)
        say(f"written: {target}" + (", as far as it came" if stop.is_set() else ""))


def _tell_orders(readings: Sequence[Inference]) -> None:
    from kuleshov.output import view
    from kuleshov.studies import example_orders

    for person in example_orders.measure_spread(readings):
        wide = sorted(person.most, key=lambda name: person.least[name] - person.most[name])[:3]
        ranges = ", ".join(
            f"{view.clean_line(name)} {view.format_percent(person.least[name])}-"
            f"{view.format_percent(person.most[name])}"
            for name in wide
        )
        say(
            f"person {person.person}, {person.orders} orders of the examples: "
            f"{', '.join(person.tops)}; {ranges}; {person.mean_js:.3f} bits apart on average, "
            f"{person.most_js:.3f} at most"
        )


def _last_of(events: Iterable[Event], tell: Callable[[str], None]) -> Inference:
    """The inference that the events end with; what comes next is told."""
    from kuleshov.output.view import NEXT_STEP

    found: Inference | None = None
    for event in events:
        found = event.inference or found
        if event.kind == "step" and event.step in NEXT_STEP:
            tell(NEXT_STEP[event.step])
    assert found is not None
    return found


def _read_medium(
    agent: Agent, path: str, arguments: argparse.Namespace, stop: threading.Event
) -> list[Inference]:
    """One inference; with --shuffle-seeds one for each order of the examples."""
    if arguments.shuffle_seeds:
        from kuleshov.studies import example_orders

        given = {**given_words(arguments), "influence": arguments.influence}
        return example_orders.under_orders(agent, path, arguments.shuffle_seeds, **given)
    if not arguments.stream:
        name = Path(path).name
        with working(f"{name}: opening") as tell, _watch_clip(path, stop) as progress:
            events = agent.stream(
                path,
                **given_words(arguments),
                influence=arguments.influence,
                transcript=getattr(arguments, "transcript", None),
                progress=progress,
                stop=stop,
            )
            return [_last_of(events, lambda step: tell(f"{name}: {step}"))]

    inference: Inference | None = None
    given = {**given_words(arguments), "influence": arguments.influence}
    with _watch_clip(path, stop) as progress:
        for event in agent.stream(path, **given, progress=progress, stop=stop):
            if event.kind == "token":
                sys.stderr.write(in_terminal(event.text or ""))
            elif event.kind == "step":
                sys.stderr.write(f"\n[{event.step}] ")
            else:
                inference = event.inference
            sys.stderr.flush()
    sys.stderr.write("\n")
    assert inference is not None
    return [inference]


@contextlib.contextmanager
def _watch_clip(
    path: str, stop: threading.Event, done: str = "read"
) -> Iterator[Callable[[float, float], None] | None]:
    """Ctrl-C ends what is computed. Of a clip: progress on a terminal, and the first Ctrl-C ends
    it with what has been read."""
    from kuleshov.tools.media import CLIP_SUFFIXES

    ended = signal.getsignal(signal.SIGTERM)

    def leave(number: int, frame: Any) -> None:
        """What is computed ends, or leaving would wait for it."""
        stop.set()
        if number == signal.SIGTERM and callable(ended):
            ended(number, frame)
        signal.default_int_handler(number, frame)

    clip = path.lower().endswith(CLIP_SUFFIXES)

    def first(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        say(f"\nkuleshov: stopping; what was {done} is kept. Ctrl-C again to leave at once.")

    before = signal.signal(signal.SIGINT, first if clip else leave)
    signal.signal(signal.SIGTERM, leave)
    begun = time.monotonic()

    def progress(done_s: float, whole_s: float) -> None:
        if sys.stderr.isatty() and done_s > 0:
            left = (time.monotonic() - begun) * (whole_s - done_s) / done_s
            sys.stderr.write(f"{CLEAR}{done_s:.0f} of {whole_s:.0f} s {done}, {left:.0f} s left ")
            sys.stderr.flush()

    try:
        yield progress if clip else None
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, ended)
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def _write_report(
    agent: Agent, path: str, done: Sequence[tuple[Inference, Any]], *, heatmap: bool = False
) -> None:
    from kuleshov.output import report
    from kuleshov.tools import media

    pictures: dict[str, Any] = {}
    heatmaps: dict[tuple[str, int], Any] = {}
    for inference, source in done:
        images = media.pictures_of(source, inference.media, max_pixels=agent.settings.max_pixels)
        pictures[inference.media.sha256] = images
        if heatmap:
            heatmaps.update(_draw_heatmaps(agent, inference, images))
    report.write_report(path, [inference for inference, _ in done], pictures, heatmaps=heatmaps)


def _draw_heatmaps(agent: Agent, inference: Inference, images: Sequence[Any]) -> dict[Any, Any]:
    maps = {}
    for person in inference.people:
        face = person.face
        if face is None or face.expression is None:
            continue
        frames = [f.index for f in inference.media.frames]
        place = frames.index(face.frame) if face.frame in frames else 0
        maps[inference.media.sha256, person.id] = agent.crew.faces.heatmap(  # type: ignore[attr-defined]
            images[place], face, face.expression.top
        )
    return maps
