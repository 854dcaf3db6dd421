"""SRGAN's discriminator (Ledig et al. 2017, figure 4), for patches of any size."""

from torch import Tensor, nn


class Discriminator(nn.Module):
    """HR patches (n,3,h,w) in [0,1] → logits (n,1), from `layers` 3×3 convolutions.

    Every second convolution halves the sides and every other doubles the channels, up to layer 8,
    where the paper's ends; from there both stay. A global average takes the place of the paper's
    flattening, which knows one patch size only.
    """

    def __init__(self, layers: int, channels: int) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"{layers} layers; a discriminator has 1 or more")
        parts: list[nn.Module] = []
        width = 3
        for layer in range(layers):
            before, width = width, channels * 2 ** min(layer // 2, 3)
            stride = 2 if layer % 2 and layer < 8 else 1
            parts.append(nn.Conv2d(before, width, 3, stride, padding=1, bias=layer == 0))
            if layer > 0:
                parts.append(nn.BatchNorm2d(width))
            parts.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*parts)
        self.judge = nn.Sequential(
            nn.Linear(width, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        # Centred, as the paper has HR in [−1,1].
        pooled = self.features(2 * x - 1).mean((2, 3))
        return self.judge(pooled)  # type: ignore[no-any-return]
