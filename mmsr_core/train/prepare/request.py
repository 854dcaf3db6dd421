"""What `mmsr prepare` is asked for, checked, and written down so that a store knows itself."""

import hashlib
import inspect
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from mmsr_core.errors import RecipeError
from mmsr_core.plugin.catalog import Catalog, check_options
from mmsr_core.plugin.components import Choice
from mmsr_core.runtime import image
from mmsr_core.train.data import Photo
from mmsr_core.train.prepare.prune import EDGES, ETVAT, Thresholds
from mmsr_core.train.run import building

FEATURES = ("tvat", *ETVAT, *EDGES)
"""What the extractor `texture` is asked to score."""


@dataclass(frozen=True)
class Request:
    """Tiles of `tile` LR pixels a side that share `overlap` with each neighbour, of photographs
    taken once per factor in `shrink`; pruned to lose a `share`, or by `thresholds`, or not.

    `options` are the extractor's. RecipeError for a value that makes no sense.
    """

    scale: int = 4
    tile: int = 48
    overlap: int = 0
    shrink: tuple[int, ...] = (1,)
    share: float | None = None
    thresholds: Thresholds | None = None
    extractor: str = "texture"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scale < 2:
            raise RecipeError(f"scale {self.scale}: has to be 2 or more")
        if self.tile < 8:
            raise RecipeError(f"tile {self.tile}: has to be 8 LR pixels or more")
        if not 0 <= self.overlap < self.tile:
            raise RecipeError(
                f"overlap {self.overlap}: has to be 0 or more LR pixels, fewer than a tile's "
                f"{self.tile}"
            )
        if not self.shrink or min(self.shrink) < 1 or len(set(self.shrink)) < len(self.shrink):
            raise RecipeError(f"shrink {list(self.shrink)}: factors from 1, each once")
        if self.share is not None and not 0 < self.share < 1:
            raise RecipeError(
                f"prune {self.share:g}: has to lie between 0 and 1, as 0.42; "
                "leave it out to keep every tile"
            )
        if self.thresholds is not None:
            self._check_thresholds(self.thresholds)

    def _check_thresholds(self, given: Thresholds) -> None:
        values = given.etvat, given.edge, given.limited_edge
        if not all(value >= 0 and math.isfinite(value) for value in values):
            raise RecipeError(f"thresholds {values}: have to be 0 or more")
        if self.share is not None:
            raise RecipeError("a share to prune sets thresholds 2, 3 and 4: give one or the other")
        if not given.etvat or not (given.edge or given.limited_edge):
            raise RecipeError(
                "pruning takes threshold 2 (ETVAT) and one of 3 and 4 (Edge_score, limited "
                "Edge_score): a tile falls when ETVAT and an edge score vote flat"
            )

    @property
    def prunes(self) -> bool:
        """Whether any tile is to be pruned."""
        return self.share is not None or self.thresholds is not None

    @property
    def side(self) -> int:
        """HR pixels of a tile's side."""
        return self.tile * self.scale

    @property
    def tile_bytes(self) -> int:
        """Bytes of one stored tile, LR and HR."""
        return 3 * (self.tile**2 + self.side**2)

    def build(self, catalog: Catalog) -> nn.Module:
        """The extractor, in eval mode; MmsrError when it is missing, refuses its options, or
        does not give what pruning needs."""
        choice = Choice(name=self.extractor, options=self._options())
        build = catalog.extractor(self.extractor).build
        check_options(choice, build)
        with building(f"extractor {self.extractor}"):
            module: nn.Module = build(**choice.options).eval()
        names: tuple[str, ...] = module.names  # type: ignore[assignment]
        missing = set(ETVAT + EDGES).difference(names)
        if self.prunes and missing:
            raise RecipeError(
                f"pruning needs {', '.join(sorted(missing))}, which the extractor "
                f"{self.extractor} does not give; choose texture, or do not prune"
            )
        return module

    def find(self, images: Path) -> list[Photo]:
        """Every image below a folder, or one file, once per factor; ImageError for none."""
        files = image.find_images(images)
        return [
            Photo(path, shrink, number)
            for number, path in enumerate(files)
            for shrink in self.shrink
        ]

    def facts(self, catalog: Catalog, photos: Sequence[Photo], root: Path) -> dict[str, Any]:
        """All that a store's content depends on, for JSON.

        Photographs count by path, size and date; an extractor by all its options, those that
        are defaults today too.
        """
        states = [(photo.path, photo.path.stat()) for photo in photos]
        lines = [
            f"{path.relative_to(root).as_posix()}\0{state.st_size}\0{state.st_mtime_ns}\n"
            for path, state in states
        ]
        parameters = inspect.signature(catalog.extractor(self.extractor).build).parameters
        options = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.default is not parameter.empty
        }
        facts = {
            "scale": self.scale,
            "tile": self.tile,
            "overlap": self.overlap,
            "shrink": self.shrink,
            "prune": self.share,
            "thresholds": None if self.thresholds is None else vars(self.thresholds),
            "extractor": self.extractor,
            "options": options | self._options(),
            "photographs": hashlib.sha256("".join(lines).encode()).hexdigest(),
        }
        plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
        return plain

    def _options(self) -> dict[str, Any]:
        chosen = {"features": FEATURES} if self.extractor == "texture" else {}
        return chosen | self.options
