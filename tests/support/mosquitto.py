"""A real Mosquitto on a free loopback port, for tests; and files for TLS and passwords."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme


def free_port() -> int:
    """Return a TCP port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Certificates:
    """A private authority, a certificate for the broker and one for a unit."""

    folder: Path
    hostname: str = "localhost"
    ca: Path = field(init=False)
    server: Path = field(init=False)
    server_key: Path = field(init=False)
    client: Path = field(init=False)
    client_key: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.ca = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        for who, name in (("server", self.hostname), ("client", "unit@ward.example")):
            leaf = authority.issue_cert(name)
            certificate, key = self.folder / f"{who}.pem", self.folder / f"{who}.key"
            leaf.private_key_pem.write_to_path(str(key))
            certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
            setattr(self, who, certificate)
            setattr(self, f"{who}_key", key)


@dataclass
class Mosquitto:
    """Start with ``with Mosquitto(tmp_path) as broker``; its port outlives a stop."""

    folder: Path
    users: dict[str, str] | None = None
    acl: str = ""
    certificates: Certificates | None = None
    ask_client_certificate: bool = False
    persistence: bool = False
    extra: str = "max_inflight_messages 1000\nmax_queued_messages 100000\n"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mosquitto:
        if shutil.which("mosquitto") is None:
            pytest.skip("needs the mosquitto broker (Debian package mosquitto)")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it takes connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(self._configuration())
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["mosquitto", "-c", str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        give_up_at = time.monotonic() + 10
        while time.monotonic() < give_up_at:
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError((self.folder / "mosquitto.log").read_text())

    def stop(self) -> None:
        """Stop in order (its clients see a close)."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def kill(self) -> None:
        """Kill −9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def _configuration(self) -> str:
        lines = [f"listener {self.port} 127.0.0.1", "log_type warning", "log_type error"]
        lines += ["set_tcp_nodelay true", self.extra]
        if self.users is None:
            lines.append("allow_anonymous true")
        else:
            lines += ["allow_anonymous false", f"password_file {self._password_file()}"]
        if self.acl:
            path = self.folder / "acl"
            path.write_text(self.acl)
            path.chmod(0o600)
            lines.append(f"acl_file {path}")
        if self.certificates is not None:
            files = self.certificates
            lines += [f"certfile {files.server}", f"keyfile {files.server_key}"]
            lines += [f"cafile {files.ca}"]
            lines.append(f"require_certificate {str(self.ask_client_certificate).lower()}")
        if self.persistence:
            lines += ["persistence true", f"persistence_location {self.folder}/"]
            lines += ["autosave_interval 1", "autosave_on_changes true"]
        # Started by root, it would change to a user that cannot read these files.
        lines.append("user root")
        return "\n".join(lines) + "\n"

    def _password_file(self) -> Path:
        path = self.folder / "passwords"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        for user, password in (self.users or {}).items():
            subprocess.run(
                ["mosquitto_passwd", "-b", str(path), user, password],
                check=True,
                capture_output=True,
            )
        return path
