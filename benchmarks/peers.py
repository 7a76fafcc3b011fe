"""Our chain beside its peers, in one run, on the same records and the same core.

    python -m benchmarks.peers DATA [--records 101 106 …] [--json FILE]     (extra ``bench``)

Every tool gets the first lead of MIT-BIH records as they were sampled and runs in a process of its
own, bound to one core, one after another. Speed is CPU time of the analysis alone (reading the file
is not counted); memory is the process's peak. Beats are scored after EC57 over the whole record, as
a user of each tool would get them, without a learning period. NeuroKit2, BioSPPy, XQRS and sleepecg
see the whole record at once; ours streams. Our QRS scorer was trained on these records: its figure
on records it has not seen is in docs/signal.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.chain import Chain
from agent.networks import Networks
from agent.networks import load as load_networks
from agent.rhythm.limits import RhythmLimits
from agent.rhythm.types import Beat
from agent.scoring import BeatCounts, compare_beats
from agent.signal.chain import SignalChain
from benchmarks.qrs_accuracy import reference_of
from drivers.files import open_record
from drivers.samples import Lead, SampleBlock, StreamInfo

RECORDS = ("101", "106", "109", "112", "115", "119", "201", "207", "209", "223")
LIVE_BLOCK_S = 0.2
FILE_BLOCK_S = 30.0

Counts = NDArray[np.int32]
Tool = Callable[[Counts, float, Lead], NDArray[np.float64]]
"""Counts (n, 1), rate, lead → times of the beats in seconds."""


def _blocks(counts: Counts, rate_hz: float, block_s: float) -> list[SampleBlock]:
    step = round(rate_hz * block_s)
    return [
        SampleBlock(first, counts[first : first + step], 0, rate_hz)
        for first in range(0, len(counts), step)
    ]


def _whole_chain(networks: Networks, block_s: float) -> Tool:
    def run(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
        info = StreamInfo("file", "benchmark", rate_hz, (lead,))
        chain = Chain(info, RhythmLimits(), networks)
        events = [
            event
            for block in _blocks(counts, rate_hz, block_s)
            for step in chain.push(block)
            for event in step.events
        ]
        steps, last = chain.flush()
        events += [event for step in steps for event in step.events] + last
        return np.array([event.time_s for event in events if isinstance(event, Beat)])

    return run


def _signal_chain(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
    chain = SignalChain(StreamInfo("file", "benchmark", rate_hz, (lead,)))
    hops = [hop for b in _blocks(counts, rate_hz, FILE_BLOCK_S) for hop in chain.push(b)]
    hops += chain.flush()
    return np.array([qrs.time_s for hop in hops for qrs in hop.qrs])


def _millivolts(counts: Counts, lead: Lead) -> NDArray[np.float64]:
    values = (counts[:, 0] - lead.offset_counts) * lead.microvolts_per_count / 1000.0
    return np.asarray(values, np.float64)


def _neurokit_process(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
    import neurokit2

    _, info = neurokit2.ecg_process(_millivolts(counts, lead), sampling_rate=rate_hz)
    return np.asarray(info["ECG_R_Peaks"], np.float64) / rate_hz


def _neurokit_peaks(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
    import neurokit2

    clean = neurokit2.ecg_clean(_millivolts(counts, lead), sampling_rate=rate_hz)
    _, info = neurokit2.ecg_peaks(clean, sampling_rate=rate_hz)
    return np.asarray(info["ECG_R_Peaks"], np.float64) / rate_hz


def _biosppy(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
    from biosppy.signals import ecg

    found = ecg.ecg(_millivolts(counts, lead), sampling_rate=rate_hz, show=False)
    return np.asarray(found["rpeaks"], np.float64) / rate_hz


def _xqrs(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
    from wfdb import processing

    detector = processing.XQRS(sig=_millivolts(counts, lead), fs=rate_hz)
    detector.detect(verbose=False)
    return np.asarray(detector.qrs_inds, np.float64) / rate_hz


def _sleepecg(counts: Counts, rate_hz: float, lead: Lead) -> NDArray[np.float64]:
    import sleepecg

    return np.asarray(sleepecg.detect_heartbeats(_millivolts(counts, lead), rate_hz)) / rate_hz


OURS = "wardbeat, file, networks on"
TOOLS: dict[str, Callable[[], Tool]] = {
    OURS: lambda: _whole_chain(load_networks(), FILE_BLOCK_S),
    "wardbeat, live (200 ms), networks on": lambda: _whole_chain(load_networks(), LIVE_BLOCK_S),
    "wardbeat, file, rules only": lambda: _whole_chain(Networks(), FILE_BLOCK_S),
    "wardbeat, file, QRS, rate and signal state": lambda: _signal_chain,
    "NeuroKit2 ecg_process": lambda: _neurokit_process,
    "NeuroKit2 clean + peaks": lambda: _neurokit_peaks,
    "BioSPPy ecg": lambda: _biosppy,
    "wfdb XQRS": lambda: _xqrs,
    "sleepecg": lambda: _sleepecg,
}


def measure(tool_name: str, data: Path, records: list[str]) -> dict[str, float | str]:
    """One tool over all records, in this process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warnings.simplefilter("ignore")
    tool = TOOLS[tool_name]()
    counts_of, cpu_s, duration_s, warm = BeatCounts(0, 0, 0), 0.0, 0.0, False
    for name in records:
        path = data / "mitdb" / name
        with open_record(path) as record:
            counts = record.read(0, record.n_samples).counts[:, :1]
            rate_hz, lead = record.rate_hz, record.leads[0]
            reference = reference_of(path, rate_hz, record.duration_s)
        if not warm:  # imports and first calls are nobody's speed
            tool(counts[: round(60 * rate_hz)], rate_hz, lead)
            warm = True
        began = time.process_time()
        times = tool(counts, rate_hz, lead)
        cpu_s += time.process_time() - began
        duration_s += len(counts) / rate_hz
        counts_of += compare_beats(reference, np.sort(times))[0].beats()
    return {
        "tool": tool_name,
        "speed": duration_s / cpu_s,
        "se": 100 * counts_of.sensitivity,
        "ppv": 100 * counts_of.predictivity,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000.0,
    }


def main() -> None:
    """Run every tool and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--records", nargs="*", default=list(RECORDS))
    parser.add_argument("--json", type=Path, help="keep the figures here as well")
    parser.add_argument("--tool", choices=list(TOOLS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.tool:
        print(json.dumps(measure(chosen.tool, chosen.data, chosen.records)))
        return
    rows = []
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    for tool in TOOLS:
        command = [sys.executable, "-m", "benchmarks.peers", str(chosen.data), "--tool", tool]
        done = subprocess.run(
            [*command, "--records", *chosen.records],
            env=os.environ | one,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(f"{tool}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
            continue
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    ours = rows[0]["speed"]
    print(f"{'':42} {'× real time':>11} {'ours / it':>9} {'Se':>7} {'+P':>7} {'peak':>8}")
    for row in rows:
        print(
            f"{row['tool']:42} {row['speed']:11.0f} {ours / row['speed']:9.2f} "
            f"{row['se']:7.2f} {row['ppv']:7.2f} {row['peak_mb']:5.0f} MB"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
