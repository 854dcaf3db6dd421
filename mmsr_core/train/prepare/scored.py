"""A photograph whose tiles are scored."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mmsr_core.errors import MmsrError
from mmsr_core.train.data import Photo, load_pair, to_tensor
from mmsr_core.train.prepare.cut import Corners, corners, cut
from mmsr_core.train.prepare.request import Request

TOGETHER = 8
"""Tiles that are scored at a time: more fall out of the processor's cache."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A photograph's LR height and width, the scores (n,f) of its tiles, or why it is skipped."""

    photo: Photo
    size: tuple[int, int]
    scores: npt.NDArray[np.float32]
    skipped: str = ""

    @classmethod
    def measure(cls, request: Request, photo: Photo, extractor: nn.Module) -> Self:
        """Read, cut and score a photograph; one that can't be read or cut is skipped."""
        none = np.zeros((0, 0), np.float32)
        try:
            pair = load_pair(photo, request.scale)
        except MmsrError as error:
            reason = str(error).removeprefix(f"{photo.path}: ").partition(";")[0]
            return cls(photo, (0, 0), none, reason)
        height, width = pair.lr.shape[:2]
        places = corners(height, width, request.tile, request.overlap)
        if not len(places):
            size = f"{width * request.scale}x{height * request.scale}"
            reason = f"{size} pixels are fewer than a tile, {request.side}x{request.side}"
            return cls(photo, (height, width), none, reason)
        groups = np.split(places, range(TOGETHER, len(places), TOGETHER))
        with torch.inference_mode():
            scores = [
                extractor(to_tensor(cut(pair.hr, group * request.scale, request.side))).numpy()
                for group in groups
            ]
        return cls(photo, (height, width), np.concatenate(scores).astype(np.float32))

    @classmethod
    def read(cls, path: Path, photo: Photo) -> Self:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            height, width = arrays["size"].tolist()
            return cls(photo, (height, width), arrays["scores"], str(arrays["skipped"]))

    def save(self, path: Path) -> None:
        """Write it, atomically."""
        beside = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(beside, size=self.size, scores=self.scores, skipped=np.array(self.skipped))
        os.replace(beside, path)

    def corners(self, request: Request) -> Corners:
        """Where its tiles lie (n,2)."""
        return corners(*self.size, request.tile, request.overlap)
