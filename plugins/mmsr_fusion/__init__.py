"""Fusers: the 2020 paper's edge-guided fusion (Algorithm 1), and the plain mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmsr_core.plugin.components import Fuser
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


def _edge(
    *, scale: int, threshold: float = 0.4, smooth: float = 0.7, texture: float = 0.3
) -> nn.Module:
    from mmsr_fusion.network import EdgeFusion

    return EdgeFusion(threshold, smooth, texture)


def _mean(*, scale: int) -> nn.Module:
    from mmsr_fusion.network import Mean

    return Mean()


@hookimpl
def register_fusers() -> Iterable[Fuser]:
    yield Fuser(
        name="edge",
        summary="two candidates: more of the second on edges, more of the first elsewhere",
        build=_edge,
        radius=1,
    )
    yield Fuser(name="mean", summary="the mean of any number of candidates", build=_mean)
