"""A run: the resumable directory that training a recipe makes."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from mmsr_core.errors import RecipeError, no_such
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.plugin.components import RouterData
from mmsr_core.train.recipe import Expert, Recipe, parse

RECIPE = "recipe.json"


@dataclass(frozen=True)
class Run:
    """A directory with recipe.json, experts/<name>/, router.npz and scores.json."""

    directory: Path
    recipe: Recipe

    @classmethod
    def create(cls, directory: Path, recipe: Recipe, resume: bool) -> Self:
        """Make the directory, or with `resume` take up the one that is there.

        A resumed run keeps every expert that the recipe would train the same way. RecipeError
        when the directory is in use without `resume`, or holds an expert trained otherwise.
        """
        run = cls(directory, recipe)
        if (directory / RECIPE).exists():
            if not resume:
                raise RecipeError(
                    f"{directory}: holds a run already; add --resume, or choose another --out"
                )
            for expert in recipe.experts:
                run._check_fingerprint(expert)
        elif directory.exists() and any(directory.iterdir()):
            raise RecipeError(f"{directory}: not empty and not a run; choose another --out")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_json(directory / RECIPE, recipe.model_dump(mode="json"))
            for expert in recipe.experts:
                run.expert(expert).mkdir(parents=True, exist_ok=True)
                write_json(run.expert(expert) / "recipe.json", run._fingerprint(expert))
        except OSError as error:
            raise RecipeError(f"{directory}: cannot write there ({error.strerror})") from None
        return run

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """A run that `mmsr train` made; RecipeError otherwise."""
        directory = Path(directory)
        try:
            data = json.loads((directory / RECIPE).read_text())
        except OSError:
            raise RecipeError(f"{directory}: not a run, it has no {RECIPE}") from None
        except ValueError as error:
            raise RecipeError(f"{directory / RECIPE}: not JSON ({error})") from None
        return cls(directory, parse(data, str(directory / RECIPE)))

    def expert(self, expert: Expert) -> Path:
        """The directory of one expert."""
        return self.directory / "experts" / expert.name

    def build(self, expert: Expert, catalog: Catalog) -> nn.Module:
        """The expert's network with its initial weights, the same at every call."""
        torch.manual_seed(self.recipe.seed)
        backbone = catalog.backbone(expert.backbone)
        return backbone.build(depth=expert.depth, scale=self.recipe.scale, **expert.options)

    def trained(self, expert: Expert, catalog: Catalog) -> nn.Module:
        """The expert with its trained weights, in eval mode; RecipeError when not finished."""
        module = self.build(expert, catalog).eval().requires_grad_(False)
        if catalog.backbone(expert.backbone).training != "fixed":
            path = self.expert(expert) / "weights.pt"
            if not path.exists():
                raise RecipeError(
                    f"{self.directory}: expert {expert.name} is not trained yet; "
                    "finish it with mmsr train … --resume"
                )
            module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return module

    def save_weights(self, expert: Expert, module: nn.Module) -> None:
        """Keep an expert's final weights; the checkpoint has done its work then."""
        path = self.expert(expert) / "weights.pt"
        beside = path.with_suffix(".part")
        torch.save(module.state_dict(), beside)
        os.replace(beside, path)

    def save_router_data(self, data: RouterData) -> None:
        """Keep the measured router split."""
        arrays = {name: np.asarray(value) for name, value in vars(data).items()}
        beside = self.directory / "router.part.npz"
        np.savez_compressed(beside, allow_pickle=False, **arrays)
        os.replace(beside, self.directory / "router.npz")

    def router_data(self) -> RouterData:
        """The measured router split; RecipeError when training has not come that far."""
        try:
            with np.load(self.directory / "router.npz", allow_pickle=False) as arrays:
                values: dict[str, Any] = dict(arrays)
        except OSError:
            raise RecipeError(
                f"{self.directory}: its router is not trained yet; "
                "finish the run with mmsr train … --resume"
            ) from None
        values["names"] = tuple(map(str, values["names"]))
        values["classes"] = tuple(map(str, values["classes"]))
        return RouterData(**values)

    def scores(self) -> dict[str, Any]:
        """What training measured on the test split; empty before it has."""
        path = self.directory / "scores.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _fingerprint(self, expert: Expert) -> dict[str, Any]:
        """Everything that an expert's weights depend on."""
        recipe = self.recipe
        return {
            "scale": recipe.scale,
            "seed": recipe.seed,
            "data": [source.model_dump(mode="json") for source in recipe.data],
            "split": recipe.split.model_dump(),
            "backbone": expert.backbone,
            "depth": expert.depth,
            "options": expert.options,
            "training": recipe.fit_of(expert).model_dump(),
        }

    def _check_fingerprint(self, expert: Expert) -> None:
        folder = self.expert(expert)
        if not (folder / "checkpoint.pt").exists() and not (folder / "weights.pt").exists():
            return
        before = json.loads((folder / "recipe.json").read_text())
        now = self._fingerprint(expert)
        for key in now:
            if before.get(key) != now[key]:
                raise RecipeError(
                    f"{self.directory}: expert {expert.name} was trained with another {key}; "
                    "restore the recipe, or choose another --out"
                )


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(beside, path)


def find_expert(recipe: Recipe, name: str) -> Expert:
    """The recipe's expert of that name; RecipeError otherwise."""
    for expert in recipe.experts:
        if expert.name == name:
            return expert
    raise RecipeError(no_such("expert", name, (e.name for e in recipe.experts), "in this recipe"))
