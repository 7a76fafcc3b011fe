"""Back-off, link states and the supervising loop, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from drivers.reconnect import LONGEST_DELAY_S, Backoff, Link, supervise
from drivers.samples import DriverError, DriverEvent, LinkChange, LinkState

WHERE = "/dev/ttyUSB0"
LEGAL = {
    None: {LinkState.SEARCHING},
    LinkState.SEARCHING: {LinkState.SEARCHING, LinkState.CONNECTING, LinkState.LOST},
    LinkState.CONNECTING: {LinkState.WAITING_FOR_DATA, LinkState.LOST},
    LinkState.WAITING_FOR_DATA: {LinkState.STREAMING, LinkState.LOST},
    LinkState.STREAMING: {LinkState.WAITING_FOR_DATA, LinkState.LOST},
    LinkState.LOST: {LinkState.SEARCHING},
    LinkState.STOPPED: set(),
}


class World:
    """A clock that only sleeping moves, and what the link said."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events: list[LinkChange] = []
        self.slept: list[float] = []
        self.link = Link(self.emit, where=WHERE, now_ns=lambda: round(self.now_s * 1e9))

    def emit(self, event: DriverEvent) -> None:
        assert isinstance(event, LinkChange)
        self.events.append(event)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    @property
    def states(self) -> list[LinkState]:
        return [event.state for event in self.events]

    def backoff(self, draw: Callable[[], float] = lambda: 0.0) -> Backoff:
        return Backoff(random=draw)


def assert_legal_walk(states: list[LinkState]) -> None:
    before: LinkState | None = None
    for state in states:
        assert state in LEGAL[before] | {LinkState.STOPPED}, f"{before} → {state}"
        before = state


