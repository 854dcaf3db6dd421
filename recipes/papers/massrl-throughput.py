"""Images a second of BYOL's pretraining: mmsr's against lightly's with its own transforms.

    python recipes/papers/massrl-throughput.py cifar10.zip

Same encoder, batch, side and steps, both on the CPU and its cores, one after the other, in turns;
needs torchvision and lightly besides mmsr and its extra `train`.
"""

import argparse
import statistics
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms.byol_transform import (
    BYOLTransform,
    BYOLView1Transform,
    BYOLView2Transform,
)
from lightly.utils.lars import LARS
from torch import nn
from torchvision.datasets import ImageFolder

from mmsr_core.train.pictures import open_pictures
from mmsr_massrl.encoder import Config, Encoder, read_encoder
from mmsr_massrl.pretrain import pretrain
from mmsr_massrl.settings import Settings

HIDDEN, PROJECTED, WARM = 512, 256, 5


class Byol(nn.Module):
    """BYOL of lightly's parts around our encoder."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = HIDDEN, PROJECTED
        self.online = nn.Sequential(encoder := Encoder(config), _head(encoder.channels, sizes))
        self.predictor = BYOLPredictionHead(PROJECTED, *sizes)
        self.target = nn.Sequential(Encoder(config), _head(encoder.channels, sizes))
        deactivate_requires_grad(self.target)

    def forward(self, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """The symmetrised loss of two views."""
        criterion = NegativeCosineSimilarity()
        with torch.no_grad():
            wanted = self.target(one), self.target(two)
        seen = [self.predictor(self.online(view)) for view in (one, two)]
        loss: torch.Tensor = (criterion(seen[0], wanted[1]) + criterion(seen[1], wanted[0])) / 2
        return loss


def _head(channels: int, sizes: tuple[int, int]) -> nn.Module:
    head: nn.Module = BYOLProjectionHead(channels, *sizes)
    return head


def lightly_rate(folder: Path, config: Config, batch: int, steps: int, workers: int) -> float:
    """Images a second, after the first steps."""
    views = BYOLTransform(
        BYOLView1Transform(input_size=32, gaussian_blur=0.0),
        BYOLView2Transform(input_size=32, gaussian_blur=0.0),
    )
    loader = torch.utils.data.DataLoader(
        ImageFolder(str(folder), transform=views),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
    )
    byol = Byol(config).train()
    learning = [*byol.online.parameters(), *byol.predictor.parameters()]
    optimizer = LARS(learning, lr=0.2, momentum=0.9, weight_decay=1.5e-6)
    done, started = 0, time.perf_counter()
    while True:
        for pair, _ in loader:
            if done == WARM:
                started = time.perf_counter()
            optimizer.zero_grad()
            byol(*pair).backward()
            optimizer.step()
            update_momentum(byol.online, byol.target, 0.99)
            done += 1
            if done == steps + WARM:
                return steps * batch / (time.perf_counter() - started)


def our_rate(
    data: Path, config: Config, batch: int, steps: int, policy: str, scratch: Path
) -> float:
    """Images a second of a whole run, its first steps included."""
    chosen = {
        "encoder": config.encoder, "width": config.width, "policy": (policy,),
        "crop": "inception" if policy.startswith("simclr") else "uniform",
        "side": 32, "cut": 0, "batch": batch, "steps": steps, "hidden": HIDDEN,
    }  # fmt: skip
    out = Path(tempfile.mkdtemp(dir=scratch)) / "encoder.safetensors"
    settings = Settings.chosen(chosen)
    source = partial(open_pictures, data, _silent)
    pretrain(source, out, _silent, settings, 0, False, "cpu")
    made = read_encoder(out)[1].made
    seconds = made["seconds"]
    busy = 1 - (seconds["waited"] + seconds["augmented"]) / seconds["total"]
    print(f"  {policy}: the device is busy {busy:.1%}")
    return float(made["images_per_second"])


def _silent(what: str, done: int, total: int) -> None:
    pass


def main() -> None:
    """Print medians of the rounds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", default="tile")
    parser.add_argument("--width", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    config = Config(asked.encoder, asked.width)
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(asked.data) as archive:
            archive.extractall(scratch, [n for n in archive.namelist() if n.startswith("train/")])
        folder = Path(scratch) / "train"
        for _ in range(asked.rounds):
            rate = lightly_rate(folder, config, asked.batch, asked.steps, asked.workers)
            rates.setdefault("lightly, its BYOL transforms", []).append(rate)
            for policy in ("simclr-small", "massrl-small"):
                rate = our_rate(asked.data, config, asked.batch, asked.steps, policy, Path(scratch))
                rates.setdefault(f"mmsr, {policy}", []).append(rate)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    reference = next(iter(medians.values()))
    for name, value in medians.items():
        print(f"{name}: {value:.0f} images/s, {value / reference:.2f}×")


if __name__ == "__main__":
    main()
