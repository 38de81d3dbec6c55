"""`kuleshov demo`: real photographs and a real clip, read with the bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuleshov.agent import Agent
from kuleshov.output import card, files, report
from kuleshov.tools import media
from kuleshov.tools.media.demo_files import find_examples

if TYPE_CHECKING:
    from rich.console import Console


def show_demo(path: str, console: Console, settings: str | None = None) -> int:
    """Read the examples, print them, write the report to `path`; `settings`: a file of them."""
    files.check_path(path)
    paths = find_examples()
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
