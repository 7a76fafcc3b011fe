"""Losing a device and finding it again: link states, back-off, and the loop that never gives up.

A session is one attempt to talk to a device, from opening its port to losing it; it knows nothing
of retries. :func:`supervise` runs session after session, says each change of the link, and waits
between them. Serial ports, Bluetooth and UDP share it, so it never reads a clock or draws a random
number of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from drivers.samples import DriverError, Emit, LinkChange, LinkState

FIRST_DELAY_S = 0.5
"""Long enough for a kernel to let a port go, short enough that nobody notices a glitch."""

LONGEST_DELAY_S = 30.0
"""A nurse who switches a device on waits at most this long, and the log stays readable."""

GROWTH = 2.0
"""Seven attempts to the longest delay: one minute of trying hard."""

JITTER = 0.25
"""Share of a delay left to chance: devices lost together do not come back in step."""

PRESENCE_POLL_S = 0.25
"""Asking whether a port exists costs microseconds, so a plug put back is seen at once."""

SETTLE_S = 0.3
"""udev needs some 0.1 to 0.2 s after a node appears to give it its group and its links."""

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
NowNs: TypeAlias = Callable[[], int]
Random: TypeAlias = Callable[[], float]
"""Uniform in [0, 1)."""

Absent: TypeAlias = Callable[[], DriverError | None]
"""Why there is nothing to connect to just now (port not there), or None when it may be tried."""

log = logging.getLogger(__name__)

_FORWARD = (
    LinkState.SEARCHING,
    LinkState.CONNECTING,
    LinkState.WAITING_FOR_DATA,
    LinkState.STREAMING,
)


class Backoff:
    """Delays between attempts: ``first_s``, growing to ``longest_s``, each with some chance."""

    def __init__(
        self,
        *,
        random: Random,
        first_s: float = FIRST_DELAY_S,
        longest_s: float = LONGEST_DELAY_S,
    ) -> None:
        self._random = random
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_delay_s(self) -> float:
        """The delay before the next attempt; between 75 and 100 % of the present step."""
        delay = min(self._next_s, self._longest_s)
        self._next_s = min(delay * GROWTH, self._longest_s)
        return delay * (1.0 - JITTER * self._random())

    def reset(self) -> None:
        """Begin anew: data streamed, or the device was put back."""
        self._next_s = self._first_s


class Link:
    """The link as the nurse is told it; a session walks it forward, the supervisor back.

    A step that is skipped is walked through, a step to the present state says nothing unless its
    reason is new, so whoever listens sees every change once and only legal ones. Once an attempt
    has failed twice for the same reason, further ones like it are not told: the link stays
    SEARCHING, with that reason, until something else happens.
    """

    def __init__(self, emit: Emit, *, where: str, now_ns: NowNs) -> None:
        self.where = where
        self.state: LinkState | None = None
        self.times_streaming = 0
        """How often data began to flow, after a loss or a mere silence."""
        self.reconnects = 0
        """How often data flowed again after a loss."""
        self._emit = emit
        self._now_ns = now_ns
        self._reason = ""
        self._lost_stream = False
        self._last_loss: str | None = None
        self._quiet = False

    def searching(self, reason: str = "") -> None:
        """Nothing to connect to yet; from any state but STOPPED."""
        if self.state in (LinkState.CONNECTING, LinkState.WAITING_FOR_DATA, LinkState.STREAMING):
            self.lost(reason)
        self._say(LinkState.SEARCHING, reason)

    def connecting(self, reason: str = "") -> None:
        """The port or the peripheral is there and is being opened and set up."""
        self._forward(LinkState.CONNECTING, reason)

    def waiting_for_data(self, reason: str = "") -> None:
        """Set up, or silent although the link stands: no sample yet."""
        if self.state is LinkState.STREAMING:
            self._say(LinkState.WAITING_FOR_DATA, reason)
        else:
            self._forward(LinkState.WAITING_FOR_DATA, reason)

    def streaming(self) -> None:
        """Valid data arrived. Cheap when already streaming: call it per packet."""
        if self.state is not LinkState.STREAMING:
            self._quiet, self._last_loss = False, None
            self._forward(LinkState.STREAMING, "")
            self.times_streaming += 1
            self.reconnects += self._lost_stream
            self._lost_stream = False

    def lost(self, reason: str) -> None:
        """The link ended, or an attempt to make it failed."""
        repeated = reason == self._last_loss
        if repeated and self._quiet:
            return
        self._last_loss, self._quiet = reason, repeated
        if self.state is None:
            self._say(LinkState.SEARCHING, "")
        self._lost_stream = self.times_streaming > 0
        self._say(LinkState.LOST, reason)

    def stopped(self, reason: str = "") -> None:
        """Ended on purpose; nothing follows."""
        self._say(LinkState.STOPPED, reason)

    def _forward(self, state: LinkState, reason: str) -> None:
        if self._quiet:
            return
        target = _FORWARD.index(state)
        present = _FORWARD.index(self.state) if self.state in _FORWARD else -1
        for step in _FORWARD[present + 1 : target]:
            self._say(step, "")
        self._say(state, reason)

    def _say(self, state: LinkState, reason: str) -> None:
        if self.state is LinkState.STOPPED or (state is self.state and reason == self._reason):
            return
        self.state, self._reason = state, reason
        self._emit(LinkChange(state=state, host_ns=self._now_ns(), reason=reason))


Session: TypeAlias = Callable[[Link], Awaitable[None]]
"""Opens, sets up, streams; returns or raises when the link has ended, and frees what it held."""


async def supervise(
    session: Session,
    link: Link,
    *,
    backoff: Backoff,
    absent: Absent | None = None,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Run ``session`` again and again until cancelled, whatever it raises.

    Between attempts it waits out the back-off, which starts anew once data streamed. Where
    ``absent`` tells whether the device is there, no attempt is made while it is not, and its
    return ends the wait: data flow again as soon as the session can make them.
    """
    failures, reason = 0, ""
    try:
        while True:
            await _until_present(link, backoff, absent, sleep, reason)
            streamed_before = link.times_streaming
            reason = await _attempt(session, link)
            if link.times_streaming > streamed_before:
                backoff.reset()
                failures = 0
            link.lost(reason)
            failures += 1
            delay_s = backoff.next_delay_s()
            level = logging.WARNING if failures == 1 else logging.DEBUG
            log.log(level, "%s (attempt %d, next in %.1f s)", reason, failures, delay_s)
            await _wait(delay_s, backoff, absent, sleep)
    finally:
        link.stopped()


