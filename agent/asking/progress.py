"""How far a clip has been read."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Pace:
    """Progress of a clip whose steps run side by side: as far as the one furthest behind."""

    def __init__(self, tell: Callable[[float, float], None], *steps: str) -> None:
        self._tell, self._done = tell, dict.fromkeys(steps, 0.0)
        self._lock = threading.Lock()

    def __call__(self, step: str, done_s: float, whole_s: float) -> None:
        with self._lock:
            self._done[step] = done_s
            self._tell(min(self._done.values()), whole_s)
