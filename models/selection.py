"""Which bundle of each name runs and which is tried beside it, with every change that led here.

One small JSON file in the unit's models folder. Selection and audit are written together, as a
whole, so a power cut can never leave the one without the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from models.card import ModelRefused
from models.durable import write_whole

FILE = "registry.json"
What = Literal["install", "promote", "rollback", "shadow"]


class Change(msgspec.Struct, frozen=True):
    """One line of the audit."""

    at_ns: int
    """UTC ns since 1970."""
    who: str
    what: What
    name: str
    before: str
    """Version before; empty where there was none (or the shipped one ran by default)."""
    after: str
    """Version after; empty likewise."""
    sha256: str = ""


class Selection(msgspec.Struct, frozen=True):
    """The file."""

    use: dict[str, str] = {}
    """Name → version promoted; a name that is absent runs its highest shipped version."""
    previous: dict[str, tuple[str, ...]] = {}
    """Name → what ran before, the newest last; empty text stands for the shipped one."""
    shadow: dict[str, str] = {}
    """Name → version tried beside the one in use."""
    changes: tuple[Change, ...] = ()

    def promoted(self, change: Change) -> Selection:
        """The selection after a promote."""
        past = (*self.previous.get(change.name, ()), self.use.get(change.name, ""))
        shadow = dict(self.shadow)
        if shadow.get(change.name) == change.after:
            del shadow[change.name]
        return Selection(
            self.use | {change.name: change.after},
            self.previous | {change.name: past},
            shadow,
            (*self.changes, change),
        )

    def rolled_back(self, change: Change) -> Selection:
        """The selection after a rollback to the newest of ``previous``."""
        *past, back = self.previous[change.name]
        use = dict(self.use)
        if back:
            use[change.name] = back
        else:
            use.pop(change.name, None)
        previous = self.previous | {change.name: tuple(past)}
        return Selection(use, previous, self.shadow, (*self.changes, change))

    def shadowed(self, change: Change) -> Selection:
        """The selection with another candidate, or none, beside a name."""
        shadow = dict(self.shadow)
        shadow.pop(change.name, None)
        if change.after:
            shadow[change.name] = change.after
        return Selection(self.use, self.previous, shadow, (*self.changes, change))

    def noted(self, change: Change) -> Selection:
        """The same selection with one more line of audit."""
        return Selection(self.use, self.previous, self.shadow, (*self.changes, change))


def read_selection(folder: Path) -> Selection:
    """The selection of a models folder; nothing is selected where there is no file.

    Raises:
        ModelRefused: the file cannot be read.
    """
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Selection)
    except FileNotFoundError:
        return Selection()
    except OSError as error:
        raise ModelRefused(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelRefused(
            f"{path}: damaged ({error}); put a copy back, or move it away to run the shipped ones"
        ) from error


def write_selection(folder: Path, selection: Selection) -> None:
    """Put a selection on the disk, as a whole. OSError where it cannot be written."""
    data = msgspec.json.format(msgspec.json.encode(selection), indent=1)
    write_whole(folder / FILE, data + b"\n")
