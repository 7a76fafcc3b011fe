"""IntelliVue messages: the real capture, marks, damage and random bytes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.pcap import Datagram, datagrams

from drivers.catalogue import create
from drivers.decoders import intellivue_session as session
from drivers.decoders.intellivue_messages import (
    ALARM_GROUP,
    CreateEvent,
    Other,
    PollAnswer,
    Polled,
    PolledObject,
    Request,
    WaveList,
    create_result,
    decode,
    extended_poll,
    get_wave_list,
    set_wave_list,
    single_poll,
)
from drivers.decoders.intellivue_mib import LONGEST_FRAME, MibFrames, frame
from drivers.decoders.intellivue_names import physio_name, unit_name
from drivers.decoders.intellivue_session import Kind, kind
from drivers.decoders.intellivue_values import Values, Wave
from drivers.decoders.intellivue_wire import IntelliVueError, Reader, absolute_time
from drivers.emulated.intellivue import EmulatedIntelliVue
from drivers.intellivue import IntelliVue
from drivers.intellivue_ecg import EcgBlock, EcgBlocks
from drivers.intellivue_link import host_and_port
from drivers.samples import (
    DeviceAlarms,
    DriverError,
    DriverEvent,
    Gap,
    GapCause,
    HeartRateReading,
    LeadState,
    NumericReading,
    SampleBlock,
    StreamInfo,
)

MONITOR = "10.0.42.9"


@pytest.fixture
def capture(shared: Path) -> list[Datagram]:
    return datagrams(shared / "captures" / "philips_intellivue" / "intellivue_enumeration.pcapng")


def data_messages(capture: list[Datagram]) -> Iterator[tuple[Datagram, object]]:
    for datagram in capture:
        if kind(datagram.payload) is Kind.DATA:
            yield datagram, decode(datagram.payload)


def test_every_data_message_of_the_capture_parses(capture: list[Datagram]) -> None:
    kinds = Counter(type(message).__name__ for _, message in data_messages(capture))
    assert kinds == {
        "PollAnswer": 122, "Request": 26, "WaveList": 6, "Other": 5, "CreateEvent": 4,
    }  # fmt: skip
    assert kinds.total() == 163
    (_, created), *_ = (m for m in data_messages(capture) if isinstance(m[1], CreateEvent))
    assert isinstance(created, CreateEvent)
    assert (created.maker, created.model, created.bed) == ("Philips", "M8000", "LeTemple_1")
    last = [m for _, m in data_messages(capture) if isinstance(m, CreateEvent)][-1]
    assert last.relative_ticks == 0x0D611600
    assert last.local_time == datetime(2017, 11, 4, 14, 45, 59, tzinfo=UTC)


def test_waves_of_the_capture_come_out_under_their_names(capture: list[Datagram]) -> None:
    values, waves = Values(), Counter[tuple[str, float, int]]()
    ecg: list[Wave] = []
    for _, message in data_messages(capture):
        if isinstance(message, CreateEvent):
            values.reset()
        elif isinstance(message, PollAnswer):
            for wave in values.waves(message):
                waves[physio_name(wave.physio), wave.spec.rate_hz, len(wave.counts)] += 1
                if physio_name(wave.physio) == "ECG II" and wave.spec.rate_hz == 250.0:
                    ecg.append(wave)
    assert values.damaged == 0
    assert waves["ECG II", 250.0, 64] == waves["ECG V", 250.0, 64] == 27
    assert waves["ECG aVR", 250.0, 64] == 27
    assert waves["ECG I", 500.0, 128] == 26
    for name in ("ECG II", "ECG III", "ECG aVR", "ECG aVL", "ECG aVF", "ECG V"):
        assert waves[name, 500.0, 128] == 7
    assert waves["ECG MCL", 500.0, 128] == 3
    assert waves["pleth", 125.0, 32] > 20
    assert waves["ABP", 125.0, 32] == 20
    assert waves["respiration", 62.5, 16] == 16
    assert np.diff([wave.ticks for wave in ecg]).tolist() == [2048] * 26, "one each 256 ms"
    spec = ecg[0].spec
    assert spec.per_count * 1000 == pytest.approx(5.0)
    assert spec.zero_count == pytest.approx(8192)
    assert unit_name(spec.unit) == "mV"
    assert spec.marks == ((4, 0x8008), (3, 0x4001), (2, 0x8004))
    millivolts = (np.concatenate([w.counts for w in ecg]) - spec.zero_count) * spec.per_count
    assert 0.2 < float(millivolts.max()) < 5.0
    assert all(wave.demo and wave.sampled.all() and not wave.absent for wave in ecg)


def test_numerics_of_the_capture_come_out_under_their_names(capture: list[Datagram]) -> None:
    values, found = Values(), {}
    for _, message in data_messages(capture):
        if isinstance(message, PollAnswer):
            found |= {n.name: n for n in values.numerics(message)}
    shown = {name: (n.value, n.unit) for name, n in found.items()}
    assert shown == {
        "HR": (60.0, "/min"),
        "SpO2": (95.0, "%"),
        "ABP systolic": (120.0, "mmHg"),
        "ABP diastolic": (70.0, "mmHg"),
        "ABP mean": (91.0, "mmHg"),
        "NBP systolic": (120.0, "mmHg"),
        "NBP diastolic": (80.0, "mmHg"),
        "NBP mean": (90.0, "mmHg"),
        "respiration rate": (15.0, "/min"),
        "pulse rate": (60.0, "/min"),
        "pulse rate NBP": (60.0, "/min"),
        "perfusion indicator": (10.0, ""),
    }
    assert (found["HR"].label, found["ABP mean"].label) == ("FC", "PA")
    assert all(n.usable and n.demo for n in found.values())


def test_the_capture_has_no_alarm(capture: list[Datagram]) -> None:
    answers = [m for _, m in data_messages(capture) if isinstance(m, PollAnswer)]
    alarms = [Values().alarms(answer) for answer in answers]
    assert [found for found in alarms if found is not None] == [[]] * 15
    assert {a.group for a in answers if a.polled == Polled.ALARMS} == {ALARM_GROUP}


def test_requests_are_those_of_the_capture(capture: list[Datagram]) -> None:
    payload = [datagram.payload for datagram in capture]
    assert create_result(1) == payload[45]
    assert single_poll(0x3E9, 0, Polled.SYSTEM) == payload[46]
    assert extended_poll(0x3EB, 0, Polled.NUMERICS, 2.0) == payload[50]
    assert get_wave_list(0x3EC) == payload[57]
    wanted = decode(payload[62])
    assert isinstance(wanted, Request)
    assert set_wave_list(0x3ED, wanted.text_ids) == payload[62]
    assert payload[39] == session.RELEASE_REQUEST
    assert session.association_request(0x8C000000) == payload[40]


def test_what_the_monitor_grants_and_announces(capture: list[Datagram]) -> None:
    granted = session.decode_accept(capture[43].payload)
    assert (granted.poll_period_s, granted.longest_message) == (40.0, 1456)
    assert granted.options == 0x8C000000
    told = session.decode_announcement(capture[0].payload)
    assert (told.port, told.bed) == (24105, "LeTemple_1")
    for not_it in (b"", capture[40].payload, capture[43].payload[:150]):
        with pytest.raises(IntelliVueError):
            session.decode_accept(not_it)
        with pytest.raises(IntelliVueError):
            session.decode_announcement(not_it)


def test_random_and_mutated_bytes_raise_nothing_but_our_error(capture: list[Datagram]) -> None:
    draw = random.Random(42)
    payloads = [d.payload for d in capture]
    values, blocks, frames = Values(), EcgBlocks(), MibFrames()
    fed = 0
    for _ in range(12000):
        data = bytearray(draw.choice(payloads))
        for _ in range(draw.randrange(1, 6)):
            match draw.randrange(3):
                case 0:
                    data[draw.randrange(len(data))] = draw.randrange(256)
                case 1:
                    del data[draw.randrange(len(data)) :]
                case _:
                    data[draw.randrange(len(data) + 1) :] = draw.randbytes(draw.randrange(1, 60))
            if not data:
                break
        fed += len(data)
        for read in (decode, session.decode_accept, session.decode_announcement):
            try:
                message = read(bytes(data))
            except IntelliVueError:
                continue
            if isinstance(message, PollAnswer):
                blocks.feed(values.waves(message))
                values.numerics(message)
                values.alarms(message)
        frames.feed(frame(bytes(data))[draw.randrange(3) :])
        assert frames.pending <= LONGEST_FRAME
        assert len(values._specs) <= 256
        assert len(blocks._moments) <= 64
    assert fed > 1_500_000
    real = [m for _, m in data_messages(capture) if isinstance(m, PollAnswer)]
    after = sum(len(Values().numerics(message)) for message in real)
    assert after > 100


def test_floats_and_times() -> None:
    def real(text: str) -> float:
        return Reader(bytes.fromhex(text)).real()

    assert real("0000003C") == 60.0
    assert real("FF0003B6") == 95.0
    assert real("FEFFF000") == -40.96
    assert real("02000003") == 300.0
    assert np.isnan(real("007FFFFF"))
    assert np.isnan(real("00800000"))
    assert real("007FFFFE") == np.inf
    assert real("00800002") == -np.inf
    assert absolute_time(b"\xff" * 8) is None
    assert absolute_time(bytes.fromhex("2017139914445900")) is None
    assert absolute_time(b"") is None


def answer(polled: Polled, *objects: PolledObject) -> PollAnswer:
    return PollAnswer(1, 1, 0, 5000, polled, 0, objects, last=True)


def real_spec() -> tuple[tuple[int, bytes], ...]:
    return (
        (0x096D, bytes.fromhex("0004100e3000")),
        (0x098D, bytes.fromhex("00000020")),
        (0x0996, bytes.fromhex("10b2")),
        (0x096F, bytes.fromhex("fefff000fd009ffb00003fff")),
        (0x0A16, bytes.fromhex("0003000c0001c0010004800800034001")),
    )


def wave_of(samples: str, state: str = "0000") -> Wave:
    value = bytes.fromhex("0102" + state + "0008" + samples)
    thing = PolledObject(0, 686, (*real_spec(), (0x096E, value)))
    (wave,) = Values().waves(answer(Polled.WAVES, thing))
    return wave


def test_marks_in_place_of_samples_are_no_samples() -> None:
    wave = wave_of("2000 4001 2001 2002")
    assert wave.counts.tolist()[0] == 8192
    assert wave.sampled.tolist() == [True, False, True, True]
    clipped = wave_of("3f00 8008 3f00 3f00")
    assert clipped.counts.tolist() == [0x3F00, 0x3FFF, 0x3F00, 0x3F00]
    assert wave_of("0100 8008 0200 0300").counts[1] == 0
    assert clipped.sampled.all()
    assert wave_of("2000 2000 2000 2000", "8000").absent
    assert wave_of("2000 2000 2000 2000", "0400").demo


def test_an_alarm_of_the_monitor_with_and_without_its_text() -> None:
    text = "** HR  LOW\0".encode("utf-16-be")
    info = bytes.fromhex("0001 000200aa 0000 4000") + len(text).to_bytes(2, "big") + text
    entry = bytes.fromhex("4182 00aa 0200 2000 0021 0000 0000 0204")
    entry += len(info).to_bytes(2, "big") + info
    bare = bytes.fromhex("4bb8 0011 0004 1000 0021 0000 0000 0201 000a 0001 00020011 0000 0000")
    patient = b"\x00\x01" + len(entry).to_bytes(2, "big") + entry
    technical = b"\x00\x01" + len(bare).to_bytes(2, "big") + bare
    thing = PolledObject(0, 0x8401, ((0x0902, technical), (0x0904, patient)))
    low, medium = Values().alarms(answer(Polled.ALARMS, thing)) or []
    assert (low.technical, low.priority, low.text, low.silenced) == (True, "high", "", True)
    assert (medium.technical, medium.priority, medium.latched) == (False, "medium", True)
    assert (medium.text, medium.text_id, medium.code) == ("** HR  LOW", 0x200AA, 0xAA)


def moment(ticks: int, *waves: tuple[int, int, bool]) -> list[Wave]:
    """Waves (physio, value, absent) of one moment, of four samples each."""
    base = wave_of("2000 2000 2000 2000")
    return [
        Wave(physio, ticks, np.full(4, value, np.int32), np.ones(4, bool), absent, False, base.spec)
        for physio, value, absent in waves
    ]


def laid(blocks: list[EcgBlock]) -> list[tuple[int, list[int]]]:
    return [(block.ticks, block.counts[0].tolist()) for block in blocks]


def test_the_leads_of_a_moment_are_put_side_by_side_whatever_carried_them() -> None:
    ecg = EcgBlocks()
    assert ecg.feed(moment(0, (0x102, 1, False), (0x101, 2, False))) == []
    found = ecg.feed(moment(128, (0x102, 3, False), (0x101, 4, False)))
    assert laid(found) == [(0, [1, 2]), (128, [3, 4])], "then each as soon as it is complete"
    assert [lead.name for lead in found[0].setup.leads] == ["II", "I"]
    assert ecg.feed(moment(256, (0x101, 6, False))) == []
    assert laid(ecg.feed(moment(256, (0x102, 5, False)))) == [(256, [5, 6])]


def test_a_lead_that_vanishes_is_off_and_another_lead_is_another_stream() -> None:
    ecg = EcgBlocks()
    both = (0x102, 9000, False), (0x101, 9000, False)
    (first, second) = ecg.feed(moment(0, *both) + moment(128, *both))
    ecg.feed(moment(256, (0x102, 9000, False)))
    (third, fourth) = ecg.feed(moment(384, (0x102, 9000, True), (0x101, 9000, False)))
    assert first.states == (LeadState.ON, LeadState.ON)
    assert third.states == (LeadState.ON, LeadState.OFF)
    assert fourth.states == (LeadState.OFF, LeadState.ON)
    assert third.counts[0].tolist() == [9000, 8192]
    assert first.setup is second.setup is fourth.setup
    ecg.feed(moment(512, (0x13D, 1, False)))
    (other, _) = ecg.feed(moment(640, (0x13D, 1, False)))
    assert [lead.name for lead in other.setup.leads] == ["III"]


def test_only_the_wanted_leads_in_the_wanted_order() -> None:
    ecg = EcgBlocks(["I", "II"])
    waves = (0x102, 1, False), (0x101, 2, False), (0x143, 3, False)
    found = ecg.feed(moment(0, *waves) + moment(128, *waves))
    assert [lead.name for lead in found[0].setup.leads] == ["I", "II"]
    assert laid(found)[0] == (0, [2, 1])


class FakeLink:
    """A link that keeps what is sent."""

    def __init__(self) -> None:
        self.arrived_ns = self.bytes_read = self.damaged = 0
        self.sent: list[bytes] = []

    async def send(self, message: bytes) -> None:
        self.sent.append(message)

    async def receive(self, timeout_s: float) -> bytes:
        raise AssertionError("nothing is received here")


async def test_the_capture_through_the_driver(capture: list[Datagram]) -> None:
    driver, link, events = IntelliVue(MONITOR), FakeLink(), list[DriverEvent]()
    driver._has_waves = True
    for datagram in capture[44:]:
        if datagram.source == MONITOR and kind(datagram.payload) is Kind.DATA:
            link.arrived_ns = datagram.at_ns
            await driver._take(datagram.payload, link, events.append)
    infos = [event for event in events if isinstance(event, StreamInfo)]
    assert infos[0].device == "Philips M8000 (demo)"
    assert infos[0].rate_hz == 250.0
    assert [lead.name for lead in infos[0].leads] == ["II", "V", "aVR"]
    assert {info.rate_hz for info in infos[1:]} == {500.0}, "the user chose single leads then"
    first = events[: events.index(infos[1])]
    blocks = [event for event in first if isinstance(event, SampleBlock)]
    assert sum(len(block.counts) for block in blocks) == 27 * 64
    assert not any(isinstance(event, Gap) for event in first)
    stamps = np.array([block.host_ns for block in blocks])
    assert np.abs(np.diff(stamps) - 256e6).max() < 6e6, "bursts of four a second, evened out"
    names = {event.name for event in events if isinstance(event, NumericReading)}
    assert {"HR", "SpO2", "ABP systolic", "NBP mean"} <= names
    assert next(e for e in events if isinstance(e, DeviceAlarms)).alarms == ()
    assert create_result(1) in link.sent
    assert driver._values.damaged == 0


async def test_a_monitor_that_grants_no_waves_still_gives_its_rate(
    capture: list[Datagram],
) -> None:
    driver, events = IntelliVue(MONITOR), list[DriverEvent]()
    taken = [
        await driver._take(datagram.payload, FakeLink(), events.append)
        for datagram in capture[44:]
        if datagram.source == MONITOR and kind(datagram.payload) is Kind.DATA
        and isinstance(m := decode(datagram.payload), PollAnswer) and m.polled == Polled.NUMERICS
    ]  # fmt: skip
    assert any(taken)
    (info,) = [event for event in events if isinstance(event, StreamInfo)]
    assert info.leads == ()
    assert {e.rate_bpm for e in events if isinstance(e, HeartRateReading)} == {60}


async def test_the_clock_of_the_monitor_tells_gaps_over_its_wrap_and_its_restart() -> None:
    driver, events = IntelliVue(MONITOR), list[DriverEvent]()
    driver._has_waves = True
    monitor = EmulatedIntelliVue()
    monitor.receive(session.association_request(0x8C000000))

    async def play(bursts: int, at_ns: int, *, heard: bool = True) -> int:
        monitor.receive(extended_poll(1, 9, Polled.WAVES, 3600.0))
        for _ in range(bursts):
            at_ns += 1_024_000_000
            link = FakeLink()
            link.arrived_ns = at_ns
            for message in monitor.play(np.full((256, 3), 8000, np.int32)):
                if heard:
                    await driver._take(message, link, events.append)
        return at_ns

    monitor._samples = (2**32 - 0x1000) // 32 // 64 * 64 - 512
    at_ns = await play(4, 0)
    at_ns = await play(3, at_ns, heard=False)
    at_ns = await play(4, at_ns)
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [(gap.count, gap.cause, gap.exact) for gap in gaps] == [
        (3 * 256, GapCause.LOST_PACKETS, True)
    ]
    monitor.plug_in()
    monitor.receive(session.association_request(0x8C000000))
    await play(4, at_ns + 5_000_000_000)
    restart = [event for event in events if isinstance(event, Gap)][-1]
    assert (restart.cause, restart.exact) == (GapCause.DEVICE_RESTART, False)
    assert restart.count == pytest.approx(5 * 250, abs=260)
    infos = [event for event in events if isinstance(event, StreamInfo)]
    assert len(infos) == 1


def test_the_emulator_speaks_what_the_decoder_reads() -> None:
    monitor = EmulatedIntelliVue(("II", "V1", "no lead"))
    accept, created = monitor.receive(session.association_request(0x8C000000))
    assert session.decode_accept(accept).options == 0x8C000000
    told = decode(created)
    assert isinstance(told, CreateEvent)
    assert (told.maker, told.model) == ("Philips", "M8000")
    (listed,) = monitor.receive(get_wave_list(7))
    assert decode(listed) == WaveList(7, (0x20100, 0x20102, 0x20103))
    assert monitor.receive(b"\xe1\x00\x00\x02\x00") == []
    assert decode(single_poll(3, 1, Polled.SYSTEM)) == Request(3, 7, 0x21, 1)
    assert monitor.receive(single_poll(3, 1, Polled.SYSTEM)) == []
    messages = []
    for poll in (Polled.WAVES, Polled.NUMERICS, Polled.ALARMS):
        messages += monitor.receive(extended_poll(poll, poll, poll, 10.0))
    monitor.alarm = (0xAA, "** HR  LOW")
    values, waves, numerics = Values(), [], {}
    messages += monitor.play(np.full((256, 2), 8200, np.int32), lead_off=True)
    for message in messages:
        decoded = decode(message)
        assert isinstance(decoded, PollAnswer)
        waves += values.waves(decoded)
        numerics |= {n.name: n.value for n in values.numerics(decoded)}
        alarms = values.alarms(decoded)
    assert {physio_name(wave.physio) for wave in waves} == {"ECG II", "ECG V1"}
    assert all(wave.absent and (wave.counts == 8200).all() for wave in waves)
    assert numerics == {"HR": 60.0, "SpO2": 95.0}
    assert [alarm.text for alarm in alarms or []] == ["** HR  LOW"]
    assert monitor.play(np.full((64 * 60, 2), 8200, np.int32))[-1] is not None
    assert monitor.play(np.full((64 * 60, 2), 8200, np.int32)) == [], "the polls ran out"
    assert monitor.receive(session.RELEASE_REQUEST) == [session.RELEASE_RESPONSE]
    assert monitor.receive(session.ABORT) == []


def test_other_operations_are_passed_over(capture: list[Datagram]) -> None:
    others = [m for _, m in data_messages(capture) if isinstance(m, Other)]
    assert len(others) == 5


@pytest.mark.parametrize(
    ("options", "named"),
    [({"leads": ["II", "X9"]}, "has no lead 'X9'"), ({"lead": ["II"]}, "no option 'lead'")],
)
def test_impossible_options_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(DriverError, match=named):
        create("intellivue", "192.168.1.20", options)


def test_addresses() -> None:
    assert host_and_port("icu-3") == ("icu-3", 24105)
    assert host_and_port("10.0.0.3:24106") == ("10.0.0.3", 24106)
    for wrong in ("10.0.0.3:", "10.0.0.3:x", ":24105", "h:70000"):
        with pytest.raises(DriverError, match="is no HOST or HOST:PORT"):
            host_and_port(wrong)
    assert asyncio.iscoroutinefunction(IntelliVue("x").run)
