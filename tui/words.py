"""The words a screen uses for what the contract says; one place, so all screens agree."""

from __future__ import annotations

import datetime

from sync.contract import AlarmInfo, AlarmMessage, Priority, Rhythm

RHYTHM: dict[Rhythm, str] = {
    Rhythm.NORMAL: "sinus rhythm",
    Rhythm.AF: "atrial fibrillation",
    Rhythm.OTHER: "other rhythm",
    Rhythm.VT: "ventricular tachycardia",
    Rhythm.VF: "ventricular fibrillation",
    Rhythm.ASYSTOLE: "asystole",
    Rhythm.NOT_ANALYSED: "not analysed",
}

QUALITY: dict[str, str] = {
    "usable": "usable",
    "noisy": "noisy",
    "flat": "flat",
    "saturated": "overloaded",
    "lead_off": "lead off",
    "no_data": "no data",
}

LINK: dict[str, str] = {
    "searching": "searching",
    "connecting": "connecting",
    "waiting_for_data": "waiting for data",
    "streaming": "connected",
    "lost": "link lost",
    "stopped": "stopped",
}

PREFIX: dict[Priority, str] = {
    Priority.HIGH: "***",
    Priority.MEDIUM: "**",
    Priority.LOW: "*",
}
"""Marks the priority without colour (clinical.md's bedside prefixes)."""

_RANK = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}

NOT_CERTIFIED = "Not a certified medical device"


def urgency(alarm: AlarmInfo) -> tuple[int, bool, int]:
    """Sort key: priority, then alarms nobody has seen yet, then the newest."""
    return (_RANK[alarm.priority], alarm.acknowledged, -alarm.raised)


def alarm_text(alarm: AlarmInfo) -> str:
    """Return ``*** ASYSTOLE`` and, where known, the measured value: ``** HR HIGH 132 /min``."""
    text = f"{PREFIX[alarm.priority]} {alarm.text}"
    if alarm.value is not None:
        text += f" {number(alarm.value)} {alarm.unit}".rstrip()
    return text


def number(value: float) -> str:
    """Return a measured figure as a nurse reads it: whole, or with one decimal below ten."""
    rounded = round(value, 1)
    return f"{rounded:g}" if abs(rounded) < 10 else str(round(value))


def rate(bpm: float | None) -> str:
    """Return the heart rate in whole beats per minute, ``--`` where there is none."""
    return "--" if bpm is None else str(round(bpm))


def countdown(seconds: float) -> str:
    """Return ``m:ss``, rounded up so that it reaches 0:00 only when time is over."""
    whole = max(0, -int(-seconds // 1))
    return f"{whole // 60}:{whole % 60:02d}"


def span(seconds: float) -> str:
    """Return how long something lasts: ``12 s``, ``4 min``, ``3 h``."""
    if seconds < 100:
        return f"{int(seconds)} s"
    if seconds < 6000:
        return f"{int(seconds / 60)} min"
    return f"{int(seconds / 3600)} h"


def change_words(change: AlarmMessage) -> str:
    """Return what an alarm change says, without the alarm's name: ``start``, ``acknowledged``."""
    match change.phase:
        case "end" if change.by:
            return f"end, acknowledged by {change.by}"
        case "start" | "end":
            return change.phase
        case "escalate":
            return "escalated"
        case "de-escalate":
            return "de-escalated"
        case "continue":
            return "continues"
        case "update" if change.by:
            return f"acknowledged by {change.by}" if change.alarm.acknowledged else "changed"
        case "update" if change.alarm.state == "latched":
            return "over, latched"
        case _:
            return "changed"


def clock(utc_ns: int) -> str:
    """Return the local time of day of a moment given in UTC nanoseconds."""
    return datetime.datetime.fromtimestamp(utc_ns / 1e9).strftime("%H:%M:%S")
