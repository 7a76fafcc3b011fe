"""Episodes and seconds of a rhythm, found against annotated. Pure: spans in, counts out (EC57)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.evaluate.spans import Episodes, Span, episodes


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order, those that touch or overlap made one, empty ones left out."""
    out: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_s):
        if span.end_s <= span.start_s:
            continue
        if out and span.start_s <= out[-1].end_s:
            out[-1] = Span(out[-1].start_s, max(out[-1].end_s, span.end_s))
        else:
            out.append(Span(span.start_s, span.end_s))
    return out


def common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """Where both are."""
    others = merged(other)
    return merged(
        Span(max(a.start_s, b.start_s), min(a.end_s, b.end_s))
        for a in merged(one)
        for b in others
        if a.start_s < b.end_s and b.start_s < a.end_s
    )


def without(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """Where the first is and the other is not."""
    holes = merged(other)
    out: list[Span] = []
    for span in merged(one):
        start_s = span.start_s
        for hole in holes:
            if hole.start_s < span.end_s and hole.end_s > start_s:
                out.append(Span(start_s, min(hole.start_s, span.end_s)))
                start_s = max(start_s, hole.end_s)
        out.append(Span(start_s, span.end_s))
    return merged(out)


def length_s(spans: Iterable[Span]) -> float:
    """Seconds that they cover."""
    return sum(span.end_s - span.start_s for span in merged(spans))


@dataclass(frozen=True, slots=True)
class Agreement:
    """One rhythm in one record or many: episodes and seconds."""

    episodes: Episodes = field(default_factory=Episodes)
    reference_s: float = 0.0
    found_s: float = 0.0
    both_s: float = 0.0
    counted_s: float = 0.0
    """All seconds that were judged, with this rhythm and without."""

    def __add__(self, other: Agreement) -> Agreement:
        """Both pooled."""
        return Agreement(
            self.episodes + other.episodes,
            self.reference_s + other.reference_s,
            self.found_s + other.found_s,
            self.both_s + other.both_s,
            self.counted_s + other.counted_s,
        )

    @property
    def sensitivity(self) -> float:
        """Duration sensitivity, 0 to 1."""
        return _ratio(self.both_s, self.reference_s)

    @property
    def predictivity(self) -> float:
        """Duration positive predictivity, 0 to 1."""
        return _ratio(self.both_s, self.found_s)

    @property
    def specificity(self) -> float:
        """Share of the seconds without the rhythm in which it was not told, 0 to 1."""
        absent_s = self.counted_s - self.reference_s
        return _ratio(absent_s - (self.found_s - self.both_s), absent_s)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def agreement(
    reference: Sequence[Span], found: Sequence[Span], counted: Sequence[Span]
) -> Agreement:
    """Compare a rhythm's stretches; what lies outside ``counted`` is nobody's fault or merit."""
    true, told = common(reference, counted), common(found, counted)
    return Agreement(
        episodes(true, told),
        length_s(true),
        length_s(told),
        length_s(common(true, told)),
        length_s(counted),
    )
