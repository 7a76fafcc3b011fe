"""The networks of both stages, and what of them becomes one streaming graph.

Every convolution is "valid": it sees only what it is given. A whole recording, padded once with
``context`` zeros on the left, and the same recording second by second with the last ``context``
samples carried along give the same figures, so training and the bedside cannot differ.
Strides multiply to 50, which divides a second's 250 samples.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.preprocess import RATE_HZ

SCALE_GAIN = 0.2
"""Share of a new second in the running amplitude: a memory of some five seconds."""
SCALE_FLOOR_UV = 5.0
CLIP = 4.0
FRAMES = 5
"""Feature frames a second."""
VIEW_S = 4
"""Seconds the lethal trunk looks at: the segment length of the VF literature (Picon 2019)."""


def next_scale(before: Tensor, second: Tensor) -> Tensor:
    """Running mean of \\|x\\|, µV, shape (batch, 1); ``before`` is 0 at a start."""
    level = second.abs().mean(dim=1, keepdim=True).clamp(min=SCALE_FLOOR_UV)
    return torch.where(before > 0, before + SCALE_GAIN * (level - before), level)


def squeeze(second: Tensor, scale: Tensor) -> Tensor:
    """Amplitude-free signal within ±CLIP, steepest at the baseline where P waves are."""
    return second / (scale + second.abs() / CLIP)


def level(second: Tensor) -> Tensor:
    """Log amplitude of a second, shape (batch, 1): tells fibrillation from a quiet baseline."""
    return torch.log(second.abs().mean(dim=1, keepdim=True).clamp(min=1.0) / 100.0)


def normalise(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Whole recordings (batch, seconds * 250) → squeezed signal, levels (batch, seconds)."""
    seconds = signal.unflatten(1, (-1, RATE_HZ)).unbind(1)
    scale = torch.zeros_like(signal[:, :1])
    squeezed = []
    for second in seconds:
        scale = next_scale(scale, second)
        squeezed.append(squeeze(second, scale))
    return torch.cat(squeezed, 1), torch.cat([level(second) for second in seconds], 1)


def _conv(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inside, outside, kernel, stride, bias=False),
        nn.BatchNorm1d(outside),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions and a way around them, cropped to what they leave."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, kernel)
        self.second = nn.Sequential(
            nn.Conv1d(channels, channels, kernel, bias=False), nn.BatchNorm1d(channels)
        )
        self.crop = kernel - 1

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, n) → (batch, channels, n - 2 (kernel - 1))."""
        return torch.relu(self.second(self.first(x)) + x[:, :, self.crop : -self.crop])


class RhythmTrunk(nn.Module):
    """Normal, AF or other: beats by convolution, their order by a GRU that remembers."""

    context = 193

    def __init__(self, wide: int = 64, hidden: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = nn.Sequential(
            _conv(1, 16, 11, 2),
            Residual(16, 5),
            _conv(16, wide, 9, 5),
            Residual(wide, 5),
            Residual(wide, 5),
            _conv(wide, hidden, 5, 5),
        )
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 3)

    def forward(self, squeezed: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, context + seconds * 250), (1, batch, hidden) → (batch, seconds, 3), hidden."""
        frames = self.dropout(self.encoder(squeezed.unsqueeze(1)).transpose(1, 2))
        states, hidden = self.gru(frames, hidden)
        last = states[:, FRAMES - 1 :: FRAMES]
        return self.head(self.dropout(last)), hidden


class LethalTrunk(nn.Module):
    """Neither, VT or VF/flutter, from the last four seconds: quick, and it remembers nothing."""

    context = 105

    def __init__(self, wide: int = 32, features: int = 48, dropout: float = 0.3) -> None:
        super().__init__()
        self.features = features
        self.encoder = nn.Sequential(
            _conv(1, 16, 15, 5),
            _conv(16, wide, 5, 2),
            Residual(wide, 5),
            _conv(wide, features, 5, 5),
        )
        self.mix = _conv(features, features, 3)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * features + VIEW_S, 3)

    def frames(self, squeezed: Tensor) -> Tensor:
        """(batch, context + seconds * 250) → (batch, features, seconds * FRAMES)."""
        return self.encoder(squeezed.unsqueeze(1))

    def judge(self, view: Tensor, levels: Tensor) -> Tensor:
        """(n, features, VIEW_S * FRAMES), (n, VIEW_S) → logits (n, 3)."""
        mixed = self.mix(view)
        pooled = torch.cat([mixed.mean(2), mixed.amax(2), levels], 1)
        return self.head(self.dropout(pooled))

    def forward(self, squeezed: Tensor, levels: Tensor) -> Tensor:
        """Whole recordings: logits (batch, seconds, 3)."""
        seconds = levels.shape[1]
        frames = self.frames(squeezed)
        past = nn.functional.pad(frames, ((VIEW_S - 1) * FRAMES, 0))
        views = past.unfold(2, VIEW_S * FRAMES, FRAMES).transpose(1, 2).flatten(0, 1)
        seen = nn.functional.pad(levels, (VIEW_S - 1, 0)).unfold(1, VIEW_S, 1).flatten(0, 1)
        return self.judge(views, seen).unflatten(0, (-1, seconds))


