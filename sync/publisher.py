"""The unit's side of the broker: outbox first, alarms before all else, PUBACK before delete.

Several small things are kept apart: ``settings`` (what may be configured), ``connection`` (one
connection), ``backlog`` (what the outbox holds), ``window`` (what is in flight), ``setaside`` (what
the broker will not take) and ``commands`` (what comes the other way). This module decides what is
sent next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from sync.backlog import Backlog
from sync.backoff import backoff_s
from sync.codec import content_type, encode
from sync.commands import CommandDesk
from sync.connection import Callbacks, Connection, Incoming, Protocol, Will
from sync.contract import AnyMessage, BedState, Command, Reply, UnitState, Vitals, Wave
from sync.faults import Fault, LinkError
from sync.ids import new_id
from sync.outbox import Outbox, OutboxMessage
from sync.protocols import ProtocolChoice
from sync.setaside import SetAside
from sync.settings import BrokerSettings, UnitIdentity
from sync.topics import (
    DELIVERY,
    KIND_OF_MESSAGE,
    Delivery,
    commands_filter,
    topic_of,
    unit_topic,
)
from sync.window import Window

__all__ = ["BrokerSettings", "Publisher", "PublisherHealth", "UnitIdentity"]

log = logging.getLogger(__name__)

DURABLE = Delivery(qos=1)
"""How everything from the outbox goes: confirmed, not retained, never expiring."""
REPLIES_WAITING = 100
TURN_S = 0.25
"""The drain loop looks at its timers so often."""
RETRY_S = 1.0
FAREWELL_S = 1.0
DOUBTFUL = 2
"""Connections closed so often one after the other have a cause besides the network."""
STEADY_S = 30.0
"""A connection that held so long was a good one: the back-off starts anew."""


@dataclass(slots=True)
class PublisherHealth:
    """Counters since start, for the unit's health."""

    connects: int = 0
    sent: int = 0
    confirmed: int = 0
    refused: int = 0
    live_dropped: int = 0
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class _Own:
    """A message that is not from the outbox: the unit's state, a bed's state, a reply."""

    message: UnitState | BedState | Reply


