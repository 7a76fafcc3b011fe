"""The alarm catalogue: one table, one row per alarm, one code table for the whole house.

Definitions and defaults follow what a mid-range monitor does (IEC 60601-1-8 priorities,
IEC 60601-2-27 alarms); MDC codes are ISO/IEEE 11073-10101, SNOMED CT where MDC has none.
``docs/alarms.md`` explains each row.
"""

from __future__ import annotations

from dataclasses import replace

from agent.alarms.types import AlarmKind, Definition, Priority


def _patient(
    code: str,
    text: str,
    priority: Priority,
    family: str,
    rank: int,
    mdc: int | None,
    snomed: int | None = None,
    *,
    latching: bool = False,
    always: bool = False,
    enabled: bool = True,
    unit: str = "",
) -> Definition:
    return Definition(
        code=code,
        text=text,
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=priority,
        latching=latching,
        can_switch_off=not always,
        enabled=enabled,
        family=family,
        rank=rank,
        mdc=mdc,
        snomed=snomed,
        unit=unit,
    )


def _technical(
    code: str,
    text: str,
    priority: Priority,
    family: str,
    rank: int,
    remedy: str,
    *,
    mdc: int | None = None,
    delay_s: float = 0.0,
    escalate_after_s: float | None = None,
) -> Definition:
    return Definition(
        code=code,
        text=text,
        kind=AlarmKind.TECHNICAL,
        priority=priority,
        latching=False,
        can_switch_off=False,
        enabled=True,
        family=family,
        rank=rank,
        mdc=mdc,
        snomed=None,
        remedy=remedy,
        delay_s=delay_s,
        escalate_after_s=escalate_after_s,
    )


_H, _M, _L = Priority.HIGH, Priority.MEDIUM, Priority.LOW

_ROWS = (
    # The lethal rhythms and the rate share one family: asystole and VF hide whatever the
    # rate alarms would say of them, VT hides the tachycardia it is.
    _patient("asystole", "ASYSTOLE", _H, "rate", 0, 199684, 397829000, latching=True,
             always=True, unit="s"),
    _patient("vf", "VENT FIB/FLUTTER", _H, "rate", 1, None, 71908006, latching=True, always=True),
    _patient("vt", "VENT TACHY", _H, "rate", 2, 199832, 25569003, latching=True, unit="/min"),
    _patient("extreme_bradycardia", "EXTREME BRADY", _H, "rate", 3, 199694, 48867003,
             unit="/min"),
    _patient("extreme_tachycardia", "EXTREME TACHY", _H, "rate", 4, 199730, 3424008,
             unit="/min"),
    _patient("pause", "PAUSE", _M, "rate", 5, 199716, unit="s"),
    _patient("hr_low", "HR LOW", _M, "rate", 6, 196674, unit="/min"),
    _patient("hr_high", "HR HIGH", _M, "rate", 7, None, unit="/min"),
    _patient("nsvt", "NON-SUSTAINED VT", _M, "ectopy", 0, 199834, unit="/min"),
    _patient("ventricular_rhythm", "VENT RHYTHM", _M, "ectopy", 1, 199828, unit="/min"),
    _patient("pvc_run", "PVC RUN", _L, "ectopy", 2, 199820),
    _patient("couplet", "PVC COUPLET", _L, "ectopy", 3, 199818, enabled=False),
    _patient("r_on_t", "R-ON-T PVC", _L, "ectopy", 4, 199814, enabled=False),
    _patient("bigeminy", "BIGEMINY", _L, "ectopy", 5, 199690),
    _patient("trigeminy", "TRIGEMINY", _L, "ectopy", 6, 199844, enabled=False),
    _patient("multiform_pvc", "MULTIFORM PVC", _L, "ectopy", 7, 199816, enabled=False),
    _patient("pvc_rate_high", "PVC/MIN HIGH", _L, "ectopy", 8, 148066, 427172004, unit="/min"),
    _patient("af", "ATRIAL FIB", _M, "rhythm", 0, 199736, 49436004),
    _patient("svt", "SVT", _M, "rhythm", 1, 199800, unit="/min"),
    _patient("irregular", "IRREGULAR HR", _L, "rhythm", 2, 199766, enabled=False),
    _patient("missed_beat", "MISSED BEAT", _L, "rhythm", 3, 199686, enabled=False),
    # Technical alarms: a fault at the source hides what follows from it.
    _technical("device_lost", "DEVICE LOST", _M, "signal", 0,
               "check the device's plug, power and distance"),
    _technical("no_data", "NO ECG DATA", _M, "signal", 1,
               "the device is connected but sends nothing: restart it", delay_s=2.0),
    _technical("not_analysed", "ECG NOT ANALYSED", _M, "signal", 2,
               "this device's signal cannot be analysed: choose another rate or device"),
    _technical("lead_off", "LEAD OFF", _M, "signal", 3,
               "check the electrodes and their cable", mdc=196680),
    _technical("noisy_signal", "NOISY SIGNAL", _L, "signal", 4,
               "calm the patient, renew the electrodes", delay_s=5.0, escalate_after_s=30.0),
    _technical("battery_low", "DEVICE BATTERY LOW", _L, "battery", 0,
               "charge or exchange the device's battery"),
    _technical("broker_unreachable", "CENTRAL UNREACHABLE", _L, "broker", 0,
               "alarms are raised here only: watch this bed; check the network", delay_s=5.0),
    _technical("storage_full", "STORAGE NEARLY FULL", _L, "storage", 0,
               "free space on the unit's disk; alarms are still stored"),
    _technical("storage_fault", "STORAGE FAULT", _M, "storage", 1,
               "nothing is being stored: have the unit's disk checked"),
    _technical("model_refused", "RHYTHM MODEL REFUSED", _L, "model", 0,
               "rules alone judge the rhythm: have the model installed again"),
    _technical("clock_not_set", "CLOCK NOT SET", _L, "clock", 0,
               "times may be wrong until the unit reaches a time server"),
    _technical("analysis_late", "ANALYSIS LATE", _M, "analysis", 0,
               "the unit is overloaded: alarms may come late; watch the patient"),
)  # fmt: skip

CATALOGUE: dict[str, Definition] = {row.code: row for row in _ROWS}


class UnknownAlarmError(ValueError):
    """A configuration or a command names an alarm that is not in the catalogue."""


def configured(
    switched_off: tuple[str, ...], switched_on: tuple[str, ...]
) -> dict[str, Definition]:
    """The catalogue with a unit's choices; refuses what must not be switched off."""
    table = dict(CATALOGUE)
    for code in (*switched_off, *switched_on):
        if code not in table:
            raise UnknownAlarmError(f"no alarm is called {code!r}; known are {', '.join(table)}")
    for code in switched_off:
        if not table[code].can_switch_off:
            raise UnknownAlarmError(
                f"alarm {code!r} cannot be switched off (a life may hang on it)"
            )
        table[code] = replace(table[code], enabled=False)
    for code in switched_on:
        table[code] = replace(table[code], enabled=True)
    return table
