"""The networks under onnxruntime: one thread, no spinning, batch of one.

What a graph must offer is checked once, when it is loaded, and is all there is to bringing
one's own (docs/models.md): names and shapes of inputs and outputs. Any further input ``x`` of
a rhythm graph is a piece of state, zero at the start, that comes back as output ``next_x``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.beat_features import AFTER_S, BEFORE_S, CONTEXT
from models.card import Card, ModelRefused, verified_model
from models.inference import (
    BeatProbabilities,
    ModelId,
    RhythmProbabilities,
    Signal,
)
from models.preprocess import RATE_HZ
from models.signing import Trust

RHYTHM_CLASSES = ("normal", "af", "other", "vt", "vf")
BEAT_CLASSES = ("n", "s", "v", "f", "q")

_State = tuple[NDArray[np.float32], ...]


class _Graph:
    """An ONNX graph in an onnxruntime session, its bundle verified."""

    def __init__(self, bundle: Path, trust: Trust | None) -> None:
        self.card, content = verified_model(bundle, trust)
        self.bundle = bundle
        self.model = ModelId(self.card.name, self.card.version, self.card.sha256)
        self._session = _open_session(bundle, content)
        self.inputs: dict[str, list[int | str | None]] = {
            node.name: node.shape for node in self._session.get_inputs()
        }
        self.outputs: dict[str, list[int | str | None]] = {
            node.name: node.shape for node in self._session.get_outputs()
        }

    def run(self, outputs: Sequence[str], feeds: dict[str, NDArray[np.float32]]) -> list[Any]:
        return list(self._session.run(outputs, feeds))

    def refuse(self, why: str) -> ModelRefused:
        return ModelRefused(f"{self.bundle}: {why}; see docs/models.md for what a graph must offer")

    def want(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        for kind, wanted, offered in (
            ("input", inputs, self.inputs),
            ("output", outputs, self.outputs),
        ):
            for name in wanted:
                if name not in offered:
                    raise self.refuse(f"the graph has no {kind} '{name}'")

    def seconds(self, key: str) -> float:
        value = self.card.contract.get(key)
        if not isinstance(value, int | float) or value <= 0:
            raise self.refuse(f"the card's [contract] has no positive '{key}'")
        return float(value)


def _open_session(bundle: Path, content: bytes) -> Any:
    import onnxruntime  # 60 ms and 30 MB: only where a network is really used

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but this
        reason = str(error).splitlines()[0]
        raise ModelRefused(f"{bundle}: onnxruntime does not take the network ({reason})") from error


def _clean(signal: Signal) -> Signal:
    """One row of finite samples: a NaN would stay in a network's state for ever."""
    if not np.isfinite(signal).all():
        signal = np.nan_to_num(signal, nan=0.0, posinf=0.0, neginf=0.0)
    return signal[np.newaxis]


def _row(probabilities: NDArray[np.float32], count: int) -> list[float]:
    """One row of so many values; ValueError where the graph gave another shape."""
    if probabilities.shape != (1, count):
        raise ValueError(f"its 'probabilities' have shape {probabilities.shape}, not (1, {count})")
    row: list[float] = probabilities[0].tolist()
    return row


class OnnxQuality:
    """Stage 1. Graph: ``signal`` (1, n), n from 250 to context → ``p_usable`` (one value)."""

    def __init__(self, bundle: Path, trust: Trust | None = None) -> None:
        self._graph = _Graph(bundle, trust)
        self._graph.want(["signal"], ["p_usable"])
        self.model = self._graph.model
        self.card: Card = self._graph.card
        self.context_s = self._graph.seconds("context_s")
        self._longest = round(self.context_s * RATE_HZ)

    def p_usable(self, signal: Signal) -> float:
        """See :class:`models.inference.QualityNetwork`; ValueError under one second of signal."""
        if len(signal) < RATE_HZ:
            raise ValueError(f"p_usable wants at least {RATE_HZ} samples, not {len(signal)}")
        (p,) = self._graph.run(["p_usable"], {"signal": _clean(signal[-self._longest :])})
        return float(np.ravel(p)[0])


