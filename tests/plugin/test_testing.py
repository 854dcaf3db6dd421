from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Backbone, Classifier, Extractor, Fuser
from mmsr_core.plugin.testing import check_backbone, check_classifier, check_extractor, check_fuser


class Calls(nn.Module):
    """A module that computes what a function says; one idle weight makes it trainable."""

    names = ("mean", "deviation")

    def __init__(self, function, trainable=True):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=trainable)

    def forward(self, x):
        return self.function(x)


def enlarge(x, scale=2):
    return F.interpolate(x, scale_factor=scale, mode="nearest")


def backbone(function=enlarge, radius=0, **changes):
    facts = {
        "name": "odd",
        "summary": "",
        "build": lambda *, depth, scale: Calls(function),
        "radius": lambda depth: radius,
        "depths": range(1, 2),
        "scales": (2,),
    }
    return Backbone(**facts | changes)


def jitter(x):
    return F.dropout(x, 0.5, training=True)


def across_the_batch(x):
    return (x - x.mean(dim=0)).clamp(0, 1) if len(x) > 1 else x


def test_a_sound_backbone_passes():
    check_backbone(backbone())


@pytest.mark.parametrize(
    ("broken", "promised"),
    [
        (backbone(lambda x: enlarge(x, 3)), "shape"),
        (backbone(lambda x: enlarge(x)[..., :-1]), "shape"),
        (backbone(lambda x: enlarge(x) * 2 - 0.5), r"values in \[0,1\]"),
        (backbone(lambda x: enlarge(x).double()), "float32"),
        (backbone(lambda x: enlarge(x) * torch.nan), "finite"),
        (backbone(lambda x: enlarge(jitter(x)).clamp(0, 1)), "the same answer twice"),
        (backbone(lambda x: enlarge(across_the_batch(x))), "alone and in a batch"),
        (backbone(lambda x: enlarge(F.avg_pool2d(x, 3, 1, 1))), "no further than 0 pixels"),
        (backbone(lambda x: enlarge((x + x.mean((2, 3), True)) / 2), 5), "no further than 5"),
        (backbone(training="fixed"), 'training "fixed"'),
        (backbone(build=lambda *, depth, scale: Calls(enlarge, False)), 'training "pixel"'),
        (backbone(training="adversarial"), "discriminator"),
    ],
)
def test_a_backbone_that_breaks_a_promise_is_told_which(broken, promised):
    with pytest.raises(PluginError, match=promised) as caught:
        check_backbone(broken)
    assert "\n" not in str(caught.value)
    assert "odd" in str(caught.value)


class Critic(nn.Module):
    """Logits that a function makes of one idle weight and the patches."""

    def __init__(self, function, trainable=True):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=trainable)

    def forward(self, patches):
        return self.function(patches) + self.weight


def mean_of(patches):
    return patches.mean((1, 2, 3))[:, None]


def adversarial(function=mean_of, **changes):
    facts = {"training": "adversarial", "discriminator": lambda: Critic(function)}
    return backbone(**facts | changes)


def test_a_sound_adversary_passes():
    check_backbone(adversarial())


@pytest.mark.parametrize(
    ("broken", "promised"),
    [
        (adversarial(lambda x: x.mean((1, 2, 3))), r"shape \(2, 1\)"),
        (adversarial(lambda x: mean_of(x) * torch.nan), "finite logits"),
        (adversarial(lambda x: mean_of(x.detach())), "a gradient to every patch"),
        (adversarial(lambda x: mean_of(x[:1]).expand(len(x), 1)), "to patch 1 of 2"),
        (adversarial(discriminator=lambda: Critic(mean_of, False)), "trainable weights"),
        (adversarial(game="relative"), "a game, one of standard, relativistic"),
    ],
)
def test_an_adversary_that_breaks_a_promise_is_told_which(broken, promised):
    with pytest.raises(PluginError, match=promised) as caught:
        check_backbone(broken)
    assert "\n" not in str(caught.value)
    assert "odd" in str(caught.value)


def test_batch_statistics_in_eval_mode_are_caught():
    class Normalised(nn.Sequential):
        def train(self, mode=True):
            return super().train(True)

    def build(*, depth, scale):
        layers = nn.BatchNorm2d(3, momentum=0.0), nn.Upsample(scale_factor=scale), nn.Sigmoid()
        return Normalised(*layers)

    with pytest.raises(PluginError, match="alone and in a batch"):
        check_backbone(backbone(build=build))


