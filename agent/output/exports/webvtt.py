"""WebVTT captions: the reading of each moment, for any player."""

from __future__ import annotations

from pathlib import Path

from kuleshov.output.exports.spans import list_spans
from kuleshov.tools.valid_text import in_vtt
from kuleshov.types import Inference


def write_webvtt(inference: Inference, path: Path) -> None:
    lines = ["WEBVTT", "", "NOTE Perceived emotion, an inference; written by Kuleshov", ""]
    readings = [span for span in list_spans(inference) if span.tier == "emotion"]
    for span in sorted(readings, key=lambda s: s.start_s):
        text = in_vtt(f"person {span.person}: {span.text}")
        lines += [f"{_format_time(span.start_s)} --> {_format_time(span.end_s)}", text, ""]
    path.write_text("\n".join(lines), "utf-8")


def _format_time(seconds: float) -> str:
    whole = round(1000 * seconds)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
