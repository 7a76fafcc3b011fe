"""Record a device's raw bytes while its driver reads them, and run the driver on them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from drivers import catalogue, raw_tap
from drivers.raw_playback import Playback
from drivers.raw_recording import RawReader, RawRecordingError, RawWriter
from drivers.samples import Driver, DriverError, Emit

VERSION = 1
FILES: Final = frozenset({"replay"})
"""Kinds that read no port."""
LOOK_S = 0.5
"""So soon a disk that is full ends the recording."""


async def record(
    kind: str,
    address: str,
    options: Mapping[str, Any],
    path: Path,
    emit: Emit,
    *,
    seconds: float | None = None,
) -> RawWriter:
    """Run the driver for ``seconds`` (or until cancelled), its raw bytes into ``path``.

    Raises :class:`DriverError` for a device or option that does not exist, and
    :class:`RawRecordingError` for a file that can't be made.
    """
    driver = catalogue.create(kind, address, options)
    if kind in FILES:
        raise DriverError(
            "is a file already, without raw bytes", address, "record a device", transient=False
        )
    header = {
        "version": VERSION,
        "kind": kind,
        "address": address,
        "options": dict(options),
        "started_utc_ns": time.time_ns(),
        "started_ns": time.monotonic_ns(),
    }
    with RawWriter(path, header) as writer:
        token = raw_tap.TAP.set(writer)
        running = asyncio.create_task(driver.run(emit))
        raw_tap.TAP.reset(token)
        try:
            async with asyncio.timeout(seconds):
                while writer.fault is None and not running.done():
                    await asyncio.wait([running], timeout=LOOK_S)
        except TimeoutError:
            pass
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    if writer.fault is not None:
        raise writer.fault
    return writer


def replayed_driver(reader: RawReader, playback: Playback) -> Driver:
    """The driver of a recording, its clock the recording's."""
    try:
        kind, address = str(reader.header["kind"]), str(reader.header["address"])
        options = dict(reader.header["options"])
    except (KeyError, TypeError, ValueError) as fault:
        raise RawRecordingError(f"its header lacks {fault}; is it whole?") from fault
    return catalogue.create(kind, address, options, now_ns=playback.now_ns)


async def replay(path: Path, emit: Emit) -> RawReader:
    """Decode a recording as fast as it goes; ``emit`` gets what it got on that day.

    Raises :class:`DriverError` and :class:`RawRecordingError` as :func:`record` does.
    """
    reader = RawReader(path)
    playback = Playback(list(reader.entries()))
    driver = replayed_driver(reader, playback)
    token = raw_tap.PLAYER.set(playback)
    task = asyncio.create_task(driver.run(emit))
    raw_tap.PLAYER.reset(token)
    over = asyncio.create_task(playback.ended.wait())
    try:
        await asyncio.wait([task, over], return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return reader
