"""The broker's settings: what is refused, and with which words."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.mosquitto import Certificates

from sync.settings import (
    BrokerSettings,
    SettingsError,
    UnitIdentity,
    is_loopback,
    read_password,
    tls_context,
)
from sync.topics import TopicError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST."])
def test_this_machine_needs_no_tls(host: str) -> None:
    assert is_loopback(host)
    assert BrokerSettings(host=host).port_number == 1883


@pytest.mark.parametrize("host", ["10.0.0.1", "broker", "::", "0.0.0.0", "127.0.0.1.example.org"])
def test_plain_text_to_another_machine_must_be_allowed(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^\[sync\] tls is off but .*allow_plain_text = true"):
        BrokerSettings(host=host)
    assert BrokerSettings(host=host, allow_plain_text=True).port_number == 1883
    assert BrokerSettings(host=host, tls=True).port_number == 8883


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"host": ""}, "host is empty"),
        ({"port": 0}, "port is 0; use a number"),
        ({"port": 70000}, "port is 70000; use a number"),
        ({"ca_file": "ca.pem"}, "ca_file is set but tls is off"),
        ({"tls": True, "cert_file": "a"}, "cert_file and key_file go together"),
        ({"password_file": "p"}, "password_file is set without username"),
        ({"window": 0}, "window is 0; use a value from 1 to"),
        ({"keepalive_s": 0}, "keepalive_s is 0"),
        ({"heartbeat_s": 20.0}, "heartbeat_s is 20.0; use a value from 0.1 to 10"),
        ({"ack_timeout_s": float("nan")}, "ack_timeout_s is nan"),
        ({"reconnect_min_s": 20.0}, "reconnect_max_s is less than reconnect_min_s"),
        ({"session_expiry_s": 5}, "session_expiry_s must be longer than will_delay_s"),
    ],
)
def test_a_wrong_setting_names_its_key(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        BrokerSettings(**given)
    assert str(caught.value).startswith("[sync] ")
    assert reason in str(caught.value)


def test_a_configuration_file_is_checked_alike() -> None:
    with pytest.raises(msgspec.ValidationError, match="contains unknown field `hots`"):
        msgspec.toml.decode('hots = "x"', type=BrokerSettings)
    with pytest.raises(msgspec.ValidationError, match=r"\[sync\] tls is off but 10.1.1.1"):
        msgspec.toml.decode('host = "10.1.1.1"', type=BrokerSettings)


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert BrokerSettings(host="::1").address == "[::1]:1883"


def test_an_identity_must_fit_into_topics() -> None:
    assert UnitIdentity("clinic", "u1").site == "clinic"
    with pytest.raises(TopicError, match="unit 'a/b' contains '/'"):
        UnitIdentity("clinic", "a/b")


class TestPassword:
    def settings(self, path: Path) -> BrokerSettings:
        return BrokerSettings(username="u1", password_file=str(path))

    def test_first_line_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("geheim ä\r\nsecond line\n", encoding="utf-8")
        path.chmod(0o640)
        assert read_password(self.settings(path)) == "geheim ä"

    @pytest.mark.parametrize(
        ("content", "mode", "reason"),
        [
            ("x", 0o644, "is open to all users; run chmod 640"),
            ("", 0o600, "is empty; write the password in its first line"),
            (None, 0, "cannot read .*No such file"),
        ],
    )
    def test_a_file_that_will_not_do(
        self, tmp_path: Path, content: str | None, mode: int, reason: str
    ) -> None:
        path = tmp_path / "secret"
        if content is not None:
            path.write_text(content)
            path.chmod(mode)
        with pytest.raises(SettingsError, match=rf"\[sync\] password_file:? .*{reason}"):
            read_password(self.settings(path))

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = BrokerSettings(username="u1", password_env="TEST_BROKER_PASSWORD")  # noqa: S106
        monkeypatch.delenv("TEST_BROKER_PASSWORD", raising=False)
        with pytest.raises(SettingsError, match="set password_file or the variable TEST_BROKER"):
            read_password(settings)
        monkeypatch.setenv("TEST_BROKER_PASSWORD", "right")
        assert read_password(settings) == "right"

    def test_none_without_a_user_name(self) -> None:
        assert read_password(BrokerSettings()) is None

    def test_it_is_never_in_the_settings_text(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("hunter2")
        path.chmod(0o600)
        settings = self.settings(path)
        assert read_password(settings) == "hunter2"
        assert "hunter2" not in repr(settings)


class TestTls:
    def test_certificate_and_host_name_are_checked(self, tmp_path: Path) -> None:
        files = Certificates(tmp_path)
        context = tls_context(
            BrokerSettings(
                host="broker",
                tls=True,
                ca_file=str(files.ca),
                cert_file=str(files.client),
                key_file=str(files.client_key),
            )
        )
        assert context is not None
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2

    def test_none_where_it_is_off(self) -> None:
        assert tls_context(BrokerSettings()) is None

    def test_a_key_of_another_certificate(self, tmp_path: Path) -> None:
        files = Certificates(tmp_path)
        settings = BrokerSettings(
            host="broker",
            tls=True,
            ca_file=str(files.ca),
            cert_file=str(files.client),
            key_file=str(files.server_key),
        )
        with pytest.raises(
            SettingsError, match=r"cert_file: .* or .*server\.key holds no valid PEM"
        ):
            tls_context(settings)
