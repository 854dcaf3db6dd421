"""A run: the resumable directory that training a recipe makes."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from mmsr_core.draft import GivenExpert
from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.plugin.components import RouterData
from mmsr_core.train.recipe import Recipe, parse
from mmsr_core.train.start import begin_from
from mmsr_core.train.tables import Expert

RECIPE = "recipe.json"
ROUTER = "router.npz"
SCORES = "scores.json"
RECORD = "training.json"
WEIGHTS = "weights.pt"
DEPTHS = "depth.json"
BANDS = "bands.json"
WRAPPED = "wrapped.json"


@dataclass(frozen=True)
class Run:
    """A directory with recipe.json, experts/<name>/, router.npz and scores.json."""

    directory: Path
    recipe: Recipe

    @classmethod
    def create(cls, directory: Path, recipe: Recipe, resume: bool) -> Self:
        """Make the directory, or with `resume` take up the one that is there.

        A resumed run keeps every expert that the recipe would train the same way; its router and
        scores are measured anew. RecipeError when the directory is in use without `resume`, holds
        an expert trained otherwise, or can't be written.
        """
        run = cls(directory, recipe)
        try:
            if (directory / RECIPE).exists():
                if not resume:
                    raise RecipeError(
                        f"{directory}: holds a run already; add --resume, or choose another --out"
                    )
                for expert in recipe.experts:
                    run._check_fingerprint(expert)
            elif directory.exists() and any(directory.iterdir()):
                raise RecipeError(f"{directory}: not empty and not a run; choose another --out")
            directory.mkdir(parents=True, exist_ok=True)
            for name in (ROUTER, SCORES, DEPTHS):  # a changed recipe must not export an old router
                (directory / name).unlink(missing_ok=True)
            write_json(directory / RECIPE, recipe.model_dump(mode="json"))
            for expert in recipe.experts:
                run.expert(expert).mkdir(parents=True, exist_ok=True)
                write_json(run.expert(expert) / RECIPE, run._fingerprint(expert))
        except OSError as error:
            raise RecipeError(f"{directory}: cannot write there ({error.strerror})") from None
        return run

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """A run that `mmsr train` made; RecipeError otherwise."""
        directory = Path(directory)
        if not (directory / RECIPE).is_file():
            raise RecipeError(f"{directory}: not a run, it has no {RECIPE}")
        return cls(directory, parse(read_json(directory / RECIPE), str(directory / RECIPE)))

    def expert(self, expert: Expert) -> Path:
        """The directory of one expert."""
        return self.directory / "experts" / expert.name

    def graph(self, expert: Expert) -> Path:
        """Where an 8-bit expert, or one made elsewhere, lies once it is there."""
        return self.expert(expert) / "graph.onnx"

    def build(self, expert: Expert, catalog: Catalog) -> nn.Module:
        """The expert's network with its initial weights, the same at every call.

        RecipeError when the backbone refuses its options.
        """
        torch.manual_seed(self.recipe.seed)
        backbone = catalog.backbone(expert.backbone)
        with building(f"expert {expert.name}"):
            return backbone.build(depth=expert.depth, scale=self.recipe.scale, **expert.options)

    def initial(self, expert: Expert, catalog: Catalog) -> nn.Module:
        """What the expert's training begins with; RecipeError when the run to start from is none,
        or its expert of that name is unfinished, or another network."""
        module, start = self.build(expert, catalog), self.recipe.start
        if start is None or catalog.backbone(expert.backbone).training == "fixed":
            return module
        try:
            there = Run.open(start)
        except RecipeError as error:
            raise RecipeError(f"start: {error}") from None
        if expert.name in {namesake.name for namesake in there.recipe.experts}:
            begin_from(there.expert(expert) / WEIGHTS, module, f"expert {expert.name}")
        return module

    def discriminator(self, expert: Expert, catalog: Catalog) -> nn.Module | None:
        """The adversary of the expert's GAN phase with its initial weights, the same at every call.

        None for a backbone without one, or without a GAN phase. RecipeError when it refuses its
        options.
        """
        backbone = catalog.backbone(expert.backbone)
        phase = self.recipe.fit_of(expert).adversarial
        if backbone.discriminator is None or phase.length(1, 1) == 0:
            return None
        torch.manual_seed(self.recipe.seed + 1)
        with building(f"expert {expert.name}: its discriminator"):
            return backbone.discriminator(**expert.discriminator)

    def trained(self, expert: Expert, catalog: Catalog) -> nn.Module:
        """The expert with its trained weights, in eval mode; RecipeError when not finished."""
        module = self.build(expert, catalog).eval().requires_grad_(False)
        if catalog.backbone(expert.backbone).training != "fixed":
            if not self.is_trained(expert):
                raise self._unfinished(expert)
            path = self.expert(expert) / WEIGHTS
            module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return module

    def is_trained(self, expert: Expert) -> bool:
        """Whether the expert's weights are final."""
        return (self.expert(expert) / WEIGHTS).exists()

    def save_weights(self, expert: Expert, module: nn.Module) -> None:
        """Keep an expert's final weights, atomically; they end its training."""
        path = self.expert(expert) / WEIGHTS
        beside = path.with_suffix(".part")
        torch.save(module.state_dict(), beside)
        os.replace(beside, path)

    def save_graph(self, expert: Expert, graph: bytes) -> None:
        """Keep an expert that exists as a graph alone, atomically."""
        beside = self.graph(expert).with_suffix(".part")
        beside.write_bytes(graph)
        os.replace(beside, self.graph(expert))

    def read_graph(self, expert: Expert) -> bytes:
        """An expert that exists as a graph alone; RecipeError when it is not there yet."""
        try:
            return self.graph(expert).read_bytes()
        except FileNotFoundError:
            if expert.wraps is not None:
                raise RecipeError(
                    f"expert {expert.name} wraps {expert.wraps}, and has no graph in "
                    f"{self.directory}; mmsr wrap makes such runs"
                ) from None
            raise self._unfinished(expert) from None

    def save_given(self, expert: Expert, given: GivenExpert) -> None:
        """Keep an expert that was made elsewhere: its graph and what was found out about it."""
        facts = asdict(given)
        del facts["graph"]
        write_json(self.expert(expert) / WRAPPED, facts)
        self.save_graph(expert, given.graph)

    def given(self, expert: Expert) -> GivenExpert:
        """An expert that was made elsewhere; RecipeError when it is not in the run."""
        graph = self.read_graph(expert)
        return GivenExpert(graph=graph, **read_json(self.expert(expert) / WRAPPED))

    def save_record(self, expert: Expert, record: dict[str, Any]) -> None:
        """Keep what training an expert took, atomically."""
        write_json(self.expert(expert) / RECORD, record)

    def record(self, expert: Expert) -> dict[str, Any] | None:
        """What training an expert took; None where nothing was trained."""
        path = self.expert(expert) / RECORD
        return read_json(path) if path.exists() else None

    def save_bands(self, thresholds: Sequence[float]) -> None:
        """Keep the thresholds between the classes of class-wise training, atomically."""
        write_json(self.directory / BANDS, {"thresholds": list(thresholds)})

    def bands(self) -> tuple[float, ...]:
        """The thresholds between the classes; RecipeError when training has not come that far."""
        return tuple(read_json(self.directory / BANDS)["thresholds"])

    def save_depths(self, table: dict[str, Any]) -> None:
        """Keep the depth table of the test split, atomically."""
        write_json(self.directory / DEPTHS, table)

    def save_router_data(self, data: RouterData) -> None:
        """Keep the measured router split, atomically; it ends a run."""
        arrays = {name: np.asarray(value) for name, value in vars(data).items()}
        beside = self.directory / "router.part.npz"
        np.savez_compressed(beside, **arrays)  # type: ignore[arg-type]
        os.replace(beside, self.directory / ROUTER)

    def router_data(self) -> RouterData:
        """The measured router split; RecipeError when training has not come that far."""
        try:
            with np.load(self.directory / ROUTER, allow_pickle=False) as arrays:
                values: dict[str, Any] = dict(arrays)
        except FileNotFoundError:
            raise RecipeError(
                f"{self.directory}: its router is not trained yet; "
                "finish the run with mmsr train … --resume"
            ) from None
        values["names"] = tuple(map(str, values["names"]))
        values["classes"] = tuple(map(str, values["classes"]))
        return RouterData(**values)

    def scores(self) -> dict[str, Any]:
        """What training measured on the test split; empty before it has."""
        path = self.directory / SCORES
        return read_json(path) if path.exists() else {}

    def save_scores(self, scores: dict[str, Any]) -> None:
        """Keep what training measured on the test split, atomically."""
        write_json(self.directory / SCORES, scores)

    def _unfinished(self, expert: Expert) -> RecipeError:
        return RecipeError(
            f"{self.directory}: expert {expert.name} is not trained yet; "
            "finish it with mmsr train … --resume"
        )

    def _fingerprint(self, expert: Expert) -> dict[str, Any]:
        """Everything that an expert's weights depend on."""
        recipe = self.recipe
        if expert.quantize is not None:
            return self._fingerprint(recipe.source_of(expert)) | {"quantize": expert.quantize}
        return {
            "start": None if recipe.start is None else str(recipe.start),
            "scale": recipe.scale,
            "seed": recipe.seed,
            "data": [source.essence() for source in recipe.data],
            "split": recipe.split.model_dump(),
            "backbone": expert.backbone,
            "depth": expert.depth,
            "options": expert.options,
            "discriminator": expert.discriminator,
            "training": recipe.fit_of(expert).essence(),
            "classes": list(recipe.classes_of(expert)),
            "bands": recipe.bands.model_dump(mode="json") if recipe.bands else None,
        }

    def _check_fingerprint(self, expert: Expert) -> None:
        folder = self.expert(expert)
        made = (folder / "checkpoint.pt", folder / WEIGHTS, self.graph(expert))
        if not any(path.exists() for path in made):
            return
        before = read_json(folder / RECIPE)
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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; RecipeError when it can't be read or holds no object."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise RecipeError(f"{path}: cannot read it ({error.strerror})") from None
    except ValueError as error:
        raise RecipeError(f"{path}: not JSON ({error})") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: holds a {type(data).__name__}, not an object")
    return data


@contextmanager
def building(what: str) -> Iterator[None]:
    """Turn a plugin's refusal, of an option's value as a rule, into one line."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{what} fails: {reason}") from error
