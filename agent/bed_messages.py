"""What a bed knows, as the wire contract says it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from agent.alarms.catalogue import CATALOGUE
from agent.alarms.types import Alarm, AlarmChange
from agent.networks import Networks
from agent.presence import Presence
from agent.rhythm.types import Beat, Rhythm
from agent.signal.types import HOP, RATE_HZ, Hop
from drivers.samples import DeviceAlarms, LeadState, NumericReading, StreamInfo
from sync import contract
from sync.contract import AlarmInfo, DeviceAlarmInfo, DeviceInfo, ModelInfo, Numeric

NO_SAMPLE = -32768
WAVE_LIMIT_UV = 32767


def alarm_info(alarm: Alarm) -> AlarmInfo:
    """One alarm with its codes."""
    row = CATALOGUE[alarm.code]
    return AlarmInfo(
        alarm_id=alarm.id,
        code=alarm.code,
        text=alarm.text,
        kind=alarm.kind.value,
        priority=contract.Priority(alarm.priority.value),
        state=alarm.state.value,
        acknowledged=alarm.acknowledged,
        onset=alarm.onset_ns,
        raised=alarm.raised_ns,
        ended=alarm.ended_ns,
        value=alarm.value,
        limit=alarm.limit,
        unit=row.unit,
        mdc=row.mdc,
        snomed=row.snomed,
        judged_by=alarm.judged_by,
        confidence=alarm.confidence,
        hidden=alarm.hidden,
        remedy=alarm.remedy,
    )


def inactivation(
    change: AlarmChange, audio_paused: bool
) -> Literal["enabled", "audio-paused", "alert-acknowledged"]:
    """What stands between the alarm and its sound."""
    if change.alarm.acknowledged:
        return "alert-acknowledged"
    return "audio-paused" if audio_paused else "enabled"


def device_info(
    info: StreamInfo | None, address: str, presence: Presence, leads: tuple[LeadState, ...]
) -> DeviceInfo:
    """The device at a bed; before it has spoken only its address is known."""
    names = tuple(lead.name for lead in info.leads) if info is not None else ()
    off = tuple(n for n, state in zip(names, leads, strict=False) if state is LeadState.OFF)
    return DeviceInfo(
        name=info.device if info is not None else "",
        address=info.address if info is not None else address,
        link=presence.link.value,
        reason=presence.reason,
        leads=names,
        rate_hz=info.rate_hz if info is not None else 0.0,
        battery_percent=presence.battery_percent,
        leads_off=off,
    )


def numeric(reading: NumericReading) -> Numeric:
    """A value that a bedside monitor measured."""
    return Numeric(name=reading.name, value=reading.value, unit=reading.unit, usable=reading.usable)


def device_alarm_infos(told: DeviceAlarms | None) -> tuple[DeviceAlarmInfo, ...]:
    """The alarms of a bedside monitor, those that its own user suspended left out."""
    return tuple(
        DeviceAlarmInfo(
            code=alarm.code,
            source=alarm.source,
            technical=alarm.technical,
            priority=contract.Priority(alarm.priority),
            text=alarm.text,
            silenced=alarm.silenced,
            latched=alarm.latched,
        )
        for alarm in (told.alarms if told is not None else ())
        if not alarm.suspended
    )


def model_infos(networks: Networks) -> tuple[ModelInfo, ...]:
    """The networks in use."""
    return tuple(
        ModelInfo(name=model.name, version=model.version, sha256=model.sha256)
        for model in networks.in_use
    )


def wave_fields(hops: Iterable[Hop], beats: Iterable[Beat]) -> dict[str, Any]:
    """The display wave of consecutive hops: int16 microvolts, NO_SAMPLE where there is none."""
    ordered = list(hops)
    signal = np.concatenate([hop.signal for hop in ordered])
    missing = np.isnan(signal)
    clipped = np.clip(np.where(missing, 0, signal), -WAVE_LIMIT_UV, WAVE_LIMIT_UV)
    counts = np.where(missing, NO_SAMPLE, np.rint(clipped)).astype("<i2")
    return {
        "start_s": ordered[0].index * HOP / RATE_HZ,
        "rate_hz": float(RATE_HZ),
        "microvolts": counts.tobytes(),
        "beats": tuple((beat.time_s, beat.kind.value) for beat in beats),
        "pulses": tuple(pulse for hop in ordered for pulse in hop.pulses),
    }


def rhythm(value: Rhythm) -> contract.Rhythm:
    """The same word in the contract."""
    return contract.Rhythm(value.value)
