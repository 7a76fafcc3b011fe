"""One WFDB signal file each: frames of interleaved samples, read from any frame on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from drivers.files.record import RecordError
from drivers.files.wfdb_formats import FLAC_INVALID, PACKINGS, Decoded, decode

if TYPE_CHECKING:
    import soundfile

_SCAN_FRAMES = 65_536
_FLAC_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


class SignalFile(ABC):
    """Frames of a signal file; a frame holds each signal's samples one after the other."""

    path: Path
    n_frames: int
    """Whole frames that the file really holds."""

    @abstractmethod
    def read(self, first: int, count: int) -> Decoded:
        """Frames ``first`` … within ``n_frames``, shape (count, samples per frame)."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""


class PackedFile(SignalFile):
    """A file in one of the uncompressed formats."""

    def __init__(self, path: Path, fmt: int, per_frame: int, byte_offset: int) -> None:
        self.path = path
        self._packing = PACKINGS[fmt]
        self._per_frame = per_frame
        self._offset = byte_offset
        self._file: IO[bytes] = _open(path)
        size = max(0, path.stat().st_size - byte_offset)
        self.n_frames = self._packing.samples_in(size) // per_frame

    def read(self, first: int, count: int) -> Decoded:
        """As SignalFile's. Raises RecordError where the file breaks off or is damaged."""
        packing = self._packing
        group, skip = divmod(first * self._per_frame, packing.group_samples)
        wanted = count * self._per_frame
        groups = -(-(skip + wanted) // packing.group_samples)
        self._file.seek(self._offset + group * packing.group_bytes)
        raw = self._file.read(groups * packing.group_bytes)
        samples = decode(packing, raw, skip, wanted)
        if len(samples) < wanted:
            raise RecordError("became shorter while it was read", str(self.path), "read it again")
        return samples.reshape(count, self._per_frame)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class DifferenceFile(PackedFile):
    """Format 8: each sample is stored as the difference to its signal's sample before."""

    def __init__(
        self, path: Path, columns: list[tuple[int, int]], initial: list[int], byte_offset: int
    ) -> None:
        super().__init__(path, 8, sum(width for _, width in columns), byte_offset)
        self._columns = columns
        self._initial = initial
        self._levels: list[list[int]] = []
        """Each signal's last sample before every _SCAN_FRAMES frames."""

    def read(self, first: int, count: int) -> Decoded:
        """As SignalFile's. Raises RecordError where the file breaks off or is damaged."""
        start = first // _SCAN_FRAMES * _SCAN_FRAMES
        levels = self._levels_at(first // _SCAN_FRAMES)
        differences = super().read(start, first - start + count)
        samples = np.empty_like(differences)
        for (column, width), level in zip(self._columns, levels, strict=True):
            part = differences[:, column : column + width]
            summed = np.cumsum(part, dtype=np.int64) + level
            samples[:, column : column + width] = summed.reshape(part.shape)
        return samples[first - start :]

    def _levels_at(self, block: int) -> list[int]:
        """What each signal stood at before the block's first frame."""
        if not self._levels:
            self._levels.append(self._initial)
        while len(self._levels) <= block:
            differences = super().read((len(self._levels) - 1) * _SCAN_FRAMES, _SCAN_FRAMES)
            before = self._levels[-1]
            self._levels.append(
                [
                    level + int(differences[:, column : column + width].sum(dtype=np.int64))
                    for (column, width), level in zip(self._columns, before, strict=True)
                ]
            )
        return self._levels[block]


class FlacFile(SignalFile):
    """Formats 508, 516 and 524: a FLAC stream, one channel per signal."""

    def __init__(
        self, path: Path, fmt: int, channels: int, samples_per_frame: int, skip: int
    ) -> None:
        import soundfile

        self.path = path
        self._per_frame = samples_per_frame
        self._skip = skip
        self._raw = _open(path)
        try:
            self._sound: soundfile.SoundFile = soundfile.SoundFile(self._raw)
        except soundfile.LibsndfileError as error:
            self._raw.close()
            raise _damaged(path, "is no FLAC file") from error
        bits = _FLAC_BITS.get(self._sound.subtype, 99)
        if bits > fmt - 500 or self._sound.channels != channels:
            self.close()
            raise _damaged(
                path, f"is not what its header says ({channels} channels of {fmt - 500} bits)"
            )
        self._shift = 32 - bits
        self._at = 0
        self.n_frames = max(0, self._readable() - skip) // samples_per_frame

    def _readable(self) -> int:
        """Samples per channel up to where the stream breaks off.

        A FLAC file tells its length at its head, so that of a truncated one must be searched.
        """
        low, high = 0, int(self._sound.frames)
        probe = high
        while low < high:
            if self._can_read(probe - 1):
                low = probe
            else:
                high = probe - 1
            probe = (low + high + 1) // 2
        return low

    def _can_read(self, sample: int) -> bool:
        import soundfile

        try:
            self._sound.seek(sample)
            there = len(self._sound.read(1, dtype="int32", always_2d=True)) == 1
        except soundfile.LibsndfileError:
            # libsndfile stays broken after a failed seek: begin anew.
            self._raw.seek(0)
            self._sound = soundfile.SoundFile(self._raw)
            there = False
        self._at = -1
        return there

    def read(self, first: int, count: int) -> Decoded:
        """As SignalFile's. Raises RecordError where the file breaks off or is damaged."""
        import soundfile

        start = first * self._per_frame + self._skip
        wanted = count * self._per_frame
        try:
            if self._at != start:
                self._sound.seek(start)
            samples = self._sound.read(wanted, dtype="int32", always_2d=True)
        except soundfile.LibsndfileError as error:
            self._at = -1
            raise _damaged(self.path, f"is damaged near sample {start}") from error
        self._at = start + len(samples)
        if len(samples) < wanted:
            raise _damaged(self.path, f"is damaged near sample {self._at}")
        # Channel by channel, as the other formats lay a frame.
        frames = samples.reshape(count, self._per_frame, -1).transpose(0, 2, 1)
        decoded: Decoded = frames.reshape(count, -1) >> self._shift
        return decoded

    def close(self) -> None:
        """Let go of the file."""
        self._sound.close()
        self._raw.close()


def is_known_format(fmt: int) -> bool:
    """Whether this reader decodes the format."""
    return fmt in PACKINGS or fmt in FLAC_INVALID


def _damaged(path: Path, what: str) -> RecordError:
    return RecordError(what, str(path), "copy the record again from its source")


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise RecordError(
            "signal file is missing", str(path), "copy it beside its header"
        ) from None
    except OSError as error:
        raise RecordError(
            error.strerror or "cannot be read", str(path), "check its permissions"
        ) from error
