"""The trace between feed and sweep: what is to be named on it, and when."""

from __future__ import annotations

import msgspec
import numpy as np

from agent.bed_messages import wave_fields
from agent.signal.types import HOP, Hop, SignalState
from sync.contract import Wave
from tests.support.bedside import Unit
from tui.bedside.trace import PULSE, Trace


def test_pulses_stand_among_the_beats_in_the_order_of_time() -> None:
    wave = msgspec.structs.replace(
        Unit().wave(), beats=((0.10, "V"), (0.30, "N")), pulses=(0.06, 0.26)
    )
    trace = Trace()
    trace.take(wave, 0.0)
    assert trace.beats_until(0.2) == [(0.06, PULSE), (0.10, "V")]
    assert trace.beats_until(9.0) == [(0.26, PULSE), (0.30, "N")]


def test_a_message_without_pulses_is_one_of_an_older_unit() -> None:
    wave = msgspec.structs.replace(Unit().wave(), pulses=(0.5,))
    told = msgspec.to_builtins(wave)
    assert list(told["pulses"]) == [0.5]
    del told["pulses"]
    assert msgspec.convert(told, Wave, strict=False).pulses == ()


def test_the_wave_tells_the_pulses_of_all_its_hops() -> None:
    still = np.zeros(HOP, np.float32)
    hops = [
        Hop(k, still, SignalState.USABLE, (), 0.0, pulses=pulses)
        for k, pulses in enumerate([(0.05,), (), (0.41, 0.55)])
    ]
    assert wave_fields(hops, [])["pulses"] == (0.05, 0.41, 0.55)
