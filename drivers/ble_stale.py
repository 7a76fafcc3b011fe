"""What an earlier program left in BlueZ: a link nobody holds, a connection attempt without end.

A process killed in mid-connection leaves the device connected, or connecting for hours: it then
no longer advertises, and every attempt is answered "InProgress" (bleak issues 490, 859, 958;
bleak-retry-connector issue 226). BlueZ's ``Disconnect`` ends both. Only on Linux.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

BLUEZ: Final = "org.bluez"
DEVICE: Final = "org.bluez.Device1"
CLEAN_S: Final = 5.0
"""BlueZ answers within milliseconds, or hangs."""


async def clean(fits: Callable[[str, str], bool]) -> int:
    """Disconnect devices for which ``fits(address, name)``; gives how many were so left.

    Never raises: where BlueZ can't be asked, the connection that follows says why.
    """
    if sys.platform != "linux":
        return 0
    try:
        async with asyncio.timeout(CLEAN_S):
            return await _clean(fits)
    except Exception as error:
        log.debug("cleaning up in BlueZ: %s", error)
        return 0


async def _clean(fits: Callable[[str, str], bool]) -> int:
    from dbus_fast import BusType, Message, MessageType
    from dbus_fast.aio import MessageBus

    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        await bus.connect()
        listed = await bus.call(
            Message(
                destination=BLUEZ,
                path="/",
                interface="org.freedesktop.DBus.ObjectManager",
                member="GetManagedObjects",
            )
        )
        if listed is None or listed.message_type is not MessageType.METHOD_RETURN:
            return 0
        ended = 0
        for path, interfaces in listed.body[0].items():
            properties: dict[str, Any] = interfaces.get(DEVICE, {})
            told = {name: value.value for name, value in properties.items()}
            if not told or not fits(told.get("Address", ""), told.get("Name", "")):
                continue
            # Not only where Connected is true: an attempt that hangs isn't, and must end too.
            answer = await bus.call(
                Message(destination=BLUEZ, path=path, interface=DEVICE, member="Disconnect")
            )
            if answer is not None and answer.message_type is MessageType.METHOD_RETURN:
                ended += 1
                log.info("%s: ended a connection left in BlueZ", path)
        return ended
    finally:
        bus.disconnect()
