"""What the emulated patient goes through: scripts of the generator, and the source they make."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from drivers.generator import RHYTHMS, EcgGenerator, Episode, GeneratedBeat, Play
from drivers.samples import DriverError
from drivers.source import SourceChunk

_BLOCK_S = 0.5
"""Made at once: large enough to cost little, small enough not to be felt."""


class Step(Play, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of a scenario: what is played, for how long, and what happens to the leads."""

    seconds: float = 60.0
    label: str = ""
    """Shown on the status line; the rhythm's own name without it."""
    lead_off: bool = False
    unplugged: bool = False


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario as a TOML file holds it: ``[[step]]`` after ``[[step]]``, then from the start."""

    step: list[Step]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps that are played one after the other, endlessly."""

    description: str
    steps: tuple[Step, ...]

    @property
    def duration_s(self) -> float:
        """Length of one round."""
        return sum(step.seconds for step in self.steps)


def _only(description: str, rhythm: str) -> Scenario:
    return Scenario(description, (Step(rhythm=rhythm, seconds=120),))


def _bouts(description: str, step: Step) -> Scenario:
    return Scenario(f"{description}, {step.seconds:g} s at a time", (Step(seconds=20), step))


_WANDER = Step(seconds=7, wander_uv=600, label="baseline wander")
_MUSCLE = Step(seconds=7, muscle_uv=1000, label="muscle noise")
_LEAD_OFF = Step(seconds=5, lead_off=True, label="lead off")
_UNPLUGGED = Step(seconds=5, unplugged=True, label="unplugged")

_PER_MILLIVOLT = 0.628
"""Gain at which the generator's VT measures 1 mV from peak to peak in lead II."""

_DEFAULT = Scenario(
    "all of the following in three minutes",
    (
        Step(seconds=10),
        Step(rhythm="af", bpm=108, seconds=40),
        Step(seconds=6),
        Step(rhythm="pvc", seconds=10),
        Step(rhythm="bigeminy", seconds=8),
        Step(seconds=5),
        Step(rhythm="vt", seconds=12),
        Step(seconds=6),
        Step(rhythm="vf", seconds=12),
        Step(seconds=6),
        Step(rhythm="asystole", seconds=11),
        Step(seconds=6),
        Step(rhythm="bradycardia", seconds=14),
        Step(rhythm="tachycardia", seconds=10),
        _WANDER,
        _MUSCLE,
        _LEAD_OFF,
        _UNPLUGGED,
    ),
)

SCENARIOS: dict[str, Scenario] = {
    "default": _DEFAULT,
    "sinus": _only("normal sinus rhythm, 72/min, with its variability", "sinus"),
    "bradycardia": _only("sinus bradycardia, 32/min", "bradycardia"),
    "tachycardia": _only("sinus tachycardia, 150/min", "tachycardia"),
    "extreme-tachycardia": _only("sinus tachycardia, 170/min", "extreme-tachycardia"),
    "svt": _bouts("supraventricular tachycardia, 185/min", Step(rhythm="svt", seconds=40)),
    "pvc": _only("single PVCs by chance", "pvc"),
    "multiform-pvc": _only("PVCs of two shapes", "multiform-pvc"),
    "bigeminy": _only("every second beat a PVC", "bigeminy"),
    "trigeminy": _only("every third beat a PVC", "trigeminy"),
    "couplets": _only("PVCs in pairs", "couplets"),
    "nsvt": _only("runs of four PVCs", "nsvt"),
    "r-on-t": _only("early PVCs on the T wave", "r-on-t"),
    "pac": _only("atrial premature beats", "pac"),
    "pause": _only("sinus pauses of 2.6 s", "pause"),
    "missed-beat": _only("single beats missing", "missed-beat"),
    "af": _only("atrial fibrillation, 96/min", "af"),
    "vt": _bouts("ventricular tachycardia, 190/min", Step(rhythm="vt", seconds=20)),
    "vfl": _bouts("ventricular flutter, 270/min", Step(rhythm="vfl", seconds=20)),
    "ventricular-rhythm": _only("ventricular escape rhythm, 42/min", "ventricular-rhythm"),
    "vf": _bouts("coarse ventricular fibrillation", Step(rhythm="vf", seconds=30)),
    "fine-vf": _bouts("fine ventricular fibrillation", Step(rhythm="fine-vf", seconds=30)),
    "asystole": _bouts("asystole", Step(rhythm="asystole", seconds=20)),
    "p-waves-only": _bouts("P waves without QRS", Step(rhythm="p-waves-only", seconds=20)),
    "paced": _only("ventricular pacing with capture, pulses of 3 mV and 2 ms", "paced"),
    "pacer-no-capture": _bouts(
        "an asystole with pacer pulses", Step(rhythm="pacer-no-capture", seconds=20)
    ),
    "wander": Scenario("sinus rhythm on a wandering baseline", (Step(wander_uv=600),)),
    "drift": Scenario("sinus rhythm on a drift of 2 mV rms", (Step(wander_uv=2000),)),
    "muscle": _bouts("muscle noise that drowns the ECG", replace(_MUSCLE, seconds=20)),
    "motion": Scenario("sinus rhythm under moving electrodes", (Step(motion_uv=900),)),
    "hum-50": Scenario("sinus rhythm with 50 Hz hum of 0.5 mV", (Step(hum_uv=500, hum_hz=50),)),
    "hum-60": Scenario("sinus rhythm with 60 Hz hum of 0.5 mV", (Step(hum_uv=500, hum_hz=60),)),
    "lead-off": _bouts("an electrode off", replace(_LEAD_OFF, seconds=20)),
    "unplugged": _bouts("the device pulled out", replace(_UNPLUGGED, seconds=20)),
    "steady": _only("test signal: 60/min without any variability", "steady"),
    "tall-t": _only("test signal: T of 1.2 mV beside a QRS of 1 mV", "tall-t"),
    "step-80-120": _only("test signal: 80 and 120/min, 30 s each", "step-80-120"),
    "step-80-40": _only("test signal: 80 and 40/min, 30 s each", "step-80-40"),
    "bigeminy-80": _only("test signal: ventricular bigeminy, 80/min", "bigeminy-80"),
    "bigeminy-slow-alternating": _only(
        "test signal: slow alternating bigeminy, 60/min", "bigeminy-slow-alternating"
    ),
    "bigeminy-rapid-alternating": _only(
        "test signal: rapid alternating bigeminy, 120/min", "bigeminy-rapid-alternating"
    ),
    "bidirectional": _only("test signal: bidirectional systoles, 90/min", "bidirectional"),
    **{
        f"vt-{bpm}{size}": _bouts(
            f"test signal: VT of {bpm}/min, {millivolts * factor:g} mV",
            Step(rhythm=f"vt-{bpm}", seconds=30, gain=_PER_MILLIVOLT * millivolts * factor),
        )
        for bpm, millivolts in ((206, 1), (195, 2))
        for size, factor in (("-half", 0.5), ("", 1.0), ("-double", 2.0))
    },
}
"""Every scenario by its name."""


