"""PyTorch → ONNX → static int8, the same way for every network.

Quantize/dequantize pairs (QDQ), weights per channel, ranges from real signal. Weights keep
7 bits: without VNNI an x86 core adds two u8·s8 products in 16 bits and saturates, and a bundle
must judge alike on every machine. Activations are u8, their ranges cut at the 99.999th
percentile: a spike must not cost all other samples their resolution.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

OPSET = 17
QUANTIZED = ("Conv", "Gemm", "MatMul")
"""Operators worth 8 bits; what lies between them stays in float."""

Feeds = dict[str, NDArray[np.float32]]


def export(
    module: torch.nn.Module,
    example: Sequence[torch.Tensor],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: dict[str, dict[int, str]] | None = None,
) -> None:
    """Write ``module`` in evaluation mode as an fp32 ONNX graph."""
    module.eval()
    torch.onnx.export(
        module,
        tuple(example),
        str(path),
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes=dynamic or {},
        opset_version=OPSET,
        dynamo=False,
    )


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._feeds: Iterator[Feeds] = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def quantize(
    fp32: Path,
    int8: Path,
    feeds: Iterable[Feeds],
    *,
    operators: Sequence[str] = QUANTIZED,
    keep_float: Sequence[str] = (),
    method: CalibrationMethod = CalibrationMethod.Percentile,
) -> None:
    """Static int8 of ``fp32``, ranges from ``feeds``; nodes in ``keep_float`` stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(int8),
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep_float),
            calibrate_method=method,
        )


def nodes(path: Path, operator: str) -> list[str]:
    """Names of an ONNX file's nodes of one operator, in graph order (for ``keep_float``)."""
    import onnx

    graph: Any = onnx.load(str(path)).graph
    return [node.name for node in graph.node if node.op_type == operator]
