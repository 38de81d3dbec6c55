"""What the commands share: exit codes, the two output streams, the options of a reading."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kuleshov.apps.cli.parsing import option_group
from kuleshov.output.terminal import say, working
from kuleshov.tools.registry import PROGRAM
from kuleshov.tools.structured_text import parse_count

if TYPE_CHECKING:
    from kuleshov.agent import Agent
    from kuleshov.tools.media import PassedOver

Commands = Any  # argparse has no public name for what add_subparsers returns

CHOICES = (
    "model",
    "faces",
    "labels",
    "scheme",
    "calibration",
    "fusion",
    "observer",
    "prompts",
    "device",
    "dtype",
    "quantization",
    "seed",
    "temperature",
    "frames",
    "sampling",
    "rate",
    "moments",
    "start_s",
    "speech",
    "speech_language",
    "max_people",
    "context_weight",
    "cover",
    "allow_remote",
    "requests_per_minute",
    "examples",
    "shots",
    "shot_selection",
    "shot_seed",
)


def add_choices(command: argparse.ArgumentParser, *, without: Sequence[str] = ()) -> None:
    """The settings that a reading takes, in groups; their defaults are those of `Settings`.

    `without`: options that the command uses for something else.
    """
    _add_models(command)
    _add_faces(command, without)
    _add_clips(command)
    context = option_group(command, "context")
    context.add_argument(
        "--context-weight",
        type=float,
        metavar="0-1",
        help="weight of the scene in fusion bayes; in people, times what a context weighs",
    )
    context.add_argument(
        "--scheme",
        help="also code the context: default, appraisals, situations, or a .toml (default: none)",
    )
    context.add_argument(
        "--cover",
        help="context alone: whose face is covered, judged (the person judged) or all "
        "(default: judged)",
    )
    if "--examples" not in without:
        _add_examples(command)
    _add_advanced(command)


def _add_models(command: argparse.ArgumentParser) -> None:
    models = option_group(command, "models")
    models.add_argument(
        "--model",
        help="Hub id, local folder, 'pocket' (bundled), or an OpenAI-compatible server, "
        "http://127.0.0.1:8000/v1#NAME (default: by hardware, see `kuleshov models suggest`)",
    )
    models.add_argument(
        "--pocket", action="store_true", help="the bundled model and face tool: downloads nothing"
    )
    models.add_argument(
        "--labels", help="label set, see `kuleshov labels`, or a .toml (default: ekman-7)"
    )
    models.add_argument(
        "--fusion",
        help="how face and context are combined: auto, people, bayes, text, face, context or "
        "mllm (default: auto)",
    )


def _add_faces(command: argparse.ArgumentParser, without: Sequence[str]) -> None:
    faces = option_group(command, "faces")
    if "--faces" not in without:
        faces.add_argument(
            "--faces",
            metavar="TOOL",
            help="face tool, pyfeat, pocket, yunet+mediapipe, openface:FILE …, see "
            "`kuleshov doctor` (default: pyfeat)",
        )
    faces.add_argument(
        "--max-people", type=int, metavar="N", help="most people judged per picture (default: 20)"
    )


def _add_clips(command: argparse.ArgumentParser) -> None:
    clips = option_group(command, "input")
    clips.add_argument(
        "--sampling",
        metavar="HOW",
        help="clips: frames looked at, by rate, count, cuts or moments (default: rate)",
    )
    clips.add_argument(
        "--rate",
        type=float,
        metavar="FPS",
        help="clips: frames per second looked at (default: 5.0)",
    )
    clips.add_argument(
        "--frames", type=int, metavar="N", help="clips: frames kept as pictures (default: 8)"
    )
    clips.add_argument(
        "--moments", type=int, metavar="N", help="clips: moments read on their own (default: 6)"
    )
    clips.add_argument(
        "--start-s", type=float, metavar="SECONDS", help="clips: read from here (default: 0.0)"
    )
    clips.add_argument(
        "--speech",
        metavar="MODEL",
        help="clips: recognise what is said, e.g. openai/whisper-small, or a Whisper's folder "
        "(default: sound is ignored)",
    )
    clips.add_argument(
        "--speech-language",
        metavar="CODE",
        help="language of the speech, e.g. de (default: detected)",
    )


def _add_advanced(command: argparse.ArgumentParser) -> None:
    more = option_group(command, "advanced")
    more.add_argument(
        "--calibration", metavar="FILE.toml", help="temperatures from `kuleshov calibrate`"
    )
    more.add_argument(
        "--observer",
        metavar="FILE.toml",
        help="fusion people: an observer of `kuleshov integrate` (default: the shipped one)",
    )
    more.add_argument("--prompts", help="auto, brief, full or review (default: auto)")
    more.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    more.add_argument(
        "--dtype", help="float32, bfloat16, float16 (default: by device and model size)"
    )
    more.add_argument("--quantization", help="none, 4bit or 8bit, by bitsandbytes (default: none)")
    more.add_argument(
        "--temperature", type=float, metavar="T", help="of sampling; 0 is greedy (default: 0.0)"
    )
    more.add_argument("--seed", type=int, metavar="N", help="of sampling (default: 0)")
    more.add_argument(
        "--allow-remote",
        action="store_true",
        default=None,
        help="the model server may be another machine: faces leave this one",
    )
    more.add_argument(
        "--requests-per-minute",
        type=float,
        metavar="N",
        help="most requests to a model server (default: no limit)",
    )
    more.add_argument(
        "--settings", metavar="FILE.toml", help="a settings file, on top of those found"
    )


def _add_examples(command: argparse.ArgumentParser) -> None:
    models = option_group(command, "models")
    models.add_argument(
        "--examples",
        metavar="SHOTS",
        help="few-shot examples: a folder per label, or a manifest (default: none)",
    )
    models.add_argument(
        "--shots", type=int, metavar="K", help="examples shown for each person (default: 4)"
    )
    more = option_group(command, "advanced")
    more.add_argument(
        "--shot-selection",
        metavar="HOW",
        help="fixed, balanced, nearest-units or nearest-features (default: balanced)",
    )
    more.add_argument(
        "--shot-seed",
        type=int,
        metavar="N",
        help="shuffles the examples (default: order of selection)",
    )


def add_words(command: argparse.ArgumentParser) -> None:
    """What the user knows and heard: each becomes quoted evidence with a number."""
    context = option_group(command, "context")
    context.add_argument(
        "--context",
        action="append",
        default=[],
        metavar="TEXT",
        help="what you know of the situation; may be repeated",
    )
    context.add_argument(
        "--said",
        action="append",
        default=[],
        metavar="TEXT",
        help="words that are heard; may be repeated",
    )
    context.add_argument(
        "--who",
        action="append",
        default=[],
        metavar="[N=]NOTE",
        help="who somebody is here, e.g. '2=the bride' for person 2; may be repeated",
    )


def given_words(arguments: argparse.Namespace) -> dict[str, Any]:
    """The words that `add_words` declared, as `Agent.infer` takes them."""
    notes: dict[int, str] = {}
    for note in arguments.who:
        number, equals, text = note.partition("=")
        known = parse_count(number) if equals else None
        person, told = (known, text) if known else (0, note)
        notes[person] = f"{notes[person]}; {told}" if person in notes else told
    return {"context": arguments.context, "said": arguments.said, "who": notes}


def add_pictures(command: argparse.ArgumentParser, what: str) -> None:
    """The folder of faces of a study; `take_old_names` takes its old name, `--faces`, too."""
    command.add_argument("--pictures", metavar="DIR", help=what)


def take_old_names(arguments: argparse.Namespace) -> None:
    """`--faces FOLDER` as `--pictures`, and `--face-tool` as `--faces`, with a warning."""
    faces = arguments.faces
    if (
        faces
        and not arguments.pictures
        and (Path(faces).is_dir() or not hasattr(arguments, "model"))
    ):
        say(f"kuleshov: --faces {faces} is now --pictures {faces}; --faces names the face tool.")
        arguments.pictures, arguments.faces = faces, None
    if old := getattr(arguments, "old_tool", None):
        say(f"kuleshov: --face-tool {old} is now --faces {old}.")
        arguments.faces = old


def expand_patterns(patterns: Sequence[str]) -> tuple[list[str], int]:
    """The pictures and clips that paths and globs name; those that are none are told and counted.

    This is done before anything is loaded, so that a mistake is told at once.
    """
    from kuleshov.tools import media
    from kuleshov.tools.errors import KuleshovError

    paths: list[str] = []
    failed = 0
    for pattern in patterns:
        passed = media.PassedOver()
        try:
            found = media.expand_paths([pattern], passed)
        except KuleshovError as error:
            say(f"kuleshov: {error}")
            failed += 1
            continue
        tell_passed_over(pattern, passed)
        for path in found:
            try:
                media.check_medium(path)
            except KuleshovError as error:
                say(f"kuleshov: {error}")
                failed += 1
            else:
                paths.append(path)
    return paths, failed


def tell_passed_over(source: str, passed: PassedOver) -> None:
    """Say what a folder or a pattern holds that is no picture or clip, if it does."""
    if passed.kinds:
        say(f"kuleshov: {source}: passed over, no picture or clip: {passed}.")


def make_folder(path: str) -> Path:
    """The folder for results, made if need be. Raises KuleshovError where it cannot be."""
    from kuleshov.tools.errors import KuleshovError

    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KuleshovError(f"cannot write to the folder {folder}: {error.strerror}.") from None
    return folder


def load_agent(arguments: argparse.Namespace, **overrides: Any) -> Agent:
    """The agent of the options that `add_choices` declared; `overrides` go before them.

    Raises:
        KeyboardInterrupt: Ctrl-C while the models load, with the sentence to tell.
    """
    from kuleshov.tools.errors import KuleshovError

    given = {name: getattr(arguments, name, None) for name in CHOICES}
    if getattr(arguments, "pocket", False):
        for name in ("model", "faces"):
            if given.get(name) not in (None, "pocket"):
                raise KuleshovError(f"--pocket and --{name} {given[name]}: give one of them.")
            given[name] = "pocket"
    tell_settings(arguments.settings)
    try:
        with working("loading the models"):
            from kuleshov.agent import Agent

            agent = Agent.load(arguments.settings, **{**given, **overrides})
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted while the models were loading; nothing was done yet."
        ) from None
    shots = agent.crew.examples
    if shots is not None:
        tell_passed_over(f"examples {shots.path}", shots.passed)
    if shots is not None and shots.left_out.rows:
        say(f"kuleshov: examples {shots.path}: {shots.left_out}.")
    return agent


def tell_settings(named: str | None) -> None:
    """Say which settings files are used. Raises KuleshovError as `Settings.load`."""
    from kuleshov import settings_files

    for layer in settings_files.read_layers(named):
        say(f"settings: {layer.used.path}")


def find_command(command: str) -> Any:
    """A command of a floor above this one, registered as an entry point of the package."""
    from importlib.metadata import entry_points

    found = [
        point
        for point in entry_points(group="kuleshov.commands", name=command)
        if point.dist is None or point.dist.name == PROGRAM
    ]
    if not found:
        from kuleshov.tools.errors import KuleshovError

        raise KuleshovError(f"{command} is not installed; run `pip install -e .` again.")
    return found[0].load()
