"""An ECG without a patient: any rhythm, at any rate, the same for the same seed."""

from __future__ import annotations

from drivers.generator.engine import EcgGenerator, Episode, Play
from drivers.generator.rhythms import RHYTHMS, GeneratedBeat

__all__ = ["RHYTHMS", "EcgGenerator", "Episode", "GeneratedBeat", "Play"]
