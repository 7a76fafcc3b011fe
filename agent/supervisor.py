"""Every task has a supervisor: it is started again when it falls, and its fall is seen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
HEALTHY_AFTER_S = 60.0
"""A task that ran this long had recovered: its next fall starts with the short wait again."""


async def supervise(
    name: str, job: Callable[[], Awaitable[None]], on_fall: Callable[[str], None]
) -> None:
    """Run ``job`` for ever: restart it when it raises or returns, with growing waits.

    ``on_fall`` gets one line for the log and the health message. Cancelling ends it.
    """
    wait_s = FIRST_WAIT_S
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await job()
            on_fall(f"{name} ended by itself; started again")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("%s fell", name)
            on_fall(f"{name} fell: {type(error).__name__}: {error}; started again")
        if loop.time() - began > HEALTHY_AFTER_S:
            wait_s = FIRST_WAIT_S
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, LONGEST_WAIT_S)
