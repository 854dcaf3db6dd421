"""A graph in the place of a torch module, to be measured like one."""

import torch
from torch import Tensor, nn

from mmsr_core.runtime.session import Device, Session

EIGHT_BIT = 0.4
"""Time of an 8-bit graph over that of its fp32 original: enough for an order (measured, 2 cores
with VNNI: 0.36 to 0.44 for 64 and 48 channels)."""


class GraphModule(nn.Module):
    """An 8-bit expert, or one made elsewhere: tiles (n,3,h,w) → (n,3,s·h,s·w), run by ONNX Runtime
    on the CPU.

    `macs` is what it costs per LR pixel, in multiply-accumulates of an fp32 network. Raises
    BundleError where ONNX Runtime can't open or run the graph.
    """

    def __init__(self, graph: bytes, name: str, scale: int, macs: float) -> None:
        super().__init__()
        self.scale = scale
        self.macs = macs
        self._session = Session(graph, Device("cpu", "8-bit graphs are measured there"), name)

    def forward(self, tiles: Tensor) -> Tensor:
        n, channels, height, width = tiles.shape
        shape = n, channels, height * self.scale, width * self.scale
        answer = self._session.run(tiles.cpu().numpy(), "upscaled", shape)
        return torch.from_numpy(answer).to(tiles.device)