def scenario_names() -> Mapping[str, str]:
    """Name and one line of description of every scenario, for ``--help``."""
    return {name: scenario.description for name, scenario in SCENARIOS.items()}


def load_scenario(name: str) -> Scenario:
    """A scenario by its name, or out of a TOML file. Raises DriverError that says what to do."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    if not name.endswith(".toml"):
        raise DriverError(
            "is no scenario", name, "choose one of: " + ", ".join(SCENARIOS), transient=False
        )
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise DriverError(
            error.strerror or "cannot be read", name, "check the path", transient=False
        ) from error
    return parse_scenario(text, name)


def parse_scenario(text: str, where: str = "scenario") -> Scenario:
    """A scenario out of TOML text. Raises DriverError that names the key that is wrong."""
    try:
        script = msgspec.convert(tomllib.loads(text), Script)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DriverError(
            str(error), where, "see docs/devices/scenario.md", transient=False
        ) from error
    _check(script.step, where)
    return Scenario(script.description, tuple(script.step))


def _check(steps: Sequence[Step], where: str) -> None:
    problem, remedy = "", ""
    if not steps:
        problem, remedy = "has no step", "add one: [[step]]"
    for number, step in enumerate(steps, start=1):
        if step.rhythm not in RHYTHMS:
            problem = f"step {number} plays {step.rhythm!r}, which is no rhythm"
            remedy = "choose one of: " + ", ".join(RHYTHMS)
        elif not 0.1 <= step.seconds <= 1e6:
            problem = f"step {number} lasts {step.seconds:g} s"
            remedy = "give it 0.1 s or more"
        elif step.bpm is not None and not 5 <= step.bpm <= 400:
            problem = f"step {number} plays {step.bpm:g} beats a minute"
            remedy = "give it 5 to 400"
    if problem:
        raise DriverError(problem, where, remedy, transient=False)


class ScenarioSource:
    """A scenario as the emulator's ECG, from its first step to the last and round again.

    ``scenario`` is a name out of ``scenario_names()`` or a TOML file. ``beats`` and ``episodes``
    are the truth, in seconds from the first sample (time unplugged counted in).
    """

    def __init__(
        self, rate_hz: float, scenario: str | Scenario = "default", seed: int = 1, leads: int = 1
    ) -> None:
        self.rate_hz = rate_hz
        self.scenario = load_scenario(scenario) if isinstance(scenario, str) else scenario
        self._generator = EcgGenerator(rate_hz, leads=leads, seed=seed)
        self.lead_names = self._generator.lead_names
        self._step = -1
        self._left = 0
        self._made: NDArray[np.float64] = np.empty((0, leads))
        self._at = 0
        self._begun_s = 0.0
        self._next_step()

    @property
    def beats(self) -> Sequence[GeneratedBeat]:
        """Beats made so far, up to about a second ahead of what was read."""
        return self._generator.beats

    @property
    def episodes(self) -> Sequence[Episode]:
        """Rhythms made so far."""
        return self._generator.episodes

    def read(self, count: int) -> SourceChunk:
        """At least 1 and at most ``count`` further samples, all of one step."""
        if count < 1:
            raise ValueError(f"count must be at least 1, is {count}")
        if self._at == len(self._made):
            if not self._left:
                self._next_step()
            block = min(self._left, max(1, round(_BLOCK_S * self.rate_hz)))
            self._made = self._generator.read(block)
            self._left -= block
            self._at = 0
        step = self.scenario.steps[self._step]
        part = self._made[self._at : self._at + count]
        self._at += len(part)
        return SourceChunk(
            part,
            lead_off=step.lead_off,
            unplugged=step.unplugged,
            label=step.label or RHYTHMS[step.rhythm].label,
        )

    def _next_step(self) -> None:
        """Begin the next step, at the sample nearest to its time in the script."""
        self._step = (self._step + 1) % len(self.scenario.steps)
        step = self.scenario.steps[self._step]
        begin = round(self._begun_s * self.rate_hz)
        self._begun_s += step.seconds
        self._left = max(1, round(self._begun_s * self.rate_hz) - begin)
        self._generator.play(step)
