"""A bundle's card: what a network is, what it wants, what it was measured at, and its hash.

A bundle is a folder ``<name>/<version>/`` with ``model.onnx`` and ``card.toml``. The card is
trusted only after the file's SHA-256 and the input contract have been checked against it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.preprocess import PASS_BAND_HZ, RATE_HZ
from models.signing import SigningError, Trust, signer_of

CARD_FILE = "card.toml"
MODEL_FILE = "model.onnx"
UNIT = "uV"

VERSION = re.compile(r"\d+\.\d+\.\d+")
_TEXTS = ("name", "version", "sha256", "licence", "summary")
_TABLES = ("contract", "calibration", "data", "split", "metrics")


class ModelRefused(Exception):  # noqa: N818 - says what happened, as the alarm does
    """A bundle that must not run; the text is one line: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Card:
    """A checked card. The tables are as written in ``card.toml``."""

    name: str
    version: str
    sha256: str
    """Of ``model.onnx``, hexadecimal."""
    licence: str
    summary: str
    contract: Mapping[str, Any]
    """``rate_hz``, ``pass_band_hz``, ``unit``, and what the kind of network adds."""
    calibration: Mapping[str, Any]
    data: Mapping[str, Any]
    split: Mapping[str, Any]
    metrics: Mapping[str, Any]


def read_card(bundle: Path, trust: Trust | None = None) -> Card:
    """Read ``bundle/card.toml``; :class:`ModelRefused` when it is missing or malformed.

    With ``trust`` also when the signature of these very bytes is not as it asks.
    """
    path = bundle / CARD_FILE
    try:
        written = path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path}: card not readable ({error.strerror})") from error
    card = parse_card(written, path)
    if (card.name, card.version) != (bundle.parent.name, bundle.name):
        raise ModelRefused(f"{path}: is the card of {card.name}/{card.version}")
    if trust is not None:
        try:
            signer_of(bundle, written, trust)
        except SigningError as error:
            raise ModelRefused(str(error)) from error
    return card


def parse_card(written: bytes, path: Path) -> Card:
    """The card in the bytes of ``path``; :class:`ModelRefused` when they are malformed."""
    try:
        raw = tomllib.loads(written.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelRefused(f"{path}: not a TOML card ({error})") from error
    for key in _TEXTS:
        if not isinstance(raw.get(key), str):
            raise ModelRefused(f"{path}: '{key}' is missing or no text")
    for key in _TABLES:
        if not isinstance(raw.get(key), dict):
            raise ModelRefused(f"{path}: table [{key}] is missing")
    if not VERSION.fullmatch(raw["version"]):
        raise ModelRefused(f"{path}: version {raw['version']!r} is not of the form 1.2.3")
    return Card(
        *(raw[key] for key in _TEXTS),
        *(MappingProxyType(raw[key]) for key in _TABLES),
    )


def verified_model(bundle: Path, trust: Trust | None = None) -> tuple[Card, bytes]:
    """The card and the very bytes of the network that were hashed and found to fit it.

    The bytes are handed on, so nothing can change the file between check and use.
    Raises :class:`ModelRefused` when hash, input contract or signature do not fit.
    """
    card = read_card(bundle, trust)
    path = bundle / MODEL_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path}: network not readable ({error.strerror})") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise ModelRefused(
            f"{path}: SHA-256 {digest[:12]}… is not the card's {card.sha256[:12]}…; "
            "install the bundle again"
        )
    _check_contract(bundle, card.contract)
    return card, content


def _check_contract(bundle: Path, contract: Mapping[str, Any]) -> None:
    expected = {"rate_hz": RATE_HZ, "pass_band_hz": list(PASS_BAND_HZ), "unit": UNIT}
    for key, value in expected.items():
        if contract.get(key) != value:
            raise ModelRefused(
                f"{bundle / CARD_FILE}: wants {key} = {contract.get(key)!r}, "
                f"this version's signal has {value!r}; use a bundle trained for it"
            )
