"""Places for networks in a chain that runs: what stands in them can be changed between blocks.

A chain calls its networks as ever. After a change the next second (or beat) is judged by the new
network. Stage 2 begins with its start state, as after unusable signal; stage 1 and the beat
network have no state. Everything else of the chain (detector, rates, open findings) goes on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.networks import Networks
from models.inference import (
    BeatNetwork,
    BeatProbabilities,
    ModelId,
    QualityNetwork,
    RhythmNetwork,
    RhythmProbabilities,
    Signal,
)


class QualitySlot:
    """A ``QualityNetwork`` that can be changed; ``context_s`` is that of the first one.

    One that wants more gets the shorter signal, as it does at a start; one that wants less takes
    the newest part.
    """

    def __init__(self, network: QualityNetwork) -> None:
        self.network = network
        self.context_s = network.context_s

    @property
    def model(self) -> ModelId:
        """The one in use."""
        return self.network.model

    @model.setter
    def model(self, _: ModelId) -> None:
        raise AttributeError("change the network, not its name")

    def p_usable(self, signal: Signal) -> float:
        """See ``QualityNetwork``."""
        return self.network.p_usable(signal)


class RhythmSlot:
    """A ``RhythmNetwork`` that can be changed; its state knows whose it is."""

    def __init__(self, network: RhythmNetwork) -> None:
        self.network = network

    @property
    def model(self) -> ModelId:
        """The one in use."""
        return self.network.model

    @model.setter
    def model(self, _: ModelId) -> None:
        raise AttributeError("change the network, not its name")

    def start(self) -> object:
        """See ``RhythmNetwork``."""
        return self.network, self.network.start()

    def step(self, state: object, second: Signal) -> tuple[object, RhythmProbabilities]:
        """See ``RhythmNetwork``; another network's state is left, a new one begun."""
        if not isinstance(state, tuple) or len(state) != 2:
            raise TypeError("step wants a state that start() or step() gave")
        whose, inner = state
        if whose is not self.network:
            inner = self.network.start()
        inner, said = self.network.step(inner, second)
        return (self.network, inner), said


class BeatSlot:
    """A ``BeatNetwork`` that can be changed; all have the window of the chain."""

    def __init__(self, network: BeatNetwork) -> None:
        self.network = network
        self.before_s, self.after_s = network.before_s, network.after_s

    @property
    def model(self) -> ModelId:
        """The one in use."""
        return self.network.model

    @model.setter
    def model(self, _: ModelId) -> None:
        raise AttributeError("change the network, not its name")

    def classify(self, window: Signal, timing: NDArray[np.float32]) -> BeatProbabilities:
        """See ``BeatNetwork``."""
        return self.network.classify(window, timing)


class Slots:
    """One chain's places; a place that was empty at the begin stays so."""

    def __init__(self, networks: Networks) -> None:
        self.quality = QualitySlot(networks.quality) if networks.quality is not None else None
        self.rhythm = RhythmSlot(networks.rhythm) if networks.rhythm is not None else None
        self.beats = BeatSlot(networks.beats) if networks.beats is not None else None

    def fill(self, networks: Networks) -> bool:
        """Change the networks; False, and nothing changed, where a place is missing or too many.

        Then the chain must be begun anew: rules and networks don't judge by the same history.
        """
        pairs = (
            (self.quality, networks.quality),
            (self.rhythm, networks.rhythm),
            (self.beats, networks.beats),
        )
        if any((slot is None) is not (network is None) for slot, network in pairs):
            return False
        if self.quality is not None and networks.quality is not None:
            self.quality.network = networks.quality
        if self.rhythm is not None and networks.rhythm is not None:
            self.rhythm.network = networks.rhythm
        if self.beats is not None and networks.beats is not None:
            self.beats.network = networks.beats
        return True
