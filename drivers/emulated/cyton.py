"""An OpenBCI Cyton board with its dongle: text commands, and packets of 33 bytes at 250 Hz.

With a Daisy the packets take turns: odd numbers hold the mean of the board's last two samples, even
ones the Daisy's, as the firmware's source says.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.decoders.cyton import (
    CHANNELS,
    FIRST_END,
    FULL_SCALE,
    GAINS,
    HEADER,
    PACKET_BYTES,
    RATE_HZ,
    microvolts_per_count,
)
from drivers.source import SourceChunk

FIRMWARE: Final = "v3.1.2"
DAISY_LINE: Final = "On Daisy ADS1299 Device ID: 0x3E\n"
BANNER: Final = (
    "OpenBCI V3 8-16 channel\n"
    "On Board ADS1299 Device ID: 0x3E\n"
    "LIS3DH Device ID: 0x33\n"
    f"Firmware: {FIRMWARE}\n"
    "$$$"
)

OFF: Final = "12345678qwertyui"
ON: Final = "!@#$%^&*QWERTYUI"
NAMES: Final = "12345678QWERTYUI"
SETTING: Final = re.compile(r"x([1-8QWERTYUI])([01])([0-6])([0-7])([01])([01])([01])X")
LONGEST_COMMAND: Final = 16

ACCELEROMETER_EVERY = 10
"""New accelerometer values come at 25 Hz, zeros in between."""

ONE_G: Final = 8000
"""Upright and at rest: 1 g on the z axis at 0.002/16 g per count."""


class EmulatedCyton:
    """The board as the host sees it through the dongle."""

    title = "OpenBCI Cyton"
    rate_hz = RATE_HZ
    packet_bytes = PACKET_BYTES

    def __init__(self, *, daisy: bool = False) -> None:
        self._daisy = daisy
        self.plug_in()

    def plug_in(self) -> None:
        """The board runs on its battery; putting the dongle back finds it idle."""
        self.streaming = False
        self._number = 0
        self._unfinished = ""
        self._sixteen = self._daisy
        self._last = np.zeros((1, 2 * CHANNELS), np.int32)
        self._default_settings()

    def receive(self, data: bytes) -> bytes:
        """Answer commands; text comes only while not streaming, as on the board."""
        answer = ""
        for character in data.decode("latin-1"):
            if self._unfinished:
                self._unfinished += character
                if character in "XZ" or len(self._unfinished) > LONGEST_COMMAND:
                    command, self._unfinished = self._unfinished, ""
                    answer += self._said(self._long_command(command))
            elif character in "xz":
                self._unfinished = character
            else:
                answer += self._said(self._command(character))
        return answer.encode("ascii")

    def counts(self, chunk: SourceChunk) -> NDArray[np.int32]:
        """Leads on channels 1, 2, …; an open input rails, a channel switched off reads 0."""
        samples, leads = chunk.microvolts.shape
        inputs = 2 * CHANNELS if self._daisy else CHANNELS
        counts = np.zeros((samples, inputs), np.int32)
        for channel in range(min(leads, inputs)):
            if chunk.lead_off:
                counts[:, channel] = FULL_SCALE[1]
            elif self._on[channel]:
                scaled = np.rint(chunk.microvolts[:, channel] / self._scale(channel))
                counts[:, channel] = np.clip(scaled, *FULL_SCALE)
        return counts

    def packets(self, counts: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Header, number, eight 24-bit channels, accelerometer, end byte."""
        numbers = self._number + np.arange(len(counts))
        if self._sixteen:
            counts = self._means(counts, numbers)
        self._number = (self._number + len(counts)) % 256
        rows = np.zeros((len(counts), PACKET_BYTES), np.uint8)
        rows[:, 0] = HEADER
        rows[:, 1] = numbers % 256
        wide = counts[:, :CHANNELS].astype(">i4").view(np.uint8).reshape(-1, CHANNELS, 4)
        rows[:, 2:26] = wide[:, :, 1:].reshape(len(counts), CHANNELS * 3)
        moved = numbers % ACCELEROMETER_EVERY == 0
        rows[moved, 30] = ONE_G >> 8
        rows[moved, 31] = ONE_G & 0xFF
        rows[:, 32] = FIRST_END
        return rows

    def _means(self, counts: NDArray[np.int32], numbers: NDArray[np.int_]) -> NDArray[np.int32]:
        """Eight channels of each packet: board or Daisy, the mean of this sample and the last."""
        known = np.concatenate([self._last, counts])
        self._last = counts[-1:]
        # The firmware's integers are divided as C does, towards zero.
        means = np.trunc((known[:-1] + known[1:]) / 2).astype(np.int32)
        odd = (numbers % 2 == 1)[:, None]
        sent: NDArray[np.int32] = np.where(odd, means[:, :CHANNELS], means[:, CHANNELS:])
        return sent

    def _said(self, text: str) -> str:
        return "" if self.streaming else text

    def _scale(self, channel: int) -> float:
        return microvolts_per_count(self._gain[channel])

    def _default_settings(self) -> None:
        self._on = [True] * 2 * CHANNELS
        self._gain = [GAINS[-1]] * 2 * CHANNELS

    def _command(self, command: str) -> str:
        if command == "b":
            self.streaming, self._number = True, 0
        elif command == "s":
            self.streaming = False
        elif command == "v":
            self.plug_in()
            return BANNER.replace("LIS3DH", f"{DAISY_LINE}LIS3DH", 1) if self._daisy else BANNER
        elif command in "cC":
            return self._channels(command)
        elif command == "V":
            return f"{FIRMWARE}$$$"
        elif command == "?":
            return self._registers()
        elif command in "dD":
            if command == "d":
                self._default_settings()
            return "updating channel settings to default$$$" if command == "d" else "060110$$$"
        elif command in OFF:
            self._on[OFF.index(command)] = False
        elif command in ON:
            self._on[ON.index(command)] = True
        return ""

    def _channels(self, command: str) -> str:
        """Switch to 8 or to 16 channels, where there is something to switch."""
        if command == "c":
            removed, self._sixteen = self._sixteen, False
            return "daisy removed$$$" if removed else ""
        if not self._daisy:
            return "no daisy to attach!8$$$"
        attached, self._sixteen = not self._sixteen, True
        return f"{'daisy attached' if attached else ''}16$$$"

    def _long_command(self, command: str) -> str:
        if command.startswith("z"):
            return "Success: Lead off set$$$"
        setting = SETTING.fullmatch(command)
        if setting is None:
            return "Failure: too few or wrong characters$$$"
        channel = NAMES.index(setting[1])
        self._on[channel] = setting[2] == "0"
        self._gain[channel] = GAINS[int(setting[3])]
        return f"Success: Channel set for {channel + 1}$$$"

    def _registers(self) -> str:
        lines = ["Board ADS Registers", "ID, 00, 3E"]
        for channel in range(CHANNELS):
            value = GAINS.index(self._gain[channel]) << 4 | (0 if self._on[channel] else 0x80)
            lines.append(f"CH{channel + 1}SET, {channel + 5:02X}, {value:02X}")
        return "\n".join(lines) + "\n$$$"
