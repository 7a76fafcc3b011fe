"""How the IntelliVue decoders are fuzzed: messages, what stands in them, and serial frames."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import numpy as np
from support.fuzzing import Subject, Target

from drivers.decoders import intellivue_session as session
from drivers.decoders.intellivue_messages import PollAnswer, Polled, decode, extended_poll
from drivers.decoders.intellivue_mib import LONGEST_FRAME, MibFrames, frame
from drivers.decoders.intellivue_values import Values
from drivers.decoders.intellivue_wire import IntelliVueError
from drivers.emulated.intellivue import EmulatedIntelliVue
from drivers.intellivue_ecg import EcgBlocks

SAMPLES: Final = 256


def _messages() -> list[bytes]:
    """What a monitor sends, each wave with its scale."""
    monitor = EmulatedIntelliVue()
    made = monitor.receive(session.association_request(0x8C000000))[1:]
    monitor.alarm = (0xAA, "** HR  LOW")
    for _ in range(12):
        for polled in (Polled.WAVES, Polled.NUMERICS, Polled.ALARMS):
            monitor.receive(extended_poll(polled, polled, polled, 60.0))
        monitor._answers[Polled.WAVES] = 0
        made += monitor.play(np.full((SAMPLES, 3), 8000 + len(made), np.int32))[:1]
    return made


MESSAGES: Final = _messages()


def _subject() -> Subject:
    values, blocks = Values(), EcgBlocks()

    def feed(data: bytes) -> list[Hashable]:
        message = decode(data)
        if not isinstance(message, PollAnswer):
            return [message]
        waves = values.waves(message)
        blocks.feed(waves)
        found: list[Hashable] = [(wave.ticks, wave.counts.tobytes()) for wave in waves]
        found += values.numerics(message)
        found += values.alarms(message) or []
        return found

    return Subject(feed, lambda: len(values._specs) + len(values._labels) + len(blocks._moments))


def _session_subject() -> Subject:
    def feed(data: bytes) -> list[Hashable]:
        accepts = session.kind(data) is session.Kind.ACCEPT
        return [session.decode_accept(data) if accepts else session.decode_announcement(data)]

    return Subject(feed)


def _frames_subject() -> Subject:
    frames = MibFrames()
    return Subject(lambda data: list(frames.feed(data)), lambda: frames.pending)


def _accept(number: int) -> bytes:
    return EmulatedIntelliVue().receive(session.association_request(number))[0]


TARGETS: Final[dict[str, Target]] = {
    "intellivue": Target(
        _subject,
        lambda number: MESSAGES[number % len(MESSAGES)],
        most_kept=600,
        errors=(IntelliVueError,),
        datagrams=True,
    ),
    "intellivue_session": Target(
        _session_subject, _accept, errors=(IntelliVueError,), datagrams=True
    ),
    "intellivue_mib": Target(
        _frames_subject,
        lambda number: frame(MESSAGES[number % len(MESSAGES)]),
        most_kept=LONGEST_FRAME,
    ),
}