def test_a_weight_that_starts_at_zero_hides_nothing():
    def build(*, depth, scale):
        tail = nn.Conv2d(3, 3, 3, padding=1)
        nn.init.zeros_(tail.weight)
        return nn.Sequential(tail, nn.Upsample(scale_factor=scale), nn.Sigmoid())

    check_backbone(backbone(build=build, radius=1))
    with pytest.raises(PluginError, match="no further than 0 pixels"):
        check_backbone(backbone(build=build))


def test_a_backbone_without_a_radius_may_look_everywhere():
    everywhere = backbone(lambda x: enlarge((x + x.mean((2, 3), True)) / 2))
    check_backbone(replace(everywhere, radius=lambda depth: None))


def test_a_depth_that_a_backbone_does_not_have_is_named():
    with pytest.raises(PluginError, match="depths 1 to 1"):
        check_backbone(backbone(), depth=7)


def test_a_check_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    check_backbone(backbone())
    assert torch.rand(1) == expected


def describe(x):
    return torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], dim=1)


def extractor(function=describe, **changes):
    facts = {"name": "odd", "summary": "", "build": lambda: Calls(function)}
    return Extractor(**facts | changes)


def test_a_sound_extractor_passes():
    check_extractor(extractor())


@pytest.mark.parametrize(
    ("broken", "promised"),
    [
        (extractor(lambda x: x.mean((2, 3))), "shape"),
        (extractor(lambda x: describe(x).log() / describe(x)), "finite"),
        (extractor(lambda x: describe(x) - describe(x).mean(0)), "alone and in a batch"),
        (extractor(build=nn.Identity), "`names`"),
    ],
)
def test_an_extractor_that_breaks_a_promise_is_told_which(broken, promised):
    with pytest.raises(PluginError, match=promised):
        check_extractor(broken)


class Says:
    """A fitted estimator that answers every row alike."""

    def __init__(self, *row):
        self.row = row

    def predict(self, features):
        return np.tile(self.row, (len(features), 1))


def classifier(fit, output="probs"):
    return Classifier(name="odd", summary="", output=output, fit=fit)


def test_a_sound_classifier_passes():
    check_classifier(classifier(lambda data, *, seed: (Says(0.5, 0.25, 0.25),)))


@pytest.mark.parametrize(
    ("broken", "promised"),
    [
        (classifier(lambda data, *, seed: (Says(0.5, 0.5),)), "shape"),
        (classifier(lambda data, *, seed: (Says(*np.eye(3)[: data.labels.max() + 1]),)), "shape"),
        (classifier(lambda data, *, seed: (Says(0.5, 0.5, 0.5),)), "rows that sum to 1"),
        (classifier(lambda data, *, seed: (Says(1.5, -0.5, 0.0),)), "finite values ≥ 0"),
        (classifier(lambda data, *, seed: (Says(1.0, 0.0, 2.0),), "errors"), "positive"),
        (classifier(lambda data, *, seed: (Says(*np.random.rand(3)),), "errors"), "same answer"),
    ],
)
def test_a_classifier_that_breaks_a_promise_is_told_which(broken, promised):
    with pytest.raises(PluginError, match=promised):
        check_classifier(broken)


def fuser(function, **changes):
    facts = {"name": "odd", "summary": "", "build": lambda *, scale: Calls(function)}
    return Fuser(**facts | changes)


def blur_mean(x):
    return F.avg_pool2d(x.mean(1), 3, 1, 1, count_include_pad=False)


def weigh_by_blur(x):
    share = F.avg_pool2d(x[:, 0], 3, 1, 1)
    return share * x[:, 0] + (1 - share) * x[:, 1]


def test_a_sound_fuser_passes():
    check_fuser(fuser(weigh_by_blur, radius=1))


@pytest.mark.parametrize(
    ("broken", "promised"),
    [
        (fuser(lambda x: x.flatten(1, 2)), "shape"),
        (fuser(lambda x: x.sum(1)), r"values in \[0,1\]"),
        (fuser(lambda x: x.mean(1) * 0.9), "two equal candidates"),
        (fuser(blur_mean, radius=1), "two equal candidates"),
        (fuser(lambda x: jitter(x).mean(1).clamp(0, 1)), "the same answer twice"),
        (fuser(weigh_by_blur), "no further than 0 pixels"),
    ],
)
def test_a_fuser_that_breaks_a_promise_is_told_which(broken, promised):
    with pytest.raises(PluginError, match=promised):
        check_fuser(broken)
