"""Ed25519 signatures of bundles: ``card.sig`` over the bytes of ``card.toml``.

The card holds the network's SHA-256, so one signature covers both. Keys and signatures are
written in base64, a public key as its 32 raw bytes, a private one as PKCS #8 in PEM (RFC 8032,
RFC 8410). The package ``cryptography`` is wanted only where something is signed or a signature
is asked for.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.durable import sync_folder, write_whole

SIGNATURE_FILE = "card.sig"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
_INSTALL = "install it: pip install 'wardbeat[signing]'"


class SigningError(ValueError):
    """A key or signature that cannot be used: one line with what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose bundles a unit accepts."""

    required: bool = False
    """Refuse what is not signed by one of the keys."""
    keys: tuple[str, ...] = ()
    """Trusted public keys, base64 of 32 bytes."""

    def __post_init__(self) -> None:
        for key in self.keys:
            _raw(key, KEY_BYTES, "trusted key")
        if self.required and not self.keys:
            raise SigningError("signed models are required but no key is trusted; name one")


def signer_of(bundle: Path, card: bytes, trust: Trust) -> str:
    """The trusted key that signed these card bytes; empty for an unsigned bundle.

    Raises:
        SigningError: a signature that fits no trusted key, or none where one is required.
    """
    path = bundle / SIGNATURE_FILE
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if trust.required:
            raise SigningError(
                f"{bundle}: is not signed, and this unit takes signed models only; "
                "sign it: wardbeat models sign"
            ) from None
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SigningError(f"{path}: signature not readable ({error})") from error
    if not trust.keys:
        return ""
    signature = _raw(text, SIGNATURE_BYTES, str(path))
    ed25519, invalid = _ed25519()
    for key in trust.keys:
        try:
            public = ed25519.Ed25519PublicKey.from_public_bytes(_raw(key, KEY_BYTES, "key"))
            public.verify(signature, card)
        except invalid:
            continue
        return key
    raise SigningError(
        f"{path}: the signature is of none of the {len(trust.keys)} trusted key(s), "
        "or the card was changed after it was signed"
    )


def make_key(path: Path) -> str:
    """Write a new private key to ``path`` (mode 0600); returns the public key.

    Raises:
        SigningError: there is a file already, or it cannot be written.
    """
    ed25519, _ = _ed25519()
    from cryptography.hazmat.primitives import serialization

    private = ed25519.Ed25519PrivateKey.generate()
    data = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SigningError(f"{path}: is there already; a key is never written over") from None
    except OSError as error:
        raise SigningError(f"{path}: cannot be written ({error.strerror})") from error
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.resolve().parent)
    return _public_text(private)


def sign(bundle: Path, key: Path, card: bytes) -> str:
    """Write ``card.sig`` of these card bytes with a private key; returns the public key.

    Raises:
        SigningError: the key or the signature's place cannot be used.
    """
    ed25519, _ = _ed25519()
    from cryptography.hazmat.primitives import serialization

    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise SigningError(f"{key}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise SigningError(f"{key}: no private key; make one: wardbeat models keygen") from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise SigningError(f"{key}: is no Ed25519 key; make one: wardbeat models keygen")
    signature = base64.b64encode(private.sign(card)) + b"\n"
    try:
        write_whole(bundle / SIGNATURE_FILE, signature)
    except OSError as error:
        raise SigningError(f"{bundle}: cannot be written ({error.strerror})") from error
    return _public_text(private)


def _public_text(private: Any) -> str:
    raw: bytes = private.public_key().public_bytes_raw()
    return base64.b64encode(raw).decode()


def _raw(text: str, length: int, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != length:
        raise SigningError(f"{what}: {text[:48]!r} is not base64 of {length} bytes")
    return raw


def _ed25519() -> tuple[Any, type[Exception]]:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise SigningError(f"signatures need the package cryptography; {_INSTALL}") from None
    return ed25519, InvalidSignature
