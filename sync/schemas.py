"""The JSON Schemas of the wire contract, generated from its structs.

``python -m sync.schemas docs/schemas`` writes one file per message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from sync.topics import DELIVERY, MESSAGE_OF_KIND, Kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of the messages of this kind.

    Waves and strips travel as MessagePack: their schema is that of the decoded map, where a
    ``bytes`` field stands as a string (base64 in JSON).
    """
    generated = msgspec.json.schema(MESSAGE_OF_KIND[kind])
    encoding = "MessagePack" if DELIVERY[kind].binary else "JSON"
    return {
        "$schema": DIALECT,
        "title": f"wardbeat/v1 {kind}",
        "$comment": f"Generated from sync/contract.py; {encoding} on the wire.",
        **generated,
    }


def files() -> dict[str, str]:
    """Return name and text of every schema file."""
    return {f"{kind}.json": json.dumps(schema(kind), indent=2) + "\n" for kind in Kind}


def main(arguments: list[str]) -> int:
    """Write the schemas into the folder given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m sync.schemas FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
