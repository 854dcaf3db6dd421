"""A pretraining as it was asked for: its images batch by batch, and the folder it is kept in."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.components import Pictures
from mmsr_core.runtime.atomic import replacing
from mmsr_massrl.encoder import read_encoder
from mmsr_massrl.policies import Policy
from mmsr_massrl.settings import Settings
from mmsr_massrl.stopwatch import Stopwatch

CHECKPOINT = "checkpoint.pt"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Job:
    """A pretraining: its settings and policy, its images, and the folder beside the encoder."""

    settings: Settings
    policy: Policy
    pictures: Pictures
    side: int
    seed: int
    folder: Path

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.settings.length(len(self.pictures))

    def draws(self, step: int) -> torch.Generator:
        """What the views of a step are drawn with."""
        seed = np.random.SeedSequence((self.seed, 1, step)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> 1))


def batches(job: Job, first: int, watch: Stopwatch) -> Iterator[tuple[int, Tensor]]:
    """The batches (n,s,s,3) of 8 bits from step `first` on, each read while the last one trains.

    Every epoch takes all images in a new order, but for those that fill no batch.
    """
    size = job.settings.batch
    each = len(job.pictures) // size
    orders: dict[int, npt.NDArray[np.int64]] = {}

    def read(step: int) -> Tensor:
        epoch, place = divmod(step, each)
        if epoch not in orders:
            orders.clear()
            rng = np.random.default_rng((job.seed, 0, epoch))
            orders[epoch] = rng.permutation(len(job.pictures))
        rows = orders[epoch][place * size : (place + 1) * size]
        return torch.from_numpy(job.pictures.read(rows))

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, first)
        for step in range(first, job.steps):
            with watch.waiting():
                stored = coming.result()
            if step + 1 < job.steps:
                coming = reader.submit(read, step + 1)
            yield step, stored


def is_finished(out: Path, settings: Settings, seed: int) -> bool:
    """Whether `out` holds what these settings make; not whether of the same images."""
    if not out.exists():
        return False
    made = read_encoder(out)[1].made
    return bool(made.get("settings") == settings.essence() and made.get("seed") == seed)


def check_free(out: Path, folder: Path, resume: bool) -> None:
    """RecipeError when there is an encoder already, or an unfinished run and no `resume`."""
    if out.exists():
        raise RecipeError(f"{out}: exists already; delete it, or choose another --out")
    if (folder / CHECKPOINT).exists() and not resume:
        raise RecipeError(f"{folder}: holds an unfinished run; add --resume, or delete it")


def take_folder(job: Job) -> None:
    """Make the run's folder, or check that the run in it was asked for the same."""
    asked = {
        "settings": job.settings.essence(),
        "policy": job.policy.model_dump(mode="json"),
        "seed": job.seed,
        "images": len(job.pictures),
        "side": job.pictures.side,
    }
    path = job.folder / SETTINGS
    try:
        if (job.folder / CHECKPOINT).exists():
            before = json.loads(path.read_bytes())
            for key in asked:
                if before.get(key) != asked[key]:
                    raise RecipeError(
                        f"{job.folder}: began with other {key}; restore them, or delete it"
                    )
        else:
            shutil.rmtree(job.folder / "logs", ignore_errors=True)
            write_json(path, asked)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{job.folder}: cannot use it ({reason})") from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n")


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Keep a run's state, atomically; RecipeError when it can't be written."""
    try:
        with replacing(folder / CHECKPOINT) as part:
            torch.save(state, part)
    except (OSError, RuntimeError) as error:  # torch's writer has its own for a full disc
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise RecipeError(f"{folder}: cannot write the checkpoint ({reason})") from None


def read_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The state of a run's last checkpoint, if it has one; RecipeError when it is damaged."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # the unpickler raises whatever it stumbles over
        raise RecipeError(
            f"{path}: a damaged checkpoint ({type(error).__name__}); delete it to begin again"
        ) from None
    return state
