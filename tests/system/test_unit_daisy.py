"""The whole unit with a Cyton and its Daisy: alarm, return and gap when its plug is pulled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.serial_bedside import MATCH, unplug_and_replug

BOUND = 13
"""Samples of 8 ms by which a host's clock bounds a gap, on a loaded machine: 0.1 s."""


def place(stored: NDArray[np.int32], means: NDArray[np.int32]) -> int:
    """Where it begins among the means, of which a sample is every second one."""
    assert len(stored) >= MATCH
    windows = np.lib.stride_tricks.sliding_window_view(means, 2 * MATCH)[:, ::2]
    (at,) = np.flatnonzero((windows == stored[:MATCH]).all(axis=1))
    assert np.array_equal(stored, means[at : at + 2 * len(stored) : 2])
    return int(at)


def test_a_pulled_plug(tmp_path: Path) -> None:
    seen = unplug_and_replug(
        tmp_path, "cyton", options="options = { daisy = true }\n", emulator=("-o", "daisy=true")
    )
    seen.check_times()
    info = seen.segment.stream.info
    assert (info.rate_hz, info.firmware) == (125.0, "v3.1.2 with Daisy")
    means = np.trunc((seen.sent[:-1] + seen.sent[1:]) / 2).astype(np.int32)
    missing = (place(seen.after, means) - place(seen.before, means)) / 2 - len(seen.before)
    assert (seen.gap.cause, seen.gap.exact) == ("link_lost", False)
    assert abs(seen.gap.count - missing) <= BOUND
