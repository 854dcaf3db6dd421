"""The pristine model that NIQE compares with: a Gaussian fitted on sharp photographs."""

import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from mmsr_core.errors import MmsrError
from mmsr_core.measure.metrics import Doubles

FORMAT: Final = 1
FEATURES: Final = 36
SHIPPED = Path(__file__).with_name("niqe.npz")
_PUBLISHED = {"mean": "mu_pris_param", "covariance": "cov_pris_param"}
"""What the arrays are called in the parameters published with the paper."""
_PUBLISHED_FACTS = {
    "format": FORMAT,
    "photographs": 125,
    "blocks": 0,  # how many, nobody says
    "source": "the parameters published with the paper",
    "licence": "free use with the notice of the University of Texas at Austin",
}


@dataclass(frozen=True)
class Pristine:
    """Mean (36,) and covariance (36,36) of the features, and the photographs behind them."""

    mean: Doubles
    covariance: Doubles
    photographs: int
    blocks: int
    source: str
    licence: str

    @classmethod
    def open(cls, path: Path = SHIPPED) -> Self:
        """Read a model that `write` wrote, or the published one; by default the shipped one.

        MmsrError when there is no such file, it is something else, or of a newer format.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                facts = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or "not an .npz file of plain arrays"
            raise MmsrError(f"{path}: cannot read a pristine model ({reason})") from None
        if set(_PUBLISHED.values()) <= facts.keys():
            facts = {name: facts[key] for name, key in _PUBLISHED.items()}
            facts |= {name: np.asarray(value) for name, value in _PUBLISHED_FACTS.items()}
        if not {"format", *cls.__dataclass_fields__} <= facts.keys():
            advice = "make one with mmsr niqe PHOTOGRAPHS --fit FILE"
            raise MmsrError(f"{path}: not a pristine model; {advice}")
        if int(facts["format"]) > FORMAT:
            raise MmsrError(f"{path}: its format is newer than this mmsr reads; upgrade mmsr")
        mean = np.asarray(facts["mean"], np.float64).reshape(-1)
        covariance = np.asarray(facts["covariance"], np.float64)
        if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
            raise MmsrError(f"{path}: a pristine model has {FEATURES} features, not {mean.size}")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise MmsrError(f"{path}: its numbers are not finite")
        return cls(
            mean,
            covariance,
            int(facts["photographs"]),
            int(facts["blocks"]),
            str(facts["source"]),
            str(facts["licence"]),
        )

    def write(self, path: Path) -> None:
        """Write the model as .npz without pickles, all of it or nothing; MmsrError when it can't.

        The same photographs give the same bytes.
        """
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            try:
                with part.open("wb") as file:
                    np.savez(file, format=FORMAT, **asdict(self))
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise MmsrError(f"{path}: cannot write it ({error.strerror})") from None
