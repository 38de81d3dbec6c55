"""How many lines of what was said a model has room for, beside all else that it is asked.

A transcript can be longer than what a small model reads at once, and a prompt that is too long
is refused whole. Then some of the lines are left out, evenly over the whole, and it is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from kuleshov.asking import writer as asking_writer
from kuleshov.asking.parts import Crew
from kuleshov.asking.views import PersonView
from kuleshov.tools.mllm.base import Conversation
from kuleshov.types import Evidence

LINE_TOKENS = 8  # of a line: its number in the list, its end
MARGIN = 96  # tokens: texts are cut otherwise when they stand alone, and some prompts say more
CODED_TOKENS = 30  # of a coded variable, which becomes a line of evidence


def judge_room(crew: Crew, shown: PersonView) -> Conversation:
    """The longest conversation about a person: the label asked for after the explanation."""
    if crew.examples is not None and crew.mllm.info.taught_examples:
        shown.shots = list(crew.examples.all)[: crew.settings.shots]
    talk = shown.judge(shots=crew.mllm.info.taught_examples)
    if crew.labels.mode == "free":
        return talk
    return crew.writer.label(talk, "", shown.number, crew.labels.names)


def choose_lines(
    crew: Crew, talk: Conversation, lines: Sequence[str], *, coded: int = 0
) -> list[int]:
    """Which lines fit into the model's context beside a conversation: places, in order.

    Args:
        talk: all else that is asked, without the lines.
        lines: as they stand in the prompt.
        coded: variables whose lines come on top.

    Returns:
        all of them where the model's context or its tokens are not known.
    """
    everything = list(range(len(lines)))
    context = crew.mllm.info.context_tokens
    count = getattr(crew.mllm, "count_tokens", None)
    if context is None or count is None or not lines:
        return everything
    nothing = count([asking_writer.user_turn("")])
    room = context - count(talk) - crew.settings.max_new_tokens - MARGIN - coded * CODED_TOKENS
    sizes = [count([asking_writer.user_turn(line)]) - nothing + LINE_TOKENS for line in lines]
    if sum(sizes) <= room:
        return everything
    for many in range(len(lines) - 1, 0, -1):
        chosen = _spread(len(lines), many)
        if sum(sizes[place] for place in chosen) <= room:
            return chosen
    return []


def _spread(count: int, many: int) -> list[int]:
    """So many of `count` places, evenly: the first and the last among them."""
    if many == 1:
        return [0]
    return [round(k * (count - 1) / (many - 1)) for k in range(many)]


def name_lines(chosen: Sequence[int], spans: Sequence[tuple[int, int]]) -> str:
    """ "1-20, 41-60": the lines by their numbers in the transcript, from 1.

    spans: first and last line of each place.
    """
    found: list[list[int]] = []
    for place in chosen:
        first, last = spans[place]
        if found and found[-1][1] + 1 == first:
            found[-1][1] = last
        else:
            found.append([first, last])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in found)


def without_lines(items: Sequence[Evidence]) -> tuple[list[Evidence], list[Evidence]]:
    """Evidence that is no line of what was said, and the lines."""
    rest = [item for item in items if item.kind != "transcript"]
    return rest, [item for item in items if item.kind == "transcript"]
