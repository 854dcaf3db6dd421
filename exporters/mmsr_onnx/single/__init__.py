"""A bundle as one ONNX graph: features, forest, routing, experts and fusion."""

from mmsr_onnx.single.export import export_single

__all__ = ["export_single"]
