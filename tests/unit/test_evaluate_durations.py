"""Episodes and seconds of a rhythm: invariants on made spans, and cases drawn by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evaluate.durations import Agreement, agreement, common, length_s, merged, without
from agent.evaluate.lethal import false_lethal
from agent.evaluate.reference import Reference
from agent.evaluate.rhythm import class_scores, counted_spans
from agent.evaluate.spans import Span
from agent.rhythm.types import Finding, FindingKind

SPANS = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 30)).map(lambda p: Span(p[0], p[0] + p[1])),
    max_size=8,
)


def seconds(spans: list[Span]) -> set[int]:
    """The whole seconds that spans with whole edges cover."""
    return {s for span in spans for s in range(int(span.start_s), int(span.end_s))}


@given(SPANS, SPANS)
def test_spans_are_sets_of_seconds(one: list[Span], other: list[Span]) -> None:
    assert seconds(merged(one)) == seconds(one)
    assert seconds(common(one, other)) == seconds(one) & seconds(other)
    assert seconds(without(one, other)) == seconds(one) - seconds(other)
    assert length_s(one) == len(seconds(one))
    edges = [edge for span in merged(one) for edge in (span.start_s, span.end_s)]
    assert edges == sorted(set(edges)), "they neither touch nor overlap"


@given(SPANS, SPANS, SPANS)
def test_an_agreement_counts_what_is_counted_only(
    reference: list[Span], found: list[Span], counted: list[Span]
) -> None:
    told = agreement(reference, found, counted)
    assert told.reference_s == len(seconds(reference) & seconds(counted))
    assert told.found_s == len(seconds(found) & seconds(counted))
    assert told.both_s == len(seconds(reference) & seconds(found) & seconds(counted))
    for share in (told.sensitivity, told.predictivity, told.specificity):
        assert np.isnan(share) or 0.0 <= share <= 1.0
    whole = agreement(found, found, counted)
    assert whole.both_s == whole.reference_s == whole.found_s
    assert whole.episodes.hit == whole.episodes.reference


def test_agreement_of_a_late_and_a_false_episode() -> None:
    told = agreement([Span(10, 30)], [Span(20, 30), Span(50, 60)], [Span(0, 100)])
    assert (told.sensitivity, told.predictivity) == (0.5, 0.5)
    assert told.specificity == pytest.approx(70 / 80)
    assert (told.episodes.hit, told.episodes.right, told.episodes.found) == (1, 1, 2)
    assert (told + Agreement()) == told


def test_noise_and_what_comes_before_the_first_label_are_not_counted() -> None:
    rhythms = ((Span(5, 20), "N"), (Span(20, 30), "NOISE"), (Span(30, 60), "VT"))
    assert counted_spans(Reference((), rhythms, ()), 60.0) == [Span(5, 20), Span(30, 60)]
    assert counted_spans(Reference((), (), (Span(3, 4),)), 60.0) == [Span(0, 60)]


def test_f1_of_the_challenge() -> None:
    pairs = Counter({("N", "N"): 8, ("N", "O"): 2, ("A", "A"): 3, ("O", "N"): 1, ("O", "O"): 1})
    f1 = class_scores(pairs)
    assert f1["N"] == pytest.approx(2 * 8 / (10 + 9))
    assert f1["A"] == 1.0
    assert f1["O"] == pytest.approx(2 / (2 + 3))
    assert np.isnan(f1["~"])


def test_a_lethal_alarm_is_false_where_nothing_bears_it_out() -> None:
    beats = [(float(at), "N") for at in range(1, 10)]
    beats += [(10 + 0.4 * i, "V") for i in range(3)] + [(12.0, "N"), (16.0, "N"), (17.0, "N")]
    reference = Reference(tuple(beats), (), (Span(30.0, 40.0),))
    told = [
        Finding(FindingKind.VT, 9.0, 11.0, ended_s=12.0),
        Finding(FindingKind.VT, 3.0, 5.0, ended_s=6.0),
        Finding(FindingKind.ASYSTOLE, 12.0, 16.0, ended_s=16.0),
        Finding(FindingKind.ASYSTOLE, 1.0, 5.0, ended_s=6.0),
        Finding(FindingKind.VF, 31.0, 35.0),
        Finding(FindingKind.VF, 5.0, 9.0, ended_s=9.5),
    ]
    assert false_lethal(reference, told) == [
        (FindingKind.ASYSTOLE, 1.0),
        (FindingKind.VF, 5.0),
        (FindingKind.VT, 3.0),
    ]
