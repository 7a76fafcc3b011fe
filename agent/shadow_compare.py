"""What a candidate says otherwise than the networks in use, hop by hop. Pure."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from agent.chain import Step
from agent.rhythm.types import Beat
from agent.signal.types import SignalState
from models.runtime import RHYTHM_CLASSES

SAME_BEAT_S = 0.05


@dataclass(frozen=True, slots=True)
class Said:
    """One side's word."""

    judge: str
    """Name and version of the network, or ``rules``."""
    word: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Both words on one second or beat."""

    at_s: float
    """Stream time: of the beat, or of the end of the hop that judged the second."""
    stage: str
    """``quality``, ``rhythm`` or ``beats``."""
    in_use: Said
    candidate: Said


class Comparison:
    """Follows both sides of one bed.

    Of a stretch of seconds with the same two words only the first is told; each beat is.
    """

    def __init__(self, in_use: str, candidate: str) -> None:
        self._judges = in_use, candidate
        self._last: dict[str, tuple[str, str] | None] = {}

    def step(self, in_use: Step, candidate: Step) -> list[Otherwise]:
        """Compare what both said in the same hop."""
        found = [self._second("quality", in_use, _quality(in_use), _quality(candidate))]
        words = (_rhythm(in_use, self._judges[0]), _rhythm(candidate, self._judges[1]))
        found.append(self._second("rhythm", in_use, *words))
        return [one for one in found if one is not None] + _beats(in_use, candidate)

    def _second(
        self, stage: str, step: Step, one: Said | None, other: Said | None
    ) -> Otherwise | None:
        if one is None or other is None:
            return None
        pair = (one.word, other.word) if one.word != other.word else None
        before, self._last[stage] = self._last.get(stage), pair
        if pair is None or pair == before:
            return None
        return Otherwise(step.hop.end_s, stage, one, other)


def _quality(step: Step) -> Said | None:
    verdict = step.hop.verdict
    if verdict is None:
        return None
    usable = verdict.state is SignalState.USABLE
    p = verdict.p_usable
    return Said(verdict.judged_by, "usable" if usable else "unusable", p if usable else 1 - p)


def _rhythm(step: Step, judge: str) -> Said | None:
    if step.probabilities is None:
        return None
    said = dict(zip(RHYTHM_CLASSES, astuple(step.probabilities), strict=True))
    word = max(said, key=said.__getitem__)
    return Said(judge, word, said[word])


def _beats(in_use: Step, candidate: Step) -> list[Otherwise]:
    theirs = [event for event in candidate.events if isinstance(event, Beat)]
    found = []
    for beat in in_use.events:
        if not isinstance(beat, Beat):
            continue
        near = [other for other in theirs if abs(other.time_s - beat.time_s) <= SAME_BEAT_S]
        if near and near[0].kind is not beat.kind:
            found.append(Otherwise(beat.time_s, "beats", _beat_said(beat), _beat_said(near[0])))
    return found


def _beat_said(beat: Beat) -> Said:
    return Said(beat.judged_by, beat.kind.value, beat.confidence)
