"""Which networks there are and which is in use. Nothing is loaded before it is asked for.

Bundles live in two places: shipped ones inside the package, never written, and those that were
installed in the unit's models folder, beside ``registry.json`` which says what was promoted
(``models.changes`` writes both). In use is what was promoted, else the highest shipped version.
An unfit one raises :class:`ModelRefused`, which the agent turns into a technical alarm; it then
takes the next of :meth:`Registry.candidates`, the last good one first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.card import VERSION, Card, ModelRefused, verified_model
from models.inference import BeatNetwork, QualityNetwork, RhythmNetwork
from models.selection import Selection, read_selection
from models.signing import Trust

__all__ = [
    "BUNDLES",
    "NAMES",
    "Bundle",
    "ModelRefused",
    "Registry",
    "in_use",
    "listing",
    "load_beats",
    "load_quality",
    "load_rhythm",
    "verify",
]

BUNDLES = Path(__file__).resolve().parent / "bundles"
"""The bundles that come with wardbeat."""
NAMES = ("quality", "rhythm", "beats")
"""What a chain has a place for."""


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
    shadow: bool = False
    """Tried beside the one in use."""
    shipped: bool = True


@dataclass(frozen=True, slots=True)
class Registry:
    """The bundles of one unit, as they are now; reads the disk at every call."""

    folder: Path | None = None
    """Where bundles are installed; None: the shipped ones only."""
    trust: Trust = field(default_factory=Trust)
    """Asked of installed bundles; the shipped ones are part of the program."""
    shipped: Path = BUNDLES

    def selection(self) -> Selection:
        """What was promoted and is tried. Raises ModelRefused on a damaged file."""
        return read_selection(self.folder) if self.folder is not None else Selection()

    def versions(self, name: str) -> list[Path]:
        """Folders of every version of a name, lowest first; 1.10.0 comes after 1.9.0."""
        places = [self.shipped / name]
        if self.folder is not None:
            places.append(self.folder / name)
        paths = [path for place in places for path in _versions(place)]
        return sorted(paths, key=lambda path: version_key(path.name))

    def find(self, name: str, version: str) -> Path:
        """The folder of a version; ModelRefused when there is none."""
        for path in self.versions(name):
            if path.name == version:
                return path
        have = ", ".join(path.name for path in self.versions(name)) or "none"
        raise ModelRefused(f"no bundle {name} {version}; there are: {have}")

    def is_shipped(self, path: Path) -> bool:
        """Whether a bundle came with the program."""
        return path.parent.parent == self.shipped

    def trust_of(self, path: Path) -> Trust | None:
        """What is asked of a bundle's signature."""
        return None if self.is_shipped(path) else self.trust

    def verify(self, path: Path) -> Card:
        """Check hash, input contract and signature; :class:`ModelRefused` says what is wrong."""
        card, _content = verified_model(path, self.trust_of(path))
        return card

    def candidates(self, name: str) -> list[Path]:
        """What may run, best first: in use, what ran before it, then the shipped ones.

        Raises:
            ModelRefused: the selection is damaged, or it names a version that is not there.
        """
        selection = self.selection()
        wanted = [selection.use.get(name, ""), *reversed(selection.previous.get(name, ()))]
        there = {path.name: path for path in self.versions(name)}
        shipped = [path for path in reversed(self.versions(name)) if self.is_shipped(path)]
        chosen = [there[version] for version in wanted if version in there]
        return list(dict.fromkeys([*chosen, *shipped] if wanted[0] else [*shipped, *chosen]))

    def missing(self, name: str) -> str:
        """A line on a promoted version that is not there any more; empty when all is well."""
        version = self.selection().use.get(name, "")
        if not version or version in {path.name for path in self.versions(name)}:
            return ""
        return f"{self.folder}: {name} {version} was promoted and is gone; install it again"

    def in_use(self, name: str) -> Path:
        """The folder of the bundle in use; :class:`ModelRefused` when there is none."""
        if line := self.missing(name):
            raise ModelRefused(line)
        candidates = self.candidates(name)
        if not candidates:
            raise ModelRefused(f"{self.shipped}: no bundle named '{name}'; install one")
        return candidates[0]

    def shadow(self, name: str) -> Path | None:
        """The folder of the candidate beside a name, if there is one."""
        version = self.selection().shadow.get(name)
        return None if version is None else self.find(name, version)

    def load(self, path: Path) -> Any:
        """The network of a bundle by the name of its folder; ModelRefused when it is unfit."""
        from models.runtime import OnnxBeats, OnnxQuality, OnnxRhythm

        kinds: dict[str, Callable[..., Any]] = {
            "quality": OnnxQuality,
            "rhythm": OnnxRhythm,
            "beats": OnnxBeats,
        }
        name = path.parent.name
        if name not in kinds:
            raise ModelRefused(f"{path}: '{name}' is none of {', '.join(NAMES)}")
        return kinds[name](path, self.trust_of(path))

    def listing(self) -> tuple[Bundle, ...]:
        """Every bundle by name and version, each verified; a refused one hides no other."""
        selection = self.selection()
        found = []
        for name in self._names():
            candidates = self.candidates(name)
            for path in self.versions(name):
                card: Card | None = None
                why = ""
                try:
                    card = self.verify(path)
                except ModelRefused as refusal:
                    why = str(refusal)
                used = path in candidates[:1]
                tried = selection.shadow.get(name) == path.name
                shipped = self.is_shipped(path)
                found.append(Bundle(path, name, path.name, used, card, why, tried, shipped))
        return tuple(found)

    def _names(self) -> list[str]:
        places = [self.shipped, *([self.folder] if self.folder is not None else [])]
        names = {path.name for place in places for path in place.glob("[!.]*") if path.is_dir()}
        return sorted(names)


def listing(bundles: Path = BUNDLES) -> tuple[Bundle, ...]:
    """Every bundle under ``bundles`` by name and version, each verified."""
    return Registry(shipped=bundles).listing()


def in_use(name: str, bundles: Path = BUNDLES) -> Path:
    """The folder of the highest version; :class:`ModelRefused` when there is none."""
    return Registry(shipped=bundles).in_use(name)


def version_key(version: str) -> tuple[int, ...]:
    """For sorting versions."""
    return tuple(int(part) for part in version.split("."))


def _versions(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if VERSION.fullmatch(path.name)]


def verify(path: Path) -> Card:
    """Check one bundle's hash and input contract; :class:`ModelRefused` says what is wrong."""
    card, _content = verified_model(path)
    return card


def load_quality(bundle: Path | None = None, *, bundles: Path = BUNDLES) -> QualityNetwork:
    """Stage 1 from ``bundle``, or the highest version."""
    from models.runtime import OnnxQuality

    return OnnxQuality(bundle or in_use("quality", bundles))


def load_rhythm(bundle: Path | None = None, *, bundles: Path = BUNDLES) -> RhythmNetwork:
    """Stage 2 from ``bundle``, or the highest version."""
    from models.runtime import OnnxRhythm

    return OnnxRhythm(bundle or in_use("rhythm", bundles))


def load_beats(bundle: Path | None = None, *, bundles: Path = BUNDLES) -> BeatNetwork:
    """The beat network from ``bundle``, or the highest version."""
    from models.runtime import OnnxBeats

    return OnnxBeats(bundle or in_use("beats", bundles))
