"""Everything the bedside screen shows of its bed, and the drawing of one frame of it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget

from sync.contract import AlarmInfo
from tui.bedside import panels, sheets
from tui.bedside.judging import Judging
from tui.bedside.layout import Box, arrange
from tui.bedside.panels import Now
from tui.bedside.trace import PULSE, Trace
from tui.bedside.view import BedView
from tui.palette import Palette
from tui.widgets.alarm_banner import AlarmBanner
from tui.widgets.raster import Glyphs, Scale
from tui.widgets.text_rows import TextRows
from tui.widgets.wave import WaveView
from tui.words import countdown

FRAMES_PER_TEXT = 3
"""Rows of text are made anew every third frame, three times a second."""
BEAT_S = 0.2
FREEZE_S = 120.0
"""A forgotten freeze must not be taken for the patient."""
SAY_S = 6.0
SHEET_ROWS = 12
"""What a sheet needs; on a large screen the trace goes on below it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame is drawn of."""

    now: Now
    view: BedView
    trace: Trace
    alarms: list[AlarmInfo]
    sound: bool


class BedsideScreen(Screen[None]):
    """Header, banner, trace, numbers and footer; ``layout.py`` says where they stand."""

    def __init__(self, palette: Palette, scale: Scale, glyphs: Glyphs, trace: Trace) -> None:
        super().__init__()
        self.palette = palette
        self.wave = WaveView(trace.history, scale, glyphs, palette)
        self.header = TextRows(id="header")
        self.banner = AlarmBanner(id="banner")
        self.caption = TextRows(id="caption")
        self.sheet = TextRows(id="sheet")
        self.rate = TextRows(id="rate")
        self.details = TextRows(id="details")
        self.log_list = TextRows(id="log")
        self.footer = TextRows(id="footer")
        self.judging = Judging()
        self._open = ""
        self._frames = 0
        self._beat_until_s = 0.0
        self._frozen_until_s = 0.0
        self._said, self._said_until_s = "", 0.0

    def compose(self) -> ComposeResult:
        """All parts; ``on_resize`` puts them in their places."""
        yield from (self.header, self.banner, self.caption, self.wave, self.rate)
        yield from (self.details, self.log_list, self.footer, self.sheet)

    def on_resize(self, event: Resize) -> None:
        """Put every part where ``arrange`` wants it."""
        places = arrange(event.size.width, event.size.height)
        parts = {
            self.header: places.header,
            self.banner: places.banner,
            self.caption: places.caption,
            self.wave: places.wave,
            self.rate: places.rate,
            self.details: places.details,
            self.log_list: places.log,
            self.footer: places.footer,
        }
        for part, box in parts.items():
            _place(part, box)
        left, top, width, _ = places.caption
        room = places.wave[3] + 1
        _place(self.sheet, (left, top, width, min(room, max(SHEET_ROWS, room // 2))))

    def draw(self, frame: Frame) -> None:
        """Draw one frame; costs little where nothing changed."""
        self._draw_trace(frame)
        self.banner.tell(frame.alarms, frame.now.s, self.palette)
        beat = frame.now.s < self._beat_until_s
        self.rate.show(panels.rate_rows(frame.view, frame.now, beat, self.rate.size, self.palette))
        if self._frames % FRAMES_PER_TEXT == 0:
            self._draw_text(frame)
        self._frames += 1

    def say(self, text: str, now_s: float) -> None:
        """Show a line to the person at the screen for some seconds."""
        self._said, self._said_until_s = text, now_s + SAY_S

    def toggle_freeze(self, now_s: float) -> None:
        """Hold the trace, or let it run on."""
        if self.wave.frozen:
            self.wave.release()
        else:
            self.wave.freeze()
            self._frozen_until_s = now_s + FREEZE_S

    @property
    def sheet_open(self) -> str:
        """``help``, ``alarms``, ``judge`` or nothing."""
        return self._open

    def open_sheet(self, name: str) -> None:
        """Lay a sheet (see ``sheet_open``) over the trace; the same name again takes it away."""
        self._open = "" if name == self._open else name
        self.sheet.set_class(bool(self._open), "open")

    def _draw_trace(self, frame: Frame) -> None:
        now_s = frame.now.s
        if self.wave.frozen and now_s >= self._frozen_until_s:
            self.wave.release()
        notice = frame.view.notice(now_s, frame.now.ns)
        head = frame.trace.head(now_s)
        blank = notice is not None and notice.blank
        self.wave.play(head, live=frame.trace.is_live(now_s), blank=blank)
        self.wave.tell(notice.text if notice and not self.wave.frozen else "")
        for time_s, letter in frame.trace.beats_until(head) if head is not None else ():
            if letter != PULSE:
                self._beat_until_s = now_s + BEAT_S
            if letter != "N":
                self.wave.mark(time_s, letter)

    def _draw_text(self, frame: Frame) -> None:
        view, now, palette = frame.view, frame.now, self.palette
        self.header.show([panels.header_row(view, now, self.header.size.width, palette)])
        self.caption.show(
            [
                panels.caption_row(
                    frame.trace.lead,
                    view.lag_s(now.s),
                    self.wave.scale,
                    self._freeze_note(now.s),
                    self.caption.size.width,
                    palette,
                )
            ]
        )
        width = self.details.size.width
        self.details.show(panels.detail_rows(view, now, frame.sound, width, palette))
        width, height = self.log_list.size
        self.log_list.show(panels.log_panel(view.log, height, width, palette))
        said = self._said if now.s < self._said_until_s else ""
        self.footer.show([panels.footer_row(said, self.footer.size.width, palette)])
        if self._open:
            self._draw_sheet(frame)

    def _freeze_note(self, now_s: float) -> str:
        if self.wave.caliper is None:
            return ""
        reading = self.wave.caliper.reading(self.wave.sweep, self.wave.history)
        return f"FROZEN {countdown(self._frozen_until_s - now_s)}  {reading}"

    def _draw_sheet(self, frame: Frame) -> None:
        width, height = self.sheet.size
        palette = self.palette
        if self._open == "help":
            rows = sheets.help_rows(self.wave.scale, palette, width)
        elif self._open == "judge":
            view, size = frame.view, (width, height - 1)
            self.judging.follow(view.judgeable())
            rows = self.judging.rows(view.judgeable(), view.judged, size, palette)
        else:
            rows = sheets.alarm_rows(frame.view, frame.alarms, height - 1, width, palette)
        self.sheet.show(sheets.ruled_off(rows, height, width, palette))


def _place(part: Widget, box: Box) -> None:
    left, top, width, height = box
    part.styles.offset = (left, top)
    part.styles.width, part.styles.height = width, height
