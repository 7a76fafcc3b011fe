"""Where an emulated device gets its ECG from: a recording, or the built-in generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SourceChunk:
    """Consecutive samples during which nothing about the electrodes or the plug changes."""

    microvolts: NDArray[np.float64]
    """Shape (n, leads)."""
    lead_off: bool = False
    """The electrodes are off: the device rails or says so, whatever ``microvolts`` holds."""
    unplugged: bool = False
    """The device is pulled out for this long: its port disappears."""
    label: str = ""
    """What is being played, for the demo's status line: ``sinus rhythm``, ``VF``."""


class EcgSource(Protocol):
    """An endless ECG at the emulated device's rate."""

    rate_hz: float
    lead_names: tuple[str, ...]

    def read(self, count: int) -> SourceChunk:
        """At least 1 and at most ``count`` further samples."""
        ...
