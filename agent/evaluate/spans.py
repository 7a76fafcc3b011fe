"""What found spans of time are worth against true ones. Pure: spans in, counts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.rhythm.types import Finding, FindingKind, RhythmEvent

NEAR_S = 0.15
"""EC57's window: so far apart two spans may lie and still be one."""
LOOK_BACK_S = 16.0
"""CinC 2015 places the cause of the alarm within so many seconds before the record's end; one that
the unit needs up to the last half second for is raised in time too."""
MISS_COST = 5


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of stream time."""

    start_s: float
    end_s: float
    """Infinite where the record ended before it did."""
    found_s: float = 0.0
    """For a finding: when it was told first."""
    gone_s: float = float("inf")
    """For a finding: when its end was told."""

    def meets(self, other: Span) -> bool:
        """Whether both share time, give or take NEAR_S."""
        return self.start_s <= other.end_s + NEAR_S and other.start_s <= self.end_s + NEAR_S


def spans(events: Sequence[RhythmEvent], *kinds: FindingKind) -> list[Span]:
    """The findings of some kinds, each once."""
    found: dict[tuple[FindingKind, float], Span] = {}
    for event in events:
        if not isinstance(event, Finding) or event.kind not in kinds:
            continue
        key = (event.kind, event.onset_s)
        first = found.get(key)
        over = event.ended_s is not None
        found[key] = Span(
            event.onset_s,
            event.ended_s if event.ended_s is not None else float("inf"),
            first.found_s if first else event.found_s,
            event.found_s if over else float("inf"),
        )
    return sorted(found.values(), key=lambda span: span.start_s)


def raised_at_end(found: Sequence[Span], duration_s: float) -> bool:
    """Whether an alarm stood at any time in the record's last LOOK_BACK_S seconds."""
    return any(span.gone_s >= duration_s - LOOK_BACK_S for span in found)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Alarms of one kind, told true and false."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def score(self) -> float:
        """The challenge's, 0 to 100: a missed alarm counts five times."""
        whole = self.tp + self.tn + self.fp + MISS_COST * self.fn
        return 100.0 * (self.tp + self.tn) / whole if whole else float("nan")


def outcome(true: bool, raised: bool) -> Outcome:
    """One alarm."""
    return Outcome(true and raised, raised and not true, true and not raised, not (true or raised))


@dataclass(frozen=True, slots=True)
class Episodes:
    """Episode by episode, any overlap (EC57)."""

    reference: int = 0
    hit: int = 0
    """Reference episodes that a finding meets."""
    found: int = 0
    right: int = 0
    """Findings that meet a reference episode."""

    def __add__(self, other: Episodes) -> Episodes:
        return Episodes(
            self.reference + other.reference,
            self.hit + other.hit,
            self.found + other.found,
            self.right + other.right,
        )

    @property
    def sensitivity(self) -> float:
        """Reference episodes met, per cent; NaN of none."""
        return 100.0 * self.hit / self.reference if self.reference else float("nan")

    @property
    def predictivity(self) -> float:
        """Findings that meet one, per cent; NaN of none."""
        return 100.0 * self.right / self.found if self.found else float("nan")

    @property
    def f1(self) -> float:
        """Of the two; 0 where nothing is right."""
        whole = self.reference + self.found
        return 100.0 * (self.hit + self.right) / whole if whole else float("nan")


def episodes(reference: Sequence[Span], found: Sequence[Span]) -> Episodes:
    """Compare episodes."""
    return Episodes(
        len(reference),
        sum(any(span.meets(other) for other in found) for span in reference),
        len(found),
        sum(any(span.meets(other) for other in reference) for span in found),
    )
