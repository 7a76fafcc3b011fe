"""From findings and signal states to alarm conditions."""

from __future__ import annotations

from collections.abc import Callable

from agent.alarms.engine import Condition
from agent.rhythm.types import Finding
from agent.signal.types import SignalState

ToUtc = Callable[[float], int]
"""Stream seconds → UTC ns."""

_SIGNAL_ALARMS = {
    "lead_off": (SignalState.LEAD_OFF, SignalState.SATURATED, SignalState.FLAT),
    "noisy_signal": (SignalState.NOISY,),
}
"""A railed or dead-flat input is, for the person at the bed, an electrode to look at."""


def of_finding(finding: Finding, to_utc: ToUtc) -> Condition:
    """The condition a finding stands for; an ended finding is a condition no longer present."""
    over = finding.ended_s is not None
    at_s = finding.ended_s if finding.ended_s is not None else finding.onset_s
    return Condition(
        code=finding.kind.value,
        present=not over,
        onset_ns=to_utc(at_s),
        value=finding.value,
        limit=finding.limit,
        confidence=finding.confidence,
        judged_by=finding.judged_by,
    )


def of_signal(state: SignalState, since_ns: int) -> list[Condition]:
    """The technical conditions of a signal state, present and not present."""
    return [
        Condition(code=code, present=state in states, onset_ns=since_ns)
        for code, states in _SIGNAL_ALARMS.items()
    ]
