"""What a plugin contributes: seven frozen specs, each a name and the functions behind it.

A spec is declared without importing torch: `build`, `fit` and the rest import what they need
when they are called. Axes: n tiles, k candidates, c classes, r routes, f features, s scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

Better = Literal["higher", "lower"]
Output = Literal["probs", "errors"]
Training = Literal["fixed", "pixel", "adversarial"]
Game = Literal["standard", "relativistic"]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A family of upscaling networks, (n,3,h,w) → (n,3,s·h,s·w), float32 in [0,1].

    In eval mode a built network is deterministic, batch-independent, and local: an output
    pixel depends on input pixels at most `radius(depth)` away. `radius` returns None for a
    network that pools over the whole image.
    """

    name: str
    summary: str
    build: Callable[..., nn.Module]
    """build(*, depth, scale, **options): a fresh network with its initial weights."""
    radius: Callable[[int], int | None]
    """Receptive radius in LR pixels at a depth."""
    depths: range
    scales: tuple[int, ...]
    training: Training = "pixel"
    """fixed: nothing to learn; pixel: a pixel loss; adversarial: pixel loss, then a GAN phase."""
    discriminator: Callable[..., nn.Module] | None = None
    """build(**options), every option with a default: a fresh adversary for the GAN phase, HR
    patches (n,3,p,p) in [0,1], p ≥ 32 and n ≥ 2 → logits (n,1), high for a photograph. It stays
    in train mode."""
    game: Game = "standard"
    """What the logits are of: "standard", is this patch a photograph (SRGAN); "relativistic", is
    it more of a photograph than the other side's patches are on average (ESRGAN)."""


class Pictures(Protocol):
    """Unlabelled images, squares of `side` pixels; `note` says what they are."""

    @property
    def side(self) -> int:
        """Of every image, in pixels."""

    @property
    def note(self) -> str:
        """Where they come from, for whoever meets what learned from them."""

    def __len__(self) -> int: ...

    def read(self, rows: npt.NDArray[np.int64], /) -> npt.NDArray[np.uint8]:
        """The images of these numbers (k,), as (k,s,s,3); safe to call from another thread."""


PictureSource = Callable[[int, int], Pictures]
"""open(side, cut): images cut into tiles of `cut` pixels, or whole when it is 0, and then no
smaller than `side`; RecipeError when there are none."""
Report = Callable[[str, int, int], None]
"""report(what, done, total): how far it has come; a total of 0 is a remark."""


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """Features of a tile, (n,3,t,t) → (n,f), as a torch module with their `names`.

    The module may offer `maps(images) -> list[Tensor]` besides: images (n,3,h,w), about [0,1] →
    feature maps (n,c,h',w'), differentiable. Then its weights can serve as a perceptual loss.
    """

    name: str
    summary: str
    build: Callable[..., nn.Module]
    """build(**options): a module with an attribute `names`, one string per feature."""
    pretrain: Callable[..., None] | None = None
    """pretrain(open_pictures, out, report, *, seed, resume, device, **options): learn from
    unlabelled images, a `PictureSource`, and write an encoder file to `out`, whole or not at all.

    `device` is "auto", "cpu" or "cuda". An interrupted run goes on with `resume`. Of the options
    that `mmsr pretrain` knows it takes those that it names, each with a default; an encoder file
    states the options that `build` rebuilds its module with. `build` then takes an option
    `weights` besides, the path of such a file: a recipe has to give it, without it the module is
    untrained.
    """


@dataclass(frozen=True, kw_only=True)
class RouterData:
    """What a classifier learns from: tiles that no expert trained on, measured.

    `features` (n,f) float32; `errors` (n,r) mean squared error of each route in [0,1]² units,
    columns in class order; `labels` (n,) the class whose route is the cheapest within the
    recipe's ε dB of the best; `costs` (r,) of the routes, relative to the dearest; `images` (n,)
    the image that each tile was cut from, row by row; `shapes` (i,2) the images' heights and
    widths in LR pixels; `photos` (i,) the photograph each image was made from.
    """

    features: npt.NDArray[np.float32]
    names: tuple[str, ...]
    errors: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    costs: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int64]
    photos: npt.NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Chooses a route from features.

    `fit(data, *, seed, **options)` returns the stages that turn features (n,f) into either
    class probabilities (n,c), rows summing to 1, or the expected error of each route (n,r).
    A stage is a fitted scikit-learn estimator or a torch module; the exporter chains them.
    """

    name: str
    summary: str
    output: Output
    fit: Callable[..., tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Fuser:
    """Joins the answers of several experts, candidates (n,k,3,h,w) → fused (n,3,h,w)."""

    name: str
    summary: str
    build: Callable[..., nn.Module]
    """build(*, scale, **options)."""
    radius: int = 0
    """How far, in HR pixels, a fused pixel looks into its candidates."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A learned image codec: images to code maps an eighth their size, and back.

    What lies between the two, rounding and entropy coding, is the runtime's. In eval mode both
    are deterministic and batch-independent, and look no further than they say.
    """

    name: str
    summary: str
    build: Callable[..., nn.Module]
    """build(**options): a fresh module; called on images (n,3,h,w) in [0,1] in train mode, sides
    multiples of 8 and at least `smallest`, it gives the loss to lower, a scalar. Its attributes:

    - `encoder`: images (n,3,h,w) in [0,1], sides multiples of 8 → codes (n,c,h/8,w/8)
    - `decoder`: codes (n,c,h,w) → images (n,3,8h,8w), in [0,1] in eval mode
    - `channels`: c
    - `rounding`: how codes become numbers, a `mmsr_core.runtime.codec.quantiser.Rounding`
    - `encoder_radius`: pixels around its cell of 8×8 that a code depends on; None for all
    - `decoder_radius`: cells around its own that a pixel depends on; None for all
    - `smallest`: the shortest side of an image to learn from
    """


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of image quality, as `mmsr evaluate --metrics` names it."""

    name: str
    summary: str
    better: Better
    open: Callable[[], Callable[..., float]]
    """open(): the measuring function, loaded and ready; PluginError with what to do when its
    weights or its package are not there.

    The function takes (sr, hr, border): float32 RGB (h,w,3) in [0,1] and the pixels to shave off
    every side. It returns a float: nan when this image has no value, say because it is too small.
    """
    reference: bool = True
    """False: the function looks at `sr` alone, and `hr` may be None."""
    key: str = ""
    """What its column is called in JSON and CSV.  [default: the name, with _ for -]"""

    @property
    def column(self) -> str:
        """The name of its column."""
        return self.key or self.name.replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An upscaler that was trained elsewhere.

    `module`: images (n,3,h,w) → (n,3,s·h,s·w) at any h and w, float32 in [0,1], in eval mode, on
    the CPU.
    """

    module: nn.Module
    architecture: str
    scale: int


@dataclass(frozen=True, kw_only=True)
class Loader:
    """Opens files of upscalers that were trained elsewhere, for `mmsr wrap`."""

    name: str
    summary: str
    suffixes: tuple[str, ...]
    """Of the files it opens: ".pth" for one, in small letters."""
    load: Callable[[Path], Loaded]
    """load(path): the upscaler; PluginError with the reason when it can't, or when the file holds
    something else. A stranger's file: nothing in it may run."""


Component = Backbone | Extractor | Classifier | Fuser | Codec | Metric | Loader


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A component by name with the options it is built with, as a recipe states it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
