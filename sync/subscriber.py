"""Feeds a ``Station`` from the broker and takes its commands there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from sync.backoff import backoff_s
from sync.codec import ContractError, content_type, encode
from sync.connection import Callbacks, Connection, Incoming, Protocol
from sync.contract import Command
from sync.faults import LinkError
from sync.protocols import ProtocolChoice
from sync.settings import BrokerSettings
from sync.station import KINDS_WATCHED, Station, Taken
from sync.topics import BED_KINDS, DELIVERY, ROOT, Kind, check_name, command_topic

log = logging.getLogger(__name__)

TURN_S = 5.0


def station_filters(site: str) -> list[str]:
    """Return the subscriptions of a station; ``site`` may be ``+`` for all sites."""
    unit = f"{ROOT}/{site if site == '+' else check_name('site', site)}/+"
    return [
        f"{unit}/bed/+/{kind}"
        if kind in BED_KINDS
        else f"{unit}/{kind}"
        if kind is Kind.UNIT
        else f"{unit}/{kind}/+"
        for kind in KINDS_WATCHED
    ]


class StationSubscriber:
    """Keeps a station fed until cancelled.

    The broker keeps the session for ``settings.session_expiry_s``: alarms wait there while the
    station restarts. ``settings.client_id`` names the session and must be the station's own.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        station: Station,
        *,
        client_id: str,
        site: str = "+",
        on_taken: Callable[[Taken], None] = lambda taken: None,
        on_link: Callable[[bool, str], None] = lambda up, reason: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.damaged = 0
        """Messages that broke the contract."""
        self._settings = settings
        self._station = station
        self._client_id = settings.client_id or client_id
        self._filters = station_filters(site)
        self._on_taken = on_taken
        self._on_link = on_link
        self._now_ns = now_ns
        self._protocols = ProtocolChoice(settings.protocol)
        self._connection: Connection | None = None
        self._ended = asyncio.Event()
        self._link: tuple[bool, str] | None = None

    async def run(self) -> None:
        """Connect, listen, reconnect, until cancelled."""
        attempt = 0
        while True:
            try:
                connection = await self._protocols.first_that_works(self._open, time.monotonic())
                attempt = 0
                await self._listen(connection)
            except LinkError as error:
                self._tell(False, str(error))
            pause_s = backoff_s(
                attempt,
                self._settings.reconnect_min_s,
                self._settings.reconnect_max_s,
                random.random(),  # noqa: S311 - no secret
            )
            attempt += 1
            await asyncio.sleep(pause_s)

    def send(self, site: str, unit: str, command: Command) -> bool:
        """Send a command; False when there is no link. Its reply comes as a message."""
        connection = self._connection
        topic = command_topic(site, unit, command.name)
        return connection is not None and (
            connection.publish(
                topic, encode(command), DELIVERY[Kind.COMMAND], content_type(command)
            )
            is not None
        )

    async def _open(self, protocol: Protocol) -> Connection:
        self._ended.clear()
        return await Connection.open(
            self._settings,
            protocol,
            self._client_id,
            Callbacks(on_message=self._take, on_closed=self._ended.set),
            session_expiry_s=self._settings.session_expiry_s,
        )

    async def _listen(self, connection: Connection) -> None:
        try:
            refused = await connection.subscribe(self._filters, self._settings.ack_timeout_s)
            self._connection = connection
            what = f"broker {self._settings.address} refuses to be read: {', '.join(refused)}"
            self._tell(True, what if refused else "")
            while connection.closed is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TURN_S):
                        await self._ended.wait()
            raise connection.closed
        finally:
            self._connection = None
            connection.disconnect()

    def _take(self, incoming: Incoming) -> None:
        try:
            taken = self._station.take(
                incoming.topic, incoming.payload, self._now_ns(), retained=incoming.retained
            )
        except ContractError as error:
            self.damaged += 1
            log.warning("not taken: %s", error)
            return
        self._on_taken(taken)

    def _tell(self, up: bool, reason: str) -> None:
        if self._link != (up, reason):
            self._link = up, reason
            self._on_link(up, reason)
