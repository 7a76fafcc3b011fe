"""OpenBCI Cyton on its USB dongle: 8 channels of 24 bits at 250 Hz, 16 at 125 Hz with a Daisy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from drivers.axis import CountedStream, StreamAxis
from drivers.decoders.cyton import (
    CHANNELS,
    DAISY_RATE_HZ,
    DAISY_TURN,
    FULL_SCALE,
    GAINS,
    RATE_HZ,
    CytonDecoder,
    DaisyPairs,
    microvolts_per_count,
)
from drivers.decoders.framing import FixedFrames
from drivers.samples import DriverError, Lead
from drivers.serial_driver import SerialDriver, Taken, chosen_leads, columns
from drivers.serial_link import SerialPort

BAUD = 115200

END_OF_TEXT: Final = b"$$$"
BANNER: Final = b"OpenBCI V"
"""How the text begins that the board sends after a reset."""

DAISY: Final = b"On Daisy ADS1299"
"""Told in the same text: the board has found a Daisy, and has switched to 16 channels."""
SIXTEEN: Final = b"16" + END_OF_TEXT
REMOVED: Final = b"daisy removed"

NAMES: Final = "12345678QWERTYUI"
"""The channels as the ``x`` command calls them."""

QUIET_S = 0.2
"""After ``s`` the radio still delivers what the board had sent."""

RESET_S = 3.0
"""The board answers ``v`` within about a second; the dongle itself says so when it hears none."""

ANSWER_S = 1.0
"""Firmware 1 does not answer settings at all, so their silence is no fault."""

REFERENCES: Final = {"pair": 0, "srb2": 1}
"""SRB2 setting: a lead between the channel's own P and N pins, or against the shared SRB2 pin."""


