"""Messages to bytes and back: JSON, but MessagePack for waves and strips."""

from __future__ import annotations

import msgspec

from sync.contract import AnyMessage, Command, Reply, UnitState
from sync.topics import (
    DELIVERY,
    KIND_OF_MESSAGE,
    MESSAGE_OF_KIND,
    Kind,
    Topic,
    TopicError,
    parse,
)

JSON = "application/json"
MESSAGE_PACK = "application/vnd.msgpack"


class ContractError(ValueError):
    """A topic or payload that breaks the wire contract; the text is one line for a log."""


_json_encoder = msgspec.json.Encoder()
_binary_encoder = msgspec.msgpack.Encoder()
_Decoder = msgspec.json.Decoder[AnyMessage] | msgspec.msgpack.Decoder[AnyMessage]


def _decoder(kind: Kind) -> _Decoder:
    message = MESSAGE_OF_KIND[kind]
    if DELIVERY[kind].binary:
        return msgspec.msgpack.Decoder(message)
    return msgspec.json.Decoder(message)


_decoders: dict[Kind, _Decoder] = {kind: _decoder(kind) for kind in Kind}


def encode(message: AnyMessage) -> bytes:
    """Return the payload of ``message``."""
    if DELIVERY[KIND_OF_MESSAGE[type(message)]].binary:
        return _binary_encoder.encode(message)
    return _json_encoder.encode(message)


def content_type(message: AnyMessage) -> str:
    """Return the media type of ``encode(message)``."""
    binary = DELIVERY[KIND_OF_MESSAGE[type(message)]].binary
    return MESSAGE_PACK if binary else JSON


def decode(topic: str, payload: bytes) -> AnyMessage:
    """Read a payload as the topic says; unknown fields are ignored (version 1 may grow).

    Raises:
        ContractError: not a topic of the contract, not a payload of its kind, or a message that
            names another unit, bed or command than its topic.
    """
    try:
        where = parse(topic)
        message = _decoders[where.kind].decode(payload)
    except TopicError as error:
        raise ContractError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"{topic}: {_one_line(error)}") from None
    _check_addressee(topic, where, message)
    return message


def _check_addressee(topic: str, where: Topic, message: AnyMessage) -> None:
    match message:
        case UnitState():
            named, said = f"unit {message.unit}", f"unit {where.unit}"
        case Command():
            named, said = f"command {message.name}", f"command {where.name}"
        case Reply():
            named, said = f"command id {message.command_id}", f"command id {where.name}"
        case _:
            named = f"unit {message.unit}, bed {message.bed}"
            said = f"unit {where.unit}, bed {where.name}"
    if named != said:
        raise ContractError(
            f"{topic}: the message is of {named[:80]!r}, its topic of {said[:80]!r}"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
