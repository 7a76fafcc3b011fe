"""How figures are written: JSON with a head that tells what was judged by what, and text."""

from __future__ import annotations

import hashlib
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.evaluate.folder import EvaluateError
from agent.evaluate.judging import Failure, Judge
from agent.networks import Networks
from agent.rhythm.limits import RhythmLimits
from agent.scoring import BeatCounts, summarise
from agent.signal.scorer import WEIGHTS

SCHEMA = 1
"""Version of the JSON form; a change that takes something away raises it."""
WIDTH = 80


def head(
    command: str,
    folder: Path,
    judge: Judge,
    thresholds: Mapping[str, Any],
    failed: Sequence[Failure],
) -> dict[str, Any]:
    """What every report begins with: the form, the command, and what judged."""
    return {
        "schema": SCHEMA,
        "command": f"evaluate {command}",
        "wardbeat": version("wardbeat"),
        "folder": str(folder),
        "leads": list(judge.leads) or "all ECG leads",
        "models": _models(judge.networks()),
        "qrs_scorer_sha256": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
        "thresholds": {**thresholds, "limits": asdict(RhythmLimits())},
        "failed": [asdict(failure) for failure in failed],
    }


def _models(networks: Networks) -> list[dict[str, Any]]:
    """What judged, and what its card says it was trained on: figures of that flatter."""
    found = []
    for network in (networks.quality, networks.rhythm, networks.beats):
        if network is not None:
            card = getattr(network, "card", None)
            trained_on = list(card.data.get("trained_on", ())) if card is not None else []
            found.append({**asdict(network.model), "trained_on": trained_on})
    return found


def head_text(report: Mapping[str, Any], judged: str) -> list[str]:
    """The same for a reader; ``judged`` says how much was judged by which rules."""
    models = ", ".join(
        f"{model['name']} {model['version']} ({model['sha256'][:8]})" for model in report["models"]
    )
    leads = report["leads"]
    shown = leads if isinstance(leads, str) else f"lead{'s' * (len(leads) > 1)} {', '.join(leads)}"
    scorer = report["qrs_scorer_sha256"][:8]
    trained_on = "; ".join(
        f"{model['name']}: {', '.join(model['trained_on'])}"
        for model in report["models"]
        if model["trained_on"]
    )
    lines = [
        f"wardbeat {report['wardbeat']}, {report['command']}: {report['folder']}",
        f"judged by {models or 'rules alone'}, QRS scorer ({scorer})",
        *([f"trained on these, whose figures flatter: {trained_on}"] if trained_on else []),
        f"{judged}; {shown}",
    ]
    return [piece for line in lines for piece in wrapped(line)]


def wrapped(text: str, indent: str = "    ") -> list[str]:
    """Lines of at most WIDTH columns."""
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def percent(share: float) -> float | None:
    """A share of 0 to 1 as per cent for JSON; None for the NaN of nothing."""
    return None if math.isnan(share) else round(100.0 * share, 3)


def rounded(value: float, digits: int = 3) -> float | None:
    """For JSON; None for what is not finite."""
    return round(value, digits) if math.isfinite(value) else None


def cell(value: float | int | None, width: int = 9, digits: int = 2) -> str:
    """One value of a table, ``-`` where there is none."""
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width}}" if isinstance(value, int) else f"{value:>{width}.{digits}f}"


def counts_json(counts: BeatCounts) -> dict[str, Any]:
    """Counts and the figures that follow from them."""
    return {
        "tp": counts.found,
        "fn": counts.missed,
        "fp": counts.extra,
        "sensitivity": percent(counts.sensitivity),
        "predictivity": percent(counts.predictivity),
        "f1": percent(counts.f1),
    }


def summary_json(counts: Mapping[str, BeatCounts]) -> dict[str, Any]:
    """Of several records: all beats pooled (gross), and the mean over records (average)."""
    summary = summarise(counts)
    return {
        "gross": counts_json(summary.gross),
        "average": {
            "sensitivity": percent(summary.average_sensitivity),
            "predictivity": percent(summary.average_predictivity),
        },
    }


def confusion_lines(counts: Mapping[str, Mapping[str, int]], columns: Sequence[str]) -> list[str]:
    """Rows the expert's class, columns ours."""
    lines = [" " * 8 + "".join(f"{name:>10}" for name in columns)]
    lines += [
        f"{row:<8}" + "".join(f"{found.get(name, 0):>10}" for name in columns)
        for row, found in counts.items()
    ]
    return lines


def check_place(path: Path | None) -> None:
    """Before a long evaluation: whether its JSON will find a folder to be written to.

    Raises EvaluateError where it won't.
    """
    if path is not None and not path.resolve().parent.is_dir():
        raise EvaluateError(f"{path}: no such folder {path.parent}; make it first")


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Write it whole or not at all. Raises EvaluateError where that cannot be done."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.touch(mode=0o640)
        part.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        reason = error.strerror or "cannot be written"
        raise EvaluateError(f"{path}: {reason}; name a file that can be written") from error
