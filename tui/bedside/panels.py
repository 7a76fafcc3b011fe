"""The rows of the screen around the trace, out of what the screen knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sync.contract import AlarmMessage, BedState, UnitState, Vitals
from tui.bedside.view import SILENT_S, BedView
from tui.palette import Palette
from tui.widgets.digits import big_number
from tui.widgets.raster import Scale
from tui.widgets.text_rows import Row, Span, fit, spread
from tui.words import (
    LINK,
    NOT_CERTIFIED,
    PREFIX,
    QUALITY,
    RHYTHM,
    change_words,
    clock,
    countdown,
    number,
    rate,
)

OLD_S = 3.0
"""From this age on a number shows its age."""
KEYS = (
    ("a", "acknowledge"),
    ("p", "pause audio"),
    ("f", "freeze"),
    ("l", "alarms"),
    ("?", "help"),
    ("q", "quit"),
    ("+ -", "gain"),
    ("< >", "speed"),
    ("g", "grid"),
    ("j", "judge"),
)
SHORT_KEYS = (("a", "ack"), ("p", "pause"), ("f", "freeze"), ("l", "log"), ("?", "help"))
LABEL_WIDTH = 8
LOW_BATTERY = 20
BROKER_CONNECTED = "broker_connected"
"""In ``UnitState.health``: 1 or 0; absent where no broker is configured."""


@dataclass(frozen=True, slots=True)
class Now:
    """The two clocks a row may need."""

    s: float
    """The host's monotonic clock."""
    ns: int
    """UTC."""


def header_row(view: BedView, now: Now, width: int, palette: Palette) -> Row:
    """Who lies here, whether audio is paused, what time it is."""
    patient = view.state.patient if view.state and view.state.patient else "no patient admitted"
    left: Row = (
        (f" BED {view.bed or '?'} ", palette.strong),
        (f" {patient} ", palette.text),
    )
    if width >= 100 and view.unit:
        left = (*left, (f"  unit {view.unit.unit}, {view.unit.site}", palette.quiet))
    right: Row = ((f" {clock(now.ns)} ", palette.strong),)
    if not view.clock_set:
        right = ((" clock not set ", palette.warning), *right)
    paused = view.audio_paused_s(now.ns)
    if paused:
        right = ((f" AUDIO PAUSED {countdown(paused)} ", palette.notice), *right)
    return spread(left, right, width, palette.text)


def caption_row(
    lead: str, lag_s: float, scale: Scale, note: str, width: int, palette: Palette
) -> Row:
    """Which lead at which speed and gain, how late; ``note`` is the freeze and its caliper."""
    left: Row = (
        (f" {lead or 'ECG'} ", palette.strong),
        (f" {scale.speed_mm_s:g} mm/s  {scale.gain_mm_mv:g} mm/mV ", palette.quiet),
    )
    right: Row = ()
    if lag_s:
        right = ((f" DELAYED {number(lag_s)} s ", palette.warning),)
    if note:
        right = (*right, (f" {note} ", palette.notice))
    return spread(left, right, width, palette.text)


def footer_row(said: str, width: int, palette: Palette) -> Row:
    """The keys, or what the screen has to say, and what this screen is not."""
    right: Row = ((f" {NOT_CERTIFIED} ", palette.quiet),)
    keys = KEYS if width >= 130 else SHORT_KEYS
    left: list[Span] = [(" ", palette.text)]
    for key, words in keys:
        left += [(key, palette.strong), (f" {words}  ", palette.quiet)]
    if said:
        left = [(f" {said} ", palette.warning)]
    return spread(tuple(left), right, width, palette.text)


@lru_cache(maxsize=8)
def _digits(text: str, width: int, height: int) -> tuple[str, ...]:
    return tuple(big_number(text, width, height))


def rate_rows(
    view: BedView, now: Now, beat: bool, size: tuple[int, int], palette: Palette
) -> list[Row]:
    """The heart rate as large as its box: label, limits and heart on the left of the digits."""
    width, height = size
    side = 8
    bpm = view.rate(now.s)
    worst = view.worst_of_patient()
    style = palette.text if bpm is None and worst is None else palette.number[worst]
    digits = _digits(rate(bpm), max(1, width - side - 1), height)
    labels: list[Row] = [((" HR", palette.strong),), ((" /min", palette.quiet),)]
    labels.append(((" ♥" if beat and bpm is not None else "  ", style),))
    if view.state:
        labels.append(((f" ▲ {view.state.limits.hr_high}", palette.text),))
        labels.append(((f" ▼ {view.state.limits.hr_low}", palette.text),))
    age = view.rate_age_s(now.s)
    if bpm is not None and age is not None and age > OLD_S:
        labels.append(((f" {int(age)} s old", palette.warning),))
    blank: Row = (("", palette.text),)
    return [
        (
            *fit(labels[y] if y < len(labels) else blank, side),
            (digits[y], style),
            (" ", palette.text),
        )
        for y in range(height)
    ]


