"""Follows the models folder of a running unit: a promote is taken up between two blocks.

The folder is looked at each second; a bundle is verified and loaded beside the analysis, in a
thread of its own, and a refused one changes nothing but is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.networks import Networks, load, load_candidates
from models.card import ModelRefused
from models.registry import Registry
from models.selection import FILE

log = logging.getLogger(__name__)

LOOK_S = 1.0
Mark = tuple[int, int, int] | None
Told = Callable[[Networks, str], Awaitable[None]]
"""Takes the networks that shall run from now on, and who changed them."""
Tried = Callable[[Networks | None, list[str]], None]
"""Takes the networks of a trial (None: there is none), and why candidates were refused."""


class ModelWatch:
    """Calls ``changed`` when other networks shall run, ``tried`` when other candidates shall."""

    def __init__(
        self, registry: Registry, running: Networks, changed: Told, tried: Tried | None = None
    ) -> None:
        self._registry = registry
        self._running = running
        self._changed = changed
        self._tried = tried
        self._mark = self._look()

    async def run(self) -> None:
        """Follow the folder until cancelled."""
        await self._try_out()
        while True:
            await asyncio.sleep(LOOK_S)
            mark = self._look()
            if mark != self._mark:
                self._mark = mark
                await self._take_up()

    async def _take_up(self) -> None:
        before = self._running
        after = await asyncio.to_thread(load, self._registry, before)
        if (after.in_use, after.refused) != (before.in_use, before.refused):
            self._running = after
            log.info("models: %s", ", ".join(map(str, after.in_use)) or "rules alone")
            await self._changed(after, self._by())
        await self._try_out()

    async def _try_out(self) -> None:
        if self._tried is not None:
            self._tried(*await asyncio.to_thread(load_candidates, self._registry, self._running))

    def _by(self) -> str:
        try:
            changes = self._registry.selection().changes
        except ModelRefused:
            return "unit"
        return changes[-1].who if changes else "unit"

    def _look(self) -> Mark:
        if self._registry.folder is None:
            return None
        try:
            found = (self._registry.folder / FILE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
