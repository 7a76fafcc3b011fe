"""How a unit reaches its broker: the ``[sync]`` table of a configuration, checked."""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from pathlib import Path
from typing import Literal

import msgspec

from sync.topics import base


class SettingsError(ValueError):
    """A setting a person must mend: one line naming the key and the remedy."""


class UnitIdentity(msgspec.Struct, frozen=True):
    """Where a unit stands in the topics."""

    site: str
    unit: str

    def __post_init__(self) -> None:
        """Refuse names that cannot stand in a topic."""
        base(self.site, self.unit)


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker and how to speak with it. Times in seconds."""

    host: str = "127.0.0.1"
    port: int | None = None
    """None: 1883, with TLS 8883."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """MQTT version; ``auto`` tries 5.0 and falls back to 3.1.1."""
    client_id: str = ""
    """Empty: ``wardbeat-<site>-<unit>``. No two clients of a broker may share one."""
    username: str = ""
    password_file: str = ""
    """File whose first line is the password; readable by its owner (and group) only."""
    password_env: str = "WARDBEAT_BROKER_PASSWORD"  # noqa: S105 - a variable's name
    """Environment variable that holds the password where there is no ``password_file``."""
    tls: bool = False
    ca_file: str = ""
    """PEM file of the authority that signed the broker's certificate; empty: the system's."""
    cert_file: str = ""
    """PEM file of the unit's own certificate, where the broker asks for one."""
    key_file: str = ""
    allow_plain_text: bool = False
    """True permits a connection without TLS beyond this machine."""
    keepalive_s: int = 10
    connect_timeout_s: float = 10.0
    ack_timeout_s: float = 10.0
    """A broker that confirms nothing for so long is taken for lost."""
    window: int = 200
    """Most messages sent and not yet confirmed; the broker's receive maximum counts too."""
    heartbeat_s: float = 5.0
    """The unit's state is sent again so often."""
    session_expiry_s: int = 300
    """How long the broker keeps the unit's session, commands waiting in it included."""
    will_delay_s: int = 5
    """The broker says "offline" so long after a loss: about one reconnect. MQTT 5.0 only."""
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 15.0
    command_max_age_s: float = 30.0
    """An older command is refused: it may have waited in the broker."""

    def __post_init__(self) -> None:
        """Refuse what could not work or would not be safe."""
        if not self.host:
            _fail("host", "is empty; name the broker's host")
        if self.port is not None and not 1 <= self.port <= 65535:
            _fail("port", f"is {self.port}; use a number from 1 to 65535")
        if not self.tls and not (self.allow_plain_text or is_loopback(self.host)):
            _fail(
                "tls",
                f"is off but {self.host} is another machine; set tls = true and ca_file, "
                "or allow_plain_text = true if the network is trusted",
            )
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(self, key) and not self.tls:
                _fail(key, "is set but tls is off; set tls = true")
        if bool(self.cert_file) != bool(self.key_file):
            _fail("cert_file", "and key_file go together; set both or none")
        if self.password_file and not self.username:
            _fail("password_file", "is set without username; set username as well")
        self._check_ranges()

    def _check_ranges(self) -> None:
        for key, low, high in (
            ("keepalive_s", 2, 3600),
            ("connect_timeout_s", 0.1, 120),
            ("ack_timeout_s", 0.1, 300),
            ("window", 1, 10_000),
            ("heartbeat_s", 0.1, 10),
            ("session_expiry_s", 1, 604_800),
            ("will_delay_s", 0, 300),
            ("reconnect_min_s", 0.01, 60),
            ("reconnect_max_s", 0.01, 600),
            ("command_max_age_s", 1, 3600),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                _fail(key, f"is {value}; use a value from {low} to {high}")
        if self.reconnect_max_s < self.reconnect_min_s:
            _fail("reconnect_max_s", f"is less than reconnect_min_s ({self.reconnect_min_s})")
        if self.session_expiry_s <= self.will_delay_s:
            # MQTT 5.0, 3.1.3.2.2: the will is sent when the session ends, if that comes first.
            _fail("session_expiry_s", f"must be longer than will_delay_s ({self.will_delay_s})")

    @property
    def port_number(self) -> int:
        """The port, the default filled in."""
        return self.port or (8883 if self.tls else 1883)

    @property
    def address(self) -> str:
        """``host:port`` as errors name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port_number}"


def is_loopback(host: str) -> bool:
    """Return whether ``host`` names this very machine (no name is looked up)."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_password(settings: BrokerSettings) -> str | None:
    """Return the password from its file or the environment; None where there is no user name.

    Raises:
        SettingsError: the file is missing, empty or open to all, or there is no password.
    """
    if not settings.username:
        return None
    if not settings.password_file:
        password = os.environ.get(settings.password_env, "")
        if not password:
            _fail(
                "username",
                f"is set without a password; set password_file or the variable "
                f"{settings.password_env}",
            )
        return password
    path = Path(settings.password_file)
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            _fail("password_file", f"{path} is open to all users; run chmod 640 {path}")
        password = path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise _file_error("password_file", path, error) from None
    if not password:
        _fail("password_file", f"{path} is empty; write the password in its first line")
    return password


def tls_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Return the TLS context, certificate and host name checked; None where TLS is off.

    Raises:
        SettingsError: a file is missing or holds no certificate or key.
    """
    if not settings.tls:
        return None
    if settings.ca_file:
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _file_error("ca_file", Path(settings.ca_file), error) from None
    else:
        context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            path = Path(settings.cert_file)
            raise _file_error("cert_file", path, error, f" or {settings.key_file}") from None
    return context


def _file_error(key: str, path: Path, error: Exception, other: str = "") -> SettingsError:
    if isinstance(error, ssl.SSLError):
        return SettingsError(
            f"[sync] {key}: {path}{other} holds no valid PEM; check that the file is the right one"
        )
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SettingsError(f"[sync] {key}: cannot read {path}{other} ({why}); check path and rights")


def _fail(key: str, what: str) -> None:
    raise SettingsError(f"[sync] {key} {what}")
