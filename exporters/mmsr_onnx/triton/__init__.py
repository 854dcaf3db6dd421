"""A bundle as a model of NVIDIA's Triton Inference Server."""

from mmsr_onnx.triton.export import export_triton

__all__ = ["export_triton"]
