"""Portions of work in threads that compute on few cores each."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

import pytest

from kuleshov.tools.faces import cpu_threads as module
from kuleshov.tools.faces.cpu_threads import side_by_side

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.usefixtures("torch_threads"),
    pytest.mark.parametrize("torch_threads", [4], indirect=True),
]


def where(items: Sequence[int]) -> list[tuple[int, int, str, int]]:
    """Each item, how many came with it, the thread it was done in and that thread's threads."""
    name = threading.current_thread().name
    return [(item, len(items), name, torch.get_num_threads()) for item in items]


def in_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(
    ("count", "portions", "threads"), [(10, [2, 2, 3, 3, 2, 2, 3, 3, 3, 3], 1), (2, [1, 1], 2)]
)
def test_equal_portions_in_order_each_on_its_share_of_the_cores(
    count: int, portions: list[int], threads: int
) -> None:
    done = side_by_side(where, range(count))
    assert [item for item, *_ in done] == list(range(count))
    assert sorted(size for _, size, *_ in done) == sorted(portions)
    assert all(name.startswith("side-by-side") for *_, name, _ in done)
    assert {own for *_, own in done} == {threads}


def test_what_other_threads_compute_with_stays_as_it_was() -> None:
    module._pools.clear()
    side_by_side(where, range(8))
    assert (torch.get_num_threads(), in_a_new_thread()) == (4, 4)


def test_one_item_and_one_thread_are_done_here() -> None:
    here = threading.current_thread().name
    assert side_by_side(where, range(1)) == [(0, 1, here, 4)]
    assert side_by_side(where, []) == []
    torch.set_num_threads(1)
    assert {name for *_, name, _ in side_by_side(where, range(9))} == {here}


def test_memory_is_bounded_on_many_cores() -> None:
    torch.set_num_threads(32)
    done = side_by_side(where, range(64))
    assert {(size, own) for _, size, _, own in done} == {(64 // module.MOST, 32 // module.MOST)}


def test_what_a_portion_raises_is_raised_and_the_next_call_works() -> None:
    def failing(items: Sequence[int]) -> list[int]:
        if 5 in items:
            raise ValueError(f"{list(items)} cannot be done")
        return list(items)

    with pytest.raises(ValueError, match=r"\[4, 5\] cannot be done"):
        side_by_side(failing, range(8))
    assert side_by_side(failing, range(5)) == [0, 1, 2, 3, 4]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_makes_threads_of_its_own() -> None:
    side_by_side(where, range(8))
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # it would wait for the parent's threads for ever
        done = side_by_side(lambda items: list(items), range(8))
        os._exit(0 if done == list(range(8)) else 1)
    assert os.waitpid(child, 0)[1] == 0
