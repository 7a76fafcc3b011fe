"""Telling systemd how the unit is: ready, alive, stopping (sd_notify(3), one datagram each)."""

from __future__ import annotations

import os
import socket

DEFAULT_WATCHDOG_S = 10.0


def notify(message: str) -> None:
    """Send ``READY=1``, ``WATCHDOG=1``, ``STATUS=…`` if systemd (or a test) listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(message.encode(), address)
        except OSError:
            return  # systemd gone or the socket wrong: no reason to stop watching a patient


def watchdog_period_s() -> float:
    """How often to send ``WATCHDOG=1``: half of what systemd allows."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed_us) / 2e6 if allowed_us.isdecimal() else DEFAULT_WATCHDOG_S
