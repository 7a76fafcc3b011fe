"""A device that goes away, comes back, falls silent or runs low, as conditions."""

from __future__ import annotations

from agent.presence import Presence
from drivers.samples import LinkState

S = 1_000_000_000
UTC = 1_700_000_000 * S


def present(presence: Presence, now_s: float) -> set[str]:
    """Codes of the conditions that hold."""
    now = round(now_s * S)
    return {c.code for c in presence.conditions(now, UTC + now) if c.present}


def test_never_found_device_is_lost_after_two_seconds() -> None:
    presence = Presence(0)
    assert present(presence, 1.9) == set()
    assert present(presence, 2.1) == {"device_lost"}


def test_unplugged_device_is_lost_at_once_and_stays_so_while_searched() -> None:
    presence = Presence(0)
    presence.link_changed(LinkState.STREAMING, "", S)
    presence.sampled(2 * S)
    presence.link_changed(LinkState.LOST, "/dev/ttyUSB0: gone", round(2.1 * S))
    assert present(presence, 2.1) == {"device_lost"}
    presence.link_changed(LinkState.SEARCHING, "", round(2.2 * S))
    assert present(presence, 2.2) == {"device_lost"}
    presence.link_changed(LinkState.WAITING_FOR_DATA, "", 8 * S)
    assert present(presence, 8.0) == {"no_data"}
    presence.link_changed(LinkState.STREAMING, "", 9 * S)
    presence.sampled(9 * S)
    assert present(presence, 9.0) == set()


def test_silent_device_is_no_data_not_lost() -> None:
    presence = Presence(0)
    presence.link_changed(LinkState.STREAMING, "", 0)
    presence.sampled(S)
    assert present(presence, 2.9) == set()
    assert present(presence, 3.1) == {"no_data"}


def test_onset_is_the_last_sample() -> None:
    presence = Presence(0)
    presence.link_changed(LinkState.STREAMING, "", 0)
    presence.sampled(5 * S)
    no_data = next(c for c in presence.conditions(9 * S, UTC + 9 * S) if c.code == "no_data")
    assert no_data.onset_ns == UTC + 5 * S


def test_battery_alarm_does_not_flicker_at_its_limit() -> None:
    presence = Presence(0)
    presence.link_changed(LinkState.STREAMING, "", 0)
    presence.sampled(0)
    seen = []
    for percent in (16, 15, 16, 19, 20):
        presence.battery(percent)
        seen.append("battery_low" in present(presence, 0.5))
    assert seen == [False, True, True, True, False]


def test_a_device_that_says_it_is_off_the_patient_lacks_no_data() -> None:
    presence = Presence(0)
    presence.link_changed(LinkState.STREAMING, "", S)
    presence.sampled(2 * S)
    presence.contact_off(4 * S)
    assert present(presence, 5.0) == set()
    assert present(presence, 6.5) == {"no_data"}, "it says nothing any more"
