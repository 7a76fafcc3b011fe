"""Records as blocks and as the emulator's source: exact, without a hole, resampled cleanly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_writing import packed, write_record

from drivers.files import microvolts, open_record
from drivers.replay import RecordSource, blocks, stream_info
from drivers.samples import Gap, GapCause, LeadState, SampleBlock


def gappy(folder: Path, first: list[int], second: list[int], name: str = "r") -> Path:
    """Two leads, 100 Hz, 200 counts per mV; -32768 is "not sampled"."""
    rows = [value for pair in zip(first, second, strict=True) for value in pair]
    header = f"{name} 2 100 {len(first)}\n{name}.dat 16 200 16 0 0 0 0 I\n"
    header += f"{name}.dat 16 200 16 0 0 0 0 II\n"
    return write_record(folder, name, header, {f"{name}.dat": packed(16, rows)})


def read_source(source: RecordSource, count: int, sizes: list[int]) -> np.ndarray:
    parts, left, turn = [], count, 0
    while left:
        chunk = source.read(min(left, sizes[turn % len(sizes)]))
        assert 1 <= len(chunk.microvolts) <= left
        parts.append(chunk.microvolts)
        left -= len(chunk.microvolts)
        turn += 1
    return np.concatenate(parts)


def test_gaps_and_partial_leads(tmp_path: Path) -> None:
    no = -32768
    path = gappy(tmp_path, [1, no, no, 4, 5, no], [1, no, no, no, 5, 6])
    with open_record(path) as record:
        pieces = list(blocks(record, host_ns=1_000))
    told = [(p.first, p.end, p.leads if isinstance(p, SampleBlock) else p.cause) for p in pieces]
    off, unknown = LeadState.OFF, LeadState.UNKNOWN
    assert told == [
        (0, 1, ()),
        (1, 3, GapCause.NOT_SAMPLED),
        (3, 4, (unknown, off)),
        (4, 5, ()),
        (5, 6, (off, unknown)),
    ]
    assert [p.host_ns for p in pieces] == [1_000 + k * 10_000_000 for k in (0, 1, 3, 4, 5)]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_blocks_are_the_record_without_a_hole(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = st.sampled_from([-32768, -32768, 1, 2, 3])
    first = data.draw(st.lists(values, min_size=1, max_size=60))
    second = data.draw(st.lists(values, min_size=len(first), max_size=len(first)))
    path = gappy(tmp_path_factory.mktemp("r"), first, second)
    at = 0
    with open_record(path) as record:
        whole = record.read(0, record.n_samples)
        for piece in blocks(record, data.draw(st.floats(0.001, 1))):
            assert piece.first == at
            at = piece.end
            valid = whole.valid[piece.first : piece.end]
            if isinstance(piece, Gap):
                assert not valid.any()
                continue
            assert valid.any(axis=1).all()
            np.testing.assert_array_equal(piece.counts, whole.counts[piece.first : piece.end])
            states = piece.leads or (LeadState.UNKNOWN,) * 2
            for lead, state in enumerate(states):
                assert valid[:, lead].all() == (state is LeadState.UNKNOWN)
                assert valid[:, lead].any() == (state is LeadState.UNKNOWN)
        assert at == record.n_samples


def test_stream_info(tmp_path: Path) -> None:
    with open_record(gappy(tmp_path, [1], [2])) as record:
        info = stream_info(record)
    assert (info.device, info.rate_hz) == ("WFDB record", 100)
    assert info.address.endswith("r.hea")
    assert [lead.name for lead in info.leads] == ["I", "II"]


def test_equal_rates_pass_through_and_loop(tmp_path: Path) -> None:
    path = gappy(tmp_path, list(range(50)), list(range(50, 100)))
    source = RecordSource(path, 100)
    assert source.lead_names == ("I", "II")
    got = read_source(source, 120, [7, 40])
    expected = np.array([[5.0 * k, 250 + 5.0 * k] for k in range(50)])
    np.testing.assert_allclose(got, np.concatenate([expected, expected, expected[:20]]))


@pytest.mark.parametrize("rate_hz", [50.0, 130.0, 250.0, 360.0, 500.0])
def test_resampling_keeps_a_wave_where_it_was(tmp_path: Path, rate_hz: float) -> None:
    time_s = np.arange(3000) / 100
    wave = (np.sin(2 * np.pi * 5 * time_s) * 4000).astype(int).tolist()
    source = RecordSource(gappy(tmp_path, wave, wave), rate_hz)
    got = read_source(source, round(29 * rate_hz), [4096])[:, 0]
    expected = np.sin(2 * np.pi * 5 * np.arange(len(got)) / rate_hz) * 4000 * 5
    inner = slice(round(rate_hz), -round(rate_hz))
    np.testing.assert_allclose(got[inner], expected[inner], atol=120)


def test_resampling_lets_no_alias_through(tmp_path: Path) -> None:
    wave = (np.cos(2 * np.pi * 40 * np.arange(3000) / 100) * 4000).astype(int).tolist()
    source = RecordSource(gappy(tmp_path, wave, wave), 50)
    got = read_source(source, 1400, [4096])[:, 0]
    assert np.abs(got[50:-50]).max() < 0.02 * 20_000


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=10))
def test_any_cut_of_the_source_gives_the_same(
    sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(1)
    wave = rng.integers(-500, 500, 4000).tolist()
    wave[1000:1100] = [-32768] * 100
    path = gappy(tmp_path_factory.mktemp("s"), wave, wave)
    whole = read_source(RecordSource(path, 130), 9000, [9000])
    cut = read_source(RecordSource(path, 130), 9000, sizes)
    np.testing.assert_array_equal(whole, cut)


def test_what_was_not_sampled_plays_as_leads_off(tmp_path: Path) -> None:
    wave = [100] * 400
    wave[100:200] = [-32768] * 100
    source = RecordSource(gappy(tmp_path, wave, wave), 250)
    off = []
    while len(off) < 1000:
        chunk = source.read(64)
        off += [chunk.lead_off] * len(chunk.microvolts)
        assert np.isfinite(chunk.microvolts).all()
    assert off[:250] == [False] * 250
    assert off[250:500] == [True] * 250
    assert off[500:1000] == [False] * 500


def test_without_loop_the_device_is_unplugged_in_the_end(tmp_path: Path) -> None:
    source = RecordSource(gappy(tmp_path, [1] * 30, [2] * 30), 100, loop=False, leads=["II"])
    assert source.lead_names == ("II",)
    assert len(source.read(100).microvolts) == 30
    for _ in range(3):
        end = source.read(10)
        assert end.unplugged
        assert end.label == "r has ended"


def test_a_real_record_at_the_cyton_s_rate(shared: Path) -> None:
    path = shared / "data" / "mitdb" / "208"
    source = RecordSource(path, 250)
    got = read_source(source, 250 * 60, [1000])
    with open_record(path) as record:
        first = microvolts(record.read(0, 360 * 60), record.leads)
    assert got.shape == (250 * 60, 2)
    np.testing.assert_allclose(got.mean(axis=0), first.mean(axis=0), atol=5)
    np.testing.assert_allclose(got.std(axis=0), first.std(axis=0), rtol=0.02)
