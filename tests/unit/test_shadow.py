"""A candidate in shadow: what it says otherwise is kept, and it can harm no bed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from test_slots import BLOCK, INFO, RATE, blocks, ecg

from agent import shadow as shadow_module
from agent.chain import Chain
from agent.networks import Networks, load
from agent.rhythm.limits import RhythmLimits
from agent.shadow import Heard, Shadow
from agent.store import Disagreement
from models.inference import ModelId, RhythmProbabilities

NETWORKS = load()


@dataclass
class Candidate:
    """A rhythm network that says what it is told to say."""

    says: RhythmProbabilities | Exception
    wait: threading.Event | None = None
    work_s: float = 0.0
    model: ModelId = field(default_factory=lambda: ModelId("rhythm", "9.0.0", "0"))

    def start(self) -> object:
        return None

    def step(self, state: object, second: Any) -> tuple[object, RhythmProbabilities]:
        if self.wait is not None:
            self.wait.wait(20)
        until = time.thread_time() + self.work_s
        while time.thread_time() < until:
            pass
        if isinstance(self.says, Exception):
            raise self.says
        return None, self.says


AF = RhythmProbabilities(0.1, 0.8, 0.1, 0.0, 0.0)


class Trial:
    """One bed's stream with a candidate beside its chain."""

    def __init__(self, candidate: Candidate) -> None:
        self.noted: list[Disagreement] = []
        self.ran: list[tuple[str, str, float]] = []
        networks = replace(NETWORKS, rhythm=candidate)
        self.shadow = Shadow(
            networks, NETWORKS, self.noted.append, lambda *args: self.ran.append(args)
        )

    def hear(self, seconds: int, *, wait: bool = True) -> float:
        """Play a steady rhythm; the longest time that handing over took."""
        chain = Chain(INFO, RhythmLimits(), NETWORKS)
        longest = 0.0
        for block in blocks(ecg(seconds)):
            steps = tuple(chain.push(block))
            end_s = block.end / RATE
            heard = Heard("1", 1, INFO, RhythmLimits(), block, steps, end_s, round(end_s * 1e9))
            began = time.perf_counter()
            self.shadow.offer(heard)
            longest = max(longest, time.perf_counter() - began)
            if wait and block.first % (100 * BLOCK) == 0:
                self.shadow.finish(20)
        if wait:
            self.shadow.finish(20)
        return longest


def test_disagreement_is_told_once_with_both_words() -> None:
    trial = Trial(Candidate(AF))
    trial.hear(65)
    rhythm = [one for one in trial.noted if one.stage == "rhythm"]
    assert len(rhythm) == 1
    (one,) = rhythm
    assert NETWORKS.rhythm is not None
    assert (one.in_use, one.in_use_said) == (str(NETWORKS.rhythm.model), "normal")
    assert (one.candidate, one.candidate_said, one.candidate_confidence) == (
        "rhythm 9.0.0", "af", pytest.approx(0.8),
    )  # fmt: skip
    assert 0.5 < one.in_use_confidence <= 1
    assert one.bed == "1"
    assert trial.ran == [("1", "rhythm 9.0.0", pytest.approx(60, abs=0.5))]
    assert trial.shadow.dropped == ""
    trial.shadow.close()


def test_equal_networks_do_not_disagree() -> None:
    assert NETWORKS.rhythm is not None
    noted: list[Disagreement] = []
    trial = Trial(Candidate(AF))
    trial.shadow.close()
    trial.shadow = Shadow(NETWORKS, Networks(), noted.append, lambda *_: None)
    trial.hear(45)
    assert noted == []
    assert trial.shadow.dropped == ""
    trial.shadow.close()


def test_failing_candidate_is_dropped_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    trial = Trial(Candidate(RuntimeError("bad weights\nand a trace")))
    trial.hear(15)
    assert trial.shadow.dropped == "failed (bad weights)"
    assert "rhythm 9.0.0 runs in shadow no more" in caplog.text
    assert trial.noted == []


def test_hanging_candidate_never_holds_the_bed_up() -> None:
    hang = threading.Event()
    trial = Trial(Candidate(AF, wait=hang))
    assert trial.hear(70, wait=False) < 0.5
    assert "behind" in trial.shadow.dropped
    hang.set()


def test_costly_candidate_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "MOST_LOAD", 0.05)
    trial = Trial(Candidate(AF, work_s=0.2))
    trial.hear(20)
    assert "s a second of signal" in trial.shadow.dropped


def test_closed_trial_hears_nothing_more() -> None:
    trial = Trial(Candidate(AF))
    trial.shadow.close()
    trial.hear(45, wait=False)
    assert trial.noted == []
    assert trial.shadow.disagreements == 0
