"""The extractor `massrl`: an encoder, or the first principal axes of its features."""

from pathlib import Path

from torch import Tensor, nn

from mmsr_core.errors import PluginError
from mmsr_massrl.encoder import Config, Encoder, read_encoder

SHOWN = 8
"""Digits of the weights' sha256 in the features' names, so that a bundle says whose they are."""


class Principal(nn.Module):
    """Tiles (n,3,t,t) in [0,1] → the first `components` whitened principal axes of an encoder's
    features (n,components), as they lie in its file."""

    def __init__(self, encoder: Encoder, components: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.names = encoder.names[:components]
        self.axes: Tensor
        self.register_buffer("axes", encoder.axes[:components].clone())

    def forward(self, tiles: Tensor) -> Tensor:
        features: Tensor = (self.encoder(tiles) - self.encoder.centre) @ self.axes.T
        return features

    def maps(self, images: Tensor) -> list[Tensor]:
        """The encoder's feature maps."""
        return self.encoder.maps(images)


def build_extractor(weights: str, config: Config, components: int) -> nn.Module:
    """The encoder in the file `weights`, frozen, or an untrained one of `config` where it is "".

    `components` above 0 leaves so many principal axes of its features. RecipeError when the file
    is no encoder file; PluginError when `config` is not the default and not the file's, or the
    file has fewer axes.
    """
    if not weights:
        encoder = Encoder(config)
    else:
        encoder, facts = read_encoder(Path(weights))
        if config not in (Config(), facts.config):
            raise PluginError(
                f"{weights}: it is {_said(facts.config)}, and {_said(config)} is asked for; "
                "leave out encoder, width and stem"
            )
        encoder.names = tuple(
            f"massrl_{facts.sha256[:SHOWN]}_{index}" for index in range(encoder.channels)
        )
        encoder.requires_grad_(False)
    if components == 0:
        return encoder
    most = len(encoder.axes)
    if not 0 < components <= most:
        raise PluginError(f"components {components}: this encoder has 1 to {most}, 0 means no axes")
    return Principal(encoder, components)


def _said(config: Config) -> str:
    return f"{config.encoder} of width {config.width:g} with a {config.stem} stem"
