"""The publisher's side of the outbox: what is fetched to be sent, what waits to be deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sync.outbox import Lane, Outbox, OutboxMessage

log = logging.getLogger(__name__)

FETCH = 128
"""Messages taken from the outbox at once."""
UNDELETED = 1000
"""Confirmed messages that still wait for the disk; with more, no new ones are fetched."""
NEWS_S = 5.0
"""The outbox is looked at so often even when it tells of nothing new."""
OUTBOX_TIMEOUT_S = 10.0
RETRY_S = 1.0

T = TypeVar("T")


class Backlog:
    """Fetches from the outbox and deletes from it; an outbox that fails is tried again.

    Args:
        outbox: where the messages are.
        wake: called when there may be something new to send.
    """

    def __init__(self, outbox: Outbox, wake: Callable[[], None]) -> None:
        self.ready: deque[OutboxMessage] = deque()
        """Fetched, in the order of sending."""
        self.more = False
        """There are more than those fetched."""
        self._outbox = outbox
        self._wake = wake
        self._news = True
        self._confirmed: set[int] = set()
        self._confirmations = asyncio.Event()
        self._again_at = 0.0

    @property
    def alarm_waits(self) -> bool:
        """Whether an alarm is the next to be sent."""
        return bool(self.ready) and self.ready[0].lane == Lane.ALARM

    def restart(self) -> None:
        """Forget what was fetched: over a new connection all is sent in order again."""
        self.ready.clear()
        self._news = True

    async def refill(self, skip: frozenset[int]) -> None:
        """Fetch when something was added (an alarm must go first) or nothing is left.

        Args:
            skip: numbers in flight or set aside.
        """
        wanted = self._news or (self.more and not self.ready)
        if not wanted or time.monotonic() < self._again_at or len(self._confirmed) > UNDELETED:
            return
        self._news = False
        batch = await self._ask(self._outbox.pending(FETCH, skip | self._confirmed))
        if batch is None:
            self._news = True
            return
        self.ready = deque(batch)
        self.more = len(batch) >= FETCH

    def confirm(self, number: int) -> None:
        """The broker sent PUBACK for this message: have it deleted."""
        self._confirmed.add(number)
        self._confirmations.set()

    async def delete_confirmed(self) -> None:
        """Delete durably what the broker has confirmed; what fails is tried again."""
        if not self._confirmed or time.monotonic() < self._again_at:
            return
        numbers = sorted(self._confirmed)

        async def delete() -> bool:
            await self._outbox.confirmed(numbers)
            return True

        if await self._ask(delete()):
            self._confirmed.difference_update(numbers)
            self._wake()

    async def keep_deleting(self) -> None:
        """Delete beside the sending: a commit takes as long as a window full of messages."""
        while True:
            self._confirmations.clear()
            await self.delete_confirmed()
            pause_s = RETRY_S if self._confirmed else NEWS_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._confirmations.wait()

    async def keep_watching(self) -> None:
        """Wake the sending when the outbox has something new."""
        while True:
            await self._outbox.wait_for_news(NEWS_S)
            self._news = True
            self._wake()

    async def _ask(self, call: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(OUTBOX_TIMEOUT_S):
                return await call
        except Exception:
            self._again_at = time.monotonic() + RETRY_S
            log.exception("the outbox failed; tried again in %g s", RETRY_S)
            return None
