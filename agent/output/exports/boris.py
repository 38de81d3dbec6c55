"""BORIS project files (.boris): the clip as an observation, coded with an ethogram of its own.

BORIS (Friard & Gamba 2016, https://doi.org/10.1111/2041-210X.12584) keeps a project as JSON; the
fields are those of format 7.0, which BORIS 7 to 10 read. A state event is two entries, its start
and its stop, and BORIS pairs them by subject and behaviour.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from kuleshov.output.exports.spans import Span, assign_lanes
from kuleshov.tools.faces import facs
from kuleshov.tools.media.sound import has_sound
from kuleshov.tools.valid_text import in_json
from kuleshov.types import Inference

FORMAT = "7.0"
NO_FRAME = "NA"
CATEGORIES = ("emotion", "action unit", "other")
ABOUT = (
    "Written by Kuleshov: perceived emotion and action units, inferred by models. An emotion lasts "
    "for the stretch that it was read in; its probability stands in the comment."
)


def write_boris(inference: Inference, path: Path) -> None:
    """Write the project: a person is a subject, what concerns nobody alone has none.

    Spans are state events, with their text as comment of the start; a unit's apex is a point event.
    """
    events: list[tuple[float, str, str, str]] = []
    behaviours: dict[str, dict[str, Any]] = {}

    def behaviour(code: str, kind: str, category: str, description: str = "") -> str:
        code = " ".join(code.replace("|", " ").replace(",", " ").split())
        behaviours.setdefault(code, _make_behaviour(code, kind, category, description))
        return code

    for span, lane in assign_lanes(inference, key=_behaviour_code):
        subject = "" if span.person is None else f"person {span.person}"
        category, told = _subject_of(span)
        code = behaviour(lane, "State event", category, told)
        events.append((span.start_s, subject, code, span.text))
        events.append((span.end_s, subject, code, ""))
        if span.apex_s is not None:
            code = behaviour(f"{lane} apex", "Point event", category, told)
            events.append((span.apex_s, subject, code, ""))
    name = Path(inference.media.path or "clip").stem.strip() or "clip"
    project = {
        "time_format": "hh:mm:ss",
        "project_date": datetime.now().isoformat(timespec="seconds"),
        "project_name": name,
        "project_description": ABOUT,
        "project_format_version": FORMAT,
        "subjects_conf": {
            str(place): {"key": "", "name": f"person {person.id}", "description": ""}
            for place, person in enumerate(inference.people)
        },
        "behaviors_conf": {str(place): one for place, one in enumerate(behaviours.values())},
        "observations": {name: _make_observation(inference, events)},
        "behavioral_categories": list(CATEGORIES),
        "behavioral_categories_config": {
            str(place): {"name": category, "color": ""} for place, category in enumerate(CATEGORIES)
        },
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }
    path.write_text(json.dumps(in_json(project), ensure_ascii=True, indent=1), "utf-8")


def _make_observation(
    inference: Inference, events: list[tuple[float, str, str, str]]
) -> dict[str, Any]:
    media = inference.media
    file = os.path.abspath(media.path or "clip")
    frames = media.frames
    fps = 0.0  # BORIS's own for "not known"
    if len(frames) > 1:
        fps = (frames[-1].index - frames[0].index) / (frames[-1].time_s - frames[0].time_s)
    rows = [
        [round(time_s, 3), subject, code, "", comment, NO_FRAME]
        for time_s, subject, code, comment in sorted(events, key=lambda event: event[0])
    ]
    return {
        "type": "MEDIA",
        "date": datetime.now().isoformat(timespec="seconds"),
        "description": ABOUT,
        "file": {"1": [file], **{str(player): [] for player in range(2, 9)}},
        "media_info": {
            "length": {file: media.duration_s or 0.0},
            "fps": {file: round(fps, 3)},
            "hasVideo": {file: True},
            "hasAudio": {file: has_sound(file)},
            "offset": {"1": 0.0},
        },
        "time offset": 0.0,
        "events": rows,
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_creation_date_as_offset": False,
        "media_scan_sampling_duration": 0,
        "image_display_duration": 1,
        "close_behaviors_between_videos": False,
    }


def _make_behaviour(code: str, kind: str, category: str, description: str) -> dict[str, Any]:
    return {
        "type": kind,
        "key": "",
        "code": code,
        "description": description,
        "color": "",
        "category": category,
        "modifiers": {},
        "excluded": "",
        "coding map": "",
    }


def _behaviour_code(span: Span) -> str:
    """Emotions are behaviours of their own, because BORIS counts and times by behaviour."""
    return f"emotion {span.label}" if span.tier == "emotion" else span.tier


def _subject_of(span: Span) -> tuple[str, str]:
    if span.tier == "emotion":
        return "emotion", f"{span.label}: perceived emotion"
    if span.unit is not None and span.tier.startswith("AU"):
        return "action unit", facs.unit_name(span.unit)
    return "other", span.tier
