"""``wardbeat analyze``: a recorded file through the very chain that runs at the bed.

Writes per record ``<name>.wb`` (a WFDB annotation file) and ``<name>.json``;
``docs/analyze.md`` describes both. Other tools lean on this form: extend it, don't break it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.alarms.catalogue import CATALOGUE
from agent.alarms.conditions import of_finding, of_signal
from agent.alarms.engine import SHOWN_AT_LEAST_NS, AlarmEngine
from agent.alarms.types import AlarmChange
from agent.chain import Chain, Step
from agent.networks import Networks
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat, Finding, Rhythm, RhythmChange, RhythmEvent
from agent.signal.types import SecondVerdict, SignalState
from drivers.files import Record, RecordError
from drivers.files.annotations import Annotation, write_annotations
from drivers.replay import blocks
from drivers.samples import StreamInfo
from models.inference import RhythmProbabilities
from models.record_rhythm import classify_record

BLOCK_S = 30.0
"""How much of a file is read and analysed at once; the result does not depend on it."""

RHYTHM_AUX = {
    Rhythm.NORMAL: "(N",
    Rhythm.AF: "(AFIB",
    Rhythm.VT: "(VT",
    Rhythm.VF: "(VFL",
    Rhythm.ASYSTOLE: "(ASYS",
    Rhythm.OTHER: "(O",
}
"""WFDB's rhythm strings; a rhythm that is not analysed is told by ``~`` instead."""


@dataclass(slots=True)
class Analysis:
    """Everything the chain said of one record."""

    record: Record
    beats: list[Beat] = field(default_factory=list)
    pulses: list[float] = field(default_factory=list)
    rhythms: list[RhythmChange] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    verdicts: list[SecondVerdict] = field(default_factory=list)
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    probabilities: list[RhythmProbabilities] = field(default_factory=list)


class _AlarmLog:
    """The alarms a bed would have raised, each occurrence told apart.

    No nurse acknowledges anything in a file, so nothing latches here: a second occurrence is an
    alarm of its own. ``raised_s`` is the stream time of the hop that raised it.
    """

    def __init__(self, log: dict[str, dict[str, Any]]) -> None:
        catalogue = {code: replace(row, latching=False) for code, row in CATALOGUE.items()}
        self._ids = iter(range(1_000_000_000))
        self._engine = AlarmEngine(catalogue, lambda: str(next(self._ids)))
        self._log = log
        self._state = SignalState.NO_DATA

    def step(self, step: Step) -> None:
        """Take one hop."""
        now_ns = _ns(step.hop.end_s)
        self._note(self._engine.tick(now_ns))
        for event in step.events:
            self.event(event, now_ns)
        if step.hop.state is not self._state:
            self._state = step.hop.state
            for condition in of_signal(self._state, _ns(step.hop.start_s)):
                self._note(self._engine.condition(condition, now_ns))

    def event(self, event: RhythmEvent, now_ns: int) -> None:
        """Take one rhythm event."""
        if isinstance(event, Finding):
            self._note(self._engine.condition(of_finding(event, _ns), now_ns))

    def end(self, now_ns: int) -> None:
        """The record is over: let what is only shown a little longer end too."""
        self._note(self._engine.tick(now_ns + SHOWN_AT_LEAST_NS))

    def _note(self, changes: list[AlarmChange]) -> None:
        for change in changes:
            alarm = change.alarm
            self._log[alarm.id] = {
                "code": alarm.code,
                "priority": alarm.priority.value,
                "onset_s": alarm.onset_ns / 1e9,
                "raised_s": alarm.raised_ns / 1e9,
                "ended_s": None if alarm.ended_ns is None else alarm.ended_ns / 1e9,
                "value": alarm.value,
                "limit": alarm.limit,
                "confidence": round(alarm.confidence, 4),
                "judged_by": alarm.judged_by,
            }


def analyse(
    record: Record,
    networks: Networks,
    limits: RhythmLimits | None = None,
    progress: Callable[[float], None] = lambda seconds: None,
    watch: Callable[[Step], None] = lambda step: None,
) -> Analysis:
    """Run a record through the chain.

    ``progress`` is told the seconds done so far, ``watch`` every step of the chain.
    """
    info = StreamInfo(record.form, record.address, record.rate_hz, record.leads)
    try:
        chain = Chain(info, limits or RhythmLimits(), networks)
    except ValueError as error:
        raise RecordError(str(error), record.address, "resample the record first") from error
    analysis = Analysis(record)
    alarms = _AlarmLog(analysis.alarms)
    for event in blocks(record, BLOCK_S):
        for step in chain.push(event):
            watch(step)
            _gather(analysis, alarms, step)
        progress(event.end / record.rate_hz)
    steps, last = chain.flush()
    for step in steps:
        watch(step)
        _gather(analysis, alarms, step)
    for rhythm_event in last:
        alarms.event(rhythm_event, _ns(record.duration_s))
        _sort(analysis, rhythm_event)
    alarms.end(_ns(record.duration_s))
    return analysis


