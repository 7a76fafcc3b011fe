"""The benchmark of the decoders measures what it says: every decoder decodes all of its bytes."""

from __future__ import annotations

import pytest

from benchmarks.decoding import FEEDS, cost, main

USUAL_HZ = {
    "cyton": 250, "olimex": 256, "text_lines": 250, "polar_h10": 130, "movesense": 200,
    "ganglion": 200, "heart_rate": 1, "intellivue": 250, "shimmer3": 512, "replay": 360,
    "protocentral": 125, "protocentral healthypi_5": 128, "bitalino": 1000,
}  # fmt: skip


@pytest.mark.parametrize("name", FEEDS)
def test_a_decoder_decodes_what_it_is_measured_by(name: str) -> None:
    measured = cost(name, seconds=6.0, rounds=1)
    rate_hz = USUAL_HZ.get(name) or USUAL_HZ[name.split()[0]]
    # Bursts and packets end a little early.
    assert 0.8 * rate_hz <= measured.samples_hz <= rate_hz
    assert measured.percent > 0


def test_the_table_is_printed_and_the_limit_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["heart_rate", "--seconds", "2", "--rounds", "1", "--limit"]
    assert main([*arguments, "100"]) == 0
    assert "heart_rate" in capsys.readouterr().out
    assert main([*arguments, "0"]) == 1
    assert "over the limit" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["cytn"])
    assert "cytn: unknown; there are cyton" in capsys.readouterr().err
