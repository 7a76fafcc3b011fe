"""The monitor without a terminal: vitals each second and every alarm change as plain lines."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TextIO

from sync.contract import AlarmMessage, AnyMessage, BedState, Vitals
from sync.feed import FeedClient
from tui.words import LINK, QUALITY, RHYTHM, alarm_text, change_words, clock, rate


class Lines:
    """Turns messages into lines; remembers only what keeps it from repeating itself. Pure."""

    def __init__(self) -> None:
        self._links: dict[str, str] = {}

    def of(self, message: AnyMessage) -> str | None:
        """Return the line of a message, None where it has nothing to say."""
        match message:
            case Vitals():
                return _line(message, vitals_words(message))
            case AlarmMessage() if message.phase != "continue":
                return _line(message, f"{alarm_text(message.alarm)} {change_words(message)}")
            case BedState() if self._links.get(message.bed) != message.device.link:
                self._links[message.bed] = message.device.link
                return _line(message, link_words(message))
            case _:
                return None


def vitals_words(vitals: Vitals) -> str:
    """Return ``HR 72  sinus rhythm  quality usable``."""
    words = (
        f"HR {rate(vitals.rate_bpm):<3} {RHYTHM[vitals.rhythm]}  quality {QUALITY[vitals.quality]}"
    )
    if vitals.pvc_per_min:
        words += f"  PVC {vitals.pvc_per_min}/min"
    return words


def link_words(state: BedState) -> str:
    """Return ``device OpenBCI Cyton: link lost (why)``."""
    device = state.device
    reason = f" ({device.reason})" if device.reason else ""
    return f"device {device.name}: {LINK[device.link]}{reason}"


def _line(message: Vitals | AlarmMessage | BedState, words: str) -> str:
    return f"{clock(message.time)} bed {message.bed}  {words}"


SILENT_S = 3.0
"""The agent speaks each second: three silent ones are worth a line."""


async def print_lines(client: FeedClient, out: TextIO, bed: str | None = None) -> None:
    """Print what happens until cancelled or until the reader of ``out`` has gone.

    Args:
        client: the feed.
        out: where lines go; each is flushed, so that a pipe shows it at once.
        bed: this bed only; all beds when None.
    """
    heard = asyncio.Event()
    watch = asyncio.create_task(_tell_silence(client, heard, out))
    lines = Lines()
    try:
        async for message in client.messages():
            heard.set()
            if bed is not None and getattr(message, "bed", bed) != bed:
                continue
            line = lines.of(message)
            if line is not None:
                print(line, file=out, flush=True)
    except BrokenPipeError:
        return
    finally:
        watch.cancel()


async def _tell_silence(client: FeedClient, heard: asyncio.Event, out: TextIO) -> None:
    """Print a line when the agent falls silent, and one when it is back."""
    with suppress(BrokenPipeError):
        while True:
            heard.clear()
            try:
                await asyncio.wait_for(heard.wait(), SILENT_S)
            except TimeoutError:
                reason = client.reason or "it is connected but silent"
                print(f"{clock(time.time_ns())} NO DATA FROM AGENT: {reason}", file=out, flush=True)
                await heard.wait()
                print(f"{clock(time.time_ns())} the agent is back", file=out, flush=True)
