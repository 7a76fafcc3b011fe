"""A broker inside the demo's own process: amqtt on the loopback, for one that has no Mosquitto.

For the demo and for trying things only: it keeps nothing over a restart and speaks 3.1.1 only.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from sync.settings import BrokerSettings

if TYPE_CHECKING:
    from amqtt.broker import Broker

HOST = "127.0.0.1"


class EmbeddedBrokerError(Exception):
    """The demo's broker cannot run; the text is one line that says what to do."""


@contextlib.asynccontextmanager
async def embedded_broker(port: int | None = None) -> AsyncIterator[BrokerSettings]:
    """Run a broker while the context lasts; give the settings with which to reach it.

    Args:
        port: of the loopback; None: any free one.

    Raises:
        EmbeddedBrokerError: amqtt is not installed, or the port is taken.
    """
    port = port or _free_port()
    broker = _make_broker(port)
    try:
        await broker.start()
    except Exception as error:  # amqtt wraps whatever went wrong in its own types
        raise EmbeddedBrokerError(
            f"the demo's broker cannot listen on {HOST}:{port} ({_cause(error)}); "
            "give another port or stop what listens there"
        ) from None
    try:
        yield BrokerSettings(host=HOST, port=port, protocol="3.1.1")
    finally:
        await broker.shutdown()


def _make_broker(port: int) -> Broker:
    try:
        from amqtt.broker import Broker
    except ImportError:
        raise EmbeddedBrokerError(
            "the demo's broker needs amqtt; install it with pip install 'wardbeat[demo]', "
            "or run Mosquitto and name it in [sync]"
        ) from None
    # It logs every connection as a warning or an error; what counts, the publisher says.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.WARNING)
    return Broker(_configuration(port))


def _configuration(port: int) -> dict[str, Any]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        # Without this plug-in named, amqtt lets nobody in.
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        },
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:120] or type(error).__name__
