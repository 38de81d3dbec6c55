"""Python's garbage collector, kept out of the way of long imports.

Importing torch and transformers and loading a model makes millions of objects and hardly any
garbage, but the collector looks through them again and again as they grow in number: a quarter
of the time that `Agent.load` takes with the bundled models.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """No collection within; afterwards it is on if it was on before."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
