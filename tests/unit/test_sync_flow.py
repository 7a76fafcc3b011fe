"""What is in flight, what is set aside, which version is spoken, how long is waited: all pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.backoff import backoff_s
from sync.faults import Fault, LinkError
from sync.outbox import Lane, OutboxMessage
from sync.protocols import ASK_AGAIN_S, ProtocolChoice
from sync.setaside import BULK_S, REFUSED_S, SetAside
from sync.window import BULK_BYTES, SLOWEST_BYTES_PER_S, Window

# --- window --------------------------------------------------------------------------------------


def test_a_full_window_admits_nothing_more() -> None:
    window: Window[str] = Window(3, ack_timeout_s=1)
    for packet_id in (1, 2, 3):
        assert window.admits(10, urgent=True)
        window.sent(packet_id, "alarm", 10, urgent=True, now=0)
    assert not window.admits(10, urgent=True)
    assert window.free == 0
    assert window.confirmed(2, now=0) == "alarm"
    assert window.admits(10, urgent=True)


def test_slots_are_kept_free_for_alarms() -> None:
    window: Window[int] = Window(10, ack_timeout_s=1)
    sent = 0
    while window.admits(10, urgent=False):
        window.sent(sent, sent, 10, urgent=False, now=0)
        sent += 1
    assert sent == 8
    assert window.admits(10, urgent=True)
    assert not window.admits(10, urgent=True, occupied=2)


def test_bulk_on_the_line_is_bounded_in_bytes_but_one_always_passes() -> None:
    window: Window[str] = Window(100, ack_timeout_s=1)
    assert window.admits(10 * BULK_BYTES, urgent=False)
    window.sent(1, "strip", 10 * BULK_BYTES, urgent=False, now=0)
    assert not window.admits(1, urgent=False)
    assert window.admits(10 * BULK_BYTES, urgent=True)
    window.confirmed(1, now=0)
    assert window.admits(BULK_BYTES, urgent=False)


def test_a_puback_of_another_packet_is_nobodys() -> None:
    window: Window[str] = Window(3, ack_timeout_s=1)
    window.sent(1, "alarm", 10, urgent=True, now=0)
    assert window.confirmed(7, now=0) is None
    assert window.confirmed(1, now=0) == "alarm"
    assert window.confirmed(1, now=0) is None
    assert not len(window)


def test_a_broker_that_confirms_nothing_is_late() -> None:
    window: Window[str] = Window(3, ack_timeout_s=1)
    assert window.overdue_s(100) == 0
    window.sent(1, "alarm", 0, urgent=True, now=10)
    assert window.overdue_s(10.9) == 0
    assert window.overdue_s(11.5) == pytest.approx(0.5)


def test_a_slow_broker_that_goes_on_confirming_is_not_late() -> None:
    window: Window[int] = Window(100, ack_timeout_s=1)
    for packet_id in range(50):
        window.sent(packet_id, packet_id, 0, urgent=True, now=0)
    for packet_id in range(50):
        now = 0.9 * (packet_id + 1)
        assert window.overdue_s(now) == 0
        window.confirmed(packet_id, now)


def test_a_lost_puback_is_told_by_the_later_one() -> None:
    window: Window[str] = Window(100, ack_timeout_s=1)
    window.sent(1, "first", 0, urgent=True, now=0)
    window.sent(2, "second", 0, urgent=True, now=0)
    window.confirmed(2, now=0.9)
    assert window.overdue_s(1.2) == pytest.approx(0.2)


def test_a_large_message_has_time_to_cross_a_slow_line() -> None:
    window: Window[str] = Window(100, ack_timeout_s=1)
    window.sent(1, "strip", 10 * SLOWEST_BYTES_PER_S, urgent=False, now=0)
    assert window.overdue_s(10.9) == 0
    assert window.overdue_s(11.5) > 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50_000)), max_size=80), st.integers(1, 30))
def test_the_window_never_holds_more_than_its_limit(
    steps: list[tuple[bool, int]], limit: int
) -> None:
    window: Window[int] = Window(limit, ack_timeout_s=1)
    for packet_id, (urgent, size) in enumerate(steps):
        if window.admits(size, urgent=urgent):
            window.sent(packet_id, packet_id, size, urgent=urgent, now=0)
        elif len(window):
            window.confirmed(window.items[0], now=0)
        assert len(window) <= limit
        assert window.items == sorted(window.items)
        assert window.free == limit - len(window)


# --- set aside -----------------------------------------------------------------------------------


def message(number: int, lane: Lane = Lane.SUMMARY) -> OutboxMessage:
    return OutboxMessage(f"id-{number}", lane, "wardbeat/v1/a/b/bed/1/summary", b"", number=number)


def test_a_refused_message_comes_back_after_a_while() -> None:
    aside = SetAside()
    aside.refused(5, "refuses it", now=0)
    assert aside.numbers(REFUSED_S - 0.1) == {5}
    assert aside.reason == "refuses it"
    assert aside.numbers(REFUSED_S) == frozenset()
    assert aside.reason == ""


def test_only_the_third_closing_on_the_same_message_sets_it_aside() -> None:
    aside = SetAside()
    aside.closed_on(message(5), now=0)
    aside.closed_on(message(6), now=0)
    aside.closed_on(message(5), now=0)
    aside.closed_on(message(5), now=0)
    assert aside.numbers(0) == frozenset()
    assert aside.cautious
    aside.closed_on(message(5), now=0)
    assert aside.numbers(0) == {5}
    assert not aside.cautious
    assert "closes the connection on message id-5" in aside.reason


def test_an_alarm_on_which_the_broker_closes_is_tried_again_sooner_than_bulk() -> None:
    for lane, pause_s in ((Lane.ALARM, REFUSED_S), (Lane.STRIP, BULK_S)):
        aside = SetAside()
        for _ in range(3):
            aside.closed_on(message(5, lane), now=0)
        assert aside.numbers(pause_s - 1) == {5}
        assert aside.numbers(pause_s) == frozenset()


def test_a_confirmed_message_is_no_longer_suspected() -> None:
    aside = SetAside()
    aside.closed_on(message(5), now=0)
    aside.taken(5)
    assert not aside.cautious


# --- versions of MQTT ----------------------------------------------------------------------------


class Broker:
    """Answers attempts by version with a fault, or with its name."""

    def __init__(self, **faults: Fault) -> None:
        self.faults = {name.replace("v", "").replace("_", "."): f for name, f in faults.items()}
        self.asked: list[str] = []

    async def attempt(self, protocol: str) -> str:
        self.asked.append(protocol)
        if protocol in self.faults:
            raise LinkError(self.faults[protocol], f"{protocol} failed")
        return protocol


@pytest.mark.parametrize("fault", [Fault.VERSION, Fault.CLOSED_EARLY, Fault.UNANSWERED])
async def test_a_broker_without_5_0_gets_3_1_1_and_is_remembered(fault: Fault) -> None:
    broker, choice = Broker(v5=fault), ProtocolChoice("auto")
    assert await choice.first_that_works(broker.attempt, now=0) == "3.1.1"
    assert await choice.first_that_works(broker.attempt, now=1) == "3.1.1"
    assert broker.asked == ["5", "3.1.1", "3.1.1"]


async def test_one_that_merely_closed_is_asked_again_after_an_hour() -> None:
    broker, choice = Broker(v5=Fault.CLOSED_EARLY), ProtocolChoice("auto")
    await choice.first_that_works(broker.attempt, now=0)
    broker.faults.clear()
    assert await choice.first_that_works(broker.attempt, now=ASK_AGAIN_S) == "5"


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.UNREACHABLE, Fault.SETTINGS])
async def test_another_fault_is_no_reason_to_change_the_version(fault: Fault) -> None:
    broker, choice = Broker(v5=fault), ProtocolChoice("auto")
    with pytest.raises(LinkError) as caught:
        await choice.first_that_works(broker.attempt, now=0)
    assert caught.value.fault is fault
    assert broker.asked == ["5"]


async def test_a_broker_known_for_5_0_that_restarts_is_not_downgraded() -> None:
    broker, choice = Broker(), ProtocolChoice("auto")
    await choice.first_that_works(broker.attempt, now=0)
    broker.faults["5"] = Fault.CLOSED_EARLY
    for _ in range(2):
        with pytest.raises(LinkError):
            await choice.first_that_works(broker.attempt, now=1)
    broker.faults.clear()
    await choice.first_that_works(broker.attempt, now=2)
    assert broker.asked == ["5"] * 4


async def test_a_broker_that_was_replaced_is_asked_for_both_again() -> None:
    broker, choice = Broker(), ProtocolChoice("auto")
    await choice.first_that_works(broker.attempt, now=0)
    broker.faults["5"] = Fault.CLOSED_EARLY
    for _ in range(3):
        with pytest.raises(LinkError):
            await choice.first_that_works(broker.attempt, now=1)
    assert await choice.first_that_works(broker.attempt, now=2) == "3.1.1"


@pytest.mark.parametrize("setting", ["5", "3.1.1"])
async def test_a_version_set_is_the_only_one_tried(setting: str) -> None:
    broker = Broker(v5=Fault.VERSION, v3_1_1=Fault.CLOSED_EARLY)
    choice = ProtocolChoice(setting)  # type: ignore[arg-type]
    with pytest.raises(LinkError):
        await choice.first_that_works(broker.attempt, now=0)
    assert broker.asked == [setting]


# --- back-off ------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_pause_is_bounded_and_never_nothing(attempt: int, jitter: float) -> None:
    assert 0.25 <= backoff_s(attempt, 0.5, 15, jitter) <= 15


def test_the_pause_doubles_up_to_its_bound() -> None:
    pauses = [backoff_s(attempt, 0.5, 15, 0) for attempt in range(8)]
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]
