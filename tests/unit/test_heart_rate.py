"""Heart Rate Measurement: the sheet's examples, and noise."""

from __future__ import annotations

import random

import pytest

from drivers.decoders.heart_rate import (
    HeartRateError,
    decode_battery,
    decode_heart_rate,
)
from drivers.samples import LeadState

ON, OFF, UNKNOWN = LeadState.ON, LeadState.OFF, LeadState.UNKNOWN


@pytest.mark.parametrize(
    ("packet", "rate", "contact", "rr_ms"),
    [
        ("10484003", 72, UNKNOWN, [812.5]),
        ("063c", 60, ON, []),
        ("163c1104", 60, ON, [1016.602]),
        ("163cf503", 60, ON, [989.258]),
        ("164d1603", 77, ON, [771.484]),
        ("103b5304", 59, UNKNOWN, [1081.055]),
        ("0448", 72, OFF, []),
        ("0600", None, ON, []),
    ],
)
def test_real_packets(
    packet: str, rate: int | None, contact: LeadState, rr_ms: list[float]
) -> None:
    reading = decode_heart_rate(bytes.fromhex(packet))
    assert reading.rate_bpm == rate
    assert reading.contact is contact
    assert list(reading.rr_ms) == pytest.approx(rr_ms, abs=1e-3)
    assert not reading.damaged


def test_wide_rate_energy_and_two_intervals() -> None:
    reading = decode_heart_rate(bytes.fromhex("1d2c01e8030a040004"))
    assert (reading.rate_bpm, reading.contact, reading.energy_kj) == (300, OFF, 1000)
    assert list(reading.rr_ms) == pytest.approx([1009.766, 1000.0], abs=1e-3)


def test_odd_byte_is_damage_and_what_stood_before_is_kept() -> None:
    reading = decode_heart_rate(bytes.fromhex("103c0004ff"))
    assert reading.damaged
    assert list(reading.rr_ms) == [1000.0]


def test_short_packet_says_what_it_lacks() -> None:
    for packet in ("", "10", "013c", "083c00"):
        with pytest.raises(HeartRateError, match="its flags need"):
            decode_heart_rate(bytes.fromhex(packet))


def test_battery() -> None:
    assert decode_battery(b"\x55") == 85
    assert decode_battery(b"\xff") is None
    assert decode_battery(b"") is None


def test_noise_never_crashes() -> None:
    rng = random.Random(1)
    for _ in range(20_000):
        data = rng.randbytes(rng.randrange(24))
        try:
            reading = decode_heart_rate(data)
        except HeartRateError:
            continue
        assert all(0 <= rr <= 64_000 for rr in reading.rr_ms)