class Cyton(SerialDriver):
    """Driver of the Cyton board.

    ``leads`` names the ECG leads, by default one, II, on channel 1; ``channels`` their channels
    (1 to 8, with a Daisy to 16) where these are not 1, 2, 3 …; ``gain`` is one of 1, 2, 4, 6, 8,
    12, 24 (24 rails at ±187.5 mV); ``reference`` is ``"pair"`` (P against N of each channel) or
    ``"srb2"``. ``daisy`` reads a Daisy too, which halves the rate; one that is there is switched
    off without it.
    Raises :class:`DriverError` on a choice the board does not have.
    """

    device = "OpenBCI Cyton"
    packet = "Cyton packet"
    silence_remedy = "is the dongle's switch on GPIO6?"

    def __init__(
        self,
        address: str,
        *,
        leads: Sequence[str] = ("II",),
        channels: Sequence[int] | None = None,
        gain: int = 24,
        reference: str = "pair",
        daisy: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if gain not in GAINS:
            raise DriverError(
                f"gain {gain} does not exist", address, f"choose one of {GAINS}", transient=False
            )
        if reference not in REFERENCES:
            raise DriverError(
                f"reference {reference!r} does not exist",
                address,
                f"choose one of {', '.join(REFERENCES)}",
                transient=False,
            )
        names = tuple(leads)
        numbers = tuple(channels) if channels else None
        available = 2 * CHANNELS if daisy else CHANNELS
        self._channels = chosen_leads(address, names, numbers, available=available)
        self._columns = columns(self._channels)
        self._gain = gain
        self._srb2 = REFERENCES[reference]
        self._decoder = CytonDecoder()
        self._pairs = DaisyPairs() if daisy else None
        scale = microvolts_per_count(gain)
        super().__init__(
            address,
            baud=BAUD,
            rate_hz=DAISY_RATE_HZ if daisy else RATE_HZ,
            leads=tuple(Lead(name, scale, full_scale_counts=FULL_SCALE) for name in names),
            now_ns=now_ns,
        )

    async def set_up(self, port: SerialPort) -> str:
        """Stop, reset, Daisy on or off, default settings, our channels, start.

        Opening the port alone resets nothing.
        """
        await port.write(b"s")
        await port.drain(QUIET_S, timeout_s=1.0)
        await port.write(b"v")
        answer = await port.read_until(END_OF_TEXT, RESET_S)
        if END_OF_TEXT not in answer:
            raise self._no_answer(answer)
        self._refuse_failure(answer, "v")
        await self._set_daisy(port, there=DAISY in answer)
        await self._setting(port, b"d")
        for channel in self._channels:
            await self._setting(port, self._channel_setting(channel))
        await port.write(b"b")
        return _firmware(answer) + (" with Daisy" if self._pairs is not None else "")

    async def stop(self, port: SerialPort) -> None:
        """Stop streaming, so that the board rests and the next program finds it quiet."""
        await port.write(b"s")
        await port.flush(0.2)

    def take(self, data: bytes, host_ns: int, stream: CountedStream) -> Taken:
        """Packets to samples; text among them tells of a reset or of a radio out of reach."""
        packets = self._decoder.feed(data)
        if self._pairs is not None:
            packets = self._pairs.join(packets)
        stream.arrive(packets.numbers, packets.counts[:, self._columns], host_ns)
        text = self._decoder.frames.rubbish
        if BANNER in text:
            self.restarted = True
            raise DriverError("the board was reset", self.address, "it is being started again")
        self._refuse_failure(text, "b")
        return Taken(len(packets.numbers))

    def frames(self) -> FixedFrames:
        """The packets' framing."""
        return self._decoder.frames

    def stream_on(self, axis: StreamAxis) -> CountedStream:
        """Losses by the packets' counter, which counts pairs where there is a Daisy."""
        if self._pairs is None:
            return super().stream_on(axis)
        return CountedStream(axis, self.rate_hz, modulus=DAISY_TURN)

    async def _set_daisy(self, port: SerialPort, *, there: bool) -> None:
        """Have as many channels as we read: packets of 8 and of 16 channels look alike."""
        if self._pairs is not None:
            self._pairs.forget()
            answer = await self._setting(port, b"C")
            if SIXTEEN not in answer:
                raise DriverError(
                    f"finds no Daisy (it says {_one_line(answer)!r})",
                    self.address,
                    "seat the Daisy on the board, or set daisy = false",
                )
        elif there:
            answer = await self._setting(port, b"c")
            if REMOVED not in answer:
                raise DriverError(
                    f"does not switch its Daisy off (it says {_one_line(answer)!r})",
                    self.address,
                    "set daisy = true, or take the Daisy off",
                )

    def _channel_setting(self, channel: int) -> bytes:
        gain_digit = GAINS.index(self._gain)
        return f"x{NAMES[channel - 1]}0{gain_digit}01{self._srb2}0X".encode("ascii")

    async def _setting(self, port: SerialPort, command: bytes) -> bytes:
        await port.write(command)
        answer = await port.read_until(END_OF_TEXT, ANSWER_S)
        self._refuse_failure(answer, command.decode("ascii"))
        return answer

    def _refuse_failure(self, answer: bytes, command: str) -> None:
        if b"Failure" not in answer:
            return
        said = _one_line(answer[answer.index(b"Failure") :])
        raise DriverError(
            f"to {command!r} it says {said!r}",
            self.address,
            "is the board switched to PC, charged and near, on the dongle's radio channel?",
        )

    def _no_answer(self, answer: bytes) -> DriverError:
        if answer:
            what = f"bytes but no Cyton's answer to 'v' at {self.baud} baud"
            return DriverError(what, self.address, "correct the port or the kind of device")
        return DriverError(
            f"no answer to 'v' in {RESET_S:.0f} s at {self.baud} baud",
            self.address,
            "is the board switched to PC, and the dongle's switch on GPIO6?",
        )


def _firmware(answer: bytes) -> str:
    found = re.search(rb"Firmware:\s*([\x21-\x7e]+)", answer)
    return found.group(1).decode("ascii") if found else ""


def _one_line(answer: bytes) -> str:
    text = answer.replace(END_OF_TEXT, b" ").decode("ascii", "replace")
    return " ".join(text.split())[:80]
