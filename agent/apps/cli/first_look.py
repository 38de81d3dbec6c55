"""`kuleshov demo`: real photographs and a real clip, read with the bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kuleshov.agent import Agent
from kuleshov.output import files, report, short_card, view
from kuleshov.output.terminal_text import Lines
from kuleshov.tools import media
from kuleshov.tools.media.demo_files import find_examples, find_face

if TYPE_CHECKING:
    from rich.console import Console

CONTEXTS = (None, "They have just come from a funeral.", "They have just come from a wedding.")
NEXT = (
    ("your picture", "kuleshov infer PHOTO.jpg --pocket"),
    ("talk about it", "kuleshov chat PHOTO.jpg --pocket"),
    ("other contexts", "kuleshov influence PHOTO.jpg --pocket --context TEXT"),
    ("a real LLaVA", "kuleshov models pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf"),
    ("all that is here", "kuleshov doctor"),
)


def show_demo(path: str, console: Console, settings: str | None = None) -> int:
    """Read the examples, print them, write the report to `path`; `settings`: a file of them."""
    files.check_path(path)
    paths = find_examples()
    agent = Agent.load(settings, model="pocket", faces="pocket")
    inferences, pictures = [], {}
    for example in paths:
        inference = agent.infer(example)
        short_card.print_short(inference, console)
        console.print()
        inferences.append(inference)
        pictures[inference.media.sha256] = media.pictures_of(example, inference.media)
    show_effect(agent, console)
    short_card.print_closing(inferences, console)
    report.write_report(path, inferences, pictures)
    lines = Lines(console)
    lines.line()
    lines.line("Report with pictures and evidence, for the browser: ", (path, "bold"))
    for what, command in NEXT:
        lines.line((f"{what:<18}", "dim"), command)
    return 0


def show_effect(agent: Agent, console: Console) -> None:
    """One face under several contexts: the effect that the program is named after."""
    lines = Lines(console)
    lines.line(("One face, other contexts", "bold"), ("  the Kuleshov effect", "dim"))
    for told in CONTEXTS:
        (person, *_) = agent.infer(find_face(), context=told).people
        scores = "unanswered" if person.emotions is None else view.brief_scores(person.emotions)
        lines.wrapped(told or "No context given.", 2)
        lines.wrapped(scores, 6)
