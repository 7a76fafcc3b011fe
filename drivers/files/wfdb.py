"""WFDB records: header, signal files and segments as one ``Record``.

Every format of the WFDB Applications Guide (signal(5), header(5)) is read: several signals per
file, several files, byte offsets, samples per frame, skew, multi-segment records with gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivers.files.record import Record, RecordError, Samples, Signal, choose_leads, scale_of
from drivers.files.wfdb_formats import FLAC_INVALID, invalid_value
from drivers.files.wfdb_header import Header, SignalLine, read_header
from drivers.files.wfdb_signal_files import (
    DifferenceFile,
    FlacFile,
    PackedFile,
    SignalFile,
    is_known_format,
)
from drivers.samples import Lead

_CHECK_FRAMES = 65_536


def open_wfdb(path: Path, *, leads: Sequence[str] | None = None, partial: bool = False) -> Record:
    """Open ``path`` (with or without ``.hea``, or naming the ``.dat``). Raises RecordError."""
    if path.suffix.lower() in (".hea", ".dat") and not path.with_name(path.name + ".hea").exists():
        path = path.with_suffix("")
    header = read_header(path.with_name(path.name + ".hea"))
    if header.segments:
        from drivers.files.wfdb_segments import SegmentedRecord

        return SegmentedRecord(header, leads=leads, partial=partial)
    chosen, warnings = choose_leads([signal_of(s) for s in header.signals], leads, str(header.path))
    return WfdbRecord(header, chosen, partial=partial, warnings=warnings)


def signal_of(line: SignalLine) -> Signal:
    """A header's signal as the choice of leads sees it."""
    return Signal(line.name, line.unit, line.samples_per_frame)


def lead_of(line: SignalLine, index: int) -> Lead:
    """A header's signal as a lead with its scale in µV."""
    unit_uv = scale_of(line.unit)
    bits = line.resolution_bits
    return Lead(
        name=line.name or f"signal {index}",
        microvolts_per_count=(unit_uv or 1.0) / line.gain,
        offset_counts=line.baseline,
        full_scale_counts=None
        if bits is None
        else (line.adc_zero - (1 << (bits - 1)), line.adc_zero + (1 << (bits - 1)) - 1),
        calibrated=line.calibrated and unit_uv is not None,
    )


class WfdbRecord(Record):
    """A record of one segment."""

    def __init__(
        self,
        header: Header,
        chosen: Sequence[int],
        *,
        partial: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> None:
        lines = [header.signals[i] for i in chosen]
        self._header = header
        self._per_frame = lines[0].samples_per_frame
        self._files: dict[str, SignalFile] = {}
        try:
            self._columns = [self._open_signal(i) for i in chosen]
            there = max(file.n_frames for file in self._files.values())
            told = header.n_frames
            for file in self._files.values():
                if told is not None and file.n_frames < told:
                    warnings += (self._truncated(file, told, partial),)
        except RecordError:
            self.close()
            raise
        self._n_frames = there if told is None else min(told, there)
        self._lines = lines
        super().__init__(
            name=header.name,
            address=str(header.path),
            form="WFDB",
            rate_hz=header.frame_rate_hz * self._per_frame,
            leads=tuple(lead_of(line, i) for i, line in zip(chosen, lines, strict=True)),
            n_samples=self._n_frames * self._per_frame,
            start=header.start,
            comments=header.comments,
            warnings=warnings,
        )

    def _open_signal(self, index: int) -> tuple[str, int]:
        """The signal's file, opened once, and its first column in that file's frames."""
        line = self._header.signals[index]
        members = [s for s in self._header.signals if s.file == line.file]
        position = sum(s.file == line.file for s in self._header.signals[:index])
        column = sum(s.samples_per_frame for s in members[:position])
        if line.file not in self._files:
            self._files[line.file] = self._open_file(line.file, members)
        return line.file, column

    def _open_file(self, name: str, members: list[SignalLine]) -> SignalFile:
        where = str(self._header.path)
        formats = {s.format for s in members}
        fmt = members[0].format
        if len(formats) > 1 or not is_known_format(fmt):
            told = ", ".join(str(f) for f in sorted(formats))
            raise RecordError(
                f"stores {name} in format {told}, which is none of WFDB's",
                where,
                "copy the record again from its source",
            )
        if Path(name).is_absolute() or ".." in Path(name).parts or name in ("-", "~"):
            raise RecordError(
                f"keeps its signals in {name!r}, not beside the header", where, "move them there"
            )
        path = self._header.path.parent / name
        widths = [s.samples_per_frame for s in members]
        offset = members[0].byte_offset
        if fmt in FLAC_INVALID:
            if len(set(widths)) > 1:
                raise RecordError(
                    f"gives the channels of {name} different rates, which FLAC cannot hold",
                    where,
                    "copy the record again from its source",
                )
            return FlacFile(path, fmt, len(members), widths[0], offset)
        if fmt == 8:
            starts = np.cumsum([0, *widths[:-1]])
            columns = [(int(start), width) for start, width in zip(starts, widths, strict=True)]
            return DifferenceFile(path, columns, [s.initial for s in members], offset)
        return PackedFile(path, fmt, sum(widths), offset)

    def _truncated(self, file: SignalFile, told: int, partial: bool) -> str:
        what = f"holds {file.n_frames:,} of {told:,} samples (it was cut short)"
        if partial and file.n_frames:
            return f"{file.path.name} {what}"
        raise RecordError(
            what,
            str(file.path),
            "copy the record again from its source, or read what is there with --partial",
        )

    def _read(self, first: int, count: int) -> Samples:
        per_frame = self._per_frame
        first_frame = first // per_frame
        frames = -(-(first + count) // per_frame) - first_frame
        counts = np.zeros((frames * per_frame, len(self.leads)), np.int32)
        valid = np.zeros(counts.shape, np.bool_)
        blocks: dict[tuple[str, int], np.ndarray] = {}
        for lead, ((name, column), line) in enumerate(zip(self._columns, self._lines, strict=True)):
            key = (name, line.skew)
            if key not in blocks:
                file = self._files[name]
                start = min(first_frame + line.skew, file.n_frames)
                blocks[key] = file.read(start, min(frames, file.n_frames - start))
            samples = blocks[key][:, column : column + per_frame].reshape(-1)
            counts[: len(samples), lead] = samples
            valid[: len(samples), lead] = samples != invalid_value(line.format)
        cut = slice(first - first_frame * per_frame, first - first_frame * per_frame + count)
        return Samples(counts[cut], valid[cut])

    def wrong_checksums(self) -> list[str]:
        """Names of the leads whose sum differs from the header's: samples were damaged.

        Reads the whole record once.
        """
        sums = [0] * len(self.leads)
        for start in range(0, self._n_frames, _CHECK_FRAMES):
            blocks = {
                name: file.read(start, max(0, min(_CHECK_FRAMES, file.n_frames - start)))
                for name, file in self._files.items()
            }
            for lead, (name, column) in enumerate(self._columns):
                part = blocks[name][:, column : column + self._per_frame]
                sums[lead] += int(part.sum(dtype=np.int64))
        return [
            lead.name
            for lead, line, total in zip(self.leads, self._lines, sums, strict=True)
            if line.checksum is not None and (total - line.checksum) % 65_536
        ]

    def close(self) -> None:
        """Let go of the signal files."""
        for file in self._files.values():
            file.close()
