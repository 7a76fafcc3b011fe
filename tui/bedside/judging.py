"""Judging an alarm at the bed: which alarm, true or not, which rhythm. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sync.contract import AlarmInfo, Feedback, Judgement, Rhythm
from tui.palette import Palette
from tui.widgets.text_rows import Row, fit
from tui.words import RHYTHM, alarm_text, clock

JUDGEMENTS: tuple[tuple[Judgement, str], ...] = (
    ("true", "there was such an event"),
    ("false", "there was none"),
    ("unsure", "hard to say"),
)
RHYTHMS = tuple(rhythm for rhythm in Rhythm if rhythm is not Rhythm.NOT_ANALYSED)
"""Offered as 1, 2, …; 0 names none."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the person said."""

    alarm_id: str
    judgement: Judgement
    rhythm: Rhythm | None


class Judging:
    """One judgement in the making: an alarm, then a word on it, then a rhythm."""

    def __init__(self) -> None:
        self.alarm_id = ""
        """The chosen one stays chosen when a newer alarm comes on top of it."""
        self.judgement: Judgement | None = None

    def begin(self, alarms: Sequence[AlarmInfo]) -> None:
        """Start with the newest alarm."""
        self.alarm_id = alarms[0].alarm_id if alarms else ""
        self.judgement = None

    def follow(self, alarms: Sequence[AlarmInfo]) -> None:
        """Take the first alarm that comes while there is none to choose."""
        if not self.alarm_id:
            self.begin(alarms)

    def move(self, alarms: Sequence[AlarmInfo], step: int) -> None:
        """Choose another alarm; a word on the one before is taken back."""
        if alarms:
            place = max(0, min(len(alarms) - 1, self._place(alarms) + step))
            self.alarm_id, self.judgement = alarms[place].alarm_id, None

    def press(self, digit: int) -> Judged | None:
        """Take a digit; the judgement once it is complete."""
        if not self.alarm_id:
            return None
        if self.judgement is None:
            if 1 <= digit <= len(JUDGEMENTS):
                self.judgement = JUDGEMENTS[digit - 1][0]
            return None
        if digit > len(RHYTHMS):
            return None
        rhythm = RHYTHMS[digit - 1] if digit else None
        return Judged(self.alarm_id, self.judgement, rhythm)

    def rows(
        self,
        alarms: Sequence[AlarmInfo],
        judged: Mapping[str, Feedback],
        size: tuple[int, int],
        palette: Palette,
    ) -> list[Row]:
        """The sheet: the question stands last, so that it is there on the smallest screen."""
        width, height = size
        rows: list[Row] = [
            ((" JUDGE AN ALARM", palette.strong), ("   ↑ ↓ another   j closes", palette.quiet))
        ]
        if not alarms:
            rows.append(((" no alarm of the patient since this screen began", palette.text),))
            return [fit(row, width) for row in rows]
        question = self._question(palette)
        room = max(1, height - len(rows) - len(question))
        place = self._place(alarms)
        start = max(0, min(place - room // 2, len(alarms) - room))
        for alarm in alarms[start : start + room]:
            rows.append(self._alarm(alarm, judged.get(alarm.alarm_id), palette))
        return [fit(row, width) for row in [*rows, *question][:height]]

    def _alarm(self, alarm: AlarmInfo, said: Feedback | None, palette: Palette) -> Row:
        mark = "▶" if alarm.alarm_id == self.alarm_id else " "
        word = f"  judged {said.judgement}" if said is not None else ""
        return (
            (f" {mark} {clock(alarm.raised)} ", palette.strong),
            (alarm_text(alarm), palette.number[alarm.priority]),
            (f"  by {alarm.judged_by}", palette.quiet),
            (word, palette.strong),
        )

    def _question(self, palette: Palette) -> list[Row]:
        if self.judgement is None:
            words = [f"{n} {word}: {why}" for n, (word, why) in enumerate(JUDGEMENTS, 1)]
            return [((" " + "   ".join(words), palette.strong),)]
        seen = [f"{n} {RHYTHM[rhythm]}" for n, rhythm in enumerate(RHYTHMS, 1)]
        half = (len(seen) + 1) // 2
        return [
            (
                (
                    f" {self.judgement.upper()}. Which rhythm is it?   0 not said",
                    palette.strong,
                ),
            ),
            ((" " + "   ".join(seen[:half]), palette.text),),
            ((" " + "   ".join(seen[half:]), palette.text),),
        ]

    def _place(self, alarms: Sequence[AlarmInfo]) -> int:
        ids = [alarm.alarm_id for alarm in alarms]
        return ids.index(self.alarm_id) if self.alarm_id in ids else 0
