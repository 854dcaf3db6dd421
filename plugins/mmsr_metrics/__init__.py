"""Measures of image quality: fidelity, naturalness, and learned ones when they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mmsr_core.plugin.components import Metric
from mmsr_core.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from mmsr_core.runtime.tiles import Floats


def _psnr() -> Callable[..., float]:
    from mmsr_core.measure.metrics import psnr_y

    return psnr_y


def _ssim() -> Callable[..., float]:
    from mmsr_core.measure.metrics import ssim_y

    return ssim_y


def _ms_ssim() -> Callable[..., float]:
    from mmsr_core.measure.metrics import ms_ssim_y

    return ms_ssim_y


def _niqe() -> Callable[..., float]:
    from mmsr_core.measure.niqe import niqe
    from mmsr_core.measure.pristine import Pristine

    pristine = Pristine.open()

    def measure(sr: Floats, hr: Floats | None, border: int) -> float:
        return niqe(sr, pristine, border)

    return measure


def _lpips() -> Callable[..., float]:
    from mmsr_metrics.learned import open_lpips

    return open_lpips()


def _ma() -> Callable[..., float]:
    from mmsr_metrics.learned import open_ma

    return open_ma()


@hookimpl
def register_metrics() -> Iterable[Metric]:
    yield Metric(
        name="psnr",
        key="psnr_y",
        summary="peak signal-to-noise ratio of luma, dB",
        better="higher",
        open=_psnr,
    )
    yield Metric(
        name="ssim",
        key="ssim_y",
        summary="structural similarity of luma",
        better="higher",
        open=_ssim,
    )
    yield Metric(
        name="ms-ssim",
        key="ms_ssim_y",
        summary="structural similarity of luma at five scales; from 176 pixels a side",
        better="higher",
        open=_ms_ssim,
    )
    yield Metric(
        name="niqe",
        summary="distance from the statistics of sharp photographs; needs no reference",
        better="lower",
        open=_niqe,
        reference=False,
    )
    yield Metric(
        name="lpips",
        summary="distance of AlexNet's features; needs torchmetrics, torchvision and its weights",
        better="lower",
        open=_lpips,
    )
    yield Metric(
        name="ma",
        summary="learned score of super-resolution, by pyiqa where you installed it",
        better="higher",
        open=_ma,
        reference=False,
    )
