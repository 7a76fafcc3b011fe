"""The commands a bedside screen gives, with the ids and counters every message carries."""

from __future__ import annotations

import getpass
import time

from sync.contract import Command
from sync.ids import new_id
from tui.bedside.judging import Judged

AUDIO_PAUSE_S = 120.0
"""Two minutes, as monitors do; the agent refuses more than the organisation allows."""


class Commands:
    """Makes the commands of one run of a screen."""

    def __init__(self, by: str) -> None:
        self.by = by
        self._boot = new_id()
        self._seq = 0

    def acknowledge(self, bed: str, alarm_ids: tuple[str, ...]) -> Command:
        """Acknowledge the alarms that the person saw, and none that began since."""
        return self._command("acknowledge", bed, alarm_ids=alarm_ids)

    def pause_audio(self, bed: str) -> Command:
        """Silence the bed for AUDIO_PAUSE_S."""
        return self._command("pause_audio", bed, seconds=AUDIO_PAUSE_S)

    def resume_audio(self, bed: str) -> Command:
        """End the pause."""
        return self._command("resume_audio", bed)

    def judge(self, bed: str, said: Judged) -> Command:
        """Say what the person thinks of an alarm."""
        return self._command(
            "judge",
            bed,
            alarm_ids=(said.alarm_id,),
            judgement=said.judgement,
            rhythm=said.rhythm,
        )

    def _command(self, name: str, bed: str, **more: object) -> Command:
        self._seq += 1
        return Command(
            id=new_id(),
            time=time.time_ns(),
            boot=self._boot,
            seq=self._seq,
            name=name,  # type: ignore[arg-type]
            bed=bed,
            by=self.by,
            **more,  # type: ignore[arg-type]
        )


def who() -> str:
    """Return who sits at this screen, for the audit."""
    try:
        return f"bedside screen ({getpass.getuser()})"
    except (OSError, KeyError):
        return "bedside screen"
