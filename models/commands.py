"""What ``wardbeat models`` does; texts go to ``say``."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from models.card import CARD_FILE, MODEL_FILE, ModelRefused, verified_model
from models.changes import ChangeError, Changes, try_out
from models.registry import Registry
from models.selection import Change
from models.signing import SIGNATURE_FILE, SigningError, make_key, sign

Say = Callable[[str], None]
Fault = (ModelRefused, ChangeError, SigningError)
"""What a command may raise; each one line for the user."""


def who() -> str:
    """The person at the terminal, for the audit."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def list_bundles(registry: Registry, say: Say) -> None:
    """One line per bundle; * marks the one in use, ~ the one tried beside it."""
    for bundle in registry.listing():
        mark = "*" if bundle.in_use else "~" if bundle.shadow else " "
        state = bundle.card.sha256[:16] if bundle.card is not None else f"refused: {bundle.refused}"
        say(f"{mark} {bundle.name:10} {bundle.version:10} {state}  {bundle.path}")
    for name in ("quality", "rhythm", "beats"):
        if line := registry.missing(name):
            say(f"! {line}")


def show(registry: Registry, name: str, version: str | None, say: Say) -> None:
    """A bundle's card, and what became of the name here."""
    path = registry.find(name, version) if version else registry.in_use(name)
    card = registry.verify(path)
    say(f"{card.name} {card.version}: {card.summary}")
    say(f"  file       {path / MODEL_FILE}, {(path / MODEL_FILE).stat().st_size} bytes")
    say(f"  sha256     {card.sha256}")
    say(f"  signature  {'yes' if (path / SIGNATURE_FILE).exists() else 'none'}")
    say(f"  licence    {card.licence}")
    for title in ("contract", "calibration", "data", "split", "metrics"):
        say(f"  {title}")
        for key, value in getattr(card, title).items():
            say(f"    {key} = {value}")
    for change in registry.selection().changes:
        if change.name == name:
            say(f"  {audit_line(change)}")


def audit_line(change: Change) -> str:
    """One change as a person reads it."""
    at = datetime.fromtimestamp(change.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    before, after = change.before or "none", change.after or "none"
    return f"{at} UTC  {change.what} {change.name} {before} → {after}  by {change.who}"


def verify(registry: Registry, bundle: Path, say: Say) -> None:
    """Check hash, input contract, signature, and that the graph runs."""
    card = registry.verify(bundle.resolve())
    try_out(registry, bundle.resolve())
    say(f"{card.name} {card.version}: fits")


def install(registry: Registry, source: Path, say: Say) -> None:
    """Add a bundle."""
    card = Changes(registry, who()).install(source)
    say(f"{card.name} {card.version}: installed; use it: wardbeat models promote {card.name} "
        f"{card.version}")  # fmt: skip


def promote(registry: Registry, name: str, version: str, say: Say) -> None:
    """Use a version."""
    say(audit_line(Changes(registry, who()).promote(name, version)))


def rollback(registry: Registry, name: str, say: Say) -> None:
    """Back to what ran before."""
    say(audit_line(Changes(registry, who()).rollback(name)))


def shadow(registry: Registry, name: str, version: str, say: Say) -> None:
    """Begin a trial, or end it with an empty version."""
    say(audit_line(Changes(registry, who()).shadow(name, version)))


def keygen(path: Path, say: Say) -> None:
    """Make a private key and say how a unit comes to trust it."""
    public = make_key(path)
    say(f"{path}: private key, keep it secret (mode 0600)")
    say("in unit.toml of the units that shall trust it:")
    say(f'[models]\nrequire_signed = true\ntrusted_keys = ["{public}"]')


def sign_bundle(bundle: Path, key: Path, say: Say) -> None:
    """Sign a bundle that fits its card."""
    card, _ = verified_model(bundle.resolve())
    public = sign(bundle, key, (bundle / CARD_FILE).read_bytes())
    say(f"{card.name} {card.version}: signed with {public}")
