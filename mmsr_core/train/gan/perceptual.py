"""The perceptual loss: how far apart two images lie in the feature maps of a frozen network."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.gan.encoder import FORMAT, load_encoder, read_safetensors

POOLED = (4, 9, 18, 27)
CONV5_4 = 34
"""Where VGG19's poolings and its last convolution lie among its `features`, as torchvision
numbers them."""


class VGG19(nn.Module):
    """VGG19 up to conv5_4 before its activation, as in ESRGAN (section 3.3).

    Widths are those of the weights it is made from: `features.N.weight` and `.bias`, N as in
    torchvision. Raises ValueError when they are not VGG19's.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        while len(layers) <= CONV5_4:
            if len(layers) in POOLED:
                layers.append(nn.MaxPool2d(2))
            name = f"features.{len(layers)}"
            for part in (f"{name}.weight", f"{name}.bias"):
                if part not in weights:
                    raise ValueError(f"not the weights of a VGG19, they have no {part}")
            shape = tuple(weights[f"{name}.weight"].shape)
            if len(shape) != 4 or shape[1:] != (channels, 3, 3):
                raise ValueError(
                    f"not the weights of a VGG19, {name}.weight is {shape}, "
                    f"not (n, {channels}, 3, 3)"
                )
            channels = shape[0]
            layers += [nn.Conv2d(shape[1], channels, 3, padding=1), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers[:-1])
        self.load_state_dict({name: weights[name] for name in self.state_dict()})
        # What ImageNet's classifiers were trained on.
        for name, values in (
            ("mean", (0.485, 0.456, 0.406)),
            ("deviation", (0.229, 0.224, 0.225)),
        ):
            self.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Images (n,3,h,w) in [0,1], sides of 16 or more → [(n,c,h/16,w/16)]."""
        return [self.features((images - self.mean) / self.deviation)]


def load_features(
    features: str, catalog: Catalog, base: Path
) -> tuple[nn.Module | None, str | None]:
    """The network of a perceptual loss, frozen, in eval mode, on the CPU; or why there is none.

    `features` is "none"; "vgg19", torchvision's weights, downloaded when first asked for; or a
    file relative to `base`: VGG19's weights (.pth, .safetensors) or an encoder file. Where
    torchvision or its weights can't be had, the second of the pair says so in a line: training can
    go on without the loss. RecipeError when a file is missing or neither of the two.
    """
    if features == "none":
        return None, None
    if features == "vgg19":
        weights, reason = _download()
        return (_frozen(VGG19(weights)) if weights else None), reason
    path = base / features
    if not path.is_file():
        raise RecipeError(
            f'features "{features}": no file {path}; give "none", "vgg19", a file of VGG19\'s '
            "weights (.pth, .safetensors) or an encoder file"
        )
    if path.suffix == ".safetensors":
        weights, metadata = read_safetensors(path)
        if metadata.get("format", "").startswith(FORMAT.partition("/")[0]):
            module = load_encoder(path, catalog)
            if not callable(getattr(module, "maps", None)):
                raise RecipeError(
                    f"{path}: extractor {metadata['extractor']} gives no feature maps; a "
                    "perceptual loss needs one that has `maps`"
                )
            return module, None
    else:
        weights = _unpickled(path)
    try:
        return _frozen(VGG19(weights)), None
    except (ValueError, RuntimeError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None


def perceptual_loss(network: nn.Module, sr: Tensor, hr: Tensor) -> Tensor:
    """Mean absolute difference between the feature maps of `sr` and `hr` (n,3,h,w), float32.

    Averaged over the network's maps; the gradient goes to `sr` alone. Values outside [0,1] are
    not clamped: a clamped pixel would have no gradient to come back by.
    """
    maps: Any = network.maps
    with torch.no_grad():
        wanted = maps(hr)
    pairs = zip(maps(sr), wanted, strict=True)
    losses = [F.l1_loss(got.float(), want.float()) for got, want in pairs]
    return torch.stack(losses).mean()


def _frozen(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)


def _unpickled(path: Path) -> dict[str, Tensor]:
    """A state dict that torch saved; nothing but tensors is unpickled."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever it stumbles over
        reason = re.split(r"[\n.]", str(error).strip(), maxsplit=1)[0] or type(error).__name__
        raise RecipeError(f"{path}: not a file of weights ({reason})") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise RecipeError(f"{path}: not a state dict, tensors by name")
    return state


def _download() -> tuple[dict[str, Tensor] | None, str | None]:
    """torchvision's weights of VGG19, from its cache or the network; or why not."""
    try:
        models = import_module("torchvision.models")
    except ImportError:
        return None, "no perceptual loss: vgg19 needs torchvision; pip install torchvision"
    try:
        weights = models.VGG19_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        return None, f"no perceptual loss: the weights of vgg19 can't be downloaded ({reason})"
    return weights, None
