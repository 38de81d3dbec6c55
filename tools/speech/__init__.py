"""Speech recognition: the words of a clip's sound, by a Whisper model through transformers.

``check_recogniser(name)`` tells at once that a model cannot be had; ``load(name)`` gives a
`Recogniser`. Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from kuleshov.tools.speech.base import Heard, Recogniser, SpeechError, SpeechInfo
from kuleshov.tools.speech.loader import EXAMPLE, check_recogniser, load_recogniser

__all__ = [
    "EXAMPLE",
    "Heard",
    "Recogniser",
    "SpeechError",
    "SpeechInfo",
    "check_recogniser",
    "load_recogniser",
]
