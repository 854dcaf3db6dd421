"""A codec's run: the resumable directory that training it makes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.codec.recipe import CodecRecipe, is_codec_run, parse_codec
from mmsr_core.train.fit import CHECKPOINT
from mmsr_core.train.run import (
    RECIPE,
    RECORD,
    SCORES,
    WEIGHTS,
    building,
    read_json,
    write_json,
)
from mmsr_core.train.start import begin_from

TABLES = "tables.npz"


@dataclass(frozen=True)
class CodecRun:
    """A directory with recipe.json, checkpoints, weights.pt, tables.npz and scores.json."""

    directory: Path
    recipe: CodecRecipe

    @classmethod
    def create(cls, directory: Path, recipe: CodecRecipe, resume: bool) -> Self:
        """Make the directory, or with `resume` take up the one that is there.

        RecipeError when it is in use without `resume`, holds weights that another recipe trained,
        or can't be written.
        """
        run = cls(directory, recipe)
        try:
            if (directory / RECIPE).exists():
                if not resume:
                    raise RecipeError(
                        f"{directory}: holds a run already; add --resume, or choose another --out"
                    )
                run._check_fingerprint()
            elif directory.exists() and any(directory.iterdir()):
                raise RecipeError(f"{directory}: not empty and not a run; choose another --out")
            directory.mkdir(parents=True, exist_ok=True)
            for name in (TABLES, SCORES):
                (directory / name).unlink(missing_ok=True)
            write_json(directory / RECIPE, recipe.model_dump(mode="json"))
        except OSError as error:
            raise RecipeError(f"{directory}: cannot write there ({error.strerror})") from None
        return run

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """A codec's run that `mmsr train` made; RecipeError otherwise."""
        directory = Path(directory)
        if not is_codec_run(directory):
            raise RecipeError(f"{directory}: not a run of a codec")
        return cls(directory, parse_codec(read_json(directory / RECIPE), str(directory / RECIPE)))

    def build(self, catalog: Catalog) -> nn.Module:
        """The codec with random weights, the same at every call; RecipeError for an option's value
        that it refuses."""
        torch.manual_seed(self.recipe.seed)
        codec = catalog.codec(self.recipe.codec.name)
        with building(f"codec {codec.name}"):
            return codec.build(**self.recipe.codec.options)

    def initial(self, catalog: Catalog) -> nn.Module:
        """What training begins with; RecipeError when the weights to start from are none of this
        codec, unless training is over."""
        module = self.build(catalog)
        if self.recipe.start is not None and not self.is_fitted:
            begin_from(self.recipe.start, module, "this codec")
        return module

    @property
    def is_fitted(self) -> bool:
        """Whether the weights are final."""
        return (self.directory / WEIGHTS).exists()

    def trained(self, catalog: Catalog) -> nn.Module:
        """The codec with its trained weights, in eval mode; RecipeError when not finished."""
        module = self.build(catalog).eval().requires_grad_(False)
        if not self.is_fitted:
            raise self._unfinished()
        path = self.directory / WEIGHTS
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return module

    def save_weights(self, module: nn.Module, record: dict[str, Any]) -> None:
        """Keep the final weights and what they took, atomically; they end the training."""
        write_json(self.directory / RECORD, record)
        beside = (self.directory / WEIGHTS).with_suffix(".part")
        torch.save(module.state_dict(), beside)
        os.replace(beside, self.directory / WEIGHTS)

    def save_tables(self, tables: bytes) -> None:
        """Keep the entropy coder's tables, atomically."""
        beside = (self.directory / TABLES).with_suffix(".part")
        beside.write_bytes(tables)
        os.replace(beside, self.directory / TABLES)

    def tables(self) -> bytes:
        """The entropy coder's tables; RecipeError when training has not come that far."""
        try:
            return (self.directory / TABLES).read_bytes()
        except FileNotFoundError:
            raise self._unfinished() from None

    def save_scores(self, scores: dict[str, Any]) -> None:
        """Keep what was measured on the photographs held back, atomically; it ends a run."""
        write_json(self.directory / SCORES, scores)

    def scores(self) -> dict[str, Any]:
        """What was measured on the photographs held back; RecipeError when it hasn't been."""
        path = self.directory / SCORES
        if not path.exists():
            raise self._unfinished()
        return read_json(path)

    def _unfinished(self) -> RecipeError:
        return RecipeError(
            f"{self.directory}: not trained to its end; finish it with mmsr train … --resume"
        )

    def _fingerprint(self, recipe: CodecRecipe) -> dict[str, Any]:
        """Everything that the weights depend on."""
        facts = recipe.model_dump(mode="json", include={"seed", "data", "held", "start", "codec"})
        return facts | {"training": recipe.training.essence()}

    def _check_fingerprint(self) -> None:
        if not any((self.directory / name).exists() for name in (CHECKPOINT, WEIGHTS)):
            return
        path = self.directory / RECIPE
        before = self._fingerprint(parse_codec(read_json(path), str(path)))
        for key, value in self._fingerprint(self.recipe).items():
            if before[key] != value:
                raise RecipeError(
                    f"{self.directory}: was trained with another {key}; restore the recipe, or "
                    "choose another --out"
                )