def detail_rows(view: BedView, now: Now, sound: bool, width: int, palette: Palette) -> list[Row]:
    """Rhythm, signal, device, centre and sound: one row each, the most wanted first."""
    vitals = view.vitals(now.s) if view.streaming else None
    silent = view.silent_s(now.s) > SILENT_S
    state, unit = (None, None) if silent else (view.state, view.unit)
    rows = [
        _rhythm(vitals, palette),
        _signal(vitals, palette),
        _beats(vitals, palette),
        _device(state, palette),
        _beside(vitals, palette) if vitals and vitals.numerics else _battery(state, palette),
        _centre(unit, view.has_alarm("broker_unreachable"), palette),
        _sound(view, now, sound, palette),
    ]
    return [fit(row, width) for row in rows]


def _labelled(label: str, *spans: Span, palette: Palette) -> Row:
    return ((f" {label:<{LABEL_WIDTH}}", palette.quiet), *spans)


def _rhythm(vitals: Vitals | None, palette: Palette) -> Row:
    words = RHYTHM[vitals.rhythm] if vitals else "--"
    return _labelled("Rhythm", (words, palette.strong), palette=palette)


def _signal(vitals: Vitals | None, palette: Palette) -> Row:
    if vitals is None:
        return _labelled("Signal", ("no data", palette.warning), palette=palette)
    usable = vitals.quality == "usable"
    words = QUALITY[vitals.quality]
    if usable and vitals.p_usable:
        words += f"  {vitals.p_usable * 100:.0f} %"
    return _labelled(
        "Signal", (words, palette.text if usable else palette.warning), palette=palette
    )


def _beats(vitals: Vitals | None, palette: Palette) -> Row:
    pvc = "--" if vitals is None or vitals.pvc_per_min is None else str(vitals.pvc_per_min)
    rr = "--" if vitals is None or vitals.rr_ms is None else f"{vitals.rr_ms:.0f}"
    return _labelled(
        "PVC",
        (f"{pvc} /min", palette.text),
        ("   RR ", palette.quiet),
        (f"{rr} ms", palette.text),
        palette=palette,
    )


def _device(state: BedState | None, palette: Palette) -> Row:
    if state is None:
        return _labelled("Device", ("--", palette.text), palette=palette)
    device = state.device
    good = device.link == "streaming"
    if good and state.device_alarms:
        worst = min(state.device_alarms, key=lambda alarm: list(PREFIX).index(alarm.priority))
        others = f" +{len(state.device_alarms) - 1}" if len(state.device_alarms) > 1 else ""
        words = f"{PREFIX[worst.priority]} {worst.text}{others}"
        return _labelled("Device", (words, palette.number[worst.priority]), palette=palette)
    return _labelled(
        "Device",
        (f"{device.name}  ", palette.text),
        (LINK[device.link], palette.quiet if good else palette.warning),
        palette=palette,
    )


def _beside(vitals: Vitals, palette: Palette) -> Row:
    """What a bedside monitor measures beside the ECG, in its own order."""
    spans = [
        span
        for one in vitals.numerics
        for span in (
            (f"{one.name} ", palette.quiet),
            (
                f"{'--' if one.value is None else f'{one.value:g}'}{'' if one.usable else '?'}  ",
                palette.text if one.usable else palette.warning,
            ),
        )
    ]
    return _labelled("Monitor", *spans, palette=palette)


def _battery(state: BedState | None, palette: Palette) -> Row:
    percent = state.device.battery_percent if state else None
    if percent is None:
        return _labelled("Battery", ("--", palette.text), palette=palette)
    style = palette.warning if percent < LOW_BATTERY else palette.text
    return _labelled("Battery", (f"{percent} %", style), palette=palette)


def _centre(unit: UnitState | None, unreachable: bool, palette: Palette) -> Row:
    """The link to the central station, as the agent's alarm and its outbox tell it."""
    if unit is None:
        return _labelled("Centre", ("--", palette.text), palette=palette)
    waiting = unit.buffer.outbox
    if unreachable:
        words = f"unreachable, {waiting} waiting"
        return _labelled("Centre", (words, palette.warning), palette=palette)
    connected = unit.health.get(BROKER_CONNECTED)
    words = {None: "--", 0.0: "not connected"}.get(connected, "connected")
    if waiting:
        words += f", {waiting} waiting"
    return _labelled("Centre", (words, palette.text), palette=palette)


def _sound(view: BedView, now: Now, sound: bool, palette: Palette) -> Row:
    paused = view.audio_paused_s(now.ns)
    if paused:
        return _labelled("Sound", (f"paused {countdown(paused)}", palette.warning), palette=palette)
    words = "on" if sound else "off on this screen"
    return _labelled("Sound", (words, palette.text), palette=palette)


def log_panel(log: Iterable[AlarmMessage], height: int, width: int, palette: Palette) -> list[Row]:
    """The newest alarm changes under their heading, where there is room for them."""
    rows = log_rows(log, height - 1, width, palette)
    return [fit(((" Alarm log", palette.quiet),), width), *rows] if height > 1 and rows else []


def log_rows(log: Iterable[AlarmMessage], height: int, width: int, palette: Palette) -> list[Row]:
    """The newest alarm changes, newest first."""
    newest = [change for change in log if change.phase != "continue"][::-1][:height]
    return [
        fit(
            (
                (f" {clock(change.time)} ", palette.quiet),
                (
                    f"{PREFIX[change.alarm.priority]} {change.alarm.text}",
                    palette.number[change.alarm.priority],
                ),
                (f" {change_words(change)}", palette.text),
            ),
            width,
        )
        for change in newest
    ]
