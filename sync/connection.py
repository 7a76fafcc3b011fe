"""One connection to a broker, from CONNECT to its end, driven by asyncio.

paho-mqtt is the transport only: its queue is not durable and it resends and reorders after a
reconnect. So every connection is a fresh client that never reconnects, and what is in flight is
known to the owner of the connection, not to paho.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sync.faults import Fault, LinkError, describe_connect_error, describe_refusal
from sync.settings import BrokerSettings, read_password, tls_context
from sync.topics import CONTRACT_VERSION, Delivery

Protocol = Literal["5", "3.1.1"]

UNSENT_BYTES = 16 * 1024
"""Bytes the kernel may hold unsent: what lies there, an alarm cannot overtake any more."""
LIVE_WAITING = 64
"""Live messages that may wait for the socket; more are dropped, for they would come stale."""
PING_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came."""

    topic: str
    payload: bytes
    retained: bool
    qos: int


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when the connection is lost."""

    topic: str
    payload: bytes
    content_type: str
    delay_s: int


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the owner is told; called on the event loop, must not block nor publish."""

    on_puback: Callable[[int, str], None] = lambda mid, refusal: None
    """Packet id and the broker's reason for refusing the message, empty when it took it."""
    on_message: Callable[[Incoming], None] = lambda message: None
    on_closed: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Granted:
    """What CONNACK granted; 3.1.1 knows none of it and grants all."""

    receive_maximum: int = 65_535
    maximum_packet: int | None = None
    session_present: bool = False