def test_delays_grow_to_the_longest_and_start_anew() -> None:
    backoff = Backoff(random=lambda: 0.0)
    assert [backoff.next_delay_s() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_delay_s() == 0.5


def test_jitter_shortens_only() -> None:
    draw = random.Random(1).random
    backoff = Backoff(random=draw)
    delays = [backoff.next_delay_s() for _ in range(200)]
    assert max(delays) <= LONGEST_DELAY_S
    assert min(delays[10:]) >= 0.75 * LONGEST_DELAY_S
    assert len(set(delays[10:])) > 100


async def run_until(world: World, sessions: int, body: Callable[[int, Link], None]) -> None:
    """Supervise a session that calls ``body(n)`` and raises what it raises, ``sessions`` times."""
    count = 0

    async def session(link: Link) -> None:
        nonlocal count
        count += 1
        if count > sessions:
            task.cancel()
            await asyncio.sleep(3600)
        await asyncio.sleep(0)
        body(count, link)

    task = asyncio.create_task(
        supervise(session, world.link, backoff=world.backoff(), sleep=world.sleep)
    )
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_any_exception_is_survived() -> None:
    faults = [
        DriverError("port is busy", WHERE, "close the other program"),
        OSError(5, "Input/output error"),
        ValueError("odd"),
        ExceptionGroup("several", [KeyError("x")]),
        asyncio.CancelledError(),
        TimeoutError(),
    ]

    def body(n: int, link: Link) -> None:
        link.connecting()
        if n <= len(faults):
            raise faults[n - 1]

    world = World()
    await run_until(world, len(faults) + 1, body)
    assert world.states.count(LinkState.LOST) == len(faults) + 1
    assert_legal_walk(world.states)
    assert world.states[-1] is LinkState.STOPPED
    lost = [event.reason for event in world.events if event.state is LinkState.LOST]
    assert lost[0] == f"{WHERE}: port is busy; close the other program"
    assert all(WHERE in reason and "\n" not in reason for reason in lost)


async def test_backoff_starts_anew_only_when_data_streamed() -> None:
    def body(n: int, link: Link) -> None:
        link.waiting_for_data()
        if n == 5:
            link.streaming()
        raise OSError("gone")

    world = World()
    await run_until(world, 7, body)
    assert world.slept == [0.5, 1, 2, 4, 0.5, 1, 2]


async def test_first_failure_warns_and_repeats_are_debug(caplog: pytest.LogCaptureFixture) -> None:
    def body(n: int, link: Link) -> None:
        if n == 4:
            link.streaming()
        raise OSError("gone")

    with caplog.at_level(logging.DEBUG, "drivers.reconnect"):
        await run_until(World(), 6, body)
    levels = [r.levelno for r in caplog.records if "attempt" in r.getMessage()]
    warn, debug = logging.WARNING, logging.DEBUG
    assert levels == [warn, debug, debug, warn, debug, debug]


async def test_ten_thousand_disconnects_leave_nothing_behind() -> None:
    """Scripted ends of every kind: no stuck state, no leaked task, no illegal step."""
    draw = random.Random(7)

    def body(n: int, link: Link) -> None:
        depth = draw.randrange(5)
        if depth >= 1:
            link.connecting()
        if depth >= 2:
            link.waiting_for_data()
        if depth >= 3:
            link.streaming()
        if depth >= 4:
            link.waiting_for_data("silent")
        if draw.random() < 0.8:
            raise draw.choice([OSError("gone"), asyncio.CancelledError(), RuntimeError("x")])

    world = World()
    before = asyncio.all_tasks()
    await run_until(world, 10_000, body)
    assert asyncio.all_tasks() == before
    assert world.states.count(LinkState.LOST) > 5_000
    assert_legal_walk(world.states)
    assert world.states[-1] is LinkState.STOPPED
    assert max(world.slept) <= LONGEST_DELAY_S


class Plug:
    """A port that exists during the given spans of the world's time."""

    def __init__(self, world: World, *spans: tuple[float, float]) -> None:
        self.world, self.spans = world, spans

    def absent(self) -> DriverError | None:
        if any(start <= self.world.now_s < end for start, end in self.spans):
            return None
        return DriverError("no such port", WHERE, "plug the dongle in")


async def attempts_at(world: World, plug: Plug, sessions: int) -> list[float]:
    times: list[float] = []

    async def session(link: Link) -> None:
        times.append(world.now_s)
        if len(times) == sessions:
            task.cancel()
        link.connecting()
        await asyncio.sleep(0)
        raise OSError("silent")

    task = asyncio.create_task(
        supervise(
            session, world.link, backoff=world.backoff(), absent=plug.absent, sleep=world.sleep
        )
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    return times


async def test_no_attempt_is_made_while_the_port_is_missing() -> None:
    world = World()
    times = await attempts_at(world, Plug(world, (100, 1e9)), 1)
    assert 100 <= times[0] <= 101
    assert world.events[0].state is LinkState.SEARCHING
    assert world.events[0].reason == f"{WHERE}: no such port; plug the dongle in"
    assert len(world.events) == 3  # searching, connecting, stopped: polling says nothing


async def test_return_of_the_port_ends_a_long_wait() -> None:
    world = World()
    times = await attempts_at(world, Plug(world, (0, 40), (50, 1e9)), 9)
    first_after = next(t for t in times if t > 40)
    assert 50 <= first_after <= 51
    again = times[times.index(first_after) + 1]
    assert again - first_after <= 0.6  # and the back-off began anew


async def test_the_same_failure_again_and_again_is_told_twice() -> None:
    def body(n: int, link: Link) -> None:
        link.waiting_for_data()
        if n == 200:
            raise OSError("another reason")
        if n == 300:
            link.streaming()
        raise OSError("silent")

    world = World()
    await run_until(world, 300, body)
    assert_legal_walk(world.states)
    assert world.states.count(LinkState.LOST) == 6
    assert world.states.count(LinkState.WAITING_FOR_DATA) < 10
    assert world.states.count(LinkState.STREAMING) == 1


async def test_links_skip_no_state_and_say_nothing_twice() -> None:
    world = World()
    world.link.streaming()
    world.link.streaming()
    world.link.waiting_for_data("no packet in 2 s")
    world.link.streaming()
    world.link.searching()
    world.link.streaming()
    world.link.stopped()
    world.link.lost("after the end")
    assert_legal_walk(world.states)
    assert world.states.count(LinkState.STREAMING) == 3
    assert world.states[-1] is LinkState.STOPPED
    assert world.link.reconnects == 1
