"""The networks' input contract: conditioned microvolts at 250 Hz.

The chain works on the very same signal (``Hop.signal``), so its definition stands here, next to
the bundles that were trained on it, and nowhere else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

RATE_HZ = 250
PASS_BAND_HZ = (0.5, 40.0)
"""Monitor band: wander below, muscle and mains above (clinical practice's "monitoring mode")."""

_SOS = np.vstack(
    [
        butter(2, PASS_BAND_HZ[0], "highpass", fs=RATE_HZ, output="sos"),
        butter(4, PASS_BAND_HZ[1], "lowpass", fs=RATE_HZ, output="sos"),
    ]
)
_REST = sosfilt_zi(_SOS)


class Conditioner:
    """Causal band-pass of one lead; its output does not depend on how the signal is cut.

    After ``reset`` (a start, a gap) it settles on the first sample's level, so an electrode's
    offset of many millivolts does not ring through the first seconds.
    """

    def __init__(self) -> None:
        self._state: NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Forget the past: the next sample is a first one."""
        self._state = None

    def push(self, microvolts: NDArray[np.float64]) -> NDArray[np.float32]:
        """Filter consecutive samples, shape (n,), at 250 Hz; none may be NaN."""
        if not len(microvolts):
            return np.empty(0, np.float32)
        if self._state is None:
            self._state = _REST * microvolts[0]
        filtered, self._state = sosfilt(_SOS, microvolts, zi=self._state)
        return filtered.astype(np.float32)
