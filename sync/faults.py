"""Why there is no connection to the broker, in one line that says what to do."""

from __future__ import annotations

import socket
import ssl
from enum import Enum, auto

from sync.settings import BrokerSettings, SettingsError


class Fault(Enum):
    """Why a connection could not be had or was lost."""

    UNREACHABLE = auto()
    VERSION = auto()
    """The broker refuses this MQTT version in so many words."""
    CLOSED_EARLY = auto()
    """The broker closed before it answered CONNECT: some do so for an unknown version."""
    UNANSWERED = auto()
    """The broker took the connection and never answered CONNECT: amqtt does so for 5.0."""
    REFUSED = auto()
    SETTINGS = auto()
    LOST = auto()
    SILENT = auto()
    """The line is dead or the broker answers no more."""


class LinkError(Exception):
    """No connection; the text is one line for a person."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


def describe_refusal(settings: BrokerSettings, code: str) -> tuple[Fault, str]:
    """Return kind and one-line reason for a CONNACK that says no."""
    address, who = settings.address, settings.username or "(none)"
    if code == "Unsupported protocol version":
        return Fault.VERSION, f"broker {address} does not speak this version of MQTT"
    if code in ("Bad user name or password", "Not authorized"):
        return Fault.REFUSED, (
            f"broker {address} refused the user name or password ({who}); "
            "check [sync] username and password_file"
        )
    if code == "Client identifier not valid":
        return Fault.REFUSED, (
            f"broker {address} refused the client id; set [sync] client_id to one it allows"
        )
    return Fault.REFUSED, f"broker {address} refused the connection ({code}); see the broker's log"


def describe_connect_error(settings: BrokerSettings, error: Exception) -> tuple[Fault, str]:
    """Return kind and one-line reason for an exception of connecting."""
    address = settings.address
    if isinstance(error, LinkError):
        return error.fault, str(error)
    if isinstance(error, SettingsError):
        return Fault.SETTINGS, str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault.REFUSED, (
            f"broker {address}: its certificate is not trusted ({error.verify_message}); "
            "check [sync] ca_file and that host is the name in the certificate"
        )
    if isinstance(error, ssl.SSLError):
        return Fault.REFUSED, (
            f"broker {address}: no TLS connection ({error.reason or error}); check that the port "
            "speaks TLS and whether it asks for [sync] cert_file"
        )
    if isinstance(error, socket.gaierror):
        return Fault.UNREACHABLE, (
            f"broker {address}: the name {settings.host} is unknown; check [sync] host and the DNS"
        )
    if isinstance(error, ConnectionRefusedError):
        return Fault.UNREACHABLE, (
            f"broker {address} unreachable: connection refused; is the broker running?"
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Fault.CLOSED_EARLY, (
            f"broker {address} closed the connection before CONNACK; check the port and its log"
        )
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Fault.UNREACHABLE, (
        f"broker {address} unreachable: {why.lower()}; check the network and [sync] host and port"
    )
