"""What the protocols share: features of images, and how well guesses fit labels."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmsr_core.errors import DeviceError, MmsrError
from mmsr_massrl.labelled import Bytes, Images

Report = Callable[[str, int, int], None]
"""report(what, done, total)."""


@dataclass(frozen=True)
class Score:
    """How an encoder fares under one protocol: shares of the test images that are told right."""

    protocol: str
    labels: float
    """Share of the training labels that were used."""
    seed: int
    top1: float
    top5: float | None
    """None where there are five classes or fewer."""
    settings: Mapping[str, Any]
    """What the protocol chose on the validation part, or was given."""
    train: int
    test: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Features:
    """Features (n,d) of labelled images, float32, and their labels (n,)."""

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, rows: npt.NDArray[np.int64]) -> "Features":
        """Some of them."""
        chosen = torch.from_numpy(rows).to(self.values.device)
        return Features(self.values[chosen], self.labels[chosen])


@torch.inference_mode()
def embed(
    encoder: nn.Module,
    images: Images,
    side: int,
    device: torch.device,
    report: Report,
    what: str,
    batch: int = 256,
) -> Features:
    """Features of images as they are, no augmentation; the encoder goes to `device`, in eval mode.

    MmsrError when the encoder can't take images of that side, or a feature is not finite.
    """
    encoder = encoder.to(device).eval()
    values, labels, done = [], [], 0
    for pixels, truth in images.batches(batch, side):
        try:
            values.append(encoder(to_tensor(pixels, device)).float())
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise MmsrError(f"a batch of {batch} does not fit; give a smaller one") from None
            reason = " ".join(str(error).split())[:200]
            raise MmsrError(f"the encoder can't take images of side {side} ({reason})") from None
        labels.append(torch.from_numpy(truth))
        done += len(truth)
        report(what, done, len(images))
    features = torch.cat(values)
    if not torch.isfinite(features).all():
        raise MmsrError("the encoder answers with features that are not finite")
    return Features(features.clone(), torch.cat(labels).to(device))


def pick_device(name: str) -> torch.device:
    """The device of that name, "auto" for a GPU where there is one; DeviceError for no GPU."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise DeviceError("no GPU that PyTorch can use; --device cpu computes without one")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def to_tensor(pixels: Bytes, device: torch.device) -> Tensor:
    """(n,h,w,3) bytes → (n,3,h,w) float32 in [0,1]."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)


def accuracy(scores: Tensor, labels: Tensor, top: int = 1) -> float:
    """The share of rows of `scores` (n,c) whose label is among the `top` highest."""
    found = scores.topk(top, dim=1).indices == labels[:, None]
    return float(found.any(dim=1).double().mean())


def top5(scores: Tensor, labels: Tensor) -> float | None:
    """`accuracy` among the five highest; None where that says nothing."""
    return accuracy(scores, labels, 5) if scores.shape[1] > 5 else None
