"""Ids, topics and payloads of the wire contract."""

from __future__ import annotations

import json
import random
import threading
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.messages import ANY_MESSAGE, NAMES, messages
from support.sync_bench import alarm, command, head, state, strip, summary, unit_state, vitals

from sync import schemas
from sync.codec import ContractError, content_type, decode, encode
from sync.contract import AnyMessage, Reply, Wave
from sync.ids import new_id
from sync.topics import (
    DELIVERY,
    KIND_OF_MESSAGE,
    MESSAGE_OF_KIND,
    Kind,
    Topic,
    TopicError,
    bed_topic,
    check_name,
    command_topic,
    commands_filter,
    parse,
    reply_topic,
    topic_of,
    unit_topic,
)

SCHEMA_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"


# --- ids -----------------------------------------------------------------------------------------


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    made = uuid.UUID(new_id(4_102_444_800_123_456_789))  # the year 2100, after every other id
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 4_102_444_800_123


def test_ids_grow_also_when_the_clock_steps_back() -> None:
    times = [5_000_000_000_000_000_000, 5_000_000_000_000_000_000, 1, 0, 4_999_999_999_999_999_999]
    ids = [new_id(time_ns) for time_ns in times] + [new_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_are_unique_across_threads() -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend(new_id() for _ in range(2000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


# --- topics --------------------------------------------------------------------------------------


def test_topics_are_those_of_the_contract() -> None:
    assert unit_topic("clinic", "u1") == "wardbeat/v1/clinic/u1/unit"
    assert bed_topic("clinic", "u1", "3a", Kind.ALARM) == "wardbeat/v1/clinic/u1/bed/3a/alarm"
    assert command_topic("clinic", "u1", "admit") == "wardbeat/v1/clinic/u1/command/admit"
    assert commands_filter("clinic", "u1") == "wardbeat/v1/clinic/u1/command/+"
    assert reply_topic("clinic", "u1", "x") == "wardbeat/v1/clinic/u1/reply/x"
    with pytest.raises(TopicError, match="no message of a bed"):
        bed_topic("clinic", "u1", "3a", Kind.UNIT)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("a/b", "contains '/'"),
        ("a+", r"contains '\+'"),
        ("#", "contains '#'"),
        ("a\0", "control character"),
        ("a\nb", "control character"),
        ("\ud800", "control character"),
        ("x" * 65, "longer than 64 bytes"),
        ("ä" * 33, "longer than 64 bytes"),
    ],
)
def test_a_name_that_cannot_stand_in_a_topic_is_refused(name: str, reason: str) -> None:
    with pytest.raises(TopicError, match=f"bed .*{reason}") as caught:
        check_name("bed", name)
    assert "\n" not in str(caught.value)


@given(NAMES, NAMES, ANY_MESSAGE)
def test_a_topic_built_is_read_again(site: str, unit: str, message: AnyMessage) -> None:
    topic = topic_of(site, unit, message)
    where = parse(topic)
    assert (where.site, where.unit) == (site, unit)
    assert where.kind is KIND_OF_MESSAGE[type(message)]


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "wardbeat/v1",
        "wardbeat/v2/a/b/unit",
        "wardbeat/v1/a/b/unit/c",
        "wardbeat/v1/a/b/bed/1/unit",
        "wardbeat/v1/a/b/bed/1",
        "wardbeat/v1//b/unit",
        "wardbeat/v1/a/b/bed//state",
        "wardbeat/v1/a/b/reply/",
        "other/v1/a/b/unit",
    ],
)
def test_a_topic_of_another_kind_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        parse(topic)


def test_a_bed_may_bear_the_name_of_a_kind() -> None:
    assert parse("wardbeat/v1/unit/bed/bed/command/state") == Topic(
        "unit", "bed", Kind.STATE, "command"
    )


@given(st.text(max_size=60))
def test_no_topic_makes_the_parser_fall(topic: str) -> None:
    with pytest.raises(TopicError):
        parse("wardbeat/v1/" + topic.replace("unit", ""))


# --- payloads ------------------------------------------------------------------------------------


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(ANY_MESSAGE)
def test_what_is_encoded_is_decoded_again(message: AnyMessage) -> None:
    unit = getattr(message, "unit", "u1")
    assert decode(topic_of("clinic", unit, message), encode(message)) == message


def test_waves_and_strips_are_message_pack_and_the_rest_json() -> None:
    assert content_type(strip()) == "application/vnd.msgpack"
    assert msgspec.msgpack.decode(encode(strip()))["type"] == "strip"
    assert content_type(alarm()) == "application/json"
    assert json.loads(encode(alarm()))["type"] == "alarm"
    assert {kind for kind in Kind if DELIVERY[kind].binary} == {Kind.WAVE, Kind.STRIP}


