"""Sketches that write as fast as their serial line lets them, such as SparkFun's for the AD8232.

``delay(1)`` at 9600 baud is no sampling rate: ``println`` waits for the line, so ``512`` takes
5.2 ms and ``!`` only 3.1 ms. The UART's clock is then the only even one, and a line's time is the
number of bytes before it.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from drivers.decoders.text_lines import TextSamples

BITS_PER_BYTE = 10
"""8N1: a start bit, eight of data, a stop bit."""

FULL = 0.93
"""From this share of its capacity on, it is the line that paces the sketch."""

LINES_TO_JUDGE = 16


def line_is_full(bytes_per_s: float, baud: int) -> bool:
    """Whether so many bytes a second are all that the line can carry."""
    return abs(bytes_per_s * BITS_PER_BYTE / baud - 1.0) <= 1.0 - FULL


class LinePace:
    """Puts each line on the place of the axis that its bytes give it.

    Lines shorter than most come too fast: of two on one place the later stays. Longer ones leave
    a place without a sample, which is told as such. A line that is not full paces nothing: then
    each line is one sample.
    """

    def __init__(self, rate_hz: float, baud: int) -> None:
        self._rate_hz = rate_hz
        self._baud = baud
        self._seen: Counter[int] = Counter()
        self._usual = 0
        self._judged = False
        self._ahead = 0.0

    @property
    def paced(self) -> bool:
        """Whether bytes are what counts."""
        return self._usual > 0

    def place(self, samples: TextSamples) -> TextSamples:
        """The lines on their places; one row is one sample of the axis."""
        if not self._judged:
            self._judge(samples)
        if not self._usual or not len(samples.counts):
            return samples
        ends = self._ahead + np.cumsum(samples.lengths) / self._usual
        places = np.rint(ends).astype(np.int64)
        length = int(places[-1])
        self._ahead = float(ends[-1]) - length
        counts = np.zeros((length, samples.counts.shape[1]), np.int32)
        sampled = np.zeros(length, np.bool_)
        lengths = np.full(length, self._usual, np.int32)
        kept = places > 0
        at = places[kept] - 1
        counts[at] = samples.counts[kept]
        sampled[at] = samples.sampled[kept]
        return TextSamples(counts, sampled, lengths)

    def _judge(self, samples: TextSamples) -> None:
        self._seen.update(samples.lengths[samples.sampled].tolist())
        if self._seen.total() < LINES_TO_JUDGE:
            return
        self._judged = True
        (usual, _), *_ = self._seen.most_common(1)
        if line_is_full(usual * self._rate_hz, self._baud):
            self._usual = usual
