"""The GAN phase of one expert: its adversary, its losses and their weights."""

from dataclasses import dataclass
from typing import Any

import lightning_fabric as lf
import torch
from torch import Tensor, nn

from mmsr_core.plugin.components import Game
from mmsr_core.train.gan.losses import discriminator_loss, generator_loss
from mmsr_core.train.gan.perceptual import perceptual_loss
from mmsr_core.train.settings import Adversarial


@dataclass(frozen=True)
class Adversary:
    """What a GAN phase needs beside the generator: a discriminator with its initial weights, the
    game they play, and the feature network of the perceptual loss, if there is one."""

    discriminator: nn.Module
    game: Game
    features: nn.Module | None = None


class Match:
    """A generator's adversary at work on a device, with an optimiser of its own."""

    def __init__(self, fabric: lf.Fabric, adversary: Adversary, settings: Adversarial) -> None:
        """Set the discriminator and the feature network up where `fabric` computes."""
        self.fabric, self.settings, self.game = fabric, settings, adversary.game
        self._bare = adversary.discriminator.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        adam = torch.optim.Adam(self._bare.parameters(), lr=settings.rate, betas=(0.9, 0.99))
        self.discriminator, self.optimizer = fabric.setup(self._bare, adam)
        features = adversary.features
        self.features = None if features is None else fabric.to_device(features)

    def generator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """pixel·L1 + perceptual·features + weight·adversarial, what the generator is to lower.

        Without a feature network L1 takes its place: nothing else would hold the adversary's
        textures to the photograph.
        """
        settings = self.settings
        alone = self.features is None
        pixel = max(settings.pixel, settings.perceptual) if alone else settings.pixel
        # Bare and frozen: the discriminator has nothing to learn from the generator's step.
        self._bare.requires_grad_(False)
        with self.fabric.autocast():
            fake = self._bare(sr)
            # The standard game does not look at the real patches here.
            real = self._bare(hr) if self.game == "relativistic" else fake
            loss = settings.weight * generator_loss(self.game, real, fake)
            if pixel:
                loss = loss + pixel * nn.functional.l1_loss(sr, hr)
            if self.features is not None and settings.perceptual:
                loss = loss + settings.perceptual * perceptual_loss(self.features, sr, hr)
        return loss

    def discriminator_loss(self, sr: Tensor, hr: Tensor) -> Tensor:
        """What the discriminator is to lower, given the generator's answers as they are."""
        self._bare.requires_grad_(True)
        # Two passes, as in the generator's step: batch statistics are of one kind of patch.
        fake, real = self.discriminator(sr.detach()), self.discriminator(hr)
        return discriminator_loss(self.game, real, fake)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "discriminator": self._bare.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        self._bare.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
