"""One condition from its begin to its end."""

from __future__ import annotations

from dataclasses import replace

from agent.rhythm.types import Finding, FindingKind


class Episode:
    """Keeps the finding of a condition that is going on; at most one of its kind at a time."""

    def __init__(self, kind: FindingKind) -> None:
        self.kind = kind
        self.finding: Finding | None = None

    @property
    def open(self) -> bool:
        """Whether the condition is going on."""
        return self.finding is not None

    def begin(
        self,
        onset_s: float,
        found_s: float,
        *,
        value: float | None = None,
        limit: float | None = None,
        confidence: float = 1.0,
        judged_by: str = "rules",
        beats: tuple[float, ...] = (),
    ) -> list[Finding]:
        """The condition was found; nothing where it is open already."""
        if self.finding is not None:
            return []
        self.finding = Finding(
            kind=self.kind,
            onset_s=onset_s,
            found_s=found_s,
            value=value,
            limit=limit,
            confidence=confidence,
            judged_by=judged_by,
            beats=beats,
        )
        return [self.finding]

    def update(
        self, found_s: float, value: float | None, beats: tuple[float, ...] | None = None
    ) -> list[Finding]:
        """It goes on with a new value; nothing where it is not open."""
        if self.finding is None:
            return []
        self.finding = replace(
            self.finding,
            found_s=found_s,
            value=value,
            beats=self.finding.beats if beats is None else beats,
        )
        return [self.finding]

    def end(self, ended_s: float, found_s: float, value: float | None = None) -> list[Finding]:
        """It is over; nothing where it was not open."""
        if self.finding is None:
            return []
        over = replace(
            self.finding,
            found_s=found_s,
            ended_s=max(ended_s, self.finding.onset_s),
            value=self.finding.value if value is None else value,
        )
        self.finding = None
        return [over]


def momentary(found: Finding, ended_s: float) -> list[Finding]:
    """A condition that is over when it is found: its begin and its end."""
    return [found, replace(found, ended_s=ended_s)]