async def _attempt(session: Session, link: Link) -> str:
    """Run one session to its end and say why it ended."""
    try:
        await session(link)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # A library cancelled itself inside (BLE stacks do on a lost link); nobody asked us to end.
        return f"{link.where}: the connection attempt was cut off; trying again"
    except DriverError as fault:
        return str(fault)
    except Exception as fault:
        log.debug("%s: unexpected end of a session", link.where, exc_info=True)
        return f"{link.where}: {type(fault).__name__}: {fault}; trying again"
    return f"{link.where}: the device ended the connection; trying again"


async def _until_present(
    link: Link, backoff: Backoff, absent: Absent | None, sleep: Sleep, reason: str
) -> None:
    """Say that we search, and still why the last attempt failed, until there is a device."""
    fault = absent() if absent else None
    if fault is None:
        link.searching(reason)
        return
    if link.state is None:
        log.warning("%s", fault)
    while fault is not None and absent is not None:
        link.searching(str(fault))
        await sleep(PRESENCE_POLL_S)
        fault = absent()
    await sleep(SETTLE_S)
    backoff.reset()


async def _wait(delay_s: float, backoff: Backoff, absent: Absent | None, sleep: Sleep) -> None:
    """Sleep for the back-off, but not past the return of a device that went away."""
    if absent is None:
        await sleep(delay_s)
        return
    was_absent = False
    while delay_s > 0:
        if absent() is not None:
            was_absent = True
        elif was_absent:
            await sleep(SETTLE_S)
            backoff.reset()
            return
        step_s = min(delay_s, PRESENCE_POLL_S)
        await sleep(step_s)
        delay_s -= step_s
