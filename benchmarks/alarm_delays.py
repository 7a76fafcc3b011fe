"""How long after its onset each alarm of the demo's scenario reaches a subscriber of the broker.

    PYTHONPATH=tests python -m benchmarks.alarm_delays

Emulated Cyton on a pseudo-terminal, agent, Mosquitto, MQTT subscriber; real time, three minutes.
The onset is the first sample of the stretch as the device sent it; an asystole is due 4 s after
the last QRS, which lies up to one RR interval before that.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from support.mosquitto import Mosquitto
from support.unit import Device, Subscriber, Unit

ALARMS = {
    "VT": ("vt",),
    "VF": ("vf",),
    "asystole": ("asystole",),
    "bradycardia": ("extreme_bradycardia", "hr_low"),
    "tachycardia": ("extreme_tachycardia", "hr_high"),
    "lead off": ("lead_off",),
    "unplugged": ("device_lost",),
    "atrial fibrillation": ("af",),
}


def main() -> None:
    """Play one round and print the table."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker") as broker:
        folder = Path(name)
        unit = Unit(folder, broker.port)
        station = Subscriber(broker.port)
        device = Device(folder, "--scenario", "default")
        process = unit.start()
        time.sleep(200)
        offset_ns = time.time_ns() - time.monotonic_ns()
        labels = [
            line.split(maxsplit=3)
            for line in device.said().splitlines()
            if line.startswith("label ")
        ]
        process.stop()
        device.stop()
        station.close()
    heard = station.arrivals()
    for number, (_, _, at, text) in enumerate(labels):
        codes = next((c for label, c in ALARMS.items() if label.lower() in text.lower()), ())
        end = int(labels[number + 1][2]) if number + 1 < len(labels) else 2**62
        found = [
            (code, arrived)
            for arrived, code, onset in heard
            if code in codes and int(at) - 3e9 < onset - offset_ns and int(at) < arrived < end + 9e9
        ]
        for code in codes:
            delays = [(arrived - int(at)) / 1e9 for c, arrived in found if c == code]
            shown = f"{min(delays):5.2f} s" if delays else "  not raised"
            print(f"{text:28} {code:22} {shown}", flush=True)


if __name__ == "__main__":
    main()
