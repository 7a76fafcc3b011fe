"""What is listed, what an id or a name hints at, what bytes are, and what a watch line says."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from serial.tools import list_ports

from drivers import catalogue, overview, scan
from drivers.commands import options_of
from drivers.decoders.cyton import PACKET_BYTES
from drivers.decoders.intellivue_mib import frame
from drivers.emulated.cyton import EmulatedCyton
from drivers.emulated.olimex import EmulatedOlimex
from drivers.probe import SIGNATURES, Match, Signature, bauds, judge
from drivers.samples import (
    BatteryReading,
    DeviceAlarm,
    DeviceAlarms,
    DriverError,
    Gap,
    GapCause,
    HeartRateReading,
    Lead,
    LeadState,
    LinkChange,
    LinkHealth,
    LinkState,
    NumericReading,
    SampleBlock,
    StreamInfo,
)
from drivers.watch import Watch


def test_every_kind_is_described_in_one_line() -> None:
    kinds = overview.kinds()
    assert [kind.kind for kind in kinds] == list(catalogue.names())
    for kind in kinds:
        assert kind.transport, kind
        assert kind.note, kind
        assert "\n" not in kind.note
    cyton = next(kind for kind in kinds if kind.kind == "cyton")
    assert (cyton.transport, cyton.rate) == ("serial", "250 Hz")


def test_ids_and_names_hint_at_kinds_that_exist() -> None:
    assert scan.usb_hint(0x0403, 0x6015) == ("FTDI FT231X", ("cyton",))
    assert scan.usb_hint(0x2341, 0x0043)[1][:1] == ("olimex",)
    assert scan.usb_hint(0xFFFF, None) == ("USB serial", ())
    service = scan.HEART_RATE_SERVICE.upper()
    assert scan.ble_hint("Polar H10 1234ABCD", [service]) == ("polar_h10", "heart_rate")
    assert scan.ble_hint("", [service]) == ("heart_rate",)
    assert scan.ble_hint("Headphones", []) == ()
    for _, _, _, kinds in scan.USB:
        assert set(scan._known(kinds)) <= set(catalogue.names())


def test_serial_ports_are_named_by_their_stable_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ttyUSB0").touch()
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    link = by_id / "usb-FTDI_FT231X_DM00D4DP-if00-port0"
    link.symlink_to(tmp_path / "ttyUSB0")
    usb = SimpleNamespace(
        device=str(tmp_path / "ttyUSB0"), vid=0x0403, pid=0x6015, manufacturer="FTDI",
        product="FT231X USB UART", serial_number="DM00D4DP",
    )  # fmt: skip
    bare = SimpleNamespace(device="/dev/ttyS0", vid=None)
    monkeypatch.setattr(list_ports, "comports", lambda: [usb, bare])
    (found,) = scan.serial_ports(by_id, tmp_path / "none")
    assert found.address == str(link)
    assert found.what == "FTDI FT231X USB UART (USB 0403:6015, serial number DM00D4DP)"
    assert found.kinds == ("cyton",)


def test_boards_that_share_a_name_are_told_apart_by_their_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_id, by_path = tmp_path / "by-id", tmp_path / "by-path"
    ports = []
    for number in range(2):
        port = tmp_path / f"ttyUSB{number}"
        port.touch()
        for folder, name in ((by_id, "usb-1a86_USB_Serial-if00"), (by_path, f"usb-0:{number}")):
            folder.mkdir(exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(port)
        ports.append(SimpleNamespace(
            device=str(port), vid=0x1A86, pid=0x7523, manufacturer=None, product=None,
            serial_number=None,
        ))  # fmt: skip
    radio = SimpleNamespace(device="/dev/rfcomm0", vid=None)
    monkeypatch.setattr(list_ports, "comports", lambda: [*ports, radio])
    found = {one.address: one.kinds for one in scan.serial_ports(by_id, by_path)}
    assert list(found) == [
        "/dev/rfcomm0", str(by_path / "usb-0:0"), str(by_id / "usb-1a86_USB_Serial-if00")
    ]  # fmt: skip
    assert found["/dev/rfcomm0"] == ("bitalino", "shimmer3")


def packets(kind: str, count: int) -> bytes:
    counts = np.random.default_rng(1).integers(-500, 500, (count, 8)).astype(np.int32)
    if kind == "cyton":
        device = EmulatedCyton()
        return device.packets(counts).tobytes()
    return EmulatedOlimex().packets(np.abs(counts[:, :6])).tobytes()


@pytest.mark.parametrize(
    ("data", "baud", "kind"),
    [
        (packets("cyton", 300), 115200, "cyton"),
        (packets("cyton", 300)[20:], 115200, "cyton"),
        (packets("olimex", 300)[5:], 57600, "olimex"),
        (b"12\r\n" + b"512\r\n" * 200, 9600, "text_lines"),
        (b"1.5,2,3\r\n" * 200, 115200, "text_lines"),
        (b"\x00" + frame(b"\xe1\x00\x00\x02" * 20) * 3, 115200, "intellivue"),
    ],
)
def test_bytes_are_known_again(data: bytes, baud: int, kind: str) -> None:
    best = judge(data, baud)[0]
    assert (best.kind, best.how_sure) == (kind, "sure")
    assert f"at {baud} baud" in best.why


def test_noise_and_little_are_nothing_sure() -> None:
    noise = random.Random(4).randbytes(20_000)
    for baud in bauds():
        assert all(verdict.how_sure == "possible" for verdict in judge(noise, baud))
        assert judge(b"", baud) == []
    few = judge(packets("cyton", 12), 115200)
    assert [verdict.how_sure for verdict in few] == ["likely"]
    one = judge(packets("cyton", 40)[: 3 * PACKET_BYTES], 115200)
    assert all(verdict.how_sure == "possible" for verdict in one)
    assert {signature.kind for signature in SIGNATURES} <= set(catalogue.names())


def test_a_driver_may_bring_its_own_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge_it(data: bytes) -> Match:
        return Match(1.0 if data.startswith(b"strap") else 0.0, 50)

    signature = Signature("heart_rate", (4800,), judge_it)
    monkeypatch.setattr("drivers.heart_rate.SIGNATURE", signature, raising=False)
    assert 4800 in bauds()
    (verdict,) = judge(b"strap speaking", 4800)
    assert (verdict.kind, verdict.how_sure) == ("heart_rate", "sure")


def test_options_are_those_of_a_configuration() -> None:
    given = ["gain=12", 'leads=["II", "V1"]', "reference=srb2", "rate_hz=192.0"]
    assert options_of(given, "x") == {
        "gain": 12, "leads": ["II", "V1"], "reference": "srb2", "rate_hz": 192.0,
    }  # fmt: skip
    for wrong in ("gain", "=12"):
        with pytest.raises(DriverError, match="is no KEY=VALUE"):
            options_of([wrong], "x")


class Still:
    """A driver with fixed health."""

    health = LinkHealth(frames=500, damaged=3, lag_ms=12.4)

    async def run(self, emit: object) -> None:
        """Nothing."""


def test_a_watch_line_tells_rate_loss_lag_leads_and_amplitude() -> None:
    watch, driver = Watch(), Still()
    assert watch.line(driver, 1).startswith("starting")
    watch.emit(LinkChange(LinkState.STREAMING, 1))
    watch.emit(StreamInfo("Cyton", "/dev/ttyUSB0", 250.0, (Lead("II", 2.0),)))
    old = np.full((10, 1), 9000, np.int32)
    watch.emit(SampleBlock(0, old, 0, 250.0))
    wave = np.array([[0], [500], [-100]] * 250, np.int32)
    watch.emit(SampleBlock(10, wave, 0, 250.0, (LeadState.ON,)))
    watch.emit(Gap(760, 5, GapCause.LOST_PACKETS, 0))
    line = watch.line(driver, 2_000_000_001)
    assert line == (
        "streaming  0.0 frames/s  380.0 samples/s  lost 5 in 1 gaps  damaged 3  lag 12 ms"
        "  II 1.20 mV on"
    )
    watch.emit(LinkChange(LinkState.LOST, 2, "/dev/ttyUSB0: the device is gone"))
    watch.emit(HeartRateReading(0, 61))
    watch.emit(BatteryReading(0, 80))
    watch.emit(NumericReading(0, "SpO2", 95.0, "%"))
    watch.emit(NumericReading(0, "NBP mean", None, "mmHg"))
    watch.emit(DeviceAlarms(0, (DeviceAlarm(1, 2, False, "high", "** HR LOW"),)))
    line = watch.line(driver, 3_000_000_001)
    assert line.startswith("lost: /dev/ttyUSB0: the device is gone  ")
    for said in ("61/min", "SpO2 95 %", "NBP mean - mmHg", "battery 80 %", "its alarms: ** HR LOW"):
        assert said in line
    assert "contact" not in line, "it told nothing of it"
    off = HeartRateReading(0, None, contact=LeadState.OFF)
    watch.emit(off)
    assert "contact" not in watch.line(driver, 4_000_000_001), "the samples tell it"
    watch.emit(SampleBlock(765, wave[:3], 0, 250.0))
    watch.emit(off)
    assert "contact off" in watch.line(driver, 5_000_000_001)
    watch.emit(SampleBlock(768, wave[:3], 0, 250.0))
    assert "contact" not in watch.line(driver, 6_000_000_001), "it samples again"
