"""The extractor `codelength`: how many bits a tile costs to code."""

import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsr_core.errors import PluginError, RecipeError
from mmsr_resgdn.blocks import BLOCK_REACH, FACTOR
from mmsr_resgdn.gdn import GDN
from mmsr_resgdn.network import Encoder, Shape

SHOWN = 8
"""Digits of the weights' sha256 in the features' names, so that a bundle says whose they are."""


class CodeLength(nn.Module):
    """Tiles (n,3,t,t) in [0,1] → bits a code of each channel, and of all together (n,c+1).

    A code is predicted by the mean of its left and upper neighbours; what it misses by, m steps,
    costs 2·log₂(1+m)+1 bits, the length of Elias' gamma code, without its rounding. A step is
    that of the quantiser (Eq. 4) for the whole range that the last normalisation can answer with.
    """

    def __init__(self, encoder: Encoder, codes: int, bits: int, mark: str) -> None:
        super().__init__()
        self.encoder = encoder
        reach = _reach(encoder, codes)
        self.step: Tensor
        self.register_buffer("step", (2 * reach / (2**bits - 1))[:, None, None])
        parts = (*(str(channel) for channel in range(codes)), "all")
        self.names = tuple(f"codelength{mark}_{part}" for part in parts)

    def forward(self, tiles: Tensor) -> Tensor:
        beyond = [-side % FACTOR for side in tiles.shape[-2:]]
        codes = self.encoder(F.pad(tiles, (0, beyond[1], 0, beyond[0]), mode="replicate"))
        before = F.pad(codes, (1, 0, 1, 0), mode="replicate")
        predicted = (before[..., 1:, :-1] + before[..., :-1, 1:]) / 2
        missed = (codes - predicted).abs() / self.step
        lengths = (2 * torch.log2(1 + missed) + 1).mean((2, 3))
        return torch.cat([lengths, lengths.sum(1, keepdim=True)], 1)


def build_extractor(weights: str, shape: Shape, bits: int) -> CodeLength:
    """A codec's encoder, frozen, with the `weights` of its run, or untrained where that is "".

    `shape` is the codec's own. RecipeError when the file holds no weights of such a codec;
    PluginError for bits that no quantiser has.
    """
    if not 1 <= bits <= 8:
        raise PluginError(f"bits {bits}: the quantiser takes 1 to 8")
    encoder = Encoder(shape)
    mark = ""
    if weights:
        content = _read(Path(weights))
        mine = {name: value for name, value in content.items() if name.startswith("encoder.")}
        try:
            encoder.load_state_dict({name.partition(".")[2]: mine[name] for name in mine})
        except RuntimeError:
            raise RecipeError(
                f"{weights}: not the weights of a codec of {shape.codes} codes, widths "
                f"{list(shape.widths)} and variant {shape.variant}; give the codec's own options"
            ) from None
        mark = f"_{_digest(mine)}"
        encoder.requires_grad_(False)
    return CodeLength(encoder.eval(), shape.codes, bits, mark)


def _reach(encoder: Encoder, codes: int) -> Tensor:
    """The largest absolute code of each channel (c,): of a normalisation, x/√(β+γx²) < 1/√γ."""
    if encoder.shortcut is not None:
        return torch.full((codes,), float(BLOCK_REACH))
    if isinstance(encoder.last, GDN):
        return encoder.last.gamma.diagonal().detach().rsqrt()
    return torch.ones(codes)  # Tanh


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RecipeError(f"{path}: cannot read it ({error.strerror or error})") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError):
        content = None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: no weights; give the weights.pt of a codec's run")
    return content


def _digest(weights: dict[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return total.hexdigest()[:SHOWN]