class Publisher:
    """Keeps a unit's messages flowing to its broker. All calls on the event loop's thread.

    Args:
        settings: the broker.
        identity: site and unit.
        outbox: what must reach the broker.
        birth: gives the unit's state as it is now; published retained after each connect and
            every ``heartbeat_s``. Its ``online`` and ``since`` are set here.
        states: gives the state of all beds; published retained after each connect.
        on_command: does a command and answers it.
        on_link: told of every change: connected or not, and one line of reason. Connected with
            a reason means that the broker takes some messages and refuses others.
        clock_synced: whether the unit's clock is right, so that old commands can be told.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        identity: UnitIdentity,
        outbox: Outbox,
        *,
        birth: Callable[[], UnitState],
        states: Callable[[], Iterable[BedState]],
        on_command: Callable[[Command], Awaitable[Reply]],
        on_link: Callable[[bool, str], None],
        clock_synced: Callable[[], bool] = lambda: True,
    ) -> None:
        self.health = PublisherHealth()
        self._settings = settings
        self._identity = identity
        self._client_id = settings.client_id or f"wardbeat-{identity.site}-{identity.unit}"
        self._backlog = Backlog(outbox, self._wake_up)
        self._birth = birth
        self._all_states = states
        self._on_link = on_link
        self._link: tuple[bool, str] | None = None
        self._protocols = ProtocolChoice(settings.protocol)
        self._desk = CommandDesk(
            on_command,
            self._queue_reply,
            birth,
            max_age_s=settings.command_max_age_s,
            clock_synced=clock_synced,
        )
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._window: Window[OutboxMessage | _Own] = Window(1, settings.ack_timeout_s)
        self._aside = SetAside()
        self._states: dict[str, BedState] = {}
        self._replies: deque[Reply] = deque(maxlen=REPLIES_WAITING)
        self._own_refusal = ""
        self._birth_due = 0.0
        self._online_since = 0

    # --- what the unit calls -----------------------------------------------------------------

    async def run(self) -> None:
        """Connect, send, reconnect, until cancelled; then say "offline" and leave in order."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervised(self._keep_linked))
            group.create_task(self._supervised(self._backlog.keep_watching))
            group.create_task(self._supervised(self._backlog.keep_deleting))
            group.create_task(self._supervised(self._desk.run))

    def publish_live(self, message: Vitals | Wave) -> bool:
        """Send a live message with QoS 0; False: dropped, for there is no line that takes it."""
        connection = self._connection
        taken = connection is not None and connection.publish_live(
            self._topic(message), encode(message), self._delivery(message), content_type(message)
        )
        self.health.live_dropped += not taken
        return taken

    def publish_state(self, state: BedState) -> None:
        """Publish a bed's state, retained; of several waiting for one bed only the last goes."""
        self._states[state.bed] = state
        self._wake.set()

    # --- the link ----------------------------------------------------------------------------

    async def _supervised(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("publisher: %s failed; it starts again", work.__name__)
            await asyncio.sleep(RETRY_S)

    async def _keep_linked(self) -> None:
        attempt = 0
        while True:
            up_since = None
            try:
                connection = await self._connect()
                up_since = time.monotonic()
                await self._serve(connection)
            except LinkError as error:
                again = error.fault is Fault.LOST and attempt >= DOUBTFUL
                self._tell(False, f"{error}{self._suspicion() if again else ''}")
            if up_since is not None and time.monotonic() - up_since >= STEADY_S:
                attempt = 0
            pause_s = backoff_s(
                attempt,
                self._settings.reconnect_min_s,
                self._settings.reconnect_max_s,
                random.random(),  # noqa: S311 - no secret
            )
            attempt += 1
            await asyncio.sleep(pause_s)

    async def _connect(self) -> Connection:
        settings, identity = self._settings, self._identity
        birth = self._birth()
        # Birth, heartbeats and will carry the connection's ``since``: a reader can tell the will
        # of an earlier connection.
        self._online_since = birth.time
        offline = msgspec.structs.replace(birth, id=new_id(), online=False, since=birth.time)
        will = Will(
            unit_topic(identity.site, identity.unit),
            encode(offline),
            content_type(offline),
            settings.will_delay_s,
        )

        async def attempt(protocol: Protocol) -> Connection:
            return await Connection.open(
                settings,
                protocol,
                self._client_id,
                Callbacks(self._on_puback, self._on_message, self._wake.set),
                will=will,
                session_expiry_s=settings.session_expiry_s,
            )

        connection = await self._protocols.first_that_works(attempt, time.monotonic())
        self._window = Window(
            min(settings.window, connection.granted.receive_maximum), settings.ack_timeout_s
        )
        self.health.connects += 1
        self.health.protocol = connection.protocol
        self._send_unit_state(connection, online=True, state=birth)
        return connection

    async def _serve(self, connection: Connection) -> None:
        """Drain the outbox over this connection until it ends, then raise its ``LinkError``."""
        try:
            commands = commands_filter(self._identity.site, self._identity.unit)
            refused = await connection.subscribe([commands], self._settings.ack_timeout_s)
            self._own_refusal = f"refuses the subscription to {commands}" if refused else ""
            self._states = {state.bed: state for state in self._all_states()}
            self._birth_due = time.monotonic() + self._settings.heartbeat_s
            self._backlog.restart()
            self._connection = connection
            while True:
                self._wake.clear()
                await self._turn(connection)
                await self._woken(TURN_S)
        except asyncio.CancelledError:
            await self._farewell(connection)
            raise
        finally:
            self._connection = None
            self._recover(connection)

    async def _turn(self, connection: Connection) -> None:
        if connection.closed is not None:
            raise connection.closed
        now = time.monotonic()
        if late_s := self._window.overdue_s(now):
            waited_s = self._settings.ack_timeout_s + late_s
            connection.give_up(f"no PUBACK in {waited_s:.1f} s")
            raise LinkError(Fault.SILENT, str(connection.closed))
        if now >= self._birth_due:
            self._birth_due = now + self._settings.heartbeat_s
            if not any(self._is_birth(item) for item in self._window.items):
                self._send_unit_state(connection, online=True)
        await self._fill(connection)
        self._tell(True, self._complaint())

    def _recover(self, connection: Connection) -> None:
        """Take back what was in flight: the outbox still holds its own, replies are queued anew."""
        connection.give_up("the publisher failed")
        items = self._window.items
        for item in reversed(items):
            if isinstance(item, _Own) and isinstance(item.message, Reply):
                self._replies.appendleft(item.message)
        ended = connection.closed
        if items and isinstance(items[0], OutboxMessage) and ended and ended.fault is Fault.LOST:
            self._aside.closed_on(items[0], time.monotonic())

    async def _farewell(self, connection: Connection) -> None:
        """Say "offline" ourselves; where the broker does not confirm it, leave it to the will."""
        give_up_at = time.monotonic() + FAREWELL_S
        said = False
        while connection.closed is None and time.monotonic() < give_up_at:
            self._wake.clear()
            if not said:
                said = self._send_unit_state(connection, online=False)
            elif not len(self._window):
                connection.disconnect()
            await self._woken(TURN_S / 10)
        await self._backlog.delete_confirmed()

    async def _woken(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()

    # --- what is sent next -------------------------------------------------------------------

    async def _fill(self, connection: Connection) -> None:
        """Send as much as the window admits: alarms, replies, states, then strips, summaries."""
        while True:
            await self._refill()
            sent = self._send_ready(connection, urgent=True)
            self._send_own_waiting(connection)
            sent += self._send_ready(connection, urgent=False)
            if not sent or self._backlog.ready or not self._backlog.more:
                return

    async def _refill(self) -> None:
        if self._window.free > 0:
            items = self._window.items
            in_flight = frozenset(item.number for item in items if isinstance(item, OutboxMessage))
            await self._backlog.refill(in_flight | self._aside.numbers(time.monotonic()))

    def _send_ready(self, connection: Connection, *, urgent: bool) -> int:
        """Send from the head of the fetched messages while they are of this urgency."""
        sent = 0
        backlog = self._backlog
        while backlog.ready and backlog.alarm_waits is urgent:
            message = backlog.ready[0]
            if not self._admits(connection, message, urgent=urgent):
                break
            backlog.ready.popleft()
            sent += self._send(connection, message, urgent=urgent)
        return sent

    def _admits(self, connection: Connection, message: OutboxMessage, *, urgent: bool) -> bool:
        now = time.monotonic()
        if connection.closed is not None:
            return False
        if self._aside.cautious and len(self._window):
            return False
        occupied = len(self._aside.numbers(now))
        return self._window.admits(len(message.payload), urgent=urgent, occupied=occupied)

    def _send(self, connection: Connection, message: OutboxMessage, *, urgent: bool) -> bool:
        now = time.monotonic()
        size = len(message.payload) + len(message.topic)
        largest = connection.granted.maximum_packet
        if largest is not None and size + 256 > largest:
            reason = f"takes {largest} bytes only, message {message.id} has {size}"
            self._aside.refused(message.number, reason, now)
            return False
        try:
            packet_id = connection.publish(
                message.topic, message.payload, DURABLE, message.content_type
            )
        except ValueError as error:
            reason = f"cannot be given message {message.id} to {message.topic!r} ({error})"
            self._aside.refused(message.number, reason, now)
            return False
        if packet_id is None:
            return False
        self._window.sent(packet_id, message, size, urgent=urgent, now=now)
        self.health.sent += 1
        return True

    def _send_own_waiting(self, connection: Connection) -> None:
        if self._backlog.alarm_waits:
            return
        while self._replies and self._window.admits(0, urgent=True):
            self._send_own(connection, self._replies.popleft())
        while self._states and self._window.admits(0, urgent=True):
            bed = next(iter(self._states))
            self._send_own(connection, self._states.pop(bed))

    def _send_unit_state(
        self, connection: Connection, *, online: bool, state: UnitState | None = None
    ) -> bool:
        """Publish the unit's state, made now unless given; False when the window is full."""
        if not self._window.admits(0, urgent=True):
            return False
        state = state or self._birth()
        since = self._online_since if online else state.time
        self._send_own(connection, msgspec.structs.replace(state, online=online, since=since))
        return True

    def _send_own(self, connection: Connection, message: UnitState | BedState | Reply) -> None:
        payload = encode(message)
        packet_id = connection.publish(
            self._topic(message), payload, self._delivery(message), content_type(message)
        )
        if packet_id is not None:
            now = time.monotonic()
            self._window.sent(packet_id, _Own(message), len(payload), urgent=True, now=now)

    def _queue_reply(self, reply: Reply) -> None:
        self._replies.append(reply)
        self._wake.set()

    # --- what comes back ---------------------------------------------------------------------

    def _on_puback(self, packet_id: int, refusal: str) -> None:
        item = self._window.confirmed(packet_id, time.monotonic())
        self._wake.set()
        match item:
            case OutboxMessage() if refusal:
                self.health.refused += 1
                reason = f"refuses {item.topic} ({refusal})"
                self._aside.refused(item.number, reason, time.monotonic())
            case OutboxMessage():
                self.health.confirmed += 1
                self._backlog.confirm(item.number)
                self._aside.taken(item.number)
            case _Own() if refusal:
                self._own_refusal = f"refuses {self._topic(item.message)} ({refusal})"

    def _on_message(self, incoming: Incoming) -> None:
        self._desk.take(incoming)

    # --- small things ------------------------------------------------------------------------

    def _tell(self, up: bool, reason: str) -> None:
        if self._link == (up, reason):
            return
        self._link = up, reason
        level = logging.INFO if up and not reason else logging.WARNING
        log.log(level, "%s", reason or f"connected to broker {self._settings.address}")
        self._on_link(up, reason)

    def _complaint(self) -> str:
        what = self._aside.reason or self._own_refusal
        if not what:
            return ""
        who = self._settings.username or "(none)"
        return (
            f"broker {self._settings.address} {what}; "
            f"check its limits and what it allows user {who}"
        )

    def _wake_up(self) -> None:
        self._wake.set()

    def _suspicion(self) -> str:
        """Two clients under one id put each other out for ever, and most brokers do not say so."""
        return f"; it closes again and again: does another client use the id {self._client_id}?"

    def _topic(self, message: AnyMessage) -> str:
        return topic_of(self._identity.site, self._identity.unit, message)

    @staticmethod
    def _delivery(message: AnyMessage) -> Delivery:
        return DELIVERY[KIND_OF_MESSAGE[type(message)]]

    @staticmethod
    def _is_birth(item: OutboxMessage | _Own) -> bool:
        return isinstance(item, _Own) and isinstance(item.message, UnitState)
