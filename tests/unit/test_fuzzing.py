"""Each registered decoder stands random and mutated bytes; ``make fuzz`` is the long run."""

from __future__ import annotations

import pytest
from support.fuzz_targets import TARGETS
from support.fuzzing import Subject, Target, fuzz, main

SHORT = 60_000


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_stands_damage(name: str) -> None:
    done = fuzz(TARGETS[name], SHORT, seed=2)
    assert done.bytes >= SHORT
    assert done.most_kept <= TARGETS[name].most_kept


def test_the_fuzzer_finds_what_it_is_to_find() -> None:
    def raises() -> Subject:
        return Subject(lambda data: [data[100_000]])

    with pytest.raises(IndexError):
        fuzz(Target(raises, lambda number: b"x"), 100)

    def hoards() -> Subject:
        kept: list[bytes] = []
        return Subject(lambda data: [kept.append(data)], lambda: sum(map(len, kept)))

    with pytest.raises(AssertionError, match="keeps"):
        fuzz(Target(hoards, lambda number: b"x", most_kept=500), 10_000)

    def deaf() -> Subject:
        seen = [0]

        def feed(data: bytes) -> list[bytes]:
            seen[0] += 1
            return [data] if seen[0] < 8 else []

        return Subject(feed)

    with pytest.raises(AssertionError, match="not back in step"):
        fuzz(Target(deaf, lambda number: b"%d" % number), 10_000)


def test_the_command_names_an_unknown_decoder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cytn"])
    assert "cytn: unknown; there are cyton" in capsys.readouterr().err
    assert main(["heart_rate", "--bytes", "2000"]) == 0
    assert "heart_rate" in capsys.readouterr().out
