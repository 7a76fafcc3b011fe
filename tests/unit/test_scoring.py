"""The EC57 scorer: one-to-one matching, exclusions, classes, and agreement with wfdb's counts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb.processing import compare_annotations

from agent.scoring import (
    BeatCounts,
    Confusion,
    ReferenceBeats,
    aami_class,
    compare_beats,
    match_beats,
    reference_beats,
    summarise,
    table,
)

RATE_HZ = 360


def beats(*times: float, symbols: str | None = None) -> ReferenceBeats:
    return ReferenceBeats(np.array(times), tuple(symbols or "N" * len(times)))


def test_a_detection_within_150_ms_matches_and_beyond_does_not() -> None:
    matching = match_beats([1.0, 2.0, 3.0], [1.149, 2.151, 3.0])
    assert matching.reference.tolist() == [0, 2]
    assert matching.missed.tolist() == [1]
    assert matching.extra.tolist() == [1]


def test_each_detection_serves_one_beat_only() -> None:
    matching = match_beats([1.0, 1.2], [1.1])
    assert len(matching.reference) == 1
    assert len(matching.missed) == 1


def test_two_detections_of_one_beat_are_one_hit_and_one_false_positive() -> None:
    matching = match_beats([1.0, 2.0], [0.95, 1.01, 2.0])
    assert matching.detected.tolist() == [1, 2]
    assert matching.extra.tolist() == [0]


def test_the_nearer_of_two_beats_gets_the_contended_detection() -> None:
    matching = match_beats([1.0, 1.2], [0.93, 1.15])
    assert matching.reference.tolist() == [0, 1]
    assert matching.detected.tolist() == [0, 1]


@pytest.mark.parametrize(("reference", "detected"), [([], [1.0]), ([1.0], []), ([], [])])
def test_nothing_on_a_side_is_no_match(reference: list[float], detected: list[float]) -> None:
    matching = match_beats(reference, detected)
    assert len(matching.reference) == 0
    assert len(matching.missed) == len(reference)
    assert len(matching.extra) == len(detected)


def test_times_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="sort"):
        match_beats([2.0, 1.0], [1.0])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_counts_agree_with_wfdb_on_beats_of_physiological_rates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = np.cumsum(rng.integers(110, 500, 40))
    kept = reference[rng.random(40) < 0.9]
    jitter = kept + rng.integers(-70, 71, len(kept))
    extra = rng.integers(0, reference[-1], 4)
    detected = np.unique(np.concatenate([jitter, extra]).clip(0))
    window = 54
    theirs = compare_annotations(reference, detected, window)
    # wfdb's window is open, EC57's closed: half a sample less makes them the same.
    ours = match_beats(reference / RATE_HZ, detected / RATE_HZ, (window - 0.5) / RATE_HZ)
    assert (len(ours.reference), len(ours.missed), len(ours.extra)) == (
        theirs.tp,
        theirs.fn,
        theirs.fp,
    )


def test_symbols_map_to_aami_classes() -> None:
    assert [aami_class(s) for s in "NLRejAaJSVEF/fQ"] == list("NNNNNSSSSVVFQQQ")
    assert aami_class("+") is None
    assert aami_class("~") is None


def test_reference_keeps_beats_and_fibrillation() -> None:
    reference = reference_beats([10, 20, 30, 40, 50, 60], ["N", "[", "!", "]", "V", "["], 10.0, 9.0)
    assert reference.time_s.tolist() == [1.0, 5.0]
    assert reference.classes == ("N", "V")
    assert reference.fibrillation == ((2.0, 4.0), (6.0, 9.0))


def test_beats_in_fibrillation_count_on_neither_side() -> None:
    reference = ReferenceBeats(np.array([1.0, 9.0]), ("N", "N"), ((2.0, 8.0),))
    confusion, _ = compare_beats(reference, [1.0, 3.0, 4.0, 9.0])
    assert confusion.beats() == BeatCounts(found=2)


def test_the_learning_period_counts_on_neither_side() -> None:
    reference = beats(1.0, 2.0, 301.0)
    confusion, errors = compare_beats(reference, [2.5, 301.01], learning_s=300.0)
    assert confusion.beats() == BeatCounts(found=1)
    assert errors == pytest.approx([0.01])


def test_confusion_tells_classes_misses_and_false_beats() -> None:
    reference = beats(1.0, 2.0, 3.0, 4.0, symbols="NVVF")
    confusion, _ = compare_beats(reference, [1.0, 2.0, 4.0, 5.0], ["V", "V", "V", "V"])
    assert confusion.of_class("V") == BeatCounts(found=1, missed=1, extra=2)
    assert confusion.beats() == BeatCounts(found=3, missed=1, extra=1)


def test_false_positive_rate_is_over_beats_that_could_be_false() -> None:
    confusion, _ = compare_beats(beats(1.0, 2.0, 3.0, 4.0, symbols="NNVF"), [1, 2, 4, 5], "NVVN")
    # False: the second N. True negatives: the first N and the made-up beat that is not called V.
    assert confusion.false_positive_rate("V") == pytest.approx(1 / 3)
    assert confusion.false_positive_rate("S") == 0.0


@given(
    st.lists(
        st.tuples(st.sampled_from("NSVFQO"), st.sampled_from("NSVFQO")).filter(
            lambda pair: pair != ("O", "O")
        ),
        max_size=60,
    )
)
def test_invariants_of_a_confusion(pairs: list[tuple[str, str]]) -> None:
    confusion = Confusion(Counter(pairs))
    beats_of = confusion.beats()
    assert beats_of.found + beats_of.missed + beats_of.extra == len(pairs)
    assert confusion + Confusion({}) == Confusion(dict(Counter(pairs)))
    for name in "NSVFQ":
        counts = confusion.of_class(name)
        assert counts.found + counts.missed == sum(r == name for r, _ in pairs)
        assert counts.found + counts.extra <= sum(d == name for _, d in pairs)
        rate = confusion.false_positive_rate(name)
        assert np.isnan(rate) or 0.0 <= rate <= 1.0


def test_a_class_for_each_detection_is_demanded() -> None:
    with pytest.raises(ValueError, match="2 detections but 1 classes"):
        compare_beats(beats(1.0), [1.0, 2.0], ["N"])


def test_gross_pools_beats_and_average_means_records() -> None:
    records = {"a": BeatCounts(90, 10, 0), "b": BeatCounts(10, 0, 10)}
    summary = summarise(records)
    assert summary.gross.sensitivity == pytest.approx(100 / 110)
    assert summary.average_sensitivity == pytest.approx(0.95)
    assert summary.average_predictivity == pytest.approx(0.75)
    lines = table(records).splitlines()
    assert [line.split()[0] for line in lines] == ["record", "a", "b", "gross", "average"]
