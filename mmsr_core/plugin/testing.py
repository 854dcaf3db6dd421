"""Contract checks for plugin authors: each takes what you register and raises what it breaks.

Every check builds the component with seeded weights, runs it in eval mode on seeded tiles, and
raises PluginError with one line that says what was promised and what was seen. PyTorch is
imported when a check runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import PluginError
from mmsr_core.plugin.codec_check import check_codec as check_codec
from mmsr_core.plugin.components import (
    Backbone,
    Classifier,
    Extractor,
    Fuser,
    Game,
    RouterData,
)
from mmsr_core.plugin.loader_check import check_loader as check_loader
from mmsr_core.plugin.metric_check import check_metric as check_metric
from mmsr_core.plugin.stages import apply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

SIZES = ((1, 16, 16), (5, 7, 9), (2, 1, 3))
"""n, h, w that a network has to take: one tile, odd sides, sides smaller than a kernel."""
CLASSES = ("SIMPLE", "MODERATE", "COMPLEX")
CLOSE = 1e-6
"""How far float32 answers that should be equal may differ."""


def check_backbone(
    backbone: Backbone, scale: int | None = None, depth: int | None = None, **options: Any
) -> None:
    """Check a backbone at one scale and depth, or at all its scales and its first two depths.

    Promised: (n,3,h,w) → (n,3,s·h,s·w) at every n, h and w, float32 in [0,1]; deterministic and
    batch-independent in eval mode; no output pixel depends on an input pixel further away than
    `radius(depth)` LR pixels (None: not checked); trainable weights unless `training` is
    "fixed". When it is "adversarial", a discriminator, in train mode: HR patches (n,3,p,p), n ≥ 2
    and p ≥ 32 → finite logits (n,1) with a gradient to every patch. `options` go to `build`.
    """
    if backbone.training == "adversarial":
        _check_adversary(backbone)
    for s in backbone.scales if scale is None else (scale,):
        for d in backbone.depths[:2] if depth is None else (depth,):
            _check_network(backbone, s, d, options)


def check_extractor(extractor: Extractor, **options: Any) -> None:
    """Check an extractor: tiles (n,3,t,t) → features (n,f), float32 and finite.

    Promised: `names` has f distinct strings; deterministic and batch-independent in eval mode,
    at every n and t, on flat tiles as well. `options` go to `build`.
    """
    what = f"extractor {extractor.name}"
    with _seeded():
        module = extractor.build(**options).eval()
        names = getattr(module, "names", ())
        if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
            _fail(what, "an attribute `names`, a string per feature", repr(names))
        if len(set(names)) != len(names):
            _fail(what, "distinct names", ", ".join(names))
        for n, side in ((1, 32), (5, 16), (2, 33)):
            features = _answer(what, module, _tiles(n, side, side))
            _check_shape(what, features, (n, len(names)))


def check_classifier(
    classifier: Classifier, names: Sequence[str] = ("first", "second"), **options: Any
) -> None:
    """Check a classifier on three classes and features called `names`.

    Promised: its stages turn features (n,f) into probabilities (n,c) whose rows sum to 1, or
    into positive expected errors (n,r), with a column for every class even when a class has no
    tile to learn from; the same data and seed give the same answer. `options` go to `fit`.
    """
    what = f"classifier {classifier.name}"
    features = _router_data(names, len(CLASSES), seed=1).features
    for known in (len(CLASSES), len(CLASSES) - 1):
        data = _router_data(names, known, seed=0)
        answer = apply(classifier.fit(data, seed=0, **options), features)
        seen = f"{known} of {len(CLASSES)} classes in its data"
        if answer.shape != (len(features), len(CLASSES)):
            shape = (len(features), len(CLASSES))
            _fail(what, f"shape {shape} with {seen}", f"{answer.shape}")
        if not (np.isfinite(answer).all() and (answer >= 0).all()):
            _fail(what, "finite values ≥ 0", f"minimum {answer.min()}")
        if classifier.output == "errors" and not (answer > 0).all():
            _fail(what, "positive errors", "0")
        sums = answer.sum(axis=1)
        if classifier.output == "probs" and np.abs(sums - 1).max() > 1e-5:
            _fail(what, "rows that sum to 1", f"sums from {sums.min():.6g} to {sums.max():.6g}")
    again = apply(classifier.fit(data, seed=0, **options), features)
    if not np.array_equal(answer, again):
        _fail(what, "the same answer from the same data and seed", "another")


def check_fuser(fuser: Fuser, scale: int = 2, **options: Any) -> None:
    """Check a fuser on two candidates: (n,2,3,h,w) → (n,3,h,w), float32 in [0,1].

    Promised: a fusion of equal candidates is that candidate; deterministic and
    batch-independent in eval mode; no fused pixel depends on one further away than `radius` HR
    pixels. `options` go to `build`.
    """
    import torch

    what = f"fuser {fuser.name}"
    with _seeded():
        module = fuser.build(scale=scale, **options).eval()
        for n, height, width in SIZES:
            one, other = _tiles(n, height, width), torch.rand(n, 3, height, width)
            fused = _answer(what, module, torch.stack([one, other], dim=1))
            _check_shape(what, fused, (n, 3, height, width))
            _check_range(what, fused)
            apart = _distance(_answer(what, module, torch.stack([one, one], dim=1)), one)
            if apart > CLOSE:
                _fail(what, "two equal candidates back as they are", f"{apart:.3g} off")
        _check_local(what, module, (2, 3), fuser.radius, 1)


def _check_network(backbone: Backbone, scale: int, depth: int, options: dict[str, Any]) -> None:
    what = f"backbone {backbone.name} at scale {scale}, depth {depth}"
    if scale not in backbone.scales or depth not in backbone.depths:
        depths = f"{backbone.depths[0]} to {backbone.depths[-1]}"
        raise PluginError(f"{what}: it has scales {backbone.scales}, depths {depths}")
    with _seeded():
        module = backbone.build(depth=depth, scale=scale, **options).eval()
        trainable = any(p.requires_grad for p in module.parameters())
        if trainable != (backbone.training != "fixed"):
            seen = "trainable weights" if trainable else "no trainable weights"
            _fail(what, f'training "{backbone.training}"', seen)
        _shake(module)
        for n, height, width in SIZES:
            upscaled = _answer(what, module, _tiles(n, height, width))
            _check_shape(what, upscaled, (n, 3, scale * height, scale * width))
            _check_range(what, upscaled)
        radius = backbone.radius(depth)
        if radius is not None:
            _check_local(what, module, (3,), radius, scale)


def _check_adversary(backbone: Backbone) -> None:
    import torch

    what = f"backbone {backbone.name}"
    if backbone.discriminator is None:
        _fail(what, "a discriminator to train against", "None")
    if backbone.game not in get_args(Game):
        _fail(what, f"a game, one of {', '.join(get_args(Game))}", repr(backbone.game))
    what += "'s discriminator"
    with _seeded():
        module = backbone.discriminator().train()
        for n, side in ((2, 32), (3, 45)):
            patches = _tiles(n, side, side).requires_grad_()
            logits = module(patches)
            _check_shape(what, logits, (n, 1))
            if not torch.isfinite(logits).all():
                _fail(what, "finite logits", "inf or nan")
            if not any(weight.requires_grad for weight in module.parameters()):
                _fail(what, "trainable weights", "no trainable weights")
            if not logits.requires_grad:
                _fail(what, "a gradient to every patch", "logits cut off from them")
            for patch, logit in enumerate(logits):
                (gradient,) = torch.autograd.grad(
                    logit.sum(), patches, retain_graph=True, allow_unused=True
                )
                if gradient is None or not gradient[patch].any():
                    _fail(what, "a gradient to every patch", f"none to patch {patch} of {n}")


def _answer(what: str, module: nn.Module, inputs: Tensor) -> Tensor:
    """The module's answer to a batch: a float32 tensor, the same twice, the same item by item."""
    import torch

    with torch.inference_mode():
        answer, again = module(inputs), module(inputs)
        alone = torch.cat([module(item[None]) for item in inputs])
    if answer.dtype != torch.float32:
        _fail(what, "float32", str(answer.dtype))
    if not torch.isfinite(answer).all():
        _fail(what, "finite values", "inf or nan")
    if not torch.equal(answer, again):
        _fail(what, "the same answer twice in eval mode", f"{_distance(answer, again):.3g} apart")
    _check_shape(f"{what}, tile by tile", alone, tuple(answer.shape))
    apart = _distance(answer, alone)
    if apart > CLOSE * max(1.0, float(answer.abs().max())):
        _fail(what, "the same answer for a tile alone and in a batch", f"{apart:.3g} apart")
    return answer  # type: ignore[no-any-return]


