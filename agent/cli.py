"""The command line: `kuleshov infer photo.jpg`, and what goes with it.

Heavy imports happen inside the commands, so that `kuleshov --help` answers at once. Results go
to stdout, everything else to stderr. Exit codes: 0 all well, 1 some inputs failed, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kuleshov import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from kuleshov.agent import Agent
    from kuleshov.types import Inference

OK, FAILED, USAGE = 0, 1, 2

CHOICES = (
    "model",
    "faces",
    "labels",
    "fusion",
    "prompts",
    "device",
    "dtype",
    "quantization",
    "seed",
    "temperature",
    "frames",
    "max_people",
    "context_weight",
)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="kuleshov",
        description="Reads emotion from face and context with a local LLaVA and facial-expression "
        "toolboxes, and shows its evidence. Nothing leaves this machine.",
        epilog="First look, nothing downloaded:  kuleshov demo",
    )
    top.add_argument("--version", action="version", version=f"kuleshov {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks and library messages")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo", help="read two photographs and a clip with the bundled models, write a report"
    )
    demo.add_argument("--report", default="kuleshov-demo.html", metavar="FILE.html")
    demo.set_defaults(run=run_demo)

    infer = commands.add_parser("infer", help="read pictures and clips")
    infer.add_argument("paths", nargs="+", metavar="PATH", help="pictures, clips or globs")
    _choices(infer)
    infer.add_argument(
        "--context",
        action="append",
        default=[],
        metavar="TEXT",
        help="what you know of the situation; may be repeated",
    )
    infer.add_argument("--json", action="store_true", help="one JSON record a line on stdout")
    infer.add_argument("--report", metavar="FILE.html", help="write a self-contained report")
    infer.add_argument(
        "--heatmap",
        action="store_true",
        help="in the report: what the expression rested on (--faces pocket)",
    )
    infer.add_argument("--stream", action="store_true", help="show the model's words as they come")
    infer.set_defaults(run=run_infer)

    graph = commands.add_parser("graph", help="print the agent's graph as Mermaid text")
    graph.set_defaults(run=run_graph)

    schema = commands.add_parser("schema", help="print the JSON schema of the record")
    schema.set_defaults(run=run_schema)

    models = commands.add_parser("models", help="list, download and explain models")
    what = models.add_subparsers(dest="what", metavar="ACTION")
    pull = what.add_parser("pull", help="download a model from the Hugging Face Hub")
    pull.add_argument("id", help="Hub id, e.g. llava-hf/llava-onevision-qwen2-0.5b-ov-hf")
    card = what.add_parser("card", help="print the model cards of the bundled models")
    card.add_argument("id", choices=["pocket"])
    models.set_defaults(run=run_models, what="list")

    doctor = commands.add_parser("doctor", help="what is installed, what is missing, licences")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(run=run_doctor)

    bench = commands.add_parser("bench", help="measure speed as ratios within one run")
    bench.add_argument("name", help="start or agent")
    bench.add_argument("--json", action="store_true")
    bench.set_defaults(run=run_bench)
    return top


def _choices(command: argparse.ArgumentParser) -> None:
    """The settings that a reading takes; their defaults come from environment and file."""
    command.add_argument("--model", help="Hub id, local folder, or 'pocket' (bundled)")
    command.add_argument("--faces", help="face tool: pyfeat, pyfeat-v1, pocket")
    command.add_argument("--labels", help="label set: ekman-6, ekman-7, ekman-8, free, or a .toml")
    command.add_argument("--fusion", help="auto, bayes, text, face or context")
    command.add_argument(
        "--context-weight", type=float, metavar="0-1", help="weight of the scene in bayes"
    )
    command.add_argument("--prompts", help="auto, brief or full")
    command.add_argument("--device", help="cpu, cuda, cuda:1, mps")
    command.add_argument("--dtype", help="float32, bfloat16, float16")
    command.add_argument("--quantization", help="none, 4bit or 8bit (bitsandbytes)")
    command.add_argument("--temperature", type=float, help="0 (default) is greedy")
    command.add_argument("--seed", type=int)
    command.add_argument("--frames", type=int, help="frames sampled from a clip")
    command.add_argument("--max-people", type=int, help="most people judged in one picture")
    command.add_argument("--settings", metavar="FILE.toml", help="a settings file")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    if not arguments.debug:
        _quiet()
    from kuleshov.tools.types import KuleshovError

    try:
        return int(arguments.run(arguments))
    except KuleshovError as error:
        _say(f"kuleshov: {error}")
        return USAGE
    except BrokenPipeError:
        # the reader of the pipe has gone; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        _say("kuleshov: interrupted.")
        return 130


def _quiet() -> None:
    """Keep the libraries' own messages and progress bars off the terminal."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _say(text: str) -> None:
    """A line to stderr."""
    sys.stderr.write(text.rstrip() + "\n")


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def _agent(arguments: argparse.Namespace) -> Agent:
    from kuleshov.agent import Agent

    given = {name: getattr(arguments, name) for name in CHOICES}
    return Agent.load(arguments.settings, **given)


