"""Philips IntelliVue nomenclature: what codes mean, whatever language the monitor speaks.

Physiological identifiers are the low half of the text ids (partition 2). Source: IntelliVue Data
Export Interface Programming Guide.
"""

from __future__ import annotations

from typing import Final

LEADS: Final = {
    0x0100: "ECG",
    0x0101: "I",
    0x0102: "II",
    0x0103: "V1",
    0x0104: "V2",
    0x0105: "V3",
    0x0106: "V4",
    0x0107: "V5",
    0x0108: "V6",
    0x013D: "III",
    0x013E: "aVR",
    0x013F: "aVL",
    0x0140: "aVF",
    0x0143: "V",
    0x014B: "MCL",
}
"""Physiological id of an ECG wave → name of its lead; ``ECG`` where the monitor tells none."""

PHYSIO: Final = {
    **{code: f"ECG {name}" if name != "ECG" else name for code, name in LEADS.items()},
    0x0300: "ST",
    **{code + 0x0200: f"ST {name}" for code, name in LEADS.items() if name != "ECG"},
    0x4182: "HR",
    0x418A: "beat-to-beat rate",
    0x4261: "PVC rate",
    0x480A: "pulse rate",
    0x4822: "pulse rate",
    0x4A04: "NBP",
    0x4A05: "NBP systolic",
    0x4A06: "NBP diastolic",
    0x4A07: "NBP mean",
    0x4A10: "arterial pressure",
    0x4A11: "arterial pressure systolic",
    0x4A12: "arterial pressure diastolic",
    0x4A13: "arterial pressure mean",
    0x4A14: "ABP",
    0x4A15: "ABP systolic",
    0x4A16: "ABP diastolic",
    0x4A17: "ABP mean",
    0x4B48: "temperature",
    0x4BB0: "perfusion indicator",
    0x4BB4: "pleth",
    0x4BB8: "SpO2",
    0x5000: "respiration",
    0x500A: "respiration rate",
    0x5012: "airway respiration rate",
    0x50AC: "CO2",
    0x50B0: "end-tidal CO2",
    0xF0E5: "pulse rate NBP",
    0xD006: "ectopic status",
    0xD007: "rhythm status",
}
HEART_RATE: Final = 0x4182

UNITS: Final = {
    0x0200: "",
    0x0220: "%",
    0x0AA0: "/min",
    0x0AE0: "/min",
    0x0F00: "kPa",
    0x0F20: "mmHg",
    0x10C0: "Ω",
    0x10B2: "mV",
    0x10B3: "µV",
    0x17A0: "°C",
    0x0512: "mm",
    0x0892: "ms",
    0x0880: "s",
}
MILLIVOLT: Final = 0x10B2


def physio_name(code: int) -> str:
    """A name for a physiological id; its number where it is not known."""
    return PHYSIO.get(code, f"0x{code:04X}")


def unit_name(code: int) -> str:
    """A unit as people write it; its number where it is not known."""
    return UNITS.get(code, f"unit 0x{code:04X}")
