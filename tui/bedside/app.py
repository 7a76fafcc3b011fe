"""``wardbeat monitor``: the bedside screen. It shows and asks; the agent acts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from sync.contract import Command, Reply, Wave
from sync.feed import FeedClient, FeedError
from tui.bedside.commands import Commands, who
from tui.bedside.panels import Now
from tui.bedside.screen import BedsideScreen, Frame
from tui.bedside.trace import Trace
from tui.bedside.view import REPLY_S, BedView, reply_text
from tui.lights import Bell
from tui.palette import COLOUR, MONOCHROME
from tui.widgets.raster import (
    BLOCKS,
    BRAILLE,
    CELL_WIDTH_MM,
    GAINS_MM_MV,
    SPEEDS_MM_S,
    Glyphs,
    Scale,
)

FRAMES_PER_S = 10.0
"""At 25 mm/s a frame is 2.5 mm of sweep. Frames that come late are left out, not made up for."""


def default_glyphs() -> Glyphs:
    """The Linux console has no braille; every terminal emulator of today has."""
    return BLOCKS if os.environ.get("TERM") == "linux" else BRAILLE


@dataclass(frozen=True, slots=True)
class Options:
    """What the user of a screen may choose."""

    bed: str | None = None
    """The unit's first bed when None."""
    sound: bool = True
    cell_width_mm: float = CELL_WIDTH_MM
    glyphs: Glyphs = field(default_factory=default_glyphs)
    seconds: float | None = None
    """Leave by itself after this time; None: when the user does."""
    by: str = field(default_factory=who)
    """Who asks, in the audit."""


