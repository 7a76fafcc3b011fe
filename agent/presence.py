"""Is the device there, and does it send? The technical conditions of a bed's link.

Pure: driver events and monotonic time in, conditions out.
"""

from __future__ import annotations

from agent.alarms.engine import Condition
from drivers.samples import LinkState

STALE_NS = 2_000_000_000
"""Without a sample for this long, no number may be shown and the loss is an alarm."""
BATTERY_LOW_PERCENT = 15
BATTERY_FINE_PERCENT = 20
"""Above this the alarm ends; the gap keeps a battery at the limit from flickering."""


class Presence:
    """Follows one device's link, data and battery."""

    def __init__(self, started_ns: int) -> None:
        self.link = LinkState.SEARCHING
        self.reason = ""
        self.battery_percent: int | None = None
        self._since_ns = started_ns
        self._last_sample_ns: int | None = None
        self._off_ns: int | None = None
        self._battery_low = False
        self._ever_streamed = False

    def link_changed(self, state: LinkState, reason: str, now_ns: int) -> None:
        """The driver told of another link state."""
        if state is not self.link and self._has_link(state) is not self._has_link(self.link):
            self._since_ns = now_ns
        self.link, self.reason = state, reason

    def sampled(self, now_ns: int) -> None:
        """Samples (or a device's own rate) arrived."""
        self._last_sample_ns = now_ns
        self._ever_streamed = True

    def contact_off(self, now_ns: int) -> None:
        """The device tells that it is not on the patient: it is there, and has nothing to send."""
        self._off_ns = now_ns

    def battery(self, percent: int) -> None:
        """The device told its battery's charge."""
        self.battery_percent = percent
        if percent <= BATTERY_LOW_PERCENT:
            self._battery_low = True
        elif percent >= BATTERY_FINE_PERCENT:
            self._battery_low = False

    def is_stale(self, now_ns: int) -> bool:
        """Whether the newest sample is too old for any number to be shown."""
        return self._last_sample_ns is None or now_ns - self._last_sample_ns > STALE_NS

    def is_off(self, now_ns: int) -> bool:
        """Whether the device has just told that it is not on the patient."""
        return self._off_ns is not None and now_ns - self._off_ns <= STALE_NS

    def conditions(self, now_ns: int, utc_ns: int) -> list[Condition]:
        """Device lost, no data, battery low: present or not, as of now."""
        stale = self.is_stale(now_ns)
        linked = self._has_link(self.link)
        searched_long = now_ns - self._since_ns > STALE_NS
        lost = not linked and (self._ever_streamed or searched_long)
        off = self.is_off(now_ns)
        onset_ns = utc_ns - (now_ns - (self._last_sample_ns or self._since_ns))
        return [
            Condition("device_lost", lost, onset_ns if lost else utc_ns, detail=self.reason),
            Condition("no_data", stale and linked and not off, onset_ns if stale else utc_ns,
                      detail=self.reason),
            Condition("battery_low", self._battery_low, utc_ns, value=self.battery_percent,
                      limit=BATTERY_LOW_PERCENT),
        ]  # fmt: skip

    @staticmethod
    def _has_link(state: LinkState) -> bool:
        return state in (LinkState.WAITING_FOR_DATA, LinkState.STREAMING)
