"""A Philips IntelliVue's data export: associations, polls, waves in bursts, numerics, alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.decoders import intellivue_session as session
from drivers.decoders.intellivue_messages import (
    MDS,
    Command,
    Operation,
    Other,
    Polled,
    Request,
    decode,
    operation,
    wave_list,
)
from drivers.decoders.intellivue_names import LEADS
from drivers.decoders.intellivue_session import Kind, kind
from drivers.decoders.intellivue_wire import IntelliVueError

BLOCK: Final = 64
"""Samples of a compound ECG's array: 256 ms."""
BURST: Final = 4
"""Arrays sent at once, one burst each 1.024 s."""
PERIOD_TICKS: Final = 32
MIDDLE, TOP = 8192, 16383
MICROVOLTS_PER_COUNT: Final = 5.0
DEMO: Final = 0x0400
INVALID: Final = 0x8000
MODEL: Final = ("Philips", "M8000")
RELATIVE_AT_START: Final = 0x1000
"""Relative time counts from the monitor's start."""
LOCAL_TIME: Final = "2026010112000000"
WITH_ATTRIBUTES_EVERY: Final = 16
"""So many answers apart the monitor tells scale and label again."""

_ECG_HANDLE, _HR_HANDLE, _SPO2_HANDLE, _ALARM_HANDLE = 0x02AE, 0x82B3, 0x83D5, 0x8401


