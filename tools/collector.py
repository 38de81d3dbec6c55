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
def pause_collector() -> Iterator[None]:
    """No garbage collection inside the block; afterwards it is on again if it was on before.

    Objects made inside are then moved to the oldest generation. Otherwise the next collection of
    young objects would have to look through all of them, and nothing would be saved.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            if not gc.get_freeze_count():  # what the caller froze stays frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()
