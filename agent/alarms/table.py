"""The catalogue as ``docs/alarms.md`` shows it: ``python -m agent.alarms.table docs/alarms.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.alarms.catalogue import CATALOGUE
from agent.alarms.types import Definition

BEGIN, END = "<!-- catalogue:begin -->\n", "<!-- catalogue:end -->"


def markdown() -> str:
    """One line per alarm."""
    head = (
        "| code | text | priority | latches | default | family | MDC | SNOMED |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(_line(row) for row in CATALOGUE.values())


def inserted(page: str) -> str:
    """The page with the present table between its marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + markdown() + END + rest.split(END)[1]


def _line(row: Definition) -> str:
    default = "on" if row.enabled else "off"
    if row.enabled and not row.can_switch_off:
        default = "always on"
    priority = row.priority.value
    if row.escalate_after_s is not None:
        priority += f", medium after {row.escalate_after_s:g} s"
    cells = (
        f"`{row.code}`",
        row.text,
        priority,
        "yes" if row.latching else "",
        default,
        f"{row.family} {row.rank + 1}",
        row.mdc or "",
        row.snomed or "",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(inserted(path.read_text()))
