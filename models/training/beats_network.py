"""The beat network: the beat, the patient's dominant beat and their difference, and the context.

Small enough for a tenth of a millisecond: three strided convolutions whose places are kept (the
R peak stands still in the window), a dense layer for the figures, one for both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.beat_features import FIGURES, WINDOW, R

CLIP = 3.0
"""Waves are in units of the dominant beat's height; a higher one is an artefact or a PVC."""


BEFORE_QRS = R - 12
"""Samples of the window before the complex, where a P wave stands."""
P_FLOOR = 0.03
"""P waves are shown in units of their own size, but for noise: of the beat's height."""
P_CLIP = 4.0


class BeatNet(nn.Module):
    """Logits (n, 5) of N S V F Q."""

    def __init__(self, channels: tuple[int, int, int] = (16, 24, 32), dropout: float = 0.3) -> None:
        super().__init__()
        one, two, three = channels
        self.wave = nn.Sequential(
            nn.Conv1d(3, one, 9, 2, 4, bias=False),
            nn.BatchNorm1d(one),
            nn.ReLU(),
            nn.Conv1d(one, two, 7, 2, 3, bias=False),
            nn.BatchNorm1d(two),
            nn.ReLU(),
            nn.Conv1d(two, three, 5, 2, 2, bias=False),
            nn.BatchNorm1d(three),
            nn.ReLU(),
            nn.Flatten(),
        )
        places = three * -(-WINDOW // 8)
        self.shape = nn.Sequential(nn.Dropout(dropout), nn.Linear(places, 48), nn.ReLU())
        self.atria = nn.Sequential(
            nn.Conv1d(3, 12, 9, 2, 4, bias=False),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.Conv1d(12, 16, 7, 2, 3, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(16 * -(-BEFORE_QRS // 4), 24),
            nn.ReLU(),
        )
        self.figures = nn.Sequential(nn.Linear(FIGURES - 1, 48), nn.ReLU())
        self.both = nn.Sequential(
            nn.Linear(120, 48), nn.ReLU(), nn.Dropout(dropout), nn.Linear(48, 5)
        )

    def forward(self, window: Tensor, context: Tensor) -> Tensor:
        """Window (n, WINDOW) and context (n, CONTEXT) as ``models.beat_features`` makes them."""
        scale = context[:, :1]
        beat = (window / scale).clamp(-CLIP, CLIP)
        usual = (context[:, FIGURES:] / scale).clamp(-CLIP, CLIP)
        waves = torch.stack([beat, usual, beat - usual], 1)
        told = self.figures(context[:, 1:FIGURES])
        parts = [self.shape(self.wave(waves)), self.atria(_before_qrs(beat, usual)), told]
        return self.both(torch.cat(parts, 1))


def _before_qrs(beat: Tensor, usual: Tensor) -> Tensor:
    """What precedes the complex, of the beat and of the dominant one, and their difference."""
    own, other = (wave[:, :BEFORE_QRS] for wave in (beat, usual))
    own, other = (wave - wave.mean(1, keepdim=True) for wave in (own, other))
    size = other.abs().mean(1, keepdim=True) + P_FLOOR
    own, other = ((wave / size).clamp(-P_CLIP, P_CLIP) for wave in (own, other))
    return torch.stack([own, other, own - other], 1)


class CalibratedBeatNet(nn.Module):
    """Probabilities (n, 5): a temperature and one offset per class, found on unseen records."""

    def __init__(self, net: BeatNet, temperature: float, offsets: list[float]) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature
        self.offsets = nn.Parameter(torch.tensor(offsets), requires_grad=False)

    def forward(self, window: Tensor, timing: Tensor) -> Tensor:
        """As the bundle's graph: inputs ``window`` and ``timing``."""
        return torch.softmax(self.net(window, timing) / self.temperature + self.offsets, 1)
