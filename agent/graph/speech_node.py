"""The node that hears a clip: its sound through the speech recogniser, beside the faces."""

from __future__ import annotations

import time
from collections.abc import Sequence

from langchain_core.runnables import RunnableConfig

from kuleshov.asking import gate
from kuleshov.asking.parts import Crew, gap_of_error
from kuleshov.graph.state import State
from kuleshov.tools.media.sound import open_sound
from kuleshov.types import Gap, Plain


class HearingNodes:
    """Bound to a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def hear_words(self, state: State, config: RunnableConfig) -> State:
        """What is said in the clip, as lines with times; they go the way of a transcript's.

        No sound, or a recogniser that fails, leaves a gap. Stopped by the user, the words heard
        until then are kept.
        """
        begun = time.perf_counter()
        crew, options = self.crew, config.get("configurable", {})
        assert crew.speech is not None
        whole_s = state["media"]["duration_s"] or 0.0
        progress = options.get("progress")
        try:
            with open_sound(
                crew.desk.source(state["key"]), start_s=crew.settings.start_s, end_s=whole_s
            ) as pieces:
                heard = crew.speech.hear(
                    pieces,
                    start_s=crew.settings.start_s,
                    stop=options.get("stop"),
                    progress=progress and (lambda at_s: progress("speech", at_s, whole_s)),
                )
        except Exception as error:
            if progress:
                progress("speech", whole_s, whole_s)
            return {"heard": {"words": None}, "gaps": [gap_of_error("speech", error)]}
        if progress:
            progress("speech", whole_s, whole_s)
        stopped = f"{gate.STOPPED} at {heard.until_s:.1f} s of {whole_s:.1f} s"
        return {
            "words": [cue.model_dump(mode="json") for cue in heard.cues],
            "heard": {
                "words": len(heard.cues),
                "language": heard.language,
                "until_s": heard.until_s,
                "stopped": heard.stopped,
                "unsure": heard.unsure,
                "quiet": heard.quiet,
            },
            "gaps": [Gap(step="speech", reason=stopped).model_dump()] if heard.stopped else [],
            "seconds": {"speech": time.perf_counter() - begun},
        }


def speech_notes(crew: Crew, state: State) -> list[str]:
    """What the record says of the recognised words: that there are none, or how far they go."""
    heard = state.get("heard") or {}
    if heard.get("words") is None:
        return []
    lines = []
    if heard["unsure"]:
        stretches = _stretches_text(heard["unsure"])
        lines.append(f"words that could not be recognised with some certainty: {stretches}")
    elif not heard["words"] and not heard["stopped"]:
        lines.append("no words were recognised in the clip's sound: it is silent or holds none")
    if heard["words"] and crew.speech is not None:
        lines.append(crew.speech.info.caveat)
    return lines


def speech_facts(crew: Crew, state: State) -> Plain | None:
    """What recognised the words, and what it found; None: nobody asked, or it is no clip."""
    if crew.speech is None or "heard" not in state:
        return None
    return {**crew.speech.info.model_dump(mode="json"), "heard": state["heard"]}


def _stretches_text(stretches: Sequence[tuple[float, float]], most: int = 6) -> str:
    shown = ", ".join(f"{begin:.1f}-{end:.1f} s" for begin, end in stretches[:most])
    more = len(stretches) - most
    return shown + (f" and {more} more" if more > 0 else "")
