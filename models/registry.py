"""Which networks there are and which is in use. Nothing is loaded before it is asked for.

In use is the highest version of a name under ``bundles``; an unfit one raises
:class:`ModelRefused`, which the agent turns into a technical alarm and goes on by rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.card import VERSION, Card, ModelRefused, verified_model
from models.inference import BeatNetwork, QualityNetwork, RhythmNetwork

__all__ = [
    "BUNDLES",
    "Bundle",
    "ModelRefused",
    "in_use",
    "listing",
    "load_beats",
    "load_quality",
    "load_rhythm",
    "verify",
]

BUNDLES = Path(__file__).resolve().parent / "bundles"
"""The bundles that come with wardbeat."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle in a listing."""

    path: Path
    name: str
    version: str
    in_use: bool
    card: Card | None
    """None when the bundle is refused."""
    refused: str = ""
    """Why, in one line."""


def listing(bundles: Path = BUNDLES) -> tuple[Bundle, ...]:
    """Every bundle by name and version, each verified; a refused one does not hide the others."""
    found = []
    for folder in sorted(path for path in bundles.glob("*") if path.is_dir()):
        versions = _versions(folder)
        for path in versions:
            used = path == versions[-1]
            try:
                found.append(Bundle(path, folder.name, path.name, used, verify(path)))
            except ModelRefused as refusal:
                found.append(Bundle(path, folder.name, path.name, used, None, str(refusal)))
    return tuple(found)


def in_use(name: str, bundles: Path = BUNDLES) -> Path:
    """The folder of the bundle in use; :class:`ModelRefused` when there is none."""
    versions = _versions(bundles / name)
    if not versions:
        raise ModelRefused(f"{bundles}: no bundle named '{name}'; install one")
    return versions[-1]


def _versions(folder: Path) -> list[Path]:
    """Version folders, lowest first; 1.10.0 comes after 1.9.0."""
    paths = [path for path in folder.glob("*") if VERSION.fullmatch(path.name)]
    return sorted(paths, key=lambda path: tuple(int(part) for part in path.name.split(".")))


def verify(path: Path) -> Card:
    """Check one bundle's hash and input contract; :class:`ModelRefused` says what is wrong."""
    card, _content = verified_model(path)
    return card


def load_quality(bundle: Path | None = None, *, bundles: Path = BUNDLES) -> QualityNetwork:
    """Stage 1 from ``bundle``, or from the one in use."""
    from models.runtime import OnnxQuality

    return OnnxQuality(bundle or in_use("quality", bundles))


def load_rhythm(bundle: Path | None = None, *, bundles: Path = BUNDLES) -> RhythmNetwork:
    """Stage 2 from ``bundle``, or from the one in use."""
    from models.runtime import OnnxRhythm

    return OnnxRhythm(bundle or in_use("rhythm", bundles))


def load_beats(bundle: Path | None = None, *, bundles: Path = BUNDLES) -> BeatNetwork:
    """The beat network from ``bundle``, or from the one in use."""
    from models.runtime import OnnxBeats

    return OnnxBeats(bundle or in_use("beats", bundles))
