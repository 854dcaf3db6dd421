"""A bundle as a static page that upscales pictures in the visitor's browser."""

from mmsr_onnx.web.export import export_web

__all__ = ["export_web"]
