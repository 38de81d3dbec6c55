"""The line in front of the model: fair, and it survives whatever its jobs do."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kuleshov.apps.web import job_queue as lines
from kuleshov.apps.web.job_queue import BusyError, Job, JobQueue
from kuleshov.tools.errors import KuleshovError


@pytest.fixture
def line() -> Iterator[JobQueue]:
    line = JobQueue()
    yield line
    line.close()


class Desk:
    """Jobs that note in which order they are done; the first holds the line until it is let go."""

    def __init__(self, line: JobQueue) -> None:
        self.line, self.order, self.events = line, [], []
        self.free = threading.Event()
        self.holder = self.job("holder", self.hold)
        line.join(self.holder)
        while self.holder.state != "running":
            threading.Event().wait(0.01)

    def hold(self, job: Job) -> None:
        assert self.free.wait(120)

    def job(self, owner: str, work=None, title: str = "") -> Job:
        def note(job: Job) -> str:
            self.order.append(title or owner)
            return job.title

        return Job(owner, "test", title, work or note, lambda *told: self.events.append(told))

    def lined(self, owner: str, title: str) -> Job:
        return self.line.join(self.job(owner, title=title))

    def let_go(self, *jobs: Job) -> None:
        self.free.set()
        for job in (self.holder, *jobs):
            while job.ended is None:
                threading.Event().wait(0.01)


def test_those_who_wait_are_served_in_turn_however_much_one_has_lined_up(line):
    desk = Desk(line)
    jobs = [desk.lined("anna", f"a{i}") for i in range(4)]
    jobs += [desk.lined("bert", "b0"), desk.lined("bert", "b1"), desk.lined("cleo", "c0")]
    told = {job.title: line.ahead(job) for job in jobs}
    assert told == {"a0": 1, "b0": 2, "c0": 3, "a1": 4, "b1": 5, "a2": 6, "a3": 7}
    desk.let_go(*jobs)
    assert desk.order == sorted(told, key=told.__getitem__)
    assert [line.ahead(job) for job in jobs] == [None] * len(jobs)


def test_who_waits_is_told_when_the_place_changes(line):
    desk = Desk(line)
    first, second = desk.lined("anna", "a"), desk.lined("bert", "b")
    line.cancel(first)
    desk.let_go(second)
    places = [d["ahead"] for job, kind, d in desk.events if kind == "place" and job is second]
    assert places[0] == 2
    assert places[-1] in (0, 1)
    assert sorted(places, reverse=True) == places
    assert first.state == "stopped"
    assert desk.order == ["b"]


def test_a_running_job_is_asked_to_stop(line):
    desk = Desk(line)
    line.cancel(desk.holder)
    assert desk.holder.stop.is_set()
    desk.let_go()
    assert (desk.holder.state, desk.holder.sentence) == ("stopped", "stopped by the user")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KuleshovError("the file is empty."), "the file is empty."),
        (
            ZeroDivisionError("division by zero"),
            "something went wrong that should not have: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_job_that_fails_does_not_stop_the_line(line, error, sentence):
    desk = Desk(line)

    def fail(job: Job) -> None:
        raise error

    bad = line.join(desk.job("anna", fail))
    good = desk.lined("anna", "good")
    desk.let_go(bad, good)
    assert (bad.state, bad.sentence) == ("failed", sentence)
    assert (good.state, good.result) == ("done", "good")


def test_too_many_are_refused_with_a_sentence(line, monkeypatch):
    monkeypatch.setattr(lines, "MOST_OF_ONE", 2)
    monkeypatch.setattr(lines, "MOST", 3)
    desk = Desk(line)
    jobs = [desk.lined("anna", "1"), desk.lined("anna", "2")]
    with pytest.raises(BusyError, match="2 of your readings wait already"):
        desk.lined("anna", "3")
    jobs.append(desk.lined("bert", "1"))
    with pytest.raises(BusyError, match="3 readings wait already; try again"):
        desk.lined("cleo", "1")
    desk.let_go(*jobs)


def test_closing_drops_what_waits(line):
    desk = Desk(line)
    waiting = desk.lined("anna", "a")
    line.close(patience_s=0.01)
    assert (waiting.state, waiting.sentence) == ("stopped", "the server was closed down")
    assert desk.holder.stop.is_set()
    desk.free.set()
    with pytest.raises(BusyError, match="closing down"):
        desk.lined("anna", "b")
