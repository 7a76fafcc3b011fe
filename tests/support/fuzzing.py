"""Fuzzing that every decoder must stand: random and mutated bytes, seeded.

A decoder is registered in ``support.fuzz_targets`` under its name. Three things are asked of it,
whatever the bytes: nothing is raised but the errors it declares, it never keeps more than it
says, and within two good frames it is back in step. ``make fuzz`` gives each 10 million bytes:

    python -m support.fuzzing --bytes 10000000 [NAME ...]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

FRAMES_AFTER = 6
"""Good frames after each piece of rubbish."""
FRAMES_TO_RECOVER = 2
LONGEST_PIECE = 2000
LONGEST_DATAGRAM = 600


@dataclass(frozen=True)
class Subject:
    """A fresh decoder, as the fuzzer sees it."""

    feed: Callable[[bytes], Sequence[Hashable]]
    """Bytes in; what was decoded, each frame as something that can be compared."""
    kept: Callable[[], int] = lambda: 0
    """Bytes it keeps for later."""


@dataclass(frozen=True)
class Target:
    """One decoder's way to be fuzzed."""

    make: Callable[[], Subject]
    good: Callable[[int], bytes]
    """Good frame number 0, 1, 2 …; a decoder that is in step decodes each."""
    most_kept: int = 0
    """Bytes it may keep, at the most."""
    errors: tuple[type[Exception], ...] = ()
    """What it may raise on bytes it can't read."""
    datagrams: bool = False
    """Bytes come in whole packets, not as a stream."""
    restarts: Callable[[Subject], None] | None = None
    """What a driver does after an error, where the decoder needs it."""


@dataclass(frozen=True)
class Result:
    """What a run has shown."""

    bytes: int
    seconds: float
    most_kept: int
    refused: int
    """How often a declared error was raised."""


def fuzz(target: Target, bytes_wanted: int, seed: int = 1) -> Result:
    """Run until so many bytes of rubbish are fed; AssertionError where a property fails."""
    draw = random.Random(seed)
    run = _Run(target)
    begun = time.perf_counter()
    while run.fed < bytes_wanted:
        if draw.random() < 0.4:
            run.rubbish(_noise(target, draw), draw)
        else:
            run.rubbish(_mutated(target, draw), draw)
        run.recovers(draw.randrange(2, 1000))
    return Result(run.fed, time.perf_counter() - begun, run.most_kept, run.refused)


class _Run:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._subject = target.make()
        self.fed = 0
        """Bytes of rubbish; the good frames between are not counted."""
        self.most_kept = 0
        self.refused = 0

    def rubbish(self, pieces: list[bytes], draw: random.Random) -> None:
        for piece in pieces:
            self.fed += len(piece)
            if self._target.datagrams:
                self._feed(piece)
                continue
            cuts = sorted(draw.randrange(len(piece) + 1) for _ in range(draw.randrange(4)))
            for start, end in zip([0, *cuts], [*cuts, len(piece)], strict=True):
                self._feed(piece[start:end])

    def recovers(self, first: int) -> None:
        frames = [self._target.good(first + number) for number in range(FRAMES_AFTER)]
        clean = self._target.make()
        # A decoder is shown two frames first, so that it is in step whatever it wants.
        for number in (first - 2, first - 1):
            clean.feed(self._target.good(number))
        wanted = [found for frame in frames for found in clean.feed(frame)]
        found = [one for frame in frames for one in self._feed(frame)]
        due = wanted[-(FRAMES_AFTER - FRAMES_TO_RECOVER) :]
        assert due, "no good frame is decoded"
        assert found[-len(due) :] == due, (
            f"not back in step after {FRAMES_TO_RECOVER} good frames: {found!r}, not {due!r}"
        )

    def _feed(self, data: bytes) -> Sequence[Hashable]:
        found: Sequence[Hashable] = ()
        try:
            found = self._subject.feed(data)
        except self._target.errors:
            self.refused += 1
            if self._target.restarts is not None:
                self._target.restarts(self._subject)
        kept = self._subject.kept()
        self.most_kept = max(self.most_kept, kept)
        assert kept <= self._target.most_kept, f"keeps {kept} bytes of {data[:40].hex()}…"
        return found


def _noise(target: Target, draw: random.Random) -> list[bytes]:
    if target.datagrams:
        return [draw.randbytes(draw.randrange(LONGEST_DATAGRAM)) for _ in range(draw.randrange(8))]
    return [draw.randbytes(draw.randrange(1, LONGEST_PIECE))]


def _mutated(target: Target, draw: random.Random) -> list[bytes]:
    frames = [target.good(draw.randrange(1000)) for _ in range(draw.randrange(1, 12))]
    if target.datagrams:
        return [_damaged(frame, draw) for frame in frames]
    return [_damaged(b"".join(frames), draw)]


def _damaged(good: bytes, draw: random.Random) -> bytes:
    data = bytearray(good)
    for _ in range(draw.randrange(1, 2 + len(data) // 20)):
        if not data:
            break
        at = draw.randrange(len(data))
        match draw.randrange(6):
            case 0:
                del data[at]
            case 1:
                data.insert(at, draw.randrange(256))
            case 2:
                data[at] ^= 1 << draw.randrange(8)
            case 3:
                data[at] = draw.choice(data)
            case 4:
                data[at:at] = data[: draw.randrange(40)]
            case _:
                data[at] = draw.choice((0x00, 0xFF, 0x7F, 0x80, draw.randrange(256)))
    return bytes(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.1 else data)


def main(argv: list[str] | None = None) -> int:
    """Fuzz all targets, or those named; 1 where one fails."""
    from support.fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m support.fuzzing", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="decoders; all without one")
    parser.add_argument("--bytes", type=int, default=10_000_000, help="for each decoder")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in TARGETS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: unknown; there are {', '.join(TARGETS)}")
    failed = 0
    for name in chosen.names or TARGETS:
        try:
            done = fuzz(TARGETS[name], chosen.bytes, chosen.seed)
        except Exception as fault:
            failed += 1
            print(f"{name}: {type(fault).__name__}: {fault}", file=sys.stderr, flush=True)
            continue
        print(
            f"{name:20} {done.bytes:>10} bytes in {done.seconds:6.1f} s, kept at most "
            f"{done.most_kept} bytes, refused {done.refused}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
