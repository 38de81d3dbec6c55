"""The garbage collector's pause while models load."""

from __future__ import annotations

import gc
import weakref

from kuleshov.tools import collector


class Node:
    def __init__(self) -> None:
        self.self = self


def test_nothing_is_collected_within_and_what_was_made_is_old_afterwards():
    gc.collect()
    before = gc.get_stats()
    with collector.pause_collector():
        made = [Node() for _ in range(50_000)]
        garbage = weakref.ref(Node())
        assert gc.get_stats() == before
    assert any(made[0] is thing for thing in gc.get_objects(generation=2))
    assert gc.isenabled()
    # a cycle made within is still found by a full collection
    gc.collect()
    assert garbage() is None


def test_it_stays_off_where_it_was_off_and_frozen_what_was_frozen():
    gc.disable()
    try:
        with collector.pause_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    gc.freeze()
    try:
        with collector.pause_collector():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
