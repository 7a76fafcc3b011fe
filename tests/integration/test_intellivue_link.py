"""The IntelliVue driver on real UDP sockets and pseudo-terminals, against the emulator."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from monitor_bench import monitor
from serial_bench import MISSING, Recorder, running
from support.pcap import datagrams

from drivers import udp_link
from drivers.decoders import intellivue_session as session
from drivers.decoders.intellivue_session import BROADCAST_PORT
from drivers.intellivue import IntelliVue
from drivers.intellivue_link import announced_monitor
from drivers.samples import (
    DeviceAlarms,
    DriverError,
    GapCause,
    LinkState,
    NumericReading,
    StreamInfo,
)


def place_in(log: np.ndarray, run: np.ndarray) -> int:
    """Where a run of samples stands in the log of what was sampled."""
    places = np.flatnonzero(log[: len(log) - len(run)] == run[0])
    return next(int(p) for p in places if np.array_equal(log[p : p + len(run)], run))


def offset(recorder: Recorder, log: np.ndarray, at: int) -> int:
    """Place in the log less place on the axis, of the samples from ``at`` on."""
    return place_in(log, recorder.channel()[at : at + 120]) - at


@pytest.mark.parametrize("serial", [False, True], ids=["udp", "rs232"])
async def test_dialogue_and_every_sample_equal_to_the_log(tmp_path: Path, serial: bool) -> None:
    with monitor(tmp_path, serial=serial) as device:
        driver = IntelliVue(device.address)
        async with running(driver) as recorder:
            await recorder.samples(768)
        log = device.counts()
        device.end()
    channel = recorder.channel()
    assert recorder.gaps == []
    start = offset(recorder, log, 0)
    assert np.array_equal(channel, log[start : start + len(channel)])
    (info,) = [event for event in recorder.events if isinstance(event, StreamInfo)]
    assert (info.device, info.address) == ("Philips M8000 (demo)", device.address)
    assert (info.rate_hz, [lead.name for lead in info.leads]) == (250.0, ["II"])
    assert [change.state for change in recorder.links] == [
        LinkState.SEARCHING,
        LinkState.CONNECTING,
        LinkState.WAITING_FOR_DATA,
        LinkState.STREAMING,
        LinkState.STOPPED,
    ]
    numerics = {e.name: e.value for e in recorder.events if isinstance(e, NumericReading)}
    assert numerics == {"HR": 60.0, "SpO2": 95.0}
    assert [e.alarms for e in recorder.events if isinstance(e, DeviceAlarms)] == [()]
    assert driver.health.frames > 10
    assert driver.health.damaged == driver.health.lost_samples == 0


async def test_a_silent_network_is_an_exact_gap_by_the_monitors_clock(tmp_path: Path) -> None:
    with monitor(tmp_path) as device:
        async with running(IntelliVue(device.address)) as recorder:
            await recorder.samples(512)
            device.go_away()
            left = time.monotonic_ns()
            lost = await recorder.state(LinkState.LOST)
            assert "no message in 1.75 s; is the monitor on and the cable in?" in lost.reason
            assert (lost.host_ns - left) / 1e9 < 4.0
            device.come_back()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(256)
        log = device.counts()
    (gap,) = recorder.gaps
    assert (gap.cause, gap.exact) == (GapCause.LINK_LOST, True)
    assert offset(recorder, log, 0) == offset(recorder, log, gap.end), "exact to the sample"


@pytest.mark.parametrize("serial", [False, True], ids=["udp", "rs232"])
async def test_a_monitor_switched_off_and_on(tmp_path: Path, serial: bool) -> None:
    with monitor(tmp_path, "--restart", serial=serial) as device:
        driver = IntelliVue(device.address)
        async with running(driver) as recorder:
            await recorder.samples(512)
            device.go_away()
            await recorder.state(LinkState.LOST)
            device.come_back()
            back = time.monotonic_ns()
            streams = await recorder.state(LinkState.STREAMING)
            assert (streams.host_ns - back) / 1e9 < 8.0
            await recorder.samples(256)
        log = device.counts()
    (gap,) = recorder.gaps
    assert (gap.cause, gap.exact) == (GapCause.DEVICE_RESTART, False)
    off = offset(recorder, log, 0) - offset(recorder, log, gap.end)
    assert abs(off) <= 260, "bounded by a burst"
    assert MISSING in recorder.channel()
    assert driver.health.reconnects == 1
    assert len([e for e in recorder.events if isinstance(e, StreamInfo)]) == 1


async def test_the_monitor_that_is_off_and_the_name_that_is_none() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        async with running(IntelliVue(address)) as recorder:
            lost = await recorder.state(LinkState.LOST)
            assert lost.reason == (
                f"{address}: does not answer; is the monitor on, and its data export enabled?"
            )
    async with running(IntelliVue("no such host.invalid")) as recorder:
        lost = await recorder.state(LinkState.LOST)
        assert "is no host's name or address" in lost.reason
    async with running(IntelliVue("127.0.0.1", bind="192.0.2.1")) as recorder:
        lost = await recorder.state(LinkState.LOST)
        assert "192.0.2.1 is no address of this machine; correct bind" in lost.reason


async def test_another_session_is_ended_and_a_refusal_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        async with running(IntelliVue(f"127.0.0.1:{peer.getsockname()[1]}")) as recorder:
            heard = []
            while not heard or heard[-1][0] != 0x0D:
                data, client = await loop.sock_recvfrom(peer, 2000)
                heard.append(data)
            assert heard[0] == session.RELEASE_REQUEST
            peer.sendto(bytes.fromhex("e1000002"), client)
            assert await loop.sock_recv(peer, 2000) == session.ABORT
            assert await loop.sock_recv(peer, 2000) == session.RELEASE_REQUEST
            peer.sendto(b"\x0c\x00", client)
            lost = await recorder.state(LinkState.LOST, "refuses the association")
            assert "does another program read this monitor?" in lost.reason


async def test_a_monitor_is_found_by_its_announcement(shared: Path) -> None:
    folder = shared / "captures" / "philips_intellivue"
    told = datagrams(folder / "intellivue_enumeration.pcapng")[0].payload
    waiting = asyncio.create_task(announced_monitor("any", "127.0.0.1", 10.0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        while not waiting.done():
            sender.sendto(b"noise", ("127.0.0.1", BROADCAST_PORT))
            sender.sendto(told, ("127.0.0.1", BROADCAST_PORT))
            await asyncio.sleep(0.05)
    host, announcement = await waiting
    assert (host, announcement.port, announcement.bed) == ("127.0.0.1", 24105, "LeTemple_1")
    with pytest.raises(DriverError, match="no monitor announced itself on UDP port 24005 in 0 s"):
        await announced_monitor("any", "127.0.0.1", 0.05)


async def test_only_the_peer_is_heard_and_what_nobody_takes_is_bounded() -> None:
    async with udp_link.opened("bed 1", bind="127.0.0.1") as port:
        port.peer = "127.0.0.2"
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            await loop.sock_sendto(other, b"x", ("127.0.0.1", port.local_port))
            assert await port.receive(0.2) == b""
            assert port.foreign == 1
            port.peer = None
            for k in range(udp_link.WAITING + 10):
                port.datagram_received(b"%d" % k, ("127.0.0.1", 1))
            assert port.dropped == 10
            assert await port.receive(0.2) == b"10"
        with pytest.raises(DriverError, match="is in use by another program"):
            async with udp_link.opened("bed 2", bind="127.0.0.1", port=port.local_port):
                pass


async def test_any_takes_the_announced_monitor_and_keeps_to_it(
    tmp_path: Path, shared: Path
) -> None:
    folder = shared / "captures" / "philips_intellivue"
    told = datagrams(folder / "intellivue_enumeration.pcapng")[0].payload
    with monitor(tmp_path) as device:
        port = int(device.address.rpartition(":")[2]).to_bytes(2, "big")
        told = told.replace(bytes.fromhex("000500015e29"), bytes.fromhex("00050001") + port)
        async with running(IntelliVue("any", bind="127.0.0.1")) as recorder:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind(("127.0.0.1", 0))
                while not recorder.blocks:
                    sender.sendto(told, ("127.0.0.1", BROADCAST_PORT))
                    await asyncio.sleep(0.05)
            device.go_away()
            await recorder.state(LinkState.LOST)
            device.come_back()
            await recorder.state(LinkState.STREAMING)
            await recorder.samples(100)
    assert [gap.exact for gap in recorder.gaps] == [True]
