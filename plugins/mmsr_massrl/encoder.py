"""The encoder that self-supervision trains, and the file that it is kept in.

The file is safetensors, so nothing is unpickled. Its metadata are those of any encoder file of
mmsr (`format`, `extractor`, `options` in JSON, `note` on the data) and besides `sha256` of the
weights and `made` in JSON: the version and the settings that made it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mmsr_core.errors import RecipeError, no_such
from mmsr_core.runtime.atomic import replacing
from mmsr_massrl.axes import MOST
from mmsr_massrl.resnet import BLOCKS, ResNet, Stem, Tile

FORMAT = "mmsr-encoder/1"
EXTRACTOR = "massrl"
ENCODERS = ("tile", *BLOCKS)
WIDTHS = (1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Config:
    """What builds an encoder. RecipeError for a value that none has."""

    encoder: str = "tile"
    width: float = 1.0
    """Channels, as a multiple of the plain network's: 1, 1.5 or 2."""
    stem: Stem = "small"
    """Of a ResNet: "small" for images of 32 to 64 pixels, "large" for those of ImageNet."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise RecipeError(no_such("encoder", str(self.encoder), ENCODERS, "there are"))
        if self.width not in WIDTHS:
            raise RecipeError(f"width {self.width}: an encoder has a width of 1, 1.5 or 2")
        if self.stem not in get_args(Stem):
            raise RecipeError(f'stem "{self.stem}": a stem is "small" or "large"')


class Encoder(nn.Module):
    """Images (n,3,h,w) in [0,1] → representations (n,d): the last map's mean over its pixels.

    `names` has a string for each of the d features, as an extractor's module does. `centre` (d,)
    and `axes` (min(d,64), d) are the features' mean and whitened principal axes, once fitted; the
    representation itself does not use them.
    """

    centre: Tensor
    axes: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.trunk: ResNet | Tile
        if config.encoder == "tile":
            self.trunk = Tile(config.width)
        else:
            self.trunk = ResNet(config.encoder, config.width, config.stem)
        self.channels = self.trunk.channels
        self.names = tuple(f"massrl_{index}" for index in range(self.channels))
        most = min(MOST, self.channels)
        self.register_buffer("centre", torch.zeros(self.channels))
        self.register_buffer("axes", torch.eye(most, self.channels))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Images (n,3,h,w) in [0,1] → the feature maps (n,c,h',w') of every stage."""
        # Centred and scaled about as photographs are spread; the same for every data set.
        maps: list[Tensor] = self.trunk((images - 0.5) * 4)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1].mean(dim=(2, 3))


def save_encoder(
    path: Path, encoder: Encoder, note: str = "", made: Mapping[str, Any] | None = None
) -> None:
    """Write an encoder to `path` in one step; `note` tells of the data that it learned from.

    `made` holds what JSON can. RecipeError when it can't be written.
    """
    weights = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in encoder.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "extractor": EXTRACTOR,
        "options": json.dumps(asdict(encoder.config)),
        "note": note,
        "sha256": digest(weights),
        "made": json.dumps(dict(made or {})),
    }
    try:
        with replacing(path) as part:
            part.write_bytes(save(weights, metadata))
    except OSError as error:
        raise RecipeError(f"{path}: cannot write the encoder ({error.strerror})") from None


@dataclass(frozen=True)
class Facts:
    """What an encoder file says of itself."""

    config: Config
    note: str
    sha256: str
    made: Mapping[str, Any]

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> Self:
        """From a file's metadata; KeyError, TypeError, ValueError or RecipeError when damaged."""
        options, made = json.loads(metadata["options"]), json.loads(metadata.get("made", "{}"))
        if not isinstance(options, dict) or not isinstance(made, dict):
            raise ValueError("its metadata hold no tables")
        return cls(Config(**options), metadata.get("note", ""), metadata["sha256"], made)


def load_encoder(path: Path) -> Encoder:
    """The encoder in a file, in eval mode, on the CPU; `requires_grad` is as it was built.

    RecipeError when the file is missing, no encoder file of this kind, or damaged.
    """
    return read_encoder(path)[0]


def read_encoder(path: Path) -> tuple[Encoder, Facts]:
    """The encoder in a file and what the file says of it; RecipeError as `load_encoder`."""
    weights, metadata = _read(Path(path))
    found = metadata.get("format", "none stated")
    if found != FORMAT:
        raise RecipeError(f"{path}: not an encoder file of this mmsr ({found}, wanted {FORMAT})")
    if metadata.get("extractor") != EXTRACTOR:
        other = metadata.get("extractor")
        raise RecipeError(f'{path}: an encoder of the extractor "{other}", not of "{EXTRACTOR}"')
    try:
        facts = Facts.parse(metadata)
        encoder = Encoder(facts.config)
        encoder.load_state_dict(weights)
    except KeyError as error:
        raise RecipeError(f"{path}: a damaged encoder file, it has no {error}") from None
    except (RecipeError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{path}: a damaged encoder file ({reason[:200]})") from None
    if digest(weights) != facts.sha256:
        raise RecipeError(f"{path}: a damaged encoder file, its weights are not those it states")
    return encoder.eval(), facts


def digest(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and values, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.numpy().tobytes())
    return total.hexdigest()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except OSError as error:
        raise RecipeError(f"{path}: cannot read it ({error.strerror or error})") from None
    except SafetensorError as error:
        raise RecipeError(f"{path}: not a safetensors file ({error})") from None
