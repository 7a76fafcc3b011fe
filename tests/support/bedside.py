"""A bedside unit that isn't there: its feed on a unix socket, told message by message by a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support import ecg

from sync.contract import (
    AlarmInfo,
    AlarmMessage,
    AnyMessage,
    BedState,
    BufferState,
    Command,
    DeviceInfo,
    Limits,
    Priority,
    Reply,
    Rhythm,
    UnitState,
    Vitals,
    Wave,
)
from sync.feed import FrameReader, message_frame, read_message
from sync.ids import new_id

Signal = Callable[[float, float], NDArray[np.float64]]
LUMP_S = 0.2


class Unit:
    """Makes a unit's messages; the state of its one bed is in plain attributes."""

    def __init__(self, bed: str = "1") -> None:
        self.bed = bed
        self.boot = new_id()
        self.seq = 0
        self.stream_s = 0.0
        self.device = DeviceInfo(
            name="OpenBCI Cyton",
            address="/dev/ttyUSB0",
            link="streaming",
            leads=("II",),
            rate_hz=250,
            battery_percent=84,
        )
        self.alarms: tuple[AlarmInfo, ...] = ()
        self.audio_paused_until: int | None = None
        self.patient: str | None = "W-1042"

    def _head(self) -> dict[str, object]:
        self.seq += 1
        return {"id": new_id(), "time": time.time_ns(), "boot": self.boot, "seq": self.seq}

    def unit(self) -> UnitState:
        """The retained ``unit`` message."""
        return UnitState(
            **self._head(),
            unit="icu-3",
            site="ward-b",
            online=True,
            since=time.time_ns(),
            version="0.1.0",
            beds=(self.bed,),
            buffer=BufferState(hours_left=610.0),
            health={"broker_connected": 1.0},
        )

    def state(self, rhythm: Rhythm = Rhythm.NORMAL) -> BedState:
        """The retained ``state`` message."""
        return BedState(
            **self._head(),
            unit="icu-3",
            bed=self.bed,
            patient=self.patient,
            device=self.device,
            rhythm=rhythm,
            alarms=self.alarms,
            audio_paused_until=self.audio_paused_until,
            limits=Limits(),
        )

    def vitals(self, rate: float | None = 72.0, **more: object) -> Vitals:
        """One second's numbers; usable sinus rhythm unless told otherwise."""
        values: dict[str, object] = {
            "rr_ms": 60000 / rate if rate else None,
            "pvc_per_min": 4,
            "quality": "usable",
            "p_usable": 0.98,
            "rhythm": Rhythm.NORMAL,
            "rate_age_s": 0.6,
            "lag_ms": 80.0,
        }
        return Vitals(
            **self._head(), unit="icu-3", bed=self.bed, rate_bpm=rate, **{**values, **more}
        )

    def wave(self, signal: Signal = ecg.sinus, seconds: float = LUMP_S) -> Wave:
        """The next lump of the trace."""
        start_s, self.stream_s = self.stream_s, round(self.stream_s + seconds, 3)
        beats = ecg.beats(start_s, seconds) if signal in (ecg.sinus, ecg.noise) else []
        return Wave(
            **self._head(),
            unit="icu-3",
            bed=self.bed,
            start_s=start_s,
            rate_hz=ecg.RATE_HZ,
            lead="II",
            microvolts=ecg.int16(signal(start_s, seconds)),
            beats=tuple(beats),
        )

    def change(self, phase: str, alarm: AlarmInfo, by: str = "") -> AlarmMessage:
        """One change of an alarm."""
        return AlarmMessage(
            **self._head(), unit="icu-3", bed=self.bed, phase=phase, alarm=alarm, by=by
        )

    def reply(self, command: Command, accepted: bool = True, reason: str = "") -> Reply:
        """The answer to a command."""
        return Reply(**self._head(), command_id=command.id, accepted=accepted, reason=reason)


def alarm(code: str, text: str, priority: str, **more: object) -> AlarmInfo:
    """An active alarm, raised now."""
    now = time.time_ns()
    values: dict[str, object] = {
        "alarm_id": f"id-{code}",
        "kind": "physiological",
        "state": "active",
        "acknowledged": False,
        "onset": now,
        "raised": now,
    }
    return AlarmInfo(code=code, text=text, priority=Priority(priority), **{**values, **more})


class FeedServer:
    """The agent's side of the feed, as its page says it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.retained: list[AnyMessage] = []
        self.commands: list[Command] = []
        self.on_command: Callable[[Command], list[AnyMessage]] = lambda command: []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FeedServer:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """The agent dies: its socket goes and every connection ends."""
        if self._server is not None:
            self._server.close()
            self._server = None
            for writer in list(self._writers):
                writer.close()
            self.path.unlink(missing_ok=True)
        await asyncio.sleep(0)

    def send(self, *messages: AnyMessage) -> None:
        """Send to every screen."""
        self.send_bytes(b"".join(message_frame(message) for message in messages))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        for writer in self._writers:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        for message in self.retained:
            writer.write(message_frame(message))
        frames = FrameReader()
        try:
            while data := await reader.read(4096):
                for topic, payload in frames.feed(data):
                    command = read_message(topic, payload)
                    assert isinstance(command, Command)
                    self.commands.append(command)
                    self.send(*self.on_command(command))
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