def test_fields_of_a_later_version_are_ignored() -> None:
    sent = vitals()
    body = {**json.loads(encode(sent)), "spo2_percent": 97}
    assert decode(topic_of("clinic", "u1", sent), json.dumps(body).encode()) == sent


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("wardbeat/v2/a/b/unit", b"{}", "does not begin with wardbeat/v1/"),
        ("wardbeat/v1/a/b/unit", b"", "Input data was truncated"),
        ("wardbeat/v1/a/b/unit", b"{}", "missing required field `id`"),
        ("wardbeat/v1/a/b/unit", b"[1]", "Expected `object`"),
        ("wardbeat/v1/a/b/unit", b"\xff\xfe", "malformed"),
        ("wardbeat/v1/a/b/bed/1/wave", b"{}", "Expected `object`"),
        ("wardbeat/v1/a/b/bed/1/state", encode(vitals()), "Invalid value 'vitals'"),
    ],
    ids=["version", "empty", "no-field", "no-object", "no-text", "no-message-pack", "other-kind"],
)
def test_a_bad_payload_is_one_line_that_names_topic_and_fault(
    topic: str, payload: bytes, reason: str
) -> None:
    with pytest.raises(ContractError) as caught:
        decode(topic, payload)
    assert topic in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("wardbeat/v1/clinic/u2/bed/1/alarm", alarm()),
        ("wardbeat/v1/clinic/u1/bed/2/alarm", alarm()),
        ("wardbeat/v1/clinic/u2/unit", unit_state()),
        ("wardbeat/v1/clinic/u1/command/admit", command("discharge")),
        ("wardbeat/v1/clinic/u1/reply/x", Reply(**head(), command_id="y", accepted=True)),
    ],
)
def test_a_message_under_another_name_than_its_topic_is_refused(
    topic: str, message: AnyMessage
) -> None:
    with pytest.raises(ContractError, match="its topic of"):
        decode(topic, encode(message))


def wave() -> Wave:
    return Wave(
        **head(), unit="u1", bed="1", start_s=3.0, rate_hz=250.0, lead="II", microvolts=b"\0\1"
    )


def test_no_bytes_make_the_decoder_fall() -> None:
    """Seeded fuzz: truncated, mutated and random payloads give a message or a ContractError."""
    rng = random.Random(20261121)
    samples = [alarm(), state(), summary(), strip(samples=8), wave(), unit_state(), command()]
    good = [(topic_of("clinic", "u1", message), encode(message)) for message in samples]
    refused: list[str] = []
    for turn in range(6000):
        topic, payload = rng.choice(good)
        damaged = bytearray(payload)
        if turn % 3 == 0:
            damaged = damaged[: rng.randrange(len(damaged))]
        elif turn % 3 == 1:
            for _ in range(rng.randrange(1, 6)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        else:
            damaged = bytearray(rng.randbytes(rng.randrange(200)))
        try:
            decode(topic, bytes(damaged))
        except ContractError as error:
            refused.append(str(error))
    assert len(refused) > 4000
    assert not any("\n" in reason for reason in refused)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ContractError):
        decode("wardbeat/v1/a/b/unit", b'{"models":' + b"[" * 100_000)
    with pytest.raises(ContractError):
        decode("wardbeat/v1/a/b/bed/1/wave", b"\x81\xa5beats" + b"\x91" * 100_000)


# --- schemas -------------------------------------------------------------------------------------


def test_the_committed_schemas_are_those_of_the_structs() -> None:
    committed = {path.name: path.read_text() for path in SCHEMA_FOLDER.glob("*.json")}
    assert committed == schemas.files(), "run python -m sync.schemas docs/schemas"


@pytest.mark.parametrize("kind", Kind)
def test_encoded_messages_fit_their_schema(kind: Kind) -> None:
    checker = jsonschema.Draft202012Validator(
        json.loads((SCHEMA_FOLDER / f"{kind}.json").read_text())
    )
    checker.check_schema(checker.schema)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(messages(kind))
    def every(message: AnyMessage) -> None:
        checker.validate(json.loads(msgspec.json.encode(as_sent(message))))

    every()
    assert not checker.is_valid({"type": kind.value})
    assert not checker.is_valid({"type": "other"})


def as_sent(message: AnyMessage) -> Any:
    """The decoded payload: of MessagePack, bytes stay bytes (base64 in JSON)."""
    if DELIVERY[KIND_OF_MESSAGE[type(message)]].binary:
        return msgspec.msgpack.decode(encode(message))
    return json.loads(encode(message))


def test_the_schema_command_writes_all_and_explains_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert schemas.main([str(tmp_path / "new")]) == 0
    assert len(list((tmp_path / "new").glob("*.json"))) == len(MESSAGE_OF_KIND)
    assert schemas.main([]) == 2
    assert "usage" in capsys.readouterr().err