# -------------------------------------------------------------------- commands


def run_infer(arguments: argparse.Namespace) -> int:
    from kuleshov import card
    from kuleshov.tools import media
    from kuleshov.tools.types import KuleshovError

    failed = 0
    paths: list[str] = []
    for pattern in arguments.paths:
        try:
            paths += media.expand([pattern])
        except KuleshovError as error:
            _say(f"kuleshov: {error}")
            failed += 1
    if not paths:
        return USAGE
    if arguments.report:
        from kuleshov import report

        report.check_path(arguments.report)
    agent = _agent(arguments)
    if arguments.heatmap and not hasattr(agent.crew.faces, "heatmap"):
        raise KuleshovError("--heatmap needs a face tool that offers it: use --faces pocket.")
    console = _console()
    done: list[tuple[Inference, str]] = []
    for path in paths:
        try:
            inference = _read(agent, path, arguments)
        except KuleshovError as error:
            _say(f"kuleshov: {error}")
            failed += 1
            continue
        done.append((inference, path))
        if arguments.json:
            sys.stdout.write(inference.to_json() + "\n")
            sys.stdout.flush()
        else:
            card.print_card(inference, console)
    if arguments.report and done:
        _write_report(agent, arguments.report, done, heatmap=arguments.heatmap)
        _say(f"report: {arguments.report}")
    if not done:
        return USAGE if len(paths) == 1 and failed == 1 else FAILED
    return FAILED if failed else OK


def _read(agent: Agent, path: str, arguments: argparse.Namespace) -> Inference:
    if not arguments.stream:
        return agent.infer(path, context=arguments.context)

    inference: Inference | None = None
    for event in agent.stream(path, context=arguments.context):
        if event.kind == "token":
            sys.stderr.write(event.text or "")
        elif event.kind == "step":
            sys.stderr.write(f"\n[{event.step}] ")
        else:
            inference = event.inference
        sys.stderr.flush()
    sys.stderr.write("\n")
    assert inference is not None
    return inference


def _write_report(
    agent: Agent, path: str, done: Sequence[tuple[Inference, Any]], *, heatmap: bool = False
) -> None:
    from kuleshov import report
    from kuleshov.tools import media

    pictures: dict[str, Any] = {}
    heatmaps: dict[tuple[str, int], Any] = {}
    for inference, source in done:
        opened = media.open_media(
            source, max_pixels=agent.settings.max_pixels, frames=agent.settings.frames
        )
        pictures[inference.media.sha256] = opened.images
        if heatmap:
            heatmaps.update(_heatmaps(agent, inference, opened.images))
    report.write_report(path, [inference for inference, _ in done], pictures, heatmaps=heatmaps)


def _heatmaps(agent: Agent, inference: Inference, images: Sequence[Any]) -> dict[Any, Any]:
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


def run_demo(arguments: argparse.Namespace) -> int:
    from kuleshov import demo

    return demo.run(arguments.report, _console())


def run_graph(arguments: argparse.Namespace) -> int:
    from kuleshov import graph

    sys.stdout.write(graph.mermaid())
    return OK


def run_schema(arguments: argparse.Namespace) -> int:
    from kuleshov.types import Inference

    sys.stdout.write(json.dumps(Inference.json_schema(), indent=2) + "\n")
    return OK


def run_models(arguments: argparse.Namespace) -> int:
    from kuleshov.tools import mllm, pocket

    if arguments.what == "pull":
        sys.stdout.write(f"{mllm.pull(arguments.id)}\n")
        return OK
    if arguments.what == "card":
        for path in sorted((pocket.folder() / "cards").glob("*.md")):
            sys.stdout.write(path.read_text("utf-8") + "\n")
        return OK
    from kuleshov import card

    card.print_models(mllm.listing(), _console())
    return OK


def run_doctor(arguments: argparse.Namespace) -> int:
    from kuleshov import card
    from kuleshov.tools import doctor

    rows = doctor.report()
    if arguments.json:
        sys.stdout.write(json.dumps([row.model_dump(mode="json") for row in rows], indent=2) + "\n")
    else:
        card.print_doctor(rows, _console())
    return OK


def run_bench(arguments: argparse.Namespace) -> int:
    return int(_registered("bench")(arguments.name, as_json=arguments.json))


def _registered(command: str) -> Any:
    """A command of a floor above this one, registered as an entry point of the package."""
    from importlib.metadata import entry_points

    found = entry_points(group="kuleshov.commands", name=command)
    if not found:
        from kuleshov.tools.types import KuleshovError

        raise KuleshovError(f"{command} is not installed; run `pip install -e .` again.")
    return next(iter(found)).load()


if __name__ == "__main__":
    raise SystemExit(main())
