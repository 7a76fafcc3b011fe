"""Pictures of the bedside screen for the documentation, each scene from a unit that isn't there.

``PYTHONPATH=tests python -m support.screens docs/images`` writes those that the pages show.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from support import ecg
from support.bedside import LUMP_S, FeedServer, Signal, Unit, alarm
from support.svg import screen_svg

from sync.contract import Rhythm
from sync.feed import FeedClient
from tui.bedside.app import MonitorApp, Options

SIZES = {"80x24": (80, 24), "160x50": (160, 50)}
HISTORY_S = 40.0


@dataclass
class Scene:
    """What the unit tells before the picture is taken."""

    signal: Signal = ecg.sinus
    tail: Signal | None = None
    """The last seconds of the trace, where they differ."""
    vitals: dict[str, object] = field(default_factory=lambda: {"rate": 72.0})
    prepare: Callable[[Unit], None] = lambda unit: None
    keys: tuple[str, ...] = ()
    vanish: bool = False
    """The agent dies before the picture."""


def _vf(unit: Unit) -> None:
    unit.alarms = (alarm("vf", "VENT FIB/FLUTTER", "high"),)


def _asystole(unit: Unit) -> None:
    now = time.time_ns()
    unit.alarms = (
        alarm("asystole", "ASYSTOLE", "high", state="latched", onset=now - int(31e9),
              ended=now - int(14e9), value=5.2, unit="s"),
        alarm("hr_low", "HR LOW", "medium", value=44, limit=50, unit="/min", onset=now),
        alarm("pvc_rate_high", "PVC/MIN HIGH", "low", value=14, unit="/min", onset=now),
    )  # fmt: skip


def _lead_off(unit: Unit) -> None:
    unit.device = msgspec.structs.replace(unit.device, leads_off=("RA",))
    unit.alarms = (
        alarm("lead_off", "LEAD OFF", "medium", kind="technical",
              remedy="check the electrodes and their cable"),
    )  # fmt: skip


def _link_lost(unit: Unit) -> None:
    unit.device = msgspec.structs.replace(unit.device, link="lost", reason="unplugged")
    unit.alarms = (
        alarm("device_lost", "DEVICE LOST", "medium", kind="technical",
              remedy="check the device's plug, power and distance"),
    )  # fmt: skip


def _paused(unit: Unit) -> None:
    unit.alarms = (alarm("hr_high", "HR HIGH", "medium", value=128, limit=120, unit="/min"),)
    unit.audio_paused_until = time.time_ns() + int(102e9)


NO_RATE: dict[str, object] = {"rate": None, "pvc_per_min": None, "rate_age_s": None}
SCENES = {
    "sinus": Scene(),
    "vf": Scene(
        tail=ecg.fibrillation,
        vitals={**NO_RATE, "rhythm": Rhythm.VF},
        prepare=_vf,
    ),
    "asystole": Scene(
        signal=lambda start_s, seconds: ecg.sinus(start_s, seconds, 44),
        vitals={"rate": 44.0},
        prepare=_asystole,
    ),
    "lead-off": Scene(
        tail=ecg.flat,
        vitals={**NO_RATE, "quality": "lead_off", "rhythm": Rhythm.NOT_ANALYSED},
        prepare=_lead_off,
    ),
    "noisy": Scene(
        tail=ecg.noise,
        vitals={**NO_RATE, "quality": "noisy", "rhythm": Rhythm.NOT_ANALYSED},
    ),
    "link-lost": Scene(
        vitals={**NO_RATE, "quality": "no_data", "rhythm": Rhythm.NOT_ANALYSED},
        prepare=_link_lost,
    ),
    "no-agent": Scene(vanish=True),
    "paused": Scene(
        signal=lambda start_s, seconds: ecg.sinus(start_s, seconds, 128),
        vitals={"rate": 128.0},
        prepare=_paused,
    ),
    "frozen": Scene(keys=("f", *("shift+left",) * 2)),
    "grid": Scene(keys=("g",)),
    "help": Scene(keys=("question_mark",)),
    "log": Scene(prepare=_asystole, keys=("l",)),
}


async def picture(scene: Scene, size: tuple[int, int]) -> str:
    """Return the screen of a scene as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        async with FeedServer(Path(folder) / "feed.sock") as server:
            unit = Unit()
            scene.prepare(unit)
            server.retained = [unit.unit(), unit.state()]
            server.retained += [unit.wave(scene.signal) for _ in range(int(HISTORY_S / 0.2))]
            server.retained += [
                unit.wave(scene.tail or scene.signal) for _ in range(int(3.4 / 0.2))
            ]
            server.retained.append(unit.vitals(**scene.vitals))
            server.retained += [unit.change("start", a) for a in unit.alarms[::-1]]
            app = MonitorApp(FeedClient(server.path), Options(sound=False, by="nurse"))
            live = asyncio.create_task(_live(server, unit, scene))
            async with app.run_test(size=size) as pilot:
                await pilot.pause(1.2)
                await pilot.press(*scene.keys)
                if scene.vanish:
                    live.cancel()
                    await server.stop()
                    app.client.path = Path("/run/wardbeat/feed.sock")
                    await pilot.pause(4.0)
                await pilot.pause(0.5)
                live.cancel()
                return screen_svg(app)


async def _live(server: FeedServer, unit: Unit, scene: Scene) -> None:
    while True:
        await asyncio.sleep(LUMP_S)
        if unit.device.link == "streaming":
            server.send(unit.wave(scene.tail or scene.signal))
        server.send(unit.vitals(**scene.vitals))


DOCUMENTED = (
    ("sinus", "80x24"),
    ("vf", "80x24"),
    ("asystole", "160x50"),
    ("lead-off", "80x24"),
    ("no-agent", "80x24"),
    ("frozen", "80x24"),
)


def main() -> None:
    """Write the pictures that the documentation shows, or both sizes of the scenes named."""
    folder, *names = sys.argv[1:]
    wanted = [(name, size) for name in names for size in SIZES] or DOCUMENTED
    for name, size in wanted:
        svg = asyncio.run(picture(SCENES[name], SIZES[size]))
        (Path(folder) / f"monitor-{name}-{size}.svg").write_text(svg)


if __name__ == "__main__":
    main()