def with_context(squeezed: Tensor, context: int) -> Tensor:
    """Nothing came before a start: zeros, as the streaming graph's first state."""
    return nn.functional.pad(squeezed, (context, 0))


class StreamingRhythm(nn.Module):
    """Both trunks as one graph: a second in, calibrated probabilities out, state carried."""

    def __init__(
        self,
        rhythm: RhythmTrunk,
        lethal: LethalTrunk,
        temperatures: tuple[float, float] = (1.0, 1.0),
        prior: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """``prior`` is added to the lethal logits after their temperature."""
        super().__init__()
        self.rhythm, self.lethal = rhythm, lethal
        self.temperatures = temperatures
        self.register_buffer("prior", torch.tensor([prior]))
        self.context = max(rhythm.context, lethal.context)

    def states(self) -> dict[str, Tensor]:
        """The state before the first second, by input name."""
        return {
            "scale": torch.zeros(1, 1),
            "signal": torch.zeros(1, self.context),
            "memory": torch.zeros(1, 1, self.rhythm.hidden),
            "features": torch.zeros(1, self.lethal.features, (VIEW_S - 1) * FRAMES),
            "levels": torch.zeros(1, VIEW_S - 1),
        }

    def forward(
        self,
        second: Tensor,
        scale: Tensor,
        signal: Tensor,
        memory: Tensor,
        features: Tensor,
        levels: Tensor,
    ) -> tuple[Tensor, ...]:
        """Probabilities (1, 5): normal, af, other, vt, vf; then the states in their order."""
        scale = next_scale(scale, second)
        signal = torch.cat([signal, squeeze(second, scale)], 1)
        slow, memory = self.rhythm(signal[:, self.context - self.rhythm.context :], memory)
        fresh = self.lethal.frames(signal[:, self.context - self.lethal.context :])
        view = torch.cat([features, fresh], 2)
        seen = torch.cat([levels, level(second)], 1)
        quick = self.lethal.judge(view, seen)
        calm = torch.softmax(slow[:, 0] / self.temperatures[0], 1)
        lethal = torch.softmax(quick / self.temperatures[1] + self.prior, 1)
        probabilities = torch.cat([calm * lethal[:, :1], lethal[:, 1:]], 1)
        return (
            probabilities,
            scale,
            signal[:, RATE_HZ:],
            memory,
            view[:, :, FRAMES:],
            seen[:, 1:],
        )


class QualityNet(nn.Module):
    """Is the last second usable? One to five seconds in, a logit out."""

    def __init__(self, wide: int = 24, dropout: float = 0.2) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _conv(1, 16, 15, 5),
            _conv(16, wide, 5, 2),
            Residual(wide, 5),
        )
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Sequential(nn.Linear(4 * wide + 3, 32), nn.ReLU())
        self.head = nn.Linear(32, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, n) µV, n from 250 to 1250 → logit (batch,)."""
        scale = signal.abs().mean(dim=1, keepdim=True).clamp(min=SCALE_FLOOR_UV)
        frames = self.encoder(squeeze(signal, scale).unsqueeze(1))
        last = frames[:, :, -15:]  # the convolutions reach 0.4 s further back
        second = signal[:, -RATE_HZ:]
        peak = second.abs().amax(dim=1, keepdim=True)
        levels = torch.cat(
            [level(second), torch.log(scale / 100.0), torch.log(peak.clamp(min=1.0) / 1000.0)], 1
        )
        pooled = torch.cat([frames.mean(2), frames.amax(2), last.mean(2), last.amax(2), levels], 1)
        return self.head(self.dropout(self.mix(pooled))).squeeze(1)


class UsableGraph(nn.Module):
    """What runs: the calibrated probability instead of the logit."""

    def __init__(self, net: QualityNet, shift: float) -> None:
        """``shift`` is added to the logit: training shows unusable signal far too often."""
        super().__init__()
        self.net, self.shift = net, shift

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, n) µV → probability (batch,)."""
        return torch.sigmoid(self.net(signal) + self.shift)
