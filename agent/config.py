"""A unit's configuration: one TOML file, typed; an unknown key is an error that names the nearest.

``wardbeat run --config unit.toml`` reads it; ``docs/unit.example.toml`` explains every key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent.alarms.catalogue import UnknownAlarmError, configured
from agent.rhythm.limits import RhythmLimits
from models.registry import Registry
from models.signing import Trust
from sync.settings import BrokerSettings

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]


class ConfigError(ValueError):
    """The configuration cannot be used: says which file and key, what is wrong, what to do."""


class UnitSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[unit]``: who this unit is and where it keeps things."""

    site: Name
    name: Name
    data_dir: str = "/var/lib/wardbeat"
    feed: str = "/run/wardbeat/feed.sock"
    trust_clock: bool = False


class LimitsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[bed.limits]``: alarm limits a bed starts with; commands may change them later."""

    hr_high: float = 120
    hr_low: float = 50
    asystole_s: float = 4.0
    pause_s: float = 2.0
    pvc_per_min: int = 10

    def __post_init__(self) -> None:
        """Refuse what a nurse could not set either."""
        self.for_analysis()

    def for_analysis(self) -> RhythmLimits:
        """The limits as the analysis obeys them; ValueError names the one out of range."""
        return RhythmLimits(**msgspec.structs.asdict(self))


class DeviceSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[bed.device]``: which driver, where, and its own options."""

    driver: str
    address: str
    options: dict[str, Any] = {}


class BedSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[bed]]``: one bed and the device at it."""

    name: Name
    device: DeviceSection
    patient: str | None = None
    limits: LimitsSection = LimitsSection()


class AlarmsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[alarms]``: what the responsible organisation decides."""

    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    audio_pause_max_s: Annotated[float, Meta(ge=0, le=120)] = 120.0


class StoreSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[store]``: how long and how much to keep; alarms are kept in any case."""

    wave_days: Annotated[float, Meta(gt=0)] = 30.0
    trend_days: Annotated[float, Meta(gt=0)] = 365.0
    max_mb: Annotated[float, Meta(ge=50)] = 8000.0
    min_free_mb: Annotated[float, Meta(ge=0)] = 256.0


class ModelsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[models]``: where networks are installed, and whose are accepted."""

    folder: str = ""
    """Empty: ``models`` in the unit's data folder."""
    require_signed: bool = False
    trusted_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.trust()

    def trust(self) -> Trust:
        """As the registry asks it; ValueError names what is wrong."""
        return Trust(self.require_signed, self.trusted_keys)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    unit: UnitSection
    bed: Annotated[tuple[BedSection, ...], Meta(min_length=1, max_length=16)]
    sync: BrokerSettings | None = None
    alarms: AlarmsSection = AlarmsSection()
    store: StoreSection = StoreSection()
    models: ModelsSection = ModelsSection()

    def registry(self) -> Registry:
        """The networks of this unit: shipped, and installed in its folder."""
        folder = self.models.folder or str(Path(self.unit.data_dir) / "models")
        return Registry(Path(folder), self.models.trust())

    def __post_init__(self) -> None:
        names = [bed.name for bed in self.bed]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two beds are called {name!r}: give each its own name")
        try:
            configured(self.alarms.off, self.alarms.on)
        except UnknownAlarmError as error:
            raise ValueError(f"[alarms] {error}") from error


def load(path: Path) -> Config:
    """Read and check a configuration; every fault is one line that names file and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give a file with --config"
        ) from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error))}") from error


def _explain(message: str) -> str:
    """Name the nearest known key where one is unknown."""
    unknown = re.search(r"unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?", message)
    if unknown is None:
        return message.replace(" - at `$.", " at `").replace("`$.", "`")
    key, where = unknown.group(1), unknown.group(2) or ""
    known = _known_keys(where)
    near = difflib.get_close_matches(key, known, n=1)
    place = f"[{where}] " if where else ""
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"{place}unknown key {key!r}; {hint}"


def _known_keys(where: str) -> list[str]:
    """The keys of the section at a msgspec path such as ``bed[0].device``."""
    section: type[msgspec.Struct] = Config
    for part in filter(None, re.split(r"\[\.*\d*\]|\.", where)):
        section = _SECTIONS.get(part, section)
    return list(section.__struct_fields__)


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "unit": UnitSection,
    "bed": BedSection,
    "device": DeviceSection,
    "limits": LimitsSection,
    "sync": BrokerSettings,
    "alarms": AlarmsSection,
    "store": StoreSection,
    "models": ModelsSection,
}
