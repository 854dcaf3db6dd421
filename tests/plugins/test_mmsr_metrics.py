import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mmsr_core.errors import PluginError
from mmsr_core.measure.metrics import ms_ssim_y, psnr_y, ssim_y
from mmsr_core.measure.niqe import niqe
from mmsr_core.measure.pristine import Pristine
from mmsr_metrics import register_metrics

METRICS = {metric.name: metric for metric in register_metrics()}
RNG = np.random.default_rng(0)
HR = RNG.random((200, 208, 3), np.float32)
SR = np.clip(HR + RNG.normal(0, 0.1, HR.shape), 0, 1).astype(np.float32)


def test_the_metrics_have_the_columns_that_files_promise():
    assert [(name, metric.column, metric.better) for name, metric in METRICS.items()] == [
        ("psnr", "psnr_y", "higher"),
        ("ssim", "ssim_y", "higher"),
        ("ms-ssim", "ms_ssim_y", "higher"),
        ("niqe", "niqe", "lower"),
        ("lpips", "lpips", "lower"),
        ("ma", "ma", "higher"),
    ]


@pytest.mark.parametrize(
    ("name", "function"), [("psnr", psnr_y), ("ssim", ssim_y), ("ms-ssim", ms_ssim_y)]
)
def test_fidelity_is_the_cores(name, function):
    assert METRICS[name].open()(SR, HR, 4) == function(SR, HR, 4)


def test_niqe_compares_with_the_shipped_model():
    assert METRICS["niqe"].open()(SR, None, 4) == niqe(SR, Pristine.open(), 4)


@pytest.mark.parametrize("package", ["torch", "torchvision", "torchmetrics.image.lpip"])
def test_lpips_without_a_package_names_it_and_the_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PluginError) as told:
        METRICS["lpips"].open()
    assert f"lpips needs {package}, which is not installed" in str(told.value)
    assert "pip install 'mmsr[metrics]'" in str(told.value)


def lpips_network(*args, **options):
    """Stands for torchmetrics' network: the mean distance, and it remembers until reset."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, sr, hr):
            assert sr.shape == hr.shape == (1, 3, 192, 200)
            self.seen.append(float((sr - hr).abs().mean()))
            return torch.tensor(sum(self.seen))

        def reset(self):
            self.seen.clear()

    return Network()


@pytest.fixture
def lpip(monkeypatch):
    """A torchmetrics whose LPIPS is `network`, and a torchvision beside it."""

    def install(network):
        names = {"LearnedPerceptualImagePatchSimilarity": network}
        monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
        monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", SimpleNamespace(**names))

    return install


def test_lpips_sees_both_images_rounded_and_shaved_and_forgets_them(lpip):
    lpip(lpips_network)
    measure = METRICS["lpips"].open()
    eight = [np.rint(image[4:-4, 4:-4] * 255) / 255 for image in (SR, HR)]
    expected = np.abs(eight[0] - eight[1]).mean()
    assert measure(SR, HR, 4) == pytest.approx(expected, rel=1e-5)
    assert measure(SR, HR, 4) == pytest.approx(expected, rel=1e-5)


def test_lpips_of_a_small_image_has_no_value(lpip):
    lpip(lpips_network)
    assert math.isnan(METRICS["lpips"].open()(SR[:63], HR[:63], 0))


def test_lpips_weights_that_cannot_be_fetched_say_where_to_put_them(lpip):
    def unreachable(*args, **options):
        raise OSError("no route to host")

    lpip(unreachable)
    with pytest.raises(PluginError, match=r"no route to host.*put alexnet-owt-7be5be79\.pth into"):
        METRICS["lpips"].open()


def test_ma_without_pyiqa_says_why_mmsr_does_not_bring_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(PluginError, match="PolyForm Noncommercial"):
        METRICS["ma"].open()


def test_ma_is_what_pyiqa_answers(monkeypatch):
    asked = []

    def create_metric(name, device):
        asked.append(name)
        return lambda batch: batch.mean() * 10

    monkeypatch.setitem(sys.modules, "pyiqa", SimpleNamespace(create_metric=create_metric))
    measure = METRICS["ma"].open()
    assert measure(SR, None, 4) == pytest.approx(SR[4:-4, 4:-4].mean() * 10, abs=1e-2)
    assert asked == ["nrqm"]
    assert math.isnan(measure(SR[:63], None, 0))