class MonitorApp(App[None]):
    """One bed on one screen."""

    CSS_PATH = "monitor.tcss"
    TITLE = "wardbeat"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "acknowledge"),
        Binding("p", "pause_audio"),
        Binding("f", "freeze"),
        Binding("plus,equals_sign", "gain(1)"),
        Binding("minus", "gain(-1)"),
        Binding("greater_than_sign,full_stop", "speed(1)"),
        Binding("less_than_sign,comma", "speed(-1)"),
        Binding("g", "grid"),
        Binding("l", "sheet('alarms')"),
        Binding("question_mark,h", "sheet('help')"),
        Binding("j", "judge"),
        Binding("up", "judge_other(-1)"),
        Binding("down", "judge_other(1)"),
        *(Binding(str(digit), f"judge_digit({digit})") for digit in range(10)),
        Binding("escape", "sheet('')"),
        Binding("b", "next_bed"),
        Binding("left", "caliper(-1)"),
        Binding("right", "caliper(1)"),
        Binding("shift+left", "caliper(-8)"),
        Binding("shift+right", "caliper(8)"),
        Binding("tab", "swap_caliper", priority=True),
        Binding("q", "quit"),
    ]

    def __init__(self, client: FeedClient, options: Options) -> None:
        super().__init__(ansi_color=True)
        self.client, self.options = client, options
        self.view = BedView(options.bed, time.monotonic())
        self.trace = Trace()
        self.bedside = BedsideScreen(
            MONOCHROME if self.no_color else COLOUR,
            Scale(cell_width_mm=options.cell_width_mm),
            options.glyphs,
            self.trace,
        )
        self._commands = Commands(options.by)
        self._asked: dict[str, tuple[str, float]] = {}
        self._bell = Bell()

    def get_default_screen(self) -> BedsideScreen:
        """One bed."""
        return self.bedside

    def on_mount(self) -> None:
        """Begin to listen and to draw."""
        self.run_worker(self._listen(), name="feed")
        self.set_interval(1 / FRAMES_PER_S, self._draw)
        if self.options.seconds is not None:
            self.set_timer(self.options.seconds, self.exit)

    async def _listen(self) -> None:
        async for message in self.client.messages():
            now_s = time.monotonic()
            self.view.apply(message, now_s)
            if isinstance(message, Wave) and message.bed == self.view.bed:
                self.trace.take(message, now_s)
            elif isinstance(message, Reply):
                self._take_reply(message, now_s)

    def _draw(self) -> None:
        now = Now(time.monotonic(), time.time_ns())
        alarms = self.view.alarms(now.s, self.client.reason)
        self.bedside.draw(Frame(now, self.view, self.trace, alarms, self.options.sound))
        paused = self.view.audio_paused_s(now.ns) > 0
        if self._bell.rings(alarms, paused, now.s) and self.options.sound:
            self.bell()
        self._miss_replies(now.s)

    async def action_acknowledge(self) -> None:
        """Acknowledge the alarms on the banner."""
        self.view.see_no_agent()
        if (unseen := self.view.unseen()) and self.view.bed:
            await self._ask(self._commands.acknowledge(self.view.bed, unseen))

    async def action_pause_audio(self) -> None:
        """Pause the audio for two minutes, or end the pause."""
        if self.view.bed is None:
            return
        paused = self.view.audio_paused_s(time.time_ns()) > 0
        make = self._commands.resume_audio if paused else self._commands.pause_audio
        await self._ask(make(self.view.bed))

    def action_freeze(self) -> None:
        """Hold the trace with a caliper on it, or let it run on; numbers and alarms go on."""
        self.bedside.toggle_freeze(time.monotonic())

    def action_gain(self, step: int) -> None:
        """Draw higher or lower."""
        scale = self.bedside.wave.scale
        self.bedside.wave.set_scale(
            replace(scale, gain_mm_mv=_next(GAINS_MM_MV, scale.gain_mm_mv, step))
        )

    def action_speed(self, step: int) -> None:
        """Draw wider or narrower."""
        scale = self.bedside.wave.scale
        self.bedside.wave.set_scale(
            replace(scale, speed_mm_s=_next(SPEEDS_MM_S, scale.speed_mm_s, step))
        )

    def action_grid(self) -> None:
        """Show or hide the grid."""
        self.bedside.wave.toggle_grid()

    def action_sheet(self, name: str) -> None:
        """Open or close the help or the list of alarms."""
        self.bedside.open_sheet(name)

    def action_judge(self) -> None:
        """Open or close the sheet on which an alarm is judged."""
        self.bedside.judging.begin(self.view.judgeable())
        self.bedside.open_sheet("judge")

    def action_judge_other(self, step: int) -> None:
        """Choose another alarm to judge."""
        if self.bedside.sheet_open == "judge":
            self.bedside.judging.move(self.view.judgeable(), step)

    async def action_judge_digit(self, digit: int) -> None:
        """Answer the question on the sheet; the last answer sends the judgement."""
        if self.bedside.sheet_open != "judge" or self.view.bed is None:
            return
        said = self.bedside.judging.press(digit)
        if said is not None:
            self.bedside.judging.judgement = None
            await self._ask(self._commands.judge(self.view.bed, said))

    def action_caliper(self, columns: int) -> None:
        """Move the caliper's line on the frozen trace."""
        self.bedside.wave.move_caliper(columns)

    def action_swap_caliper(self) -> None:
        """Take the caliper's other line."""
        self.bedside.wave.swap_caliper()

    def action_next_bed(self) -> None:
        """Show the unit's next bed."""
        beds = self.view.unit.beds if self.view.unit else ()
        if len(beds) < 2 or self.view.bed not in beds:
            return
        self.view.turn_to(beds[(beds.index(self.view.bed) + 1) % len(beds)])
        self.trace.forget()

    async def _ask(self, command: Command) -> None:
        now_s = time.monotonic()
        try:
            await self.client.send(command)
        except FeedError as error:
            self.bedside.say(f"{_words(command.name)} not sent: {error}", now_s)
        else:
            self._asked[command.id] = (_words(command.name), now_s)

    def _take_reply(self, reply: Reply, now_s: float) -> None:
        name, _ = self._asked.pop(reply.command_id, ("", 0.0))
        if name and not reply.accepted:
            self.bedside.say(reply_text(reply, name), now_s)

    def _miss_replies(self, now_s: float) -> None:
        """Tell the person when the agent does not answer: the button had no effect."""
        for command_id, (name, asked_s) in list(self._asked.items()):
            if now_s - asked_s > REPLY_S:
                del self._asked[command_id]
                self.bedside.say(f"{name}: the agent does not answer; see to the patient", now_s)


def _next(choices: tuple[float, ...], chosen: float, step: int) -> float:
    place = choices.index(chosen) + step
    return choices[max(0, min(len(choices) - 1, place))]


def _words(command: str) -> str:
    return command.replace("_", " ")


def run_monitor(socket_path: str, options: Options | None = None) -> None:
    """Show a bed until the user leaves; the agent runs on in any case.

    Args:
        socket_path: the agent's local feed. Where there is none the screen says so and waits.
        options: what the user chose.
    """
    MonitorApp(FeedClient(socket_path), options or Options()).run(mouse=False)
