"""The page on the wire contract says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from sync.codec import decode
from sync.topics import DELIVERY, Kind, parse

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "wire-contract.md").read_text()
EXAMPLES = re.findall(r"^Example, on `([^`]+)`.*?```json\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)


def test_there_is_an_example_of_each_message() -> None:
    assert {parse(topic).kind for topic, _ in EXAMPLES} == set(Kind)


@pytest.mark.parametrize(("topic", "text"), EXAMPLES, ids=[topic for topic, _ in EXAMPLES])
def test_each_example_is_a_message(topic: str, text: str) -> None:
    payload = text.encode()
    kind = parse(topic).kind
    if DELIVERY[kind].binary:
        field = {"strip": "counts", "wave": "microvolts"}[kind]
        body = json.loads(text)
        payload = msgspec.msgpack.encode({**body, field: msgspec.convert(body[field], bytes)})
    message = decode(topic, payload)
    known = {"type", *(field.name for field in msgspec.structs.fields(message))}
    assert set(json.loads(text)) <= known


@pytest.mark.parametrize("kind", Kind)
def test_the_table_tells_how_each_message_is_delivered(kind: Kind) -> None:
    row = next(line for line in PAGE.splitlines() if re.match(rf"\| `[^`]*\b{kind}\b", line))
    _, _, qos, retained, expires, encoding, _ = (cell.strip() for cell in row.strip("|").split("|"))
    delivery = DELIVERY[kind]
    assert int(qos) == delivery.qos
    assert retained.startswith("yes") == delivery.retained
    assert expires == (f"{delivery.expiry_s} s" if delivery.expiry_s else "never")
    assert encoding == ("MessagePack" if delivery.binary else "JSON")