class OnnxRhythm:
    """Stage 2. Graph: ``second`` (1, 250) and states → ``probabilities`` (1, 5) and states."""

    def __init__(self, bundle: Path, trust: Trust | None = None) -> None:
        self._graph = _Graph(bundle, trust)
        self._graph.want(["second"], ["probabilities"])
        self.model = self._graph.model
        self.card: Card = self._graph.card
        if tuple(self.card.contract.get("classes", ())) != RHYTHM_CLASSES:
            raise self._graph.refuse(f"the card's classes are not {', '.join(RHYTHM_CLASSES)}")
        self._names = [name for name in self._graph.inputs if name != "second"]
        self._outputs = ["probabilities", *(f"next_{name}" for name in self._names)]
        self._graph.want(["second"], self._outputs)
        self._zero = tuple(self._zero_state(name) for name in self._names)

    def _zero_state(self, name: str) -> NDArray[np.float32]:
        shape = self._graph.inputs[name]
        sizes = [size for size in shape if isinstance(size, int)]
        if len(sizes) != len(shape):
            raise self._graph.refuse(f"state '{name}' has no fixed shape")
        zero = np.zeros(sizes, np.float32)
        zero.flags.writeable = False
        return zero

    def start(self) -> object:
        """See :class:`models.inference.RhythmNetwork`."""
        return self._zero

    def step(self, state: object, second: Signal) -> tuple[object, RhythmProbabilities]:
        """See :class:`models.inference.RhythmNetwork`; ValueError unless 250 samples."""
        if len(second) != RATE_HZ:
            raise ValueError(f"step wants {RATE_HZ} samples, not {len(second)}")
        if not isinstance(state, tuple) or len(state) != len(self._names):
            raise TypeError("step wants a state that start() or step() gave")
        feeds: dict[str, NDArray[np.float32]] = dict(zip(self._names, state, strict=True))
        feeds["second"] = _clean(second)
        probabilities, *following = self._graph.run(self._outputs, feeds)
        after: _State = tuple(following)
        return after, RhythmProbabilities(*_row(probabilities, len(RHYTHM_CLASSES)))


class OnnxBeats:
    """Beat names. Graph: ``window`` (1, n) and ``timing`` (1, k) → ``probabilities`` (1, 5)."""

    def __init__(self, bundle: Path, trust: Trust | None = None) -> None:
        self._graph = _Graph(bundle, trust)
        self._graph.want(["window", "timing"], ["probabilities"])
        self.model = self._graph.model
        self.card: Card = self._graph.card
        if tuple(self.card.contract.get("classes", ())) != BEAT_CLASSES:
            raise self._graph.refuse(f"the card's classes are not {', '.join(BEAT_CLASSES)}")
        self.before_s = self._graph.seconds("before_s")
        self.after_s = self._graph.seconds("after_s")
        self._length = round((self.before_s + self.after_s) * RATE_HZ)
        offered = self._graph.inputs["timing"][-1:]
        if offered != [CONTEXT] and all(isinstance(size, int) for size in offered):
            raise self._graph.refuse(f"its 'timing' has {offered} values, the chain's {CONTEXT}")
        self.timing_length = CONTEXT
        if (self.before_s, self.after_s) != (BEFORE_S, AFTER_S):
            window = f"{self.before_s:g} s before to {self.after_s:g} s after the R peak"
            raise self._graph.refuse(f"sees {window}, the chain gives {BEFORE_S:g} and {AFTER_S:g}")

    def classify(self, window: Signal, timing: NDArray[np.float32]) -> BeatProbabilities:
        """See :class:`models.inference.BeatNetwork`; ValueError on a window of other length."""
        if len(window) != self._length:
            raise ValueError(f"classify wants {self._length} samples, not {len(window)}")
        feeds = {"window": _clean(window), "timing": timing.astype(np.float32)[np.newaxis]}
        (probabilities,) = self._graph.run(["probabilities"], feeds)
        return BeatProbabilities(*_row(probabilities, len(BEAT_CLASSES)))
