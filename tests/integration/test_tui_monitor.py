"""The whole bedside screen, driven by its keys, fed by a unit that isn't there."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import ecg
from support.bedside import FeedServer, Unit, alarm
from support.svg import screen_strips, screen_text
from textual.pilot import Pilot

from sync.contract import Command, Priority, Rhythm
from sync.feed import FeedClient
from tui.bedside.app import MonitorApp, Options
from tui.palette import COLOUR
from tui.widgets.digits import big_number
from tui.widgets.raster import BLOCKS, SPACE

HISTORY = 50
LONG_S = 15.0
ASYSTOLE = alarm("asystole", "ASYSTOLE", "high")


class Bedside:
    """A screen, the unit behind it, and how a test talks to both."""

    def __init__(self, server: FeedServer, unit: Unit, app: MonitorApp, pilot: Pilot[None]) -> None:
        self.server, self.unit, self.app, self.pilot = server, unit, app, pilot
        self.vitals: dict[str, object] = {}

    async def live(self) -> None:
        """Send what an agent sends, for as long as the test runs."""
        while True:
            self.server.send(self.unit.wave(), self.unit.vitals(**self.vitals))
            await asyncio.sleep(0.2)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG_S):
            while not condition():
                await self.pilot.pause(0.02)

    async def shows(self, *words: str) -> None:
        """Wait until all these words are on the screen."""
        try:
            await self.until(lambda: all(word in self.text for word in words))
        except TimeoutError:
            pytest.fail(f"{words} not on the screen:\n{self.text}")

    @property
    def text(self) -> str:
        return screen_text(self.app)

    @property
    def rate(self) -> str:
        """The big digits as text rows."""
        return self.app.bedside.rate.text


def retained(unit: Unit, **vitals: object) -> list[object]:
    waves = [unit.wave() for _ in range(HISTORY)]
    return [unit.unit(), unit.state(), *waves, unit.vitals(**vitals)]


@asynccontextmanager
async def bedside(
    size: tuple[int, int] = (80, 24),
    unit: Unit | None = None,
    options: Options | None = None,
    **vitals: object,
) -> AsyncIterator[Bedside]:
    """A screen that has been told ten seconds of sinus rhythm and goes on hearing it."""
    unit = unit or Unit()
    with tempfile.TemporaryDirectory() as folder:
        async with FeedServer(Path(folder) / "feed.sock") as server:
            server.retained = retained(unit, **vitals)
            app = MonitorApp(FeedClient(server.path), options or Options(sound=False, by="nurse"))
            async with app.run_test(size=size) as pilot:
                bed = Bedside(server, unit, app, pilot)
                bed.vitals = vitals
                living = asyncio.create_task(bed.live())
                await bed.shows("BED 1")
                await bed.until(lambda: bool((app.bedside.wave.sweep.cells != SPACE).any()))
                yield bed
                living.cancel()


def inked(bed: Bedside) -> int:
    return int((bed.app.bedside.wave.sweep.cells != SPACE).sum())


def dashes(bed: Bedside) -> bool:
    """Whether the screen shows ``--`` for the rate."""
    rows = bed.rate.splitlines()
    digits = big_number("--", 33, len(rows))
    return all(drawn in row for drawn, row in zip(digits, rows, strict=True))


async def test_sinus_rhythm_at_eighty_by_twentyfour() -> None:
    async with bedside() as bed:
        await bed.shows(
            "BED 1",
            "W-1042",
            "no alarms",
            "II  25 mm/s  10 mm/mV",
            "sinus rhythm",
            "usable  98 %",
            "OpenBCI Cyton  connected",
            "84 %",
            "▲ 120",
            "▼ 50",
            "4 /min",
            "Not a certified medical device",
        )
        assert "▄███████▄ ▄███████▄" in bed.rate
        assert inked(bed) > 60
        rows = bed.text.splitlines()
        assert len(rows) == 24
        assert max(map(len, rows)) <= 80


async def test_the_sweep_moves_and_beats_flash() -> None:
    async with bedside() as bed:
        newest = bed.app.bedside.wave.sweep.newest
        await bed.until(lambda: bed.app.bedside.wave.sweep.newest > newest + 20)
        await bed.shows("♥")
        await bed.until(lambda: "♥" not in bed.text)


async def test_a_large_screen_shows_a_cascade_and_the_alarm_log() -> None:
    async with bedside((200, 60)) as bed:
        bed.server.send(bed.unit.change("start", alarm("couplet", "PVC COUPLET", "low")))
        await bed.shows("Alarm log", "* PVC COUPLET start", "unit icu-3, ward-b", "+ - gain")
        assert bed.app.bedside.wave.sweep.traces == 4


async def test_a_ventricular_beat_is_named() -> None:
    async with bedside((160, 50)) as bed:
        await bed.until(lambda: "V" in "".join(bed.app.bedside.wave.sweep.row(0)))


async def test_an_alarm_and_its_acknowledgement() -> None:
    async with bedside() as bed:
        unit = bed.unit
        unit.alarms = (ASYSTOLE, alarm("hidden", "EXTREME BRADY", "high", hidden=True))

        def acknowledge(command: Command) -> list[object]:
            seen = msgspec.structs.replace(ASYSTOLE, acknowledged=True)
            unit.alarms = (seen,)
            return [unit.reply(command), unit.change("update", seen, by="nurse"), unit.state()]

        bed.server.on_command = acknowledge
        bed.server.send(unit.change("start", ASYSTOLE), unit.state())
        await bed.shows("*** ASYSTOLE")
        assert "EXTREME BRADY" not in bed.text
        red = [s for strip in screen_strips(bed.app)[1:4] for s in strip if s.text.strip()]
        assert red[0].style in (COLOUR.lit[Priority.HIGH], COLOUR.unlit[Priority.HIGH])
        await bed.pilot.press("a")
        await bed.shows("*** ASYSTOLE", "acknowledged")
        (command,) = bed.server.commands
        assert (command.name, command.bed, command.by) == ("acknowledge", "1", "nurse")
        assert command.alarm_ids == ("id-asystole",)
        await bed.pilot.press("a")
        await bed.pilot.pause(0.2)
        assert len(bed.server.commands) == 1


async def test_a_latched_alarm_is_marked_and_its_priority_is_in_the_text() -> None:
    unit = Unit()
    unit.alarms = (
        alarm("vt", "VENT TACHY", "high", state="latched", ended=1),
        alarm("hr_high", "HR HIGH", "medium", value=131.0, unit="/min"),
        alarm("pvc_run", "PVC RUN", "low"),
    )
    async with bedside(unit=unit) as bed:
        await bed.shows("*** VENT TACHY", "LATCHED", "** HR HIGH 131 /min", "* PVC RUN")


async def test_audio_pause_counts_down_and_ends_at_the_same_key() -> None:
    async with bedside() as bed:
        unit = bed.unit

        def obey(command: Command) -> list[object]:
            pause = command.time + int((command.seconds or 0) * 1e9)
            unit.audio_paused_until = pause if command.name == "pause_audio" else None
            return [unit.reply(command), unit.state()]

        bed.server.on_command = obey
        unit.alarms = (ASYSTOLE,)
        bed.server.send(unit.change("start", ASYSTOLE))
        await bed.pilot.press("p")
        await bed.shows("AUDIO PAUSED 2:00", "*** ASYSTOLE")
        await bed.shows("AUDIO PAUSED 1:59")
        await bed.pilot.press("p")
        await bed.until(lambda: "AUDIO PAUSED" not in bed.text)
        assert [c.name for c in bed.server.commands] == ["pause_audio", "resume_audio"]
        assert bed.server.commands[0].seconds == 120.0


async def test_a_refused_command_is_told() -> None:
    async with bedside() as bed:
        bed.server.on_command = lambda command: [
            bed.unit.reply(command, accepted=False, reason="the organisation allows no pause")
        ]
        await bed.pilot.press("p")
        await bed.shows("pause audio refused: the organisa")


async def test_a_command_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.bedside.app.REPLY_S", 0.3)
    async with bedside() as bed:
        await bed.pilot.press("p")
        await bed.shows("pause audio: the agent does not answer")


async def test_the_agent_dies_and_comes_back() -> None:
    async with bedside() as bed:
        await bed.server.stop()
        await bed.shows("** NO DATA FROM AGENT", "no agent there; start it with: wardbeat run")
        await bed.until(lambda: "sinus rhythm" not in bed.text and "connected" not in bed.text)
        assert dashes(bed)
        assert inked(bed) == 0
        await bed.pilot.press("p")
        await bed.shows("pause audio not sent")
        async with FeedServer(bed.server.path) as again:
            bed.server = again
            again.retained = retained(bed.unit)
            await bed.shows("no alarms", "sinus rhythm")
            await bed.until(lambda: inked(bed) > 60)


async def test_a_connected_but_silent_agent_shows_no_numbers() -> None:
    unit = Unit()
    with tempfile.TemporaryDirectory() as folder:
        async with FeedServer(Path(folder) / "feed.sock") as server:
            server.retained = retained(unit)
            app = MonitorApp(FeedClient(server.path), Options(sound=False))
            async with app.run_test(size=(80, 24)) as pilot:
                bed = Bedside(server, unit, app, pilot)
                await bed.shows("sinus rhythm")
                await bed.shows("NO DATA FROM AGENT", "the agent is connected but silent")
                await bed.until(lambda: "sinus rhythm" not in bed.text)
                assert dashes(bed)


async def test_lead_off_takes_the_number_away() -> None:
    unit = Unit()
    unit.device = msgspec.structs.replace(unit.device, leads_off=("RA",))
    async with bedside(unit=unit, rate=None, quality="lead_off", rhythm=Rhythm.NOT_ANALYSED) as bed:
        await bed.shows("LEAD OFF RA — check the electrodes", "not analysed", "lead off")
        assert dashes(bed)


async def test_a_lost_link_blanks_the_trace() -> None:
    async with bedside() as bed:
        bed.unit.device = msgspec.structs.replace(bed.unit.device, link="lost")
        bed.server.send(bed.unit.state())
        await bed.shows("NO DATA — link lost, reconnecting", "link lost")
        assert inked(bed) == 0
        assert dashes(bed)


async def test_late_samples_are_told() -> None:
    async with bedside(lag_ms=2300.0) as bed:
        await bed.shows("DELAYED 2.3 s")


async def test_freeze_holds_the_trace_while_numbers_and_alarms_go_on() -> None:
    async with bedside() as bed:
        await bed.pilot.press("f")
        await bed.shows("FROZEN 2:00", "ms", "/min")
        held = bed.app.bedside.wave.sweep.cells.copy()
        bed.vitals = {"rate": 141.0}
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        await bed.shows("*** ASYSTOLE", "FROZEN 1:59")
        np.testing.assert_array_equal(bed.app.bedside.wave.sweep.cells, held)
        await bed.pilot.press("f")
        await bed.until(lambda: "FROZEN" not in bed.text)
        await bed.until(lambda: bool((bed.app.bedside.wave.sweep.cells != held).any()))


async def test_a_forgotten_freeze_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.bedside.screen.FREEZE_S", 0.5)
    async with bedside() as bed:
        await bed.pilot.press("f")
        await bed.shows("FROZEN")
        await bed.until(lambda: "FROZEN" not in bed.text)


async def test_the_caliper_measures_an_rr_interval() -> None:
    async with bedside() as bed:
        await bed.pilot.press("f")
        wave = bed.app.bedside.wave
        assert wave.caliper is not None
        r_peak = int(wave.history.end_s - 1.5)
        first = wave.sweep.column_at(r_peak)
        assert first is not None
        wave.caliper.fixed = wave.caliper.moving = first
        for _ in range(14):
            await bed.pilot.press("right")
        await bed.shows("840 ms  71 /min")
        await bed.pilot.press("tab", "left")
        await bed.shows("900 ms  67 /min")


async def test_gain_speed_and_grid() -> None:
    async with bedside() as bed:
        await bed.pilot.press("plus")
        await bed.shows("20 mm/mV")
        await bed.pilot.press("plus", "minus", "minus", "less_than_sign")
        await bed.shows("12.5 mm/s  5 mm/mV")
        await bed.pilot.press("greater_than_sign", "greater_than_sign", "greater_than_sign")
        await bed.shows("50 mm/s")
        assert inked(bed) > 40
        before = sum(character > "⠀" for character in bed.text)
        await bed.pilot.press("g")
        await bed.until(lambda: sum(character > "⠀" for character in bed.text) > before + 50)


async def test_sheets_never_cover_alarms_or_numbers() -> None:
    async with bedside() as bed:
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        await bed.pilot.press("l")
        await bed.shows("ALARMS NOW", "LOG since this screen began", "*** ASYSTOLE start")
        await bed.pilot.press("question_mark")
        await bed.shows("HELP", "50 mm, if a character is 1.5 mm wide", "sinus rhythm")
        assert bed.text.splitlines()[2].startswith(" *** ASYSTOLE")
        await bed.pilot.press("escape")
        await bed.until(lambda: "HELP" not in bed.text)


async def test_an_alarm_is_judged_with_three_keys() -> None:
    async with bedside() as bed:
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        await bed.pilot.press("j")
        await bed.shows("JUDGE AN ALARM", "*** ASYSTOLE", "1 true: there was such an event")
        await bed.pilot.press("2")
        await bed.shows("FALSE. Which rhythm is it?", "1 sinus rhythm")
        assert bed.server.commands == []
        await bed.pilot.press("1")
        await bed.until(lambda: bool(bed.server.commands))
        (command,) = bed.server.commands
        assert (command.name, command.alarm_ids) == ("judge", (ASYSTOLE.alarm_id,))
        assert (command.judgement, command.rhythm) == ("false", Rhythm.NORMAL)
        await bed.pilot.press("j", "1")
        await bed.until(lambda: "JUDGE AN ALARM" not in bed.text)
        assert len(bed.server.commands) == 1


async def test_the_bell_rings_for_alarms_and_honours_the_pause() -> None:
    rung: list[float] = []
    async with bedside(options=Options(sound=True, by="nurse")) as bed:
        bed.app.bell = lambda: rung.append(1.0)  # type: ignore[method-assign]
        await bed.pilot.pause(0.3)
        assert rung == []
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        await bed.until(lambda: len(rung) >= 2)
        bed.unit.alarms = (ASYSTOLE,)
        bed.unit.audio_paused_until = bed.unit.vitals().time + int(60e9)
        bed.server.send(bed.unit.state())
        await bed.shows("AUDIO PAUSED", "*** ASYSTOLE")
        silent_from = len(rung)
        await bed.pilot.pause(1.0)
        assert len(rung) == silent_from


async def test_without_sound_nothing_rings() -> None:
    rung: list[float] = []
    async with bedside() as bed:
        bed.app.bell = lambda: rung.append(1.0)  # type: ignore[method-assign]
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        await bed.shows("*** ASYSTOLE", "off on this screen")
        assert rung == []


async def test_every_size_draws() -> None:
    async with bedside() as bed:
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        for size in ((60, 16), (40, 12), (24, 8), (160, 50), (80, 24)):
            await bed.pilot.resize_terminal(*size)
            await bed.until(lambda size=size: bed.app.size == size)  # type: ignore[misc]
            await bed.shows("*** ASYSTOLE")
        await bed.until(lambda: inked(bed) > 60)


async def test_without_colour_the_priority_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with bedside() as bed:
        bed.server.send(bed.unit.change("start", ASYSTOLE))
        await bed.shows("*** ASYSTOLE")

        def reverse() -> bool:
            strip = screen_strips(bed.app)[2]
            return any(s.style and s.style.reverse for s in strip)

        await bed.until(reverse)
        await bed.until(lambda: not reverse())
        colours = {
            s.style.color.name
            for strip in screen_strips(bed.app)
            for s in strip
            if s.style and s.style.color
        }
        assert colours == {"default"}


async def test_block_characters_for_the_linux_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    assert Options().glyphs is BLOCKS
    async with bedside() as bed:
        await bed.until(
            lambda: "▀" in "".join(bed.app.bedside.wave.sweep.row(y) for y in range(11))
        )
        assert not any("⠀" < character <= "⣿" for character in bed.text)


async def test_waves_told_again_after_a_reconnection_change_nothing() -> None:
    async with bedside() as bed:
        end = bed.app.trace.history.end_s
        again = Unit()
        again.boot, again.seq, again.stream_s = bed.unit.boot, 2, 0.0
        bed.server.send(*(again.wave(ecg.flat) for _ in range(20)))
        await bed.until(lambda: bed.app.trace.history.end_s > end + 0.5)
        assert bed.app.trace.history.start_s == 0.0
        assert bed.app.trace.history.value(0.0) is not None


async def test_a_restarted_agent_begins_a_new_trace() -> None:
    async with bedside() as bed:
        fresh = Unit()
        bed.unit.boot, bed.unit.seq, bed.unit.stream_s = fresh.boot, 0, 0.0
        await bed.until(lambda: 0.5 < bed.app.trace.history.end_s < 8.0)
        await bed.until(lambda: 5 < inked(bed) < 60)


async def test_the_next_bed() -> None:
    async with bedside() as bed:
        other = Unit("2")
        other.patient = "W-2"
        unit = msgspec.structs.replace(bed.unit.unit(), beds=("1", "2"))
        bed.server.send(unit, other.state(), other.vitals(141.0))
        await bed.pilot.pause(0.2)
        await bed.pilot.press("b")
        await bed.shows("BED 2", "W-2")
        assert "W-1042" not in bed.text


async def test_leaving_asks_nothing_of_the_agent() -> None:
    async with bedside() as bed:
        await bed.pilot.press("q")
        await bed.pilot.pause(0.1)
        assert not bed.app.is_running
        assert bed.server.commands == []


async def test_no_agent_at_the_start_is_said_with_what_to_do() -> None:
    app = MonitorApp(FeedClient("/nonexistent/feed.sock"), Options(sound=False))
    async with app.run_test(size=(80, 24)) as pilot:
        async with asyncio.timeout(LONG_S):
            while "start it with: wardbeat run" not in screen_text(app):
                await pilot.pause(0.05)
        assert "NO DATA FROM AGENT" in screen_text(app)