class EmulatedIntelliVue:
    """The monitor as a client sees it; time passes for it by the samples it is given."""

    title = "Philips IntelliVue"
    rate_hz = 250.0

    def __init__(self, lead_names: Sequence[str] = ("II", "V", "I")) -> None:
        codes = {name: code for code, name in LEADS.items()}
        self._columns = [k for k, name in enumerate(lead_names) if name in codes][:3]
        self.codes = [codes[lead_names[k]] for k in self._columns]
        self.alarm: tuple[int, str] | None = None
        """Code and text of an alarm the monitor has just now."""
        self.plug_in()

    def plug_in(self) -> None:
        """Switched on: no association, and the relative time begins anew."""
        self.associated = False
        self._samples = 0
        self._polls: dict[int, tuple[Request, int]] = {}
        self._answers: dict[int, int] = {}
        self._blocks: list[tuple[int, NDArray[np.int32], bool]] = []
        self._rest = np.empty((0, len(self.codes)), np.int32)

    @property
    def streaming(self) -> bool:
        """Whether somebody polls waves."""
        return self.associated and Polled.WAVES in self._polls

    @property
    def ticks(self) -> int:
        """Relative time, 125 µs."""
        return (RELATIVE_AT_START + self._samples * PERIOD_TICKS) % 2**32

    def receive(self, message: bytes) -> list[bytes]:
        """Take what a client sent and give the answers."""
        match kind(message):
            case Kind.REQUEST:
                if self.associated:
                    return []
                self.associated = True
                return [_accept(), self._create_event()]
            case Kind.RELEASE if self.associated:
                self._end()
                return [session.RELEASE_RESPONSE]
            case Kind.ABORT:
                self._end()
            case Kind.DATA if self.associated:
                try:
                    return self._answer(decode(message))
                except IntelliVueError:
                    return []
        return []

    def counts(self, microvolts: NDArray[np.float64]) -> NDArray[np.int32]:
        """14 bits around the middle, shape (n, leads)."""
        scaled = np.rint(microvolts[:, self._columns] / MICROVOLTS_PER_COUNT) + MIDDLE
        counts: NDArray[np.int32] = np.clip(scaled, 0, TOP).astype(np.int32)
        return counts

    def play(self, counts: NDArray[np.int32], *, lead_off: bool = False) -> list[bytes]:
        """Time passes by these samples; what the monitor sends meanwhile."""
        rows = np.concatenate([self._rest, counts])
        messages: list[bytes] = []
        for start in range(0, len(rows) - BLOCK + 1, BLOCK):
            self._blocks.append((self.ticks, rows[start : start + BLOCK], lead_off))
            self._samples += BLOCK
            if len(self._blocks) == BURST:
                messages += self._burst()
        self._rest = rows[len(rows) // BLOCK * BLOCK :]
        return messages

    def _end(self) -> None:
        self.associated = False
        self._polls.clear()

    def _create_event(self) -> bytes:
        maker, model = (_counted(name.encode() + b"\0") for name in MODEL)
        attributes = _list(
            _attribute(0x0928, maker + model),
            _attribute(0x0987, bytes.fromhex(LOCAL_TIME)),
            _attribute(0x098F, self.ticks.to_bytes(4, "big")),
        )
        content = MDS + self.ticks.to_bytes(4, "big") + _u16(0x0D06)
        return operation(
            Operation.INVOKE, 1, Command.CONFIRMED_EVENT, content + _counted(MDS + attributes)
        )

    def _answer(self, asked: object) -> list[bytes]:
        match asked:
            case Request(command=Command.GET, invoke=invoke):
                return [self._listed(invoke, Command.GET)]
            case Request(command=Command.CONFIRMED_SET, invoke=invoke):
                return [self._listed(invoke, Command.CONFIRMED_SET)]
            case Request(command=Command.ACTION) as poll if poll.extended:
                self._polls[poll.polled] = (poll, self._samples + poll.period_ticks // PERIOD_TICKS)
                self._answers[poll.polled] = 0
                if poll.polled == Polled.WAVES:
                    return [self._result(poll, self._objects(_ECG_HANDLE, self._spec()))]
            case Request() | Other():
                pass
        return []

    def _listed(self, invoke: int, command: Command) -> bytes:
        text_ids = tuple(0x20000 | code for code in (0x0100, *self.codes))
        content = MDS + _list(_attribute(0xF23A, wave_list(text_ids)))
        return operation(Operation.RESULT, invoke, command, content)

    def _burst(self) -> list[bytes]:
        blocks, self._blocks = self._blocks, []
        self._polls = {k: v for k, v in self._polls.items() if v[1] > self._samples}
        if not self.associated:
            return []
        messages = []
        if Polled.WAVES in self._polls:
            poll = self._polls[Polled.WAVES][0]
            messages += [self._waves(poll, *block) for block in blocks]
        if Polled.NUMERICS in self._polls:
            messages += self._linked(self._polls[Polled.NUMERICS][0])
        if Polled.ALARMS in self._polls:
            poll = self._polls[Polled.ALARMS][0]
            messages.append(self._result(poll, self._objects(_ALARM_HANDLE, self._alarm_lists())))
        return messages

    def _waves(self, poll: Request, ticks: int, rows: NDArray[np.int32], lead_off: bool) -> bytes:
        state = DEMO | (INVALID if lead_off else 0)
        arrays = b"".join(
            _u16(code, state) + _counted(rows[:, k].astype(">u2").tobytes())
            for k, code in enumerate(self.codes)
        )
        compound = _attribute(0x0967, _u16(len(self.codes)) + _counted(arrays))
        due = self._answers[Polled.WAVES] % WITH_ATTRIBUTES_EVERY == 0
        attributes = [*(self._spec() if due else []), compound]
        return self._result(poll, self._objects(_ECG_HANDLE, attributes), ticks)

    def _linked(self, poll: Request) -> list[bytes]:
        """Numerics in two linked parts, as a monitor with many of them sends."""
        rate = _attribute(0x0950, _u16(0x4182, DEMO, 0x0AA0) + bytes.fromhex("0000003c"))
        label = _attribute(0x0927, _counted("FC\0".encode("utf-16-be")))
        saturation = _attribute(0x0950, _u16(0x4BB8, DEMO, 0x0220) + bytes.fromhex("ff0003b6"))
        first = self._objects(_HR_HANDLE, [label, rate])
        last = self._objects(_SPO2_HANDLE, [saturation])
        return [
            self._result(poll, first, part=(1, 1)),
            self._result(poll, last, part=(3, 2)),
        ]

    def _spec(self) -> list[bytes]:
        return [
            _attribute(0x096D, _u16(BLOCK) + bytes([16, 14]) + _u16(0x3000)),
            _attribute(0x0A16, bytes.fromhex("0003000c000480080003400100028004")),
            _attribute(0x098D, PERIOD_TICKS.to_bytes(4, "big")),
            _attribute(0x0924, bytes.fromhex("00020100")),
            _attribute(0x0996, _u16(0x10B2)),
            _attribute(0x096F, bytes.fromhex("fefff000fd009ffb00003fff")),
        ]

    def _alarm_lists(self) -> list[bytes]:
        patient = _u16(0, 0)
        if self.alarm is not None:
            code, text = self.alarm
            said = _counted(f"{text}\0".encode("utf-16-be"))
            info = _u16(1) + (0x20000 + code).to_bytes(4, "big") + _u16(0, 0x4000) + said
            entry = _u16(0x4182, code, 0x0400, 0x0008) + MDS + _u16(0x0204) + _counted(info)
            patient = _list_of(entry)
        return [_attribute(0x0902, _u16(0, 0)), _attribute(0x0904, patient)]

    def _objects(self, handle: int, attributes: list[bytes]) -> bytes:
        objects = _list_of(_u16(handle) + _list(*attributes))
        return _list_of(_u16(0) + objects)

    def _result(
        self,
        poll: Request,
        objects: bytes,
        ticks: int | None = None,
        part: tuple[int, int] | None = None,
    ) -> bytes:
        sequence = self._answers[poll.polled] % 2**16
        if part is None or part[0] == 3:
            self._answers[poll.polled] += 1
        at = self.ticks if ticks is None else ticks
        body = _u16(poll.poll, sequence) + at.to_bytes(4, "big") + b"\xff" * 8
        body += _u16(1, poll.polled, poll.group) + objects
        content = MDS + _u16(0xF13B) + _counted(body)
        if part is None:
            return operation(Operation.RESULT, poll.invoke, Command.ACTION, content)
        return operation(Operation.LINKED, poll.invoke, Command.ACTION, content, part)


def _accept() -> bytes:
    """A response that grants what the real monitor granted."""
    head = bytes.fromhex(
        "0508130100160102800014020002c1be3180a0808001010000a280a003000001a580308008010081025101000030"
        "80800100810c2a8648ce14020100000002010000000061803080020101a0806180a180060c2a8648ce1402010000"
        "0003010000a203020100a305a103020100be8028800201028148"
    )
    user = bytes.fromhex(
        "800000004000000000000000800000800000000000000000"
        "0001002c00010028800000000004e200000005b0000005b0ffffffff600000000001000cf00100088c00000000000000"
    )
    body = head + user + bytes(16)
    return bytes([Kind.ACCEPT, len(body)]) + body


def _u16(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def _counted(value: bytes) -> bytes:
    return _u16(len(value)) + value


def _attribute(name: int, value: bytes) -> bytes:
    return _u16(name) + _counted(value)


def _list(*attributes: bytes) -> bytes:
    return _u16(len(attributes)) + _counted(b"".join(attributes))


def _list_of(entry: bytes) -> bytes:
    return _u16(1) + _counted(entry)