class Connection:
    """One connection. ``closed`` holds the error once it has ended."""

    def __init__(self, settings: BrokerSettings, protocol: Protocol, callbacks: Callbacks) -> None:
        self.protocol = protocol
        self.granted = Granted()
        self.closed: LinkError | None = None
        self._settings = settings
        self._callbacks = callbacks
        self._loop = asyncio.get_running_loop()
        self._client: mqtt.Client
        self._socket: socket.socket | None = None
        self._writing = False
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._subscribing: dict[int, asyncio.Future[list[str]]] = {}
        self._unconfirmed: set[int] = set()
        self._live_waiting: set[int] = set()
        self._properties: dict[tuple[str, int | None], Properties | None] = {}
        self._ticker: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        settings: BrokerSettings,
        protocol: Protocol,
        client_id: str,
        callbacks: Callbacks,
        *,
        will: Will | None = None,
        session_expiry_s: int,
    ) -> Connection:
        """Connect and wait for CONNACK.

        Raises:
            LinkError: with the reason and its kind.
        """
        self = cls(settings, protocol, callbacks)
        self._client = self._make_client(client_id)
        if will is not None:
            self._set_will(will)
        await self._connect(session_expiry_s)
        return self

    def _make_client(self, client_id: str) -> mqtt.Client:
        five = self.protocol == "5"
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            # Kept by the broker: with 5.0 a delayed will needs it, with both the commands.
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._settings.connect_timeout_s
        client.max_inflight_messages = 0
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = lambda _client, _data, sock: self._detach(sock)
        return client

    def _set_will(self, will: Will) -> None:
        properties = None
        if self.protocol == "5":
            properties = PackedOnce(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = will.delay_s
            properties.ContentType = will.content_type
            properties.UserProperty = ("contract", CONTRACT_VERSION)
        self._client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)

    async def _connect(self, session_expiry_s: int) -> None:
        settings = self._settings
        arguments: dict[str, Any] = {}
        if self.protocol == "5":
            properties = PackedOnce(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = session_expiry_s
            arguments = {"clean_start": False, "properties": properties}

        def connect() -> None:
            # In the thread as well: certificates are read from a disk that may be slow.
            if settings.username:
                self._client.username_pw_set(settings.username, read_password(settings))
            if (context := tls_context(settings)) is not None:
                self._client.tls_set_context(context)
            self._client.connect(
                settings.host, settings.port_number, keepalive=settings.keepalive_s, **arguments
            )

        try:
            # Twice: name look-up has no time-out of its own, TCP and TLS have one each.
            async with asyncio.timeout(2 * settings.connect_timeout_s):
                await in_daemon_thread(connect, self._abandon)
            self._attach()
            async with asyncio.timeout(settings.connect_timeout_s):
                await self._answered
        except TimeoutError:
            fault = Fault.UNREACHABLE if self._socket is None else Fault.UNANSWERED
            self._end(fault, self._unanswered())
        except asyncio.CancelledError:
            self._abandon()
            raise
        except Exception as error:
            self._end(*describe_connect_error(settings, error))
        if self.closed is not None:
            self._abandon()
            raise self.closed

    def _unanswered(self) -> str:
        return (
            f"broker {self._settings.address} did not answer in "
            f"{self._settings.connect_timeout_s:g} s; check that an MQTT broker listens there"
        )

    # --- what the owner does -----------------------------------------------------------------

    def publish(
        self, topic: str, payload: bytes, delivery: Delivery, content_type: str
    ) -> int | None:
        """Send a message of QoS 1 and return its packet id; None when the connection is over."""
        if self.closed is not None:
            return None
        info = self._client.publish(
            topic,
            payload,
            qos=1,
            retain=delivery.retained,
            properties=self._publish_properties(content_type, delivery.expiry_s),
        )
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            return None
        self._unconfirmed.add(info.mid)
        self._after_write()
        return info.mid

    def publish_live(
        self, topic: str, payload: bytes, delivery: Delivery, content_type: str
    ) -> bool:
        """Send a message of QoS 0, or drop it (False) when the line does not take it now."""
        if self.closed is not None or len(self._live_waiting) >= LIVE_WAITING:
            return False
        info = self._client.publish(
            topic,
            payload,
            qos=0,
            properties=self._publish_properties(content_type, delivery.expiry_s),
        )
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        if not info.is_published():
            self._live_waiting.add(info.mid)
        self._after_write()
        return True

    async def subscribe(self, topic_filters: list[str], timeout_s: float) -> list[str]:
        """Subscribe with QoS 1; return the filters the broker refused.

        Raises:
            LinkError: no SUBACK in time, or the connection ended.
        """
        if self.closed is not None:
            raise self.closed
        if self.protocol == "5":
            _, mid = self._client.subscribe([(f, SubscribeOptions(qos=1)) for f in topic_filters])
        else:
            _, mid = self._client.subscribe([(f, 1) for f in topic_filters])
        if mid is None:
            raise self._end(Fault.LOST, self._lost("cannot write"))
        answer: asyncio.Future[list[str]] = self._loop.create_future()
        self._subscribing[mid] = answer
        self._after_write()
        try:
            async with asyncio.timeout(timeout_s):
                reasons = await answer
        except TimeoutError:
            raise self._end(Fault.SILENT, self._lost("no answer to SUBSCRIBE")) from None
        finally:
            self._subscribing.pop(mid, None)
        return [name for name, reason in zip(topic_filters, reasons, strict=False) if reason]

    def give_up(self, reason: str) -> None:
        """End the connection without a farewell: the broker will send the will."""
        self._end(Fault.SILENT, self._lost(reason))
        self._abandon()

    def disconnect(self) -> None:
        """End the connection in order: the broker drops the will."""
        if self.closed is None:
            with contextlib.suppress(OSError):
                self._client.disconnect()
            self._end(Fault.LOST, f"disconnected from broker {self._settings.address}")
        self._abandon()

    # --- the event loop's side ---------------------------------------------------------------

    def _attach(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            self._end(Fault.CLOSED_EARLY, self._lost("closed before CONNACK"))
            return
        self._socket = sock
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._loop.add_reader(sock, self._readable)
        self._after_write()
        self._tick()

    def _detach(self, sock: Any) -> None:
        if self._socket is None or sock is not self._socket:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket = None
        self._writing = False

    def _abandon(self) -> None:
        """Close the socket whatever state it is in (also after a connect nobody waits for)."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        sock = self._client.socket()
        if sock is not None:
            self._detach(sock)
            with contextlib.suppress(OSError):
                sock.close()

    def _tick(self) -> None:
        self._guarded(self._client.loop_misc)
        if self.closed is None:
            self._ticker = self._loop.call_later(PING_CHECK_S, self._tick)

    def _readable(self) -> None:
        self._guarded(self._client.loop_read)
        # TLS may hold decrypted packets that the socket will never announce again.
        while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            self._guarded(self._client.loop_read)
        self._after_write()

    def _writable(self) -> None:
        self._guarded(self._client.loop_write)
        self._after_write()

    def _after_write(self) -> None:
        """Watch the socket for room exactly while paho holds bytes that did not fit."""
        if self._socket is None:
            return
        wanted = self._client.want_write()
        if wanted and not self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif not wanted and self._writing:
            self._loop.remove_writer(self._socket)
        self._writing = wanted

    def _guarded(self, step: Callable[[], Any]) -> None:
        """Run a step of paho; what it throws at garbage from the line ends the connection."""
        try:
            step()
        except Exception as error:
            self._end(Fault.LOST, self._lost(f"protocol error ({type(error).__name__}: {error})"))
            self._abandon()

    def _end(self, fault: Fault, reason: str) -> LinkError:
        if self.closed is None:
            self.closed = LinkError(fault, reason)
            if self._answered.done():
                self._callbacks.on_closed()
            waiting: list[asyncio.Future[Any]] = [self._answered, *self._subscribing.values()]
            for future in waiting:
                if not future.done():
                    future.set_exception(self.closed)
                    future.exception()  # marks it as seen: ``closed`` says it in any case
        return self.closed

    def _lost(self, what: str) -> str:
        return f"broker {self._settings.address}: {what}; check the broker and the network"

    def _publish_properties(self, content_type: str, expiry_s: int | None) -> Properties | None:
        if self.protocol != "5":
            return None
        key = content_type, expiry_s
        if key not in self._properties:
            properties = PackedOnce(PacketTypes.PUBLISH)
            properties.ContentType = content_type
            properties.UserProperty = ("contract", CONTRACT_VERSION)
            if expiry_s is not None:
                properties.MessageExpiryInterval = expiry_s
            self._properties[key] = properties
        return self._properties[key]

    # --- paho's callbacks --------------------------------------------------------------------

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: Any,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._end(*describe_refusal(self._settings, str(code)))
            return
        if getattr(properties, "MaximumQoS", 1) < 1 or not getattr(
            properties, "RetainAvailable", 1
        ):
            self._end(Fault.REFUSED, self._lost("takes no QoS 1 or keeps no retained messages"))
            return
        self.granted = Granted(
            receive_maximum=getattr(properties, "ReceiveMaximum", 65_535),
            maximum_packet=getattr(properties, "MaximumPacketSize", None),
            session_present=flags.session_present,
        )
        if not self._answered.done():
            self._answered.set_result(None)

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: Any,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._answered.done():
            self._end(Fault.CLOSED_EARLY, self._lost("closed the connection before CONNACK"))
        elif flags.is_disconnect_packet_from_server:
            self._end(Fault.LOST, self._lost(f"ended the connection ({code})"))
        elif code == "Keep alive timeout":
            self._end(Fault.SILENT, self._lost("the line is dead (no answer to a ping)"))
        else:
            self._end(Fault.LOST, self._lost("the connection was closed"))

    def _on_publish(
        self,
        _client: mqtt.Client,
        _data: Any,
        mid: int,
        code: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._live_waiting.discard(mid)
        if mid in self._unconfirmed:
            self._unconfirmed.discard(mid)
            self._callbacks.on_puback(mid, str(code) if code.is_failure else "")

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _data: Any,
        mid: int,
        codes: list[ReasonCode],
        _properties: Properties,
    ) -> None:
        answer = self._subscribing.get(mid)
        if answer is not None and not answer.done():
            answer.set_result([str(code) if code.is_failure else "" for code in codes])

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._callbacks.on_message(
            Incoming(topic, bytes(message.payload), message.retain, message.qos)
        )


class PackedOnce(Properties):
    """MQTT 5.0 properties that are packed once: the same ones go with every message of a kind,
    and packing them anew is a quarter of paho's work for a message."""

    def __init__(self, packet_type: int) -> None:
        super().__init__(packet_type)  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        """Return the bytes for the packet; properties set after the first call do not count."""
        # Not setattr: the base class takes names of MQTT properties only.
        packed: bytes | None = self.__dict__.get("packed")
        if packed is None:
            packed = self.__dict__["packed"] = bytes(super().pack())  # type: ignore[no-untyped-call]
        return packed


T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T], undo: Callable[[], None]) -> T:
    """Run blocking ``work``; when nobody waits for it any more, run ``undo`` after it.

    Not the loop's executor: that one is joined at exit, and a name look-up may hang for minutes.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            undo()
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=run, name="broker-connect", daemon=True).start()
    return await done
