"""The emulator as a process, with a scripted source: a ramp with lead-off and unplugged spans."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from drivers.emulator import Emulator, Options, make_device
from drivers.source import SourceChunk

MICROVOLTS_PER_SAMPLE = 2.0
PERIOD = 5000


class RampSource:
    """A sawtooth of which every sample within a period is unlike the others."""

    lead_names = ("II",)

    def __init__(self, rate_hz: float, spans: list[tuple[str, float, float]]) -> None:
        self.rate_hz = rate_hz
        self._spans = spans
        self._at = 0

    def read(self, count: int) -> SourceChunk:
        seconds = self._at / self.rate_hz
        edges = [edge for _, start, end in self._spans for edge in (start, end) if edge > seconds]
        until = min((round(edge * self.rate_hz) for edge in edges), default=self._at + count)
        count = max(1, min(count, until - self._at))
        index = np.arange(self._at, self._at + count)
        self._at += count
        active = {name for name, start, end in self._spans if start <= seconds < end}
        return SourceChunk(
            ((index % PERIOD) * MICROVOLTS_PER_SAMPLE - PERIOD)[:, None],
            lead_off="lead_off" in active,
            unplugged="unplugged" in active,
            label=" ".join(sorted(active)) or "ramp",
        )


def main() -> None:
    """argv: device, JSON options (those of the emulator, spans, and options of the device)."""
    chosen = json.loads(sys.argv[2])
    made = chosen.pop("options", {})
    spans = chosen.pop("spans", [])
    chosen["link"] = Path(chosen["link"])
    if "log_counts" in chosen:
        chosen["log_counts"] = Path(chosen["log_counts"])
    device = make_device(sys.argv[1], **made)
    emulator = Emulator(device, RampSource(device.rate_hz, spans), Options(**chosen))
    emulator.run()
    print(f"emulator: {emulator.sent} packets sent, {emulator.dropped} dropped", file=sys.stderr)


if __name__ == "__main__":
    main()
