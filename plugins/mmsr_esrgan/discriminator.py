"""ESRGAN's discriminator, in the manner of VGG, for patches of any size."""

from torch import Tensor, nn


class Discriminator(nn.Module):
    """HR patches (n,3,h,w) in [0,1] → logits (n,1), from `layers` convolutions.

    They come in pairs, a 3×3 and a 4×4 that halves the sides; each pair doubles the channels, up
    to eightfold. After layer 10, where the original's ends, the sides stay. A global average takes
    the place of its flattening, which knows one patch size only.
    """

    def __init__(self, layers: int, channels: int) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"{layers} layers; a discriminator has 1 or more")
        parts: list[nn.Module] = []
        width = 3
        for layer in range(layers):
            before, width = width, channels * 2 ** min(layer // 2, 3)
            halves = layer % 2 == 1 and layer < 10
            side, stride = (4, 2) if halves else (3, 1)
            parts.append(nn.Conv2d(before, width, side, stride, padding=1, bias=layer == 0))
            if layer > 0:
                parts.append(nn.BatchNorm2d(width))
            parts.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*parts)
        self.judge = nn.Sequential(nn.Linear(width, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1))

    def forward(self, x: Tensor) -> Tensor:
        # Centred, as its convolutions' padding of zeros takes it to be.
        pooled = self.features(2 * x - 1).mean((2, 3))
        return self.judge(pooled)  # type: ignore[no-any-return]
