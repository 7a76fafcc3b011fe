"""The unit's clock: intervals never step, wall time follows the host."""

from __future__ import annotations

from agent.clock import StreamTime, UnitClock, boot_id

S = 1_000_000_000


class Host:
    """A host whose clocks a test moves."""

    def __init__(self) -> None:
        self.monotonic = 50 * S
        self.wall = 1_700_000_000 * S

    def advance(self, ns: int) -> None:
        """Both clocks run."""
        self.monotonic += ns
        self.wall += ns


def test_step_of_the_host_is_told_once_and_followed() -> None:
    host = Host()
    clock = UnitClock(lambda: host.monotonic, lambda: host.wall)
    host.advance(S)
    assert clock.follow() is None
    host.wall += 3600 * S
    step = clock.follow()
    assert step is not None
    assert step.by_ns == 3600 * S
    assert clock.follow() is None
    assert clock.utc_ns() == host.wall


def test_slewing_is_followed_without_a_word() -> None:
    host = Host()
    clock = UnitClock(lambda: host.monotonic, lambda: host.wall)
    for _ in range(100):
        host.advance(S)
        host.wall += 500_000
        assert clock.follow() is None
    assert clock.utc_ns() == host.wall


def test_past_instants_keep_their_distance() -> None:
    host = Host()
    clock = UnitClock(lambda: host.monotonic, lambda: host.wall)
    earlier = clock.monotonic_ns()
    host.advance(7 * S)
    assert clock.utc_ns() - clock.utc_ns(earlier) == 7 * S


def test_stream_time_uses_the_true_rate() -> None:
    time = StreamTime(nominal_rate_hz=130.0, first=1300, host_ns=100 * S, true_rate_hz=130.13)
    assert time.monotonic_ns(10.0) == 100 * S
    later = time.monotonic_ns(20.0)
    assert abs(later - (100 * S + round(1300 / 130.13 * S))) < 1000


def test_boot_id_is_stable_within_a_boot() -> None:
    assert boot_id() == boot_id() != ""
