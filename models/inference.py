"""The networks as the bed chain calls them. onnxruntime, one thread, no spinning, batch of one.

Inputs are microvolts at 250 Hz as the chain's ``Hop.signal`` gives them. Every call is a pure
function of its arguments (a streaming network's state is an argument and a result), so the
chain's output cannot depend on how the signal was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Signal: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelId:
    """Which bundle made a judgement."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        """As stored with every finding."""
        return f"{self.name} {self.version}"


class QualityNetwork(Protocol):
    """Stage 1: is this second usable?"""

    model: ModelId
    context_s: float
    """Seconds of signal that ``p_usable`` wants, ending with the second it judges."""

    def p_usable(self, signal: Signal) -> float:
        """Probability that the last second of ``signal`` (shape (context_s * 250,)) is usable.

        Shorter signal (at a start or after a gap) is allowed, down to one second.
        """
        ...


@dataclass(frozen=True, slots=True)
class RhythmProbabilities:
    """Stage 2's calibrated probabilities; they sum to 1."""

    normal: float
    af: float
    other: float
    vt: float
    vf: float


class RhythmNetwork(Protocol):
    """Stage 2: which rhythm? Fed second by second over usable signal; carries its state along."""

    model: ModelId

    def start(self) -> object:
        """The state before the first second, and after a gap or unusable signal."""
        ...

    def step(self, state: object, second: Signal) -> tuple[object, RhythmProbabilities]:
        """One more second of signal, shape (250,): the new state and the rhythm in force now."""
        ...


@dataclass(frozen=True, slots=True)
class BeatProbabilities:
    """The beat network's calibrated probabilities; they sum to 1."""

    n: float
    s: float
    v: float
    f: float
    q: float


class BeatNetwork(Protocol):
    """Names one beat by shape and timing."""

    model: ModelId
    before_s: float
    after_s: float
    """The window it wants around the R peak."""

    def classify(self, window: Signal, timing: NDArray[np.float32]) -> BeatProbabilities:
        """Window around the R peak, shape ((before_s + after_s) * 250,), and what surrounds it.

        ``timing`` is the vector of ``models.beat_features.BeatContext.look``: intervals, shape
        against the patient's other beats, and the dominant beat.
        """
        ...
