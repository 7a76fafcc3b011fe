"""A candidate beside the networks in use: a whole second chain per bed, in a thread of its own.

It hears what the beds hear and tells nobody but the store; it has no way to an alarm. A bed hands
over and goes on: when the candidate fails, falls behind or costs too much, it is dropped with a
line in the log, and the bed has not waited for it once.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.chain import Chain, Step
from agent.networks import Networks
from agent.rhythm.limits import RhythmLimits
from agent.shadow_compare import Comparison, Otherwise
from agent.store import Disagreement
from drivers.samples import Gap, SampleBlock, StreamInfo

log = logging.getLogger(__name__)

WAITING = 256
"""Events that may wait, over 10 s of one bed: a candidate that falls so far behind is dropped."""
WARM_UP_S = 30.0
"""Not compared after a begin: both sides must have seen the patient for as long."""
MOST_LOAD = 0.5
"""Seconds of one core per second of signal, all beds together, beyond which it is too slow."""
LOAD_AFTER_S = 10.0
"""Seconds of signal after which its cost is known."""
TRIAL_S = 60.0
PENDING = 150
"""Hops of one side that wait for the other's."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a bed's chain was given, and what it made of it."""

    bed: str
    chain: int
    """Another number: the bed began anew, and so must the candidate."""
    info: StreamInfo
    limits: RhythmLimits
    event: SampleBlock | Gap
    steps: tuple[Step, ...]
    end_s: float
    """Stream time of the event's end …"""
    end_ns: int
    """… and its UTC."""


@dataclass(slots=True)
class _Bed:
    chain: Chain
    number: int
    begin_s: float
    comparison: Comparison
    in_use: dict[int, Step] = field(default_factory=dict)
    candidate: dict[int, Step] = field(default_factory=dict)
    told_s: float = 0.0


class Shadow:
    """Runs one trial until it is closed or the candidate drops out.

    Args:
        networks: those in use, with the candidates in their places.
        in_use: those in use.
        note: keeps a disagreement; called in the candidate's thread.
        ran: keeps that a candidate ran at a bed for some seconds; likewise.
    """

    def __init__(
        self,
        networks: Networks,
        in_use: Networks,
        note: Callable[[Disagreement], None],
        ran: Callable[[str, str, float], None],
    ) -> None:
        self._networks = networks
        self._in_use = in_use
        self._note = note
        self._ran = ran
        self.candidate = ", ".join(str(m) for m in networks.in_use if m not in in_use.in_use)
        self.disagreements = 0
        self.dropped = ""
        """Why the candidate is out; empty while it runs."""
        self._queue: queue.Queue[Heard | None] = queue.Queue(WAITING)
        self._beds: dict[str, _Bed] = {}
        self._cost_s = self._signal_s = 0.0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def is_of(self, networks: Networks, in_use: Networks) -> bool:
        """Whether this is the trial of these candidates beside these networks."""
        return (self._networks.in_use, self._in_use.in_use) == (networks.in_use, in_use.in_use)

    def offer(self, heard: Heard) -> None:
        """Let the candidate hear; never waits, never fails."""
        if self.dropped:
            return
        try:
            self._queue.put_nowait(heard)
        except queue.Full:
            self._drop(f"fell {WAITING} blocks behind")

    def close(self) -> None:
        """End the trial; does not wait for what the candidate is doing."""
        self.dropped = self.dropped or "the trial was ended"
        self._wake()

    def finish(self, timeout_s: float) -> None:
        """Wait until what was offered is compared, for tests and at most so long."""
        until = time.monotonic() + timeout_s
        while not self.dropped and self._queue.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)

    def _wake(self) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return  # then the thread has enough to wake up for

    def _drop(self, why: str) -> None:
        if not self.dropped:
            self.dropped = why
            log.error("%s runs in shadow no more: it %s", self.candidate, why)
            self._wake()

    def _run(self) -> None:
        while not self.dropped:
            heard = self._queue.get()
            if heard is not None and not self.dropped:
                try:
                    self._hear(heard)
                except Exception as error:  # a foreign network may fail in any way
                    log.debug("the candidate's fault", exc_info=True)
                    reason = (str(error).splitlines() or [type(error).__name__])[0]
                    self._drop(f"failed ({reason})")
            self._queue.task_done()

    def _hear(self, heard: Heard) -> None:
        bed = self._beds.get(heard.bed)
        if bed is None or bed.number != heard.chain:
            bed = self._beds[heard.bed] = self._begin(heard)
        began_s = time.thread_time()
        steps = bed.chain.push(heard.event)
        self._cost_s += time.thread_time() - began_s
        self._signal_s += (heard.event.end - heard.event.first) / heard.info.rate_hz
        if self._signal_s > LOAD_AFTER_S and self._cost_s > MOST_LOAD * self._signal_s:
            self._drop(f"costs {self._cost_s / self._signal_s:.2f} s a second of signal")
            return
        bed.in_use |= {step.hop.index: step for step in heard.steps}
        bed.candidate |= {step.hop.index: step for step in steps}
        for index in sorted(bed.in_use.keys() & bed.candidate.keys()):
            pair = bed.in_use.pop(index), bed.candidate.pop(index)
            if heard.end_s - bed.begin_s >= WARM_UP_S:
                for one in bed.comparison.step(*pair):
                    self._tell(heard, one)
        for side in (bed.in_use, bed.candidate):
            for index in sorted(side)[:-PENDING]:
                del side[index]
        if heard.end_s - bed.told_s >= TRIAL_S:
            self._ran(heard.bed, self.candidate, heard.end_s - bed.told_s)
            bed.told_s = heard.end_s

    def _begin(self, heard: Heard) -> _Bed:
        chain = Chain(heard.info, heard.limits, self._networks)
        judges = (_judge(self._in_use), _judge(self._networks))
        begin_s = heard.event.first / heard.info.rate_hz
        return _Bed(chain, heard.chain, begin_s, Comparison(*judges), told_s=begin_s)

    def _tell(self, heard: Heard, one: Otherwise) -> None:
        self.disagreements += 1
        self._note(
            Disagreement(
                at_ns=heard.end_ns - round((heard.end_s - one.at_s) * 1e9),
                bed=heard.bed,
                stage=one.stage,
                in_use=one.in_use.judge,
                in_use_said=one.in_use.word,
                in_use_confidence=one.in_use.confidence,
                candidate=one.candidate.judge,
                candidate_said=one.candidate.word,
                candidate_confidence=one.candidate.confidence,
            )
        )


def _judge(networks: Networks) -> str:
    """Who says the rhythm."""
    return str(networks.rhythm.model) if networks.rhythm is not None else "rules"
