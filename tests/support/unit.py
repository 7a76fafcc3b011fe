"""A whole unit as processes, for system tests: emulated device, agent, subscriber."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sync.codec import decode, encode
from sync.contract import AlarmMessage, AnyMessage, Command, Reply
from sync.ids import new_id

T = TypeVar("T")

PATIENCE_S = 40.0
"""A loaded machine may be slow; how fast things are is not asserted by these waits."""


def wait_for(what: str, ask: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Ask until the answer is true."""
    give_up_at = time.monotonic() + patience_s
    while time.monotonic() < give_up_at:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {patience_s:g} s in vain for {what}")


class Process:
    """A module of ours as a process of its own, its output in a file."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill −9."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        if self.running():
            self._process.terminate()
        try:
            return self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def said(self) -> str:
        """Everything it printed."""
        return self.log.read_text(errors="replace")


class Device(Process):
    """An emulated device on a pseudo-terminal at ``folder/ttyUSB0``."""

    def __init__(self, folder: Path, *options: str, kind: str = "cyton") -> None:
        self.port = folder / "ttyUSB0"
        arguments = ("-m", "drivers.emulator", kind, "--link", str(self.port), "--labels")
        super().__init__(folder / "device.log", *arguments, *options)
        wait_for("the emulated device", self.port.exists)

    def began_ns(self, label: str) -> int:
        """Monotonic time at which the newest stretch called ``label`` began."""

        def find() -> int:
            lines = [line.split(maxsplit=3) for line in self.said().splitlines()]
            found = [int(line[2]) for line in lines if line[:1] == ["label"] and label in line[3]]
            return found[-1] if found else 0

        return wait_for(f"the device to play {label}", find, 120)


@dataclass
class Unit:
    """An agent with its configuration in a folder."""

    folder: Path
    broker_port: int | None = None
    driver: str = "cyton"
    address: str = ""
    """Of the device; empty: the emulated port in the folder."""
    more: str = ""
    process: Process | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.config = self.folder / "unit.toml"
        self.feed = self.folder / "feed.sock"
        self.database = self.folder / "data" / "wardbeat.db"
        text = (
            f'[unit]\nsite = "test"\nname = "pi"\ntrust_clock = true\n'
            f'data_dir = "{self.folder}/data"\nfeed = "{self.feed}"\n'
            f'[[bed]]\nname = "1"\n[bed.device]\ndriver = "{self.driver}"\n'
            f'address = "{self.address or self.folder / "ttyUSB0"}"\n'
        )
        if self.broker_port:
            text += (
                f'[sync]\nhost = "127.0.0.1"\nport = {self.broker_port}\n'
                "reconnect_max_s = 1.0\nreconnect_min_s = 0.1\n"
            )
        self.config.write_text(text + self.more)

    def start(self) -> Process:
        """Start the agent and wait until screens can connect."""
        self.feed.unlink(missing_ok=True)
        self.process = Process(
            self.folder / "unit.log", "-m", "wardbeat", "run", "--config", str(self.config)
        )
        try:
            wait_for("the unit's feed", lambda: self.feed.exists() or not self.process_runs())
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.said()}") from None
        assert self.process_runs(), self.process.said()
        return self.process

    def process_runs(self) -> bool:
        """Whether the agent runs."""
        return self.process is not None and self.process.running()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database while the agent writes it."""
        uri = f"file:{self.database}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()


class Subscriber:
    """What a central station hears, in order of arrival."""

    def __init__(self, port: int, client_id: str = "station") -> None:
        self._heard: list[tuple[float, str, AnyMessage]] = []
        self._lock = threading.Lock()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=mqtt.MQTTv311
        )
        self._client.on_connect = lambda client, *_: client.subscribe("wardbeat/v1/#", 1)
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.1, 0.5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        decoded = decode(message.topic, message.payload)
        with self._lock:
            self._heard.append((time.monotonic(), message.topic, decoded))

    def heard(self, kind: type[T]) -> list[T]:
        """Messages of a kind, as they came."""
        with self._lock:
            return [message for _, _, message in self._heard if isinstance(message, kind)]

    def arrivals(self) -> list[tuple[int, str, int]]:
        """(monotonic ns of arrival, code, onset UTC ns) of alarms that started or came back."""
        with self._lock:
            return [
                (round(at * 1e9), message.alarm.code, message.alarm.onset)
                for at, _, message in self._heard
                if isinstance(message, AlarmMessage)
                and message.alarm.state == "active"
                and message.alarm.ended is None
            ]

    def alarms(self, code: str, phase: str = "start") -> list[AlarmMessage]:
        """Alarm changes of a code and phase."""
        return [m for m in self.heard(AlarmMessage) if (m.alarm.code, m.phase) == (code, phase)]

    def ask(self, name: Any, bed: str = "1", **fields: Any) -> Reply:
        """Send a command to the unit and wait for its reply."""
        command = Command(
            id=new_id(), time=time.time_ns(), boot="station", seq=1, name=name, bed=bed,
            by="station", **fields,
        )  # fmt: skip
        self._client.publish(f"wardbeat/v1/test/pi/command/{name}", encode(command), 1)

        def answers() -> list[Reply]:
            return [reply for reply in self.heard(Reply) if reply.command_id == command.id]

        return wait_for(f"the reply to {name}", answers)[0]

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()
