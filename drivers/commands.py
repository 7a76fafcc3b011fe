"""What ``wardbeat devices`` does, apart from its command line: lines of text out."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from drivers import catalogue, overview, scan
from drivers.probe import probe
from drivers.raw_recording import RawRecordingError
from drivers.recording import record, replay
from drivers.samples import Driver, DriverError, DriverEvent, Gap, SampleBlock, StreamInfo
from drivers.watch import Watch

Say: TypeAlias = Callable[[str], None]
LINE_S = 1.0


@dataclass(frozen=True, slots=True)
class Device:
    """Which device, as a configuration names it."""

    kind: str
    address: str
    options: Mapping[str, Any] = field(default_factory=dict)


def options_of(pairs: Sequence[str], where: str) -> dict[str, Any]:
    """``KEY=VALUE`` pairs as options; a value as in unit.toml, without quotes a text.

    Raises :class:`DriverError` for one without ``=``.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise DriverError(f"{pair!r} is no KEY=VALUE", where, "as gain=12", transient=False)
        try:
            options[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            options[key] = value
    return options


def list_kinds(say: Say) -> None:
    """One line a kind."""
    for kind in overview.kinds():
        note = f"{kind.note} ({kind.package})" if kind.package else kind.note
        if kind.broken:
            say(f"{kind.kind:12} BROKEN: {kind.package}: {kind.broken}")
        else:
            say(f"{kind.kind:12} {kind.quality:7} {kind.transport:13} {kind.rate:14} {note}")


async def scan_all(seconds: float, say: Say, warn: Say, *, unknown: bool) -> None:
    """One line for each thing in reach."""
    done = await scan.everything(seconds, unknown=unknown)
    for found in done.found:
        fits = f"driver {' or '.join(found.kinds)}" if found.kinds else "no driver known; probe it"
        say(f"{found.transport:13} {found.address}  {found.what}  {fits}")
    for fault in done.faults:
        warn(fault)
    if not done.found:
        warn("nothing found: plug a device in, or wear it with wet electrodes")


async def probe_port(address: str, say: Say, warn: Say, *, ask: bool) -> bool:
    """One line a kind that fits; False when none does."""
    verdicts = await probe(address, ask=ask, say=warn)
    for verdict in verdicts:
        say(f"{verdict.kind}: {verdict.how_sure} ({verdict.why})")
    if not verdicts:
        warn(f"{address}: nothing known; is the device on, and does it stream?")
    return bool(verdicts)


async def watch_device(device: Device, say: Say, seconds: float | None) -> None:
    """A line a second until cancelled or ``seconds`` passed."""
    driver = catalogue.create(device.kind, device.address, device.options)
    watch = Watch()
    await _lines(driver, watch, driver.run(watch.emit), say, seconds)


async def record_device(
    device: Device, path: Path, say: Say, seconds: float | None
) -> tuple[int, int]:
    """Record until cancelled or ``seconds`` passed; gives entries and bytes."""
    watch = Watch()

    async def lines() -> None:
        while True:
            await asyncio.sleep(LINE_S)
            say(f"{watch.samples} samples, {watch.lost} lost in {watch.gaps} gaps")

    telling = asyncio.create_task(lines())
    try:
        written = await record(
            device.kind, device.address, device.options, path, watch.emit, seconds=seconds
        )
    finally:
        telling.cancel()
    return written.entries, written.bytes


async def replay_file(path: Path, say: Say, csv: Path | None) -> None:
    """Decode a recording and say what is in it; ``csv`` takes the samples."""
    watch, rows, infos = Watch(), list[str](), list[StreamInfo]()

    def emit(event: DriverEvent) -> None:
        watch.emit(event)
        match event:
            case StreamInfo():
                infos.append(event)
                if csv is not None:
                    rows.append("sample," + ",".join(lead.name for lead in event.leads))
            case SampleBlock() if csv is not None:
                rows.extend(_rows(event))
            case Gap():
                kind = "exact" if event.exact else "bounded"
                say(f"gap at sample {event.first}: {event.count} samples, {event.cause}, {kind}")
            case _:
                pass

    reader = await replay(path, emit)
    for info in infos:
        say(f"{info.device} at {info.address}, {info.rate_hz:g} Hz, "
            f"leads {', '.join(lead.name for lead in info.leads) or 'none'}")  # fmt: skip
    say(f"{watch.samples} samples, {watch.lost} lost in {watch.gaps} gaps")
    if reader.torn:
        say(f"{path}: its end is torn; what is whole was read")
    if csv is not None:
        _write(csv, rows)


def _write(csv: Path, rows: list[str]) -> None:
    try:
        csv.write_text("\n".join(rows) + "\n")
    except OSError as fault:
        raise RawRecordingError(f"{csv}: can't be written ({fault.strerror})") from fault


def _rows(block: SampleBlock) -> list[str]:
    return [
        f"{block.first + number}," + ",".join(map(str, row))
        for number, row in enumerate(block.counts.tolist())
    ]


async def _lines(
    driver: Driver, watch: Watch, running: Any, say: Say, seconds: float | None
) -> None:
    task = asyncio.create_task(running)
    begun = time.monotonic()
    watch.line(driver, time.monotonic_ns())
    try:
        while not task.done() and (seconds is None or time.monotonic() - begun < seconds):
            await asyncio.wait([task], timeout=LINE_S)
            say(watch.line(driver, time.monotonic_ns()))
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