def _gather(analysis: Analysis, alarms: _AlarmLog, step: Step) -> None:
    alarms.step(step)
    analysis.pulses.extend(step.hop.pulses)
    if step.hop.verdict is not None:
        analysis.verdicts.append(step.hop.verdict)
    if step.probabilities is not None:
        analysis.probabilities.append(step.probabilities)
    for event in step.events:
        _sort(analysis, event)


def _sort(analysis: Analysis, event: RhythmEvent) -> None:
    match event:
        case Beat():
            analysis.beats.append(event)
        case RhythmChange():
            analysis.rhythms.append(event)
        case Finding():
            analysis.findings.append(event)


def report(analysis: Analysis, networks: Networks) -> dict[str, Any]:
    """The JSON form of an analysis."""
    record = analysis.record
    kinds = Counter(beat.kind.value for beat in analysis.beats)
    unusable = sum(v.state is not SignalState.USABLE for v in analysis.verdicts)
    return {
        "record": record.name,
        "fs": record.rate_hz,
        "duration": record.duration_s,
        "leads": [lead.name for lead in record.leads],
        "counts": {
            "beats": kinds.total(),
            **{kind: kinds[kind] for kind in "NSVFQ"},
            "seconds_unusable": unusable,
            "pulses": len(analysis.pulses),
        },
        "rhythm": classify_record(
            [v.p_usable for v in analysis.verdicts],
            analysis.probabilities,
            [beat.amplitude_uv for beat in analysis.beats],
            kinds["Q"] / max(1, kinds.total()),
        ),
        "segments": _segments(analysis),
        "alarms": sorted(analysis.alarms.values(), key=lambda alarm: alarm["raised_s"]),
        "findings": _findings(analysis.findings),
        "models": [
            {"name": model.name, "version": model.version, "sha256": model.sha256}
            for model in networks.in_use
        ],
        "warnings": list(record.warnings),
    }


def _segments(analysis: Analysis) -> list[dict[str, Any]]:
    starts = [change.start_s for change in analysis.rhythms]
    ends = [*starts[1:], analysis.record.duration_s] if starts else []
    return [
        {
            "start": change.start_s,
            "end": end,
            "label": change.rhythm.value,
            "confidence": round(change.confidence, 4),
        }
        for change, end in zip(analysis.rhythms, ends, strict=True)
        if end > change.start_s
    ]


def _findings(findings: list[Finding]) -> list[dict[str, Any]]:
    """Each condition once, as its last report left it."""
    last: dict[tuple[str, float], Finding] = {}
    for finding in findings:
        last[finding.kind.value, finding.onset_s] = finding
    return [
        {
            "code": code,
            "onset_s": onset_s,
            "ended_s": finding.ended_s,
            "value": finding.value,
            "judged_by": finding.judged_by,
        }
        for (code, onset_s), finding in sorted(last.items(), key=lambda item: item[0][1])
    ]


def marks(analysis: Analysis) -> list[Annotation]:
    """The WFDB form: beats, pulses (``^``), rhythms (``+``) and usability (``~``), in order."""
    rate_hz = analysis.record.rate_hz
    last = max(analysis.record.n_samples - 1, 0)

    def at(seconds: float) -> int:
        return min(max(round(seconds * rate_hz), 0), last)

    found = [Annotation(at(beat.time_s), beat.kind.value) for beat in analysis.beats]
    found += [Annotation(at(pulse_s), "^") for pulse_s in analysis.pulses]
    found += [
        Annotation(at(change.start_s), "+", aux=RHYTHM_AUX[change.rhythm])
        for change in analysis.rhythms
        if change.rhythm in RHYTHM_AUX
    ]
    usable: bool | None = None
    for verdict in analysis.verdicts:
        if (verdict.state is SignalState.USABLE) is not usable:
            usable = verdict.state is SignalState.USABLE
            found.append(Annotation(at(verdict.start_s), "~", subtype=0 if usable else 1))
    return sorted(found, key=lambda mark: mark.sample)


def write(analysis: Analysis, networks: Networks, out: Path) -> Mapping[str, Any]:
    """Write both files, each whole or not at all; returns the report."""
    out.mkdir(mode=0o750, parents=True, exist_ok=True)
    name = analysis.record.name
    contents = report(analysis, networks)
    _replace(out / f"{name}.json", (json.dumps(contents, indent=1) + "\n").encode())
    # A name of its own keeps the annotator's suffix, which WFDB tools read, until it is whole.
    part = out / f".{name}.part.wb"
    write_annotations(part, marks(analysis), analysis.record.rate_hz)
    part.chmod(0o640)
    part.replace(out / f"{name}.wb")
    return contents


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o640)
    part.write_bytes(content)
    part.replace(path)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
