"""Beat-by-beat comparison after ANSI/AAMI EC57, as WFDB's ``bxb`` does it.

Knows nothing of files or detectors: times and annotation symbols in, counts out. A detection
matches a reference beat within 150 ms, one to one; beats of the learning period and of annotated
ventricular flutter or fibrillation are not counted on either side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MATCH_WINDOW_S = 0.150
LEARNING_S = 300.0
"""EC57's learning period; our own figures are told with and without it."""
_TIE_S = 1e-9
"""Times that were equal as sample numbers stay equal after division by the rate."""
MISSED = "O"
"""The class of "no beat here" in a confusion, as ``bxb`` writes it."""
AAMI_CLASSES = ("N", "S", "V", "F", "Q")

_CLASS_OF_SYMBOL = {
    **dict.fromkeys("NLRejnB", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VEr", "V"),
    "F": "F",
    **dict.fromkeys("/fQ?", "Q"),
}


def aami_class(symbol: str) -> str | None:
    """The AAMI class of a WFDB annotation symbol, None where it marks no beat."""
    return _CLASS_OF_SYMBOL.get(symbol)


@dataclass(frozen=True, slots=True)
class ReferenceBeats:
    """What an expert annotated in one record."""

    time_s: NDArray[np.float64]
    symbols: tuple[str, ...]
    """WFDB's, one for each beat."""
    fibrillation: tuple[tuple[float, float], ...] = ()
    """Spans between ``[`` and ``]`` (flutter or fibrillation), seconds."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The AAMI class of each beat."""
        return tuple(_CLASS_OF_SYMBOL[symbol] for symbol in self.symbols)


def reference_beats(
    samples: ArrayLike, symbols: Sequence[str], rate_hz: float, duration_s: float = np.inf
) -> ReferenceBeats:
    """Beats and fibrillation out of a record's annotations; an open ``[`` runs to the end."""
    times = np.asarray(samples, np.float64) / rate_hz
    is_beat = np.array([symbol in _CLASS_OF_SYMBOL for symbol in symbols], bool)
    spans: list[tuple[float, float]] = []
    begin: float | None = None
    for time, symbol in zip(times.tolist(), symbols, strict=True):
        if symbol == "[" and begin is None:
            begin = time
        elif symbol == "]" and begin is not None:
            spans.append((begin, time))
            begin = None
    if begin is not None:
        spans.append((begin, duration_s))
    beats = tuple(symbol for symbol in symbols if symbol in _CLASS_OF_SYMBOL)
    return ReferenceBeats(times[is_beat], beats, tuple(spans))


@dataclass(frozen=True, slots=True)
class Matching:
    """Which detection belongs to which reference beat."""

    reference: NDArray[np.int64]
    """Index of each matched reference beat, rising."""
    detected: NDArray[np.int64]
    """Index of its detection, same length."""
    missed: NDArray[np.int64]
    """Reference beats without a detection."""
    extra: NDArray[np.int64]
    """Detections without a reference beat."""


def match_beats(
    reference_s: ArrayLike, detected_s: ArrayLike, window_s: float = MATCH_WINDOW_S
) -> Matching:
    """Pair each reference beat with the nearest detection within the window, each one once.

    Both must rise; ValueError where they don't. Where two reference beats contend for one
    detection the nearer gets it and the other takes the detection before, if that is free and
    near enough (the order of ``wfdb.processing.compare_annotations``).
    """
    ref = np.asarray(reference_s, np.float64)
    det = np.asarray(detected_s, np.float64)
    if (np.diff(ref) < 0).any() or (np.diff(det) < 0).any():
        raise ValueError("beat times must rise; sort the reference and the detections by time")
    pairs = _pairs(ref, det, window_s)
    matched_ref = np.array([r for r, _ in pairs], np.int64)
    matched_det = np.array([d for _, d in pairs], np.int64)
    return Matching(
        matched_ref,
        matched_det,
        np.setdiff1d(np.arange(len(ref)), matched_ref),
        np.setdiff1d(np.arange(len(det)), matched_det),
    )


def _pairs(
    ref: NDArray[np.float64], det: NDArray[np.float64], window_s: float
) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    free = 0
    taken = -1
    for r in range(len(ref)):
        if free >= len(det):
            break
        nearest = _nearest(det, ref[r], free)
        gap = abs(det[nearest] - ref[r])
        contended = r + 1 < len(ref) and _nearest(det, ref[r + 1], free) == nearest
        if contended and abs(det[nearest] - ref[r + 1]) < gap - _TIE_S:
            nearest -= 1
            if nearest <= taken:
                continue
            gap = abs(det[nearest] - ref[r])
        if gap <= window_s:
            pairs.append((r, nearest))
            taken = nearest
        free = nearest + 1
    return pairs


def _nearest(det: NDArray[np.float64], time: float, free: int) -> int:
    after = max(free, int(np.searchsorted(det, time)))
    if after >= len(det):
        return len(det) - 1
    if after > free and time - det[after - 1] <= det[after] - time + _TIE_S:
        return after - 1
    return after


@dataclass(frozen=True, slots=True)
class BeatCounts:
    """True positives, misses and false positives; they add up over records (gross figures)."""

    found: int = 0
    missed: int = 0
    extra: int = 0

    def __add__(self, other: BeatCounts) -> BeatCounts:
        """Counts of both pooled."""
        return BeatCounts(
            self.found + other.found, self.missed + other.missed, self.extra + other.extra
        )

    @property
    def sensitivity(self) -> float:
        """Se = TP / (TP + FN), 0 to 1; NaN where there was nothing to find."""
        return _ratio(self.found, self.found + self.missed)

    @property
    def predictivity(self) -> float:
        """+P = TP / (TP + FP), 0 to 1; NaN where nothing was found."""
        return _ratio(self.found, self.found + self.extra)

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 0 to 1."""
        return _ratio(2 * self.found, 2 * self.found + self.missed + self.extra)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many beats of each reference class were given each class.

    ``counts[reference, detected]``; the class ``MISSED`` stands for "no beat" on either side.
    """

    counts: Mapping[tuple[str, str], int]

    def __add__(self, other: Confusion) -> Confusion:
        """Counts of both pooled."""
        return Confusion(Counter(self.counts) + Counter(other.counts))

    def beats(self) -> BeatCounts:
        """Detection alone, whatever the classes."""
        found = sum(n for (r, d), n in self.counts.items() if MISSED not in (r, d))
        missed = sum(n for (_, d), n in self.counts.items() if d == MISSED)
        return BeatCounts(found, missed, sum(self.counts.values()) - found - missed)

    def of_class(self, name: str) -> BeatCounts:
        """One class against the others, missed beats included.

        After EC57 a fusion or unclassifiable beat called V, and an unclassifiable one called
        S, is no false positive: the experts themselves can't tell.
        """
        exempt = {"V": ("F", "Q"), "S": ("Q",)}.get(name, ())
        found = self.counts.get((name, name), 0)
        missed = sum(n for (r, d), n in self.counts.items() if r == name and d != name)
        extra = sum(
            n for (r, d), n in self.counts.items() if d == name and r != name and r not in exempt
        )
        return BeatCounts(found, missed, extra)

    def false_positive_rate(self, name: str) -> float:
        """FPR = FP / (TN + FP) of one class, 0 to 1; NaN where nothing could be false.

        TN is every beat found or made up, neither of the class nor called so; as ``bxb`` counts
        it for V. For S, which ``bxb`` leaves out, by the same rule.
        """
        extra = self.of_class(name).extra
        others = sum(
            n for (r, d), n in self.counts.items() if r != name and d not in (name, MISSED)
        )
        return _ratio(extra, others + extra)


def compare_beats(
    reference: ReferenceBeats,
    detected_s: ArrayLike,
    detected_classes: Sequence[str] | None = None,
    *,
    learning_s: float = 0.0,
    window_s: float = MATCH_WINDOW_S,
) -> tuple[Confusion, NDArray[np.float64]]:
    """Compare one record: the confusion, and each found beat's time error in seconds.

    ``detected_classes`` are AAMI classes, one for each detection (all N where None). Beats
    before ``learning_s`` and within fibrillation are left out after matching, by the reference's
    time where there is one, so no pair is torn at an edge.
    """
    times = np.asarray(detected_s, np.float64)
    names = ["N"] * len(times) if detected_classes is None else list(detected_classes)
    if len(names) != len(times):
        raise ValueError(f"{len(times)} detections but {len(names)} classes")
    matching = match_beats(reference.time_s, times, window_s)
    counted_ref = _counted(reference.time_s, reference.fibrillation, learning_s)
    counted_det = _counted(times, reference.fibrillation, learning_s)
    classes = reference.classes
    counts: Counter[tuple[str, str]] = Counter()
    errors: list[float] = []
    for r, d in zip(matching.reference.tolist(), matching.detected.tolist(), strict=True):
        if counted_ref[r]:
            counts[classes[r], names[d]] += 1
            errors.append(float(times[d] - reference.time_s[r]))
    counts.update((classes[r], MISSED) for r in matching.missed.tolist() if counted_ref[r])
    counts.update((MISSED, names[d]) for d in matching.extra.tolist() if counted_det[d])
    return Confusion(dict(counts)), np.array(errors, np.float64)


def _counted(
    times: NDArray[np.float64], fibrillation: Iterable[tuple[float, float]], learning_s: float
) -> NDArray[np.bool_]:
    counted: NDArray[np.bool_] = times >= learning_s
    for begin, end in fibrillation:
        counted &= (times < begin) | (times > end)
    return counted


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures over records: all beats pooled, and the mean over records."""

    gross: BeatCounts
    average_sensitivity: float
    average_predictivity: float


def summarise(records: Mapping[str, BeatCounts]) -> Summary:
    """Gross and average figures; a record without beats counts in neither average."""
    gross = sum(records.values(), BeatCounts())
    se = [c.sensitivity for c in records.values() if c.found + c.missed]
    ppv = [c.predictivity for c in records.values() if c.found + c.extra]
    nan = float("nan")
    return Summary(gross, float(np.mean(se)) if se else nan, float(np.mean(ppv)) if ppv else nan)


def table(records: Mapping[str, BeatCounts]) -> str:
    """One line for each record, the worst first, then gross and average, in per cent."""
    lines = [f"{'record':<10}{'beats':>8}{'missed':>8}{'extra':>8}{'Se':>9}{'+P':>9}"]
    worst_first = sorted(records.items(), key=lambda item: -(item[1].missed + item[1].extra))
    summary = summarise(records)
    for name, c in [*worst_first, ("gross", summary.gross)]:
        lines.append(
            f"{name:<10}{c.found + c.missed:>8}{c.missed:>8}{c.extra:>8}"
            f"{100 * c.sensitivity:>9.3f}{100 * c.predictivity:>9.3f}"
        )
    lines.append(
        f"{'average':<34}{100 * summary.average_sensitivity:>9.3f}"
        f"{100 * summary.average_predictivity:>9.3f}"
    )
    return "\n".join(lines)
