"""``wardbeat models trials``: how a candidate did beside the network in use."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from agent.store import Disagreement, Reader
from agent.store.judgements import disagreements, trials

NEWEST = 20


def shadow_report(store: Path, *, newest: int = NEWEST) -> list[str]:
    """Lines on every candidate that ran: how long, who said what how often, the newest cases.

    ``store`` is the database or the unit's data folder; StoreError where there is none.
    """
    with Reader.open(store / "wardbeat.db" if store.is_dir() else store) as reader:
        ran, found = trials(reader), disagreements(reader)
    if not ran and not found:
        return ["no candidate has run in shadow here for a minute, or said anything otherwise"]
    lines = []
    for candidate, seconds in sorted(ran.items()):
        lines.append(f"{candidate}: {seconds / 3600:.2f} h beside the one in use")
    pairs = Counter(
        (one.stage, one.in_use, one.in_use_said, one.candidate, one.candidate_said) for one in found
    )
    for (stage, in_use, said, candidate, otherwise), count in pairs.most_common():
        lines.append(f"{count:6}  {stage:8} {in_use}: {said}, {candidate}: {otherwise}")
    if found:
        lines.append("newest first:")
    lines += [_line(one) for one in found[::-1][:newest]]
    return lines


def _line(one: Disagreement) -> str:
    at = datetime.fromtimestamp(one.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"{at} UTC  bed {one.bed}  {one.stage:8} "
        f"{one.in_use}: {one.in_use_said} {one.in_use_confidence:.2f}, "
        f"{one.candidate}: {one.candidate_said} {one.candidate_confidence:.2f}"
    )