def _check_shape(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        _fail(what, f"shape {shape}", f"{tuple(tensor.shape)}")


def _check_range(what: str, tensor: Tensor) -> None:
    low, high = float(tensor.min()), float(tensor.max())
    if low < 0 or high > 1:
        _fail(what, "values in [0,1] in eval mode", f"{low:.4g} to {high:.4g}")


def _check_local(
    what: str, module: nn.Module, leading: tuple[int, ...], radius: int, scale: int
) -> None:
    """Change one pixel of inputs (1,*leading,h,w); see what changes beyond the radius."""
    import torch

    centre = radius + 4
    side = 2 * centre + 1
    before = torch.rand(1, *leading, side, side)
    after = before.clone()
    after[..., centre, centre] = 1 - after[..., centre, centre].round()
    with torch.inference_mode():
        changed = (module(after) - module(before)).abs()
        # The pixel itself is `scale` wide, so `scale - 1` more are touched on one side.
        near = slice((centre - radius) * scale, (centre + radius + 1) * scale)
        changed[..., near, near] = 0
    if float(changed.max()) > CLOSE:
        seen = f"a pixel further away changes by {float(changed.max()):.3g}"
        _fail(what, f"to look no further than {radius} pixels", seen)


def _shake(module: nn.Module) -> None:
    """Move every weight a little: a layer that starts at zero would hide what it does."""
    import torch

    with torch.no_grad():
        for weight in module.parameters():
            fan_in = weight[0].numel() if weight.dim() > 1 else 1
            weight.add_(torch.randn_like(weight) * 0.1 / fan_in**0.5)


def _tiles(n: int, height: int, width: int) -> Tensor:
    """Noise (n,3,h,w) in [0,1], the first tile stretched to black and white, the last one flat."""
    import torch

    tiles = torch.rand(n, 3, height, width)
    tiles[0] = tiles[0].round()
    if n > 1:
        tiles[-1] = 0.5
    return tiles


def _router_data(names: Sequence[str], known: int, seed: int) -> RouterData:
    """Tiles whose features grow with their class, of the first `known` classes."""
    rng = np.random.default_rng(seed)
    n = 90
    labels: npt.NDArray[np.int64] = np.arange(n) % known
    features = labels[:, None] * 2 + 1 + rng.uniform(-1, 1, (n, len(names)))
    errors = (
        1e-3
        * (1 + np.abs(labels[:, None] - np.arange(len(CLASSES))))
        * rng.uniform(0.9, 1.1, (n, 1))
    )
    return RouterData(
        features=features.astype(np.float32),
        names=tuple(names),
        errors=errors,
        labels=labels,
        costs=np.array([0.1, 0.4, 1.0]),
        images=np.repeat(np.arange(3), n // 3),
        shapes=np.array([(160, 192)] * 3),
        photos=np.arange(3),
        classes=CLASSES,
    )


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@contextmanager
def _seeded() -> Iterator[None]:
    """PyTorch's random numbers from seed 0 inside, as they were outside."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _fail(what: str, promised: str, seen: str) -> NoReturn:
    raise PluginError(f"{what}: promised {promised}; seen: {seen}")
