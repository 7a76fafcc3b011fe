"""The networks a unit runs, loaded once and shared by its beds; each may be missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.inference import BeatNetwork, ModelId, QualityNetwork, RhythmNetwork
from models.registry import NAMES, ModelRefused, Registry

log = logging.getLogger(__name__)


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


def load(registry: Registry | None = None, running: Networks | None = None) -> Networks:
    """Load what is in use; a refused bundle is told of, never a reason to stop.

    In its place runs what runs already (``running``), else the last good one, else a shipped
    one, else rules. A network of ``running`` that is still the one in use is kept as it is.
    """
    registry = registry or Registry()
    refused: list[str] = []
    loaded = {name: _load(registry, name, getattr(running, name, None), refused) for name in NAMES}
    for line in refused:
        log.error("%s", line)
    return Networks(**loaded, refused=tuple(refused))


def _load(registry: Registry, name: str, running: Any, refused: list[str]) -> Any:
    try:
        missing = registry.missing(name)
        candidates = registry.candidates(name)
    except ModelRefused as error:
        refused.append(str(error))
        if running is not None:
            return running
        registry = replace(registry, folder=None)
        missing, candidates = "", registry.candidates(name)
    if missing:
        refused.append(missing)
    elif not candidates:
        # Rules name the beats until a beat network is there: its absence is no fault.
        if name != "beats" and running is None:
            refused.append(f"{registry.shipped}: no bundle named '{name}'; install one")
        return running
    if missing and running is not None:
        return running
    for path in candidates:
        network = _attempt(registry, path, running, refused)
        if network is not None:
            return network
        if running is not None:
            return running
    return None


def _attempt(registry: Registry, path: Path, running: Any, refused: list[str]) -> Any:
    try:
        card = registry.verify(path)
        if running is not None and running.model == ModelId(card.name, card.version, card.sha256):
            return running
        return registry.load(path)
    except ModelRefused as error:
        refused.append(str(error))
        return None


def load_candidates(registry: Registry, running: Networks) -> tuple[Networks | None, list[str]]:
    """The networks with the candidates of the shadow in their places; None without a candidate.

    Also returned: a line for each candidate that was refused.
    """
    refused: list[str] = []
    found: dict[str, Any] = {}
    for name in NAMES:
        try:
            path = registry.shadow(name)
            if path is not None:
                found[name] = registry.load(path)
        except ModelRefused as error:
            refused.append(str(error))
    return (replace(running, **found, refused=()) if found else None), refused
