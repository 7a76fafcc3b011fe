"""The networks a unit runs, loaded once and shared by its beds; each may be missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from models import registry
from models.inference import BeatNetwork, ModelId, QualityNetwork, RhythmNetwork
from models.registry import ModelRefused

log = logging.getLogger(__name__)

NetworkT = TypeVar("NetworkT")


@dataclass(frozen=True, slots=True)
class Networks:
    """None stands for a network that could not be loaded: rules alone judge its part."""

    quality: QualityNetwork | None = None
    rhythm: RhythmNetwork | None = None
    beats: BeatNetwork | None = None
    refused: tuple[str, ...] = ()
    """One line for each bundle that was refused, with the remedy."""

    @property
    def in_use(self) -> tuple[ModelId, ...]:
        """The bundles behind every finding."""
        loaded = (self.quality, self.rhythm, self.beats)
        return tuple(network.model for network in loaded if network is not None)


def load() -> Networks:
    """Load all bundles in use; a refused one is told of and left out, never a reason to stop."""
    refused: list[str] = []

    def attempt(loader: Callable[[], NetworkT]) -> NetworkT | None:
        try:
            return loader()
        except ModelRefused as error:
            log.error("%s", error)
            refused.append(str(error))
            return None

    # Rules name the beats until a beat network is shipped: its absence is no fault.
    has_beats = (registry.BUNDLES / "beats").is_dir()
    return Networks(
        quality=attempt(registry.load_quality),
        rhythm=attempt(registry.load_rhythm),
        beats=attempt(registry.load_beats) if has_beats else None,
        refused=tuple(refused),
    )
