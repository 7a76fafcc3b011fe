"""Topics of the wire contract: how they are built, read, kept and delivered.

``wardbeat/v1/<site>/<unit>/`` followed by ``unit``, ``bed/<bed>/<kind>``, ``command/<name>`` or
``reply/<command id>``.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from sync.contract import (
    AlarmMessage,
    AnyMessage,
    BedState,
    Command,
    Feedback,
    Reply,
    Strip,
    Summary,
    UnitState,
    Vitals,
    Wave,
)

ROOT = "wardbeat/v1"
CONTRACT_VERSION = "1"
NAME_BYTES = 64
"""Longest site, unit or bed name, in bytes of UTF-8."""


class TopicError(ValueError):
    """A name that cannot stand in a topic, or a topic that is none of the contract's."""


class Kind(StrEnum):
    """What a topic carries; the value is the word in the topic."""

    UNIT = "unit"
    STATE = "state"
    VITALS = "vitals"
    SUMMARY = "summary"
    ALARM = "alarm"
    STRIP = "strip"
    FEEDBACK = "feedback"
    WAVE = "wave"
    COMMAND = "command"
    REPLY = "reply"


BED_KINDS = frozenset(
    {Kind.STATE, Kind.VITALS, Kind.SUMMARY, Kind.ALARM, Kind.STRIP, Kind.FEEDBACK, Kind.WAVE},
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the broker is asked to treat a kind of message."""

    qos: int
    retained: bool = False
    expiry_s: int | None = None
    """Message expiry (MQTT 5.0); None: never. A 3.1.1 reader judges by the message's ``time``."""
    binary: bool = False
    """MessagePack instead of JSON."""


DELIVERY: dict[Kind, Delivery] = {
    Kind.UNIT: Delivery(qos=1, retained=True),
    Kind.STATE: Delivery(qos=1, retained=True),
    Kind.VITALS: Delivery(qos=0, expiry_s=10),
    Kind.SUMMARY: Delivery(qos=1),
    Kind.ALARM: Delivery(qos=1),
    Kind.STRIP: Delivery(qos=1, binary=True),
    Kind.FEEDBACK: Delivery(qos=1),
    Kind.WAVE: Delivery(qos=0, expiry_s=10, binary=True),
    Kind.COMMAND: Delivery(qos=1, expiry_s=30),
    Kind.REPLY: Delivery(qos=1, expiry_s=60),
}

KIND_OF_MESSAGE: dict[type[AnyMessage], Kind] = {
    UnitState: Kind.UNIT,
    BedState: Kind.STATE,
    Vitals: Kind.VITALS,
    Summary: Kind.SUMMARY,
    AlarmMessage: Kind.ALARM,
    Strip: Kind.STRIP,
    Feedback: Kind.FEEDBACK,
    Wave: Kind.WAVE,
    Command: Kind.COMMAND,
    Reply: Kind.REPLY,
}
MESSAGE_OF_KIND: dict[Kind, type[AnyMessage]] = {
    kind: message for message, kind in KIND_OF_MESSAGE.items()
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart."""

    site: str
    unit: str
    kind: Kind
    name: str = ""
    """The bed, the command's name or the id of the command replied to; empty for ``unit``."""


def check_name(what: str, name: str) -> str:
    """Return ``name`` if it may stand as one level of a topic; ``what`` names it in the error.

    Raises:
        TopicError: empty, too long, or with a character that MQTT or a log gives a meaning.
    """
    if not name:
        raise TopicError(f"{what} is empty; give it a name such as icu-3")
    if bad := [
        c for c in name if c in "+#/" or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
    ]:
        raise TopicError(
            f"{what} {name!r} contains {bad[0]!r}; MQTT topics allow no +, #, / "
            "or control character in a name"
        )
    if len(name.encode()) > NAME_BYTES:
        raise TopicError(f"{what} {name[:20]!r}… is longer than {NAME_BYTES} bytes; shorten it")
    return name


def base(site: str, unit: str) -> str:
    """Return ``wardbeat/v1/<site>/<unit>``."""
    return f"{ROOT}/{check_name('site', site)}/{check_name('unit', unit)}"


def bed_topic(site: str, unit: str, bed: str, kind: Kind) -> str:
    """Return ``…/bed/<bed>/<kind>``."""
    if kind not in BED_KINDS:
        raise TopicError(
            f"{kind} is no message of a bed; use one of {', '.join(sorted(BED_KINDS))}"
        )
    return f"{base(site, unit)}/bed/{check_name('bed', bed)}/{kind}"


def unit_topic(site: str, unit: str) -> str:
    """Return ``…/unit``."""
    return f"{base(site, unit)}/{Kind.UNIT}"


def command_topic(site: str, unit: str, name: str) -> str:
    """Return ``…/command/<name>``."""
    return f"{base(site, unit)}/{Kind.COMMAND}/{check_name('command', name)}"


def reply_topic(site: str, unit: str, command_id: str) -> str:
    """Return ``…/reply/<command id>``."""
    return f"{base(site, unit)}/{Kind.REPLY}/{check_name('command id', command_id)}"


def commands_filter(site: str, unit: str) -> str:
    """Return the subscription of a unit: ``…/command/+``."""
    return f"{base(site, unit)}/{Kind.COMMAND}/+"


def topic_of(site: str, unit: str, message: AnyMessage) -> str:
    """Return the topic on which ``message`` of that unit travels."""
    match message:
        case UnitState():
            return unit_topic(site, unit)
        case Command():
            return command_topic(site, unit, message.name)
        case Reply():
            return reply_topic(site, unit, message.command_id)
        case _:
            return bed_topic(site, unit, message.bed, KIND_OF_MESSAGE[type(message)])


def parse(topic: str) -> Topic:
    """Take a topic apart.

    Raises:
        TopicError: not a topic of this version of the contract.
    """
    parts = topic.split("/")
    if parts[:2] != ROOT.split("/"):
        raise TopicError(f"topic {topic[:80]!r} does not begin with {ROOT}/")
    match parts[2:]:
        case [site, unit, "unit"]:
            kind, what, name = Kind.UNIT, "", ""
        case [site, unit, "bed", name, word] if word in BED_KINDS:
            kind, what = Kind(word), "bed"
        case [site, unit, "command", name]:
            kind, what = Kind.COMMAND, "command"
        case [site, unit, "reply", name]:
            kind, what = Kind.REPLY, "command id"
        case _:
            raise TopicError(f"topic {topic[:80]!r} is none of contract version {CONTRACT_VERSION}")
    check_name("site", site)
    check_name("unit", unit)
    if what:
        check_name(what, name)
    return Topic(site, unit, kind, name)
