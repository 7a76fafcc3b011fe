"""Changing which networks a unit has and runs: install, promote, roll back, shadow.

One process at a time. Each operation shows on the disk as a whole or not at all, wherever it is
cut off: a bundle appears by one rename, a choice by one replaced file that holds its audit too.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.card import CARD_FILE, VERSION, Card, ModelRefused, parse_card
from models.durable import LockedError, locked, sync_folder, write_synced
from models.preprocess import RATE_HZ
from models.registry import NAMES, Registry
from models.selection import Change, Selection, What, write_selection
from models.unpack import bundle_files

LOCK = ".lock"
STAGE = ".installing"
TRIAL_SECONDS = 5


class ChangeError(RuntimeError):
    """The change was not made: one line with what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Makes changes to a registry with a folder, in somebody's name."""

    registry: Registry
    who: str
    now_ns: Callable[[], int] = time.time_ns

    @property
    def folder(self) -> Path:
        """Where bundles are installed."""
        if self.registry.folder is None:
            raise ChangeError("no models folder; name it by --config or --folder")
        return self.registry.folder

    def install(self, source: Path) -> Card:
        """Check a bundle and add it; it runs only once it is promoted.

        Raises:
            ModelRefused: the bundle is unfit, or the version is there already.
            ChangeError: the folder cannot be written, or another process writes it.
        """
        files = bundle_files(source)
        card = parse_card(files[CARD_FILE], source / CARD_FILE)
        if card.name not in NAMES:
            raise ModelRefused(f"{source}: '{card.name}' is none of {', '.join(NAMES)}")
        with self._alone():
            if card.version in {path.name for path in self.registry.versions(card.name)}:
                raise ModelRefused(
                    f"{card.name} {card.version} is there already; a version is never replaced, "
                    "give the new one a higher number"
                )
            stage = self.folder / STAGE
            staged = stage / card.name / card.version
            staged.mkdir(mode=0o750, parents=True)
            for name, data in files.items():
                write_synced(staged / name, data)
            try_out(self.registry, staged)
            sync_folder(staged)
            place = self.folder / card.name
            place.mkdir(mode=0o750, exist_ok=True)
            os.rename(staged, place / card.version)  # noqa: PTH104 - the tests interrupt it
            sync_folder(place)
            sync_folder(self.folder)
            shutil.rmtree(stage, ignore_errors=True)
            self._note_installed(self.who)
        return card

    def promote(self, name: str, version: str) -> Change:
        """Use this version from now on; a running unit takes it up within seconds."""
        with self._alone():
            path = self.registry.find(name, version)
            try_out(self.registry, path)
            selection = self.registry.selection()
            before = self._running(name)
            if selection.use.get(name) == version:
                raise ChangeError(f"{name} {version} is in use already")
            change = self._change("promote", name, before, version)
            return self._write(selection.promoted(change), change)

    def rollback(self, name: str) -> Change:
        """Go back to what ran before the last promote."""
        with self._alone():
            selection = self.registry.selection()
            past = selection.previous.get(name, ())
            if not past:
                raise ChangeError(f"{name}: nothing was promoted that could be taken back")
            if past[-1]:
                try_out(self.registry, self.registry.find(name, past[-1]))
            back = past[-1] or self._highest_shipped(name)
            change = self._change("rollback", name, self._running(name), back)
            return self._write(selection.rolled_back(change), change)

    def shadow(self, name: str, version: str) -> Change:
        """Try a version beside the one in use; an empty version ends the trial."""
        with self._alone():
            selection = self.registry.selection()
            before = selection.shadow.get(name, "")
            if version:
                try_out(self.registry, self.registry.find(name, version))
                if version == self._running(name):
                    raise ChangeError(f"{name} {version} is in use; a shadow must be another")
            elif not before:
                raise ChangeError(f"{name}: no candidate runs in shadow")
            change = self._change("shadow", name, before, version)
            return self._write(selection.shadowed(change), change)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Under the lock, with what a killed process left behind tidied up."""
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            with locked(self.folder / LOCK):
                shutil.rmtree(self.folder / STAGE, ignore_errors=True)
                self._note_installed("(interrupted)")
                yield
        except LockedError as error:
            raise ChangeError(str(error)) from error
        except OSError as error:
            raise ChangeError(
                f"{error.filename or self.folder}: cannot be written ({error.strerror}); "
                "nothing was changed"
            ) from error

    def _note_installed(self, who: str) -> None:
        """Audit every bundle that has no line yet: at most the one that was just renamed."""
        selection = self.registry.selection()
        known = {(c.name, c.after) for c in selection.changes if c.what == "install"}
        fresh = selection
        for name in NAMES:
            for path in sorted((self.folder / name).glob("*")):
                if VERSION.fullmatch(path.name) and (name, path.name) not in known:
                    sha256 = parse_card((path / CARD_FILE).read_bytes(), path / CARD_FILE).sha256
                    change = Change(self.now_ns(), who, "install", name, "", path.name, sha256)
                    fresh = fresh.noted(change)
        if fresh is not selection:
            write_selection(self.folder, fresh)

    def _running(self, name: str) -> str:
        candidates = self.registry.candidates(name)
        return candidates[0].name if candidates else ""

    def _highest_shipped(self, name: str) -> str:
        shipped = [p.name for p in self.registry.versions(name) if self.registry.is_shipped(p)]
        return shipped[-1] if shipped else ""

    def _change(self, what: What, name: str, before: str, after: str) -> Change:
        sha256 = ""
        if after:
            sha256 = self.registry.verify(self.registry.find(name, after)).sha256
        return Change(self.now_ns(), self.who, what, name, before, after, sha256)

    def _write(self, selection: Selection, change: Change) -> Change:
        write_selection(self.folder, selection)
        return change


def try_out(registry: Registry, path: Path) -> None:
    """Load a bundle as a unit would and let it judge a few seconds of noise.

    Raises:
        ModelRefused: it doesn't load, fails, or says what no probability can be.
    """
    network = registry.load(path)
    signal = np.random.default_rng(1).normal(0, 100, TRIAL_SECONDS * RATE_HZ).astype(np.float32)
    try:
        said = _asked(network, path.parent.name, signal)
    except Exception as error:  # a foreign graph may fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelRefused(f"{path}: fails on a trial signal ({reason})") from error
    if not (np.isfinite(said).all() and (said >= 0).all() and (said <= 1).all()):
        raise ModelRefused(f"{path}: gives no probabilities on a trial signal")
    if said.shape[1] > 1 and not np.allclose(said.sum(axis=1), 1, atol=1e-3):
        raise ModelRefused(f"{path}: probabilities don't sum to 1 on a trial signal")


def _asked(network: Any, name: str, signal: Any) -> Any:
    if name == "quality":
        return np.array([[network.p_usable(signal[-round(network.context_s * RATE_HZ) :])]])
    if name == "rhythm":
        state, rows = network.start(), []
        for second in signal.reshape(-1, RATE_HZ):
            state, p = network.step(state, second)
            rows.append((p.normal, p.af, p.other, p.vt, p.vf))
        return np.array(rows)
    length = round((network.before_s + network.after_s) * RATE_HZ)
    p = network.classify(signal[:length], np.zeros(network.timing_length, np.float32))
    return np.array([(p.n, p.s, p.v, p.f, p.q)])
