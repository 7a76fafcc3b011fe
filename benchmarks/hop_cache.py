"""Hops kept on disk, so that the rhythm analysis alone can be measured again within a minute.

What lies in a cache counts only for the signal chain that made it: the folder within the cache is
named after a digest of ``agent/signal`` and of the quality bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import agent.signal
from agent.signal.chain import SignalChain
from agent.signal.types import HOP, Hop, Qrs, Rate, SecondVerdict, SignalState
from drivers.files import open_record
from drivers.replay import blocks, stream_info
from models.inference import QualityNetwork

BLOCK_S = 30.0
_STATES = tuple(SignalState)


def digest(quality: QualityNetwork | None) -> str:
    """Names the signal chain: its sources, its scorer and stage 1."""
    folder = Path(next(iter(agent.signal.__path__)))
    summed = hashlib.sha256((quality.model.sha256 if quality else "rules").encode())
    for path in sorted(p for p in folder.iterdir() if p.suffix in {".py", ".npz"}):
        summed.update(path.read_bytes())
    return summed.hexdigest()[:16]


def hops_of(path: Path, quality: QualityNetwork | None, cache: Path | None = None) -> list[Hop]:
    """A record's hops, out of the cache where they are there, else analysed and put there."""
    kept = cache / digest(quality) / f"{path.parent.name}_{path.name}.npz" if cache else None
    if kept is not None and kept.exists():
        return load(kept)
    with open_record(path) as record:
        chain = SignalChain(stream_info(record), quality)
        hops = [hop for event in blocks(record, BLOCK_S) for hop in chain.push(event)]
        hops += chain.flush()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save(kept, hops)
    return hops


def save(path: Path, hops: Sequence[Hop]) -> None:
    """Write hops, whole or not at all."""
    judges = sorted({hop.verdict.judged_by for hop in hops if hop.verdict is not None})
    part = path.with_name(f".{path.name}.part.npz")
    np.savez(
        part,
        signal=np.array([hop.signal for hop in hops], np.float32).reshape(-1, HOP),
        state=np.array([_STATES.index(hop.state) for hop in hops], np.int8),
        settled=np.array([hop.settled_s for hop in hops]),
        qrs=np.array(
            [
                (at, q.time_s, q.amplitude_uv, q.lead, q.strength)
                for at, hop in enumerate(hops)
                for q in hop.qrs
            ]
        ).reshape(-1, 5),
        verdict=np.array(
            [
                (at, v.start_s, _STATES.index(v.state), v.p_usable, judges.index(v.judged_by))
                for at, hop in enumerate(hops)
                if (v := hop.verdict) is not None
            ]
        ).reshape(-1, 5),
        rate=np.array(
            [
                (at, r.time_s, _nan(r.bpm), _nan(r.rr_ms))
                for at, hop in enumerate(hops)
                if (r := hop.rate) is not None
            ]
        ).reshape(-1, 4),
        judges=np.array(judges, str),
    )
    part.replace(path)


def load(path: Path) -> list[Hop]:
    """Hops as ``save`` wrote them."""
    with np.load(path, allow_pickle=False) as kept:
        signal, state, settled = kept["signal"], kept["state"], kept["settled"].tolist()
        judges = kept["judges"].tolist()
        qrs: dict[int, list[Qrs]] = {}
        for at, time_s, height, lead, strength in kept["qrs"].tolist():
            qrs.setdefault(int(at), []).append(Qrs(time_s, height, int(lead), strength))
        verdicts = {
            int(at): SecondVerdict(start_s, _STATES[int(of)], p, judges[int(judge)])
            for at, start_s, of, p, judge in kept["verdict"].tolist()
        }
        rates = {
            int(at): Rate(time_s, _none(bpm), _none(rr_ms))
            for at, time_s, bpm, rr_ms in kept["rate"].tolist()
        }
    return [
        Hop(
            index=at,
            signal=signal[at],
            state=_STATES[state[at]],
            qrs=tuple(qrs.get(at, ())),
            settled_s=settled[at],
            verdict=verdicts.get(at),
            rate=rates.get(at),
        )
        for at in range(len(signal))
    ]


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value
