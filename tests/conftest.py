"""What tests share: where the recordings are, and the skip when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings and captures beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs the recordings in ../shared, absent here ({SHARED.parent.name}/shared)")
    return SHARED
