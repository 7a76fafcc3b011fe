"""Runs records through the chain of ``wardbeat analyze``, one after another or in processes.

A record that cannot be read or scored is named with its reason; the others go on.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol, TypeVar

from agent.analyze import Analysis, analyse
from agent.chain import Step
from agent.evaluate.folder import Entry, EvaluateError
from agent.networks import Networks, load
from drivers.files import Record, RecordError, open_record
from models.registry import Registry


class Named(Protocol):
    """What can be judged: it has a name to be told by."""

    @property
    def name(self) -> str:
        """As in every table."""
        ...


T = TypeVar("T", bound=Named)
R = TypeVar("R")
Watch = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Judge:
    """What judges the records; each process makes it for itself."""

    registry: Registry | None = None
    """Whose networks; None: the shipped ones."""
    rules_only: bool = False
    leads: tuple[str, ...] = ()
    """Names or numbers of the leads to use; none: all ECG leads, as ``analyze`` does."""

    def networks(self) -> Networks:
        """The networks, loaded once in each process."""
        return Networks() if self.rules_only else _loaded(self.registry)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Record]:
        """The record with the leads to judge; RecordError where it cannot be read."""
        with open_record(entry.path, leads=self.leads or None) as record:
            yield record

    def analyse(self, record: Record, watch: Watch = lambda step: None) -> Analysis:
        """The record through the chain."""
        return analyse(record, self.networks(), watch=watch)


@cache
def _loaded(registry: Registry | None) -> Networks:
    return load(registry)


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that has no figures."""

    record: str
    error: str
    """One line."""


def _guarded(work: Callable[[T], R], task: T) -> R | Failure:
    try:
        return work(task)
    except RecordError as error:
        return Failure(task.name, str(error))


def _deaf() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def outcomes(work: Callable[[T], R], todo: Sequence[T], processes: int) -> Iterator[R | Failure]:
    """What ``work`` makes of each record, in their order, each as soon as it is there.

    ``work`` must be picklable where there is more than one process.
    """
    guarded = partial(_guarded, work)
    if processes == 1 or len(todo) < 2:
        yield from map(guarded, todo)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(processes, len(todo)), context, _deaf) as pool:
            yield from pool.map(guarded, todo)
    except BrokenProcessPool as error:
        raise EvaluateError(
            "a process ended in the middle of its record; is there memory for --jobs "
            f"{processes}? Take fewer"
        ) from error


def each(
    work: Callable[[T], R],
    todo: Sequence[T],
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[R], list[Failure]]:
    """The same, sorted out: results, and what failed. ``progress`` is told how many are done."""
    good: list[R] = []
    failed: list[Failure] = []
    for done, outcome in enumerate(outcomes(work, todo, processes), 1):
        if isinstance(outcome, Failure):
            failed.append(outcome)
        else:
            good.append(outcome)
        progress(done)
    return good, failed
