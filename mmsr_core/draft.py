"""A bundle still in Python: what training hands to an exporter.

Modules are torch modules on the CPU in eval mode; `stages` are torch modules or fitted
scikit-learn estimators. Nothing here imports either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from mmsr_core.plugin.components import Output, RouterData


@dataclass(frozen=True, kw_only=True)
class ExpertDraft:
    """A trained backbone: tiles (n,3,h,w) → upscaled (n,3,s·h,s·w).

    One that was made elsewhere is a `graph` already. So is an 8-bit one, and `exact` names the
    expert it was made from.
    """

    name: str
    backbone: str
    depth: int
    radius: int | None
    macs: float
    """Multiply-accumulates per LR pixel."""
    module: nn.Module | None = None
    graph: bytes | None = None
    exact: str | None = None
    parity: float = 0.0
    """How far a graph made elsewhere differs from what it was made from."""


@dataclass(frozen=True, kw_only=True)
class GivenExpert:
    """An upscaler that was made elsewhere, as a graph: what `mmsr wrap` hands to training."""

    file: str
    architecture: str
    scale: int
    graph: bytes
    macs: float
    """Multiply-accumulates per LR pixel."""
    radius: int | None
    """LR pixels that a changed one has an effect on; None: no end was found."""
    halo: int
    """LR pixels of context that its tiles need."""
    parity: float
    """How far the graph differs from what the file holds."""

    def draft(self, name: str) -> ExpertDraft:
        """The same for an exporter, under a name."""
        return ExpertDraft(
            name=name,
            backbone=self.architecture,
            depth=0,
            radius=self.radius,
            macs=self.macs,
            graph=self.graph,
            parity=self.parity,
        )


@dataclass(frozen=True, kw_only=True)
class FuserDraft:
    """A fuser: candidates (n,k,3,h,w) → fused (n,3,h,w)."""

    name: str
    radius: int
    module: nn.Module


@dataclass(frozen=True, kw_only=True)
class RouterDraft:
    """Extractor and classifier stages, run one after the other on tiles (n,3,t,t)."""

    extractor: nn.Module
    feature_names: tuple[str, ...]
    stages: tuple[Any, ...]
    output: Output
    calibration: RouterData
    """The router split, measured: what effort is calibrated on."""
    predictions: npt.NDArray[np.float64]
    """What a classifier fitted without that photograph says of each tile, (n,c) or (n,r)."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything an exporter needs."""

    name: str
    version: str
    scale: int
    classes: tuple[str, ...]
    routes: dict[str, tuple[tuple[str, ...], str | None]]
    """class → names of the experts, name of the fuser."""
    experts: tuple[ExpertDraft, ...]
    fusers: tuple[FuserDraft, ...]
    router: RouterDraft
    cell: int
    halo: int
    seam: int
    tolerance: float
    """dB that the default effort may lose on the router split."""
    made: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CodecDraft:
    """Everything an exporter needs of a codec."""

    name: str
    version: str
    codec: str
    """The component."""
    encoder: nn.Module
    """Images (n,3,h,w) → codes (n,c,h/8,w/8)."""
    decoder: nn.Module
    """Codes → images."""
    encoder_radius: int | None
    """Pixels."""
    decoder_radius: int | None
    """Cells of 8×8 pixels."""
    channels: int
    tables: bytes
    """The entropy coder's, an npz file."""
    qualities: tuple[dict[str, Any], ...]
    """As the manifest has them."""
    made: dict[str, Any]
