"""Tracks and clips made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kuleshov.tools.faces.tracking.types import Track, UnitSeries


def track(
    units: dict[int, Sequence[float | None]] | None = None,
    expression: dict[str, Sequence[float]] | None = None,
    *,
    rate: float = 10.0,
    times: Sequence[float] | None = None,
    scale: str = "probability",
    **changes: Any,
) -> Track:
    """A track of one face, a frame each 1/rate s; units by number, expression by label."""
    columns = [*(units or {}).values(), *(expression or {}).values()]
    count = len(times) if times is not None else len(columns[0])
    when = times if times is not None else [round(k / rate, 4) for k in range(count)]
    return Track(
        **{
            "id": 1,
            "tool": "hand",
            "version": "1",
            "interval_s": 1 / rate,
            "times_s": tuple(when),
            "frames": tuple(range(count)),
            "boxes_xyxy": ((10, 10, 50, 60),) * count,
            "units": tuple(
                UnitSeries(unit=unit, scale=scale, values=tuple(values))
                for unit, values in (units or {}).items()
            ),
            "labels": "ekman-7" if expression else None,
            "method": "made by hand" if expression else None,
            "expression": {k: tuple(v) for k, v in (expression or {}).items()},
            **changes,
        }
    )


def write_clip(
    path: Path, frames: Sequence[np.ndarray[Any, Any]], *, rate: int = 10, codec: str = "libx264"
) -> Path:
    """A clip of the given RGB frames, written through PyAV."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = {"mjpeg": "yuvj420p", "ffv1": "bgr0"}.get(codec, "yuv420p")
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
