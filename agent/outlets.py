"""Where a bed's messages go: the local feed always, the broker by their kind."""

from __future__ import annotations

from typing import Protocol

from agent.feed import FeedServer
from agent.stamps import Stamp, Stamper
from sync.codec import content_type, encode
from sync.contract import AlarmMessage, BedState, Feedback, Strip, Summary, UnitState, Vitals, Wave
from sync.outbox import Lane, OutboxMessage
from sync.topics import Kind, topic_of

Durable = AlarmMessage | Strip | Summary | Feedback
"""What must reach the broker, however long that takes."""

_LANES: dict[type[Durable], Lane] = {
    AlarmMessage: Lane.ALARM,
    Strip: Lane.STRIP,
    Summary: Lane.SUMMARY,
    Feedback: Lane.FEEDBACK,
}


class Uplink(Protocol):
    """What the outlets need of the publisher; it is never waited for."""

    def publish_live(self, message: Vitals | Wave) -> bool:
        """QoS 0, only while connected; says whether it went out."""
        ...

    def publish_state(self, state: BedState) -> None:
        """Retained, the newest wins."""


class Outlets:
    """Stamps, encodes and routes; knows no message's meaning."""

    def __init__(self, site: str, unit: str, stamper: Stamper, feed: FeedServer) -> None:
        self.site = site
        self.unit_name = unit
        self.uplink: Uplink | None = None
        """Set once the publisher is there; without one the unit works alone."""
        self._stamper = stamper
        self._feed = feed
        self._wave_until_ns: dict[str, int] = {}

    def stamp(self, kind: Kind, bed: str = "") -> Stamp:
        """The head of the next message of a kind."""
        return self._stamper.stamp(f"{bed}/{kind.value}")

    def lease_wave(self, bed: str, until_ns: int) -> None:
        """Publish the live wave of a bed until this UTC time."""
        self._wave_until_ns[bed] = until_ns

    def live(self, message: Vitals | Wave) -> None:
        """A number or a stretch of wave, for whoever looks now."""
        self._feed.publish(message)
        leased = self._wave_until_ns.get(message.bed, 0) > message.time
        if self.uplink is not None and (leased or isinstance(message, Vitals)):
            self.uplink.publish_live(message)

    def state(self, message: BedState) -> None:
        """The retained truth about a bed."""
        self._feed.publish(message)
        if self.uplink is not None:
            self.uplink.publish_state(message)

    def unit(self, message: UnitState) -> None:
        """The unit's state for the screens; the publisher asks for its own (birth)."""
        self._feed.publish(message)

    def shown(self, message: Durable) -> None:
        """Tell the screens on this unit of what went to the outbox."""
        self._feed.publish(message)

    def for_outbox(self, message: Durable) -> OutboxMessage:
        """The row that carries a message to the broker."""
        return OutboxMessage(
            id=message.id,
            lane=_LANES[type(message)],
            topic=topic_of(self.site, self.unit_name, message),
            payload=encode(message),
            content_type=content_type(message),
        )
