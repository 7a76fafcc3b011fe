"""PMD packets: every worked example, the whole real recording, and noise."""

from __future__ import annotations

import contextlib
import json
import random
import struct
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.decoders.polar_pmd import (
    PmdError,
    decode_ecg,
    decode_response,
    has_ecg,
    rate_of,
    settings,
    start_ecg,
    stop_ecg,
)


def recording(path: Path) -> list[bytes]:
    """The complete notifications of a recording (the last one is cut)."""
    data = path.read_bytes()
    at, found = 24, []
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            break
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def test_every_worked_ecg_frame(shared: Path) -> None:
    vectors = json.loads((shared / "captures" / "worked_vectors.json").read_text())
    vectors = vectors if isinstance(vectors, list) else vectors["vectors"]
    tried = 0
    for vector in vectors:
        decoded = vector["decoded"]
        if vector["device"] != "polar_pmd" or not isinstance(decoded, dict):
            continue
        data = bytes.fromhex(vector["hex"])
        if decoded["type"] != 0:
            with pytest.raises(PmdError, match="only ECG"):
                decode_ecg(data)
            continue
        if data[9]:
            with pytest.raises(PmdError, match="frame type"):
                decode_ecg(data)
            data = data[:9] + b"\0" + data[10:]
        frame = decode_ecg(data)
        assert frame.last_ns == decoded["timestamp_ns_since_2000"]
        shown = decoded["samples_uV"]
        assert frame.microvolts[: len(shown), 0].tolist() == shown
        tried += 1
    assert tried >= 7


def test_whole_real_recording(shared: Path) -> None:
    frames = [
        decode_ecg(data)
        for data in recording(shared / "captures" / "polar_h10" / "hr_data_2023-01-13_11-40-07.bin")
    ]
    assert len(frames) == 12_355
    assert sum(len(frame.microvolts) for frame in frames) == 901_915
    steps = [b.last_ns - a.last_ns for a, b in pairwise(frames)]
    assert max(steps) < 1.5 * 73 / 130 * 1e9, "no gap"
    rate_hz = 73 * len(steps) / (sum(steps) / 1e9)
    assert abs(rate_hz - 130.045) < 0.02


def test_control_point_dialogue() -> None:
    assert has_ecg(bytes.fromhex("0f050000000000000000000000000000"))
    assert not has_ecg(bytes.fromhex("0f6e"))
    answer = decode_response(bytes.fromhex("f0010000000001820001010e00"))
    assert answer is not None
    assert answer.ok
    offered = settings(answer.parameters)
    assert offered == {0: [130], 1: [14]}
    assert rate_of(offered) == 130.0
    assert start_ecg(offered).hex() == "02000001820001010e00"
    assert stop_ecg().hex() == "0300"


def test_already_running_is_success_and_errors_have_words() -> None:
    already = decode_response(bytes.fromhex("f003020600"))
    wrong = decode_response(bytes.fromhex("f002000500"))
    assert already is not None
    assert wrong is not None
    assert already.ok
    assert not wrong.ok
    assert wrong.said == "wrong parameter"
    assert decode_response(bytes.fromhex("0100")) is None


@pytest.mark.parametrize("answer", ["f00200000000", "f00202000001", "f003000000"])
def test_success_is_success_whatever_follows_it(answer: str) -> None:
    said = decode_response(bytes.fromhex(answer))
    assert said is not None
    assert said.ok


def test_acc_settings_are_read_too() -> None:
    answer = decode_response(
        bytes.fromhex("f0010200000004190032006400c800010110000203020004000800")
    )
    assert answer is not None
    assert settings(answer.parameters) == {0: [25, 50, 100, 200], 1: [16], 2: [2, 4, 8]}


def test_noise_is_refused_or_read_but_never_crashes() -> None:
    rng = random.Random(4)
    good = bytes.fromhex("00 91f770aa30495208 00 7a0000 670000".replace(" ", ""))
    for _ in range(20_000):
        data = bytearray(good[: rng.randrange(len(good) + 1)])
        for _ in range(rng.randrange(3)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        for read in (decode_ecg, decode_response, settings):
            with contextlib.suppress(PmdError):
                read(bytes(data))
