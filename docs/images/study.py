"""What a model makes of the scene: features, expectations, measured errors, plans."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scene import scene

from mmsr_core.measure.hindsight import cell_errors
from mmsr_core.runtime.bundle import Bundle
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.image import degrade
from mmsr_core.runtime.partition import Array
from mmsr_core.runtime.plan import Costs, Plan, costs_of
from mmsr_core.runtime.session import Session
from mmsr_core.runtime.tiles import Floats, Grid


@dataclass(frozen=True)
class Study:
    """The scene, small and large, and what the model makes of it."""

    bundle: Bundle
    engine: Engine

    @cached_property
    def pair(self) -> tuple[Floats, Floats]:
        """HR and LR."""
        return degrade(scene(), self.engine.manifest.scale)

    @cached_property
    def photo(self) -> Floats:
        """The scene at twice LR's size, for what is shown and not measured."""
        return degrade(scene(), 2)[1]

    @property
    def lr(self) -> Floats:
        return self.pair[1]

    @property
    def hr(self) -> Floats:
        return self.pair[0]

    @cached_property
    def grid(self) -> Grid:
        return Grid(*self.lr.shape[:2], self.engine.manifest.tiles.cell)

    @cached_property
    def costs(self) -> Costs:
        return costs_of(self.engine.manifest, self.engine.halo())

    @cached_property
    def features(self) -> dict[str, Array]:
        """Every feature of the router as a picture of cells (rows,columns)."""
        router = self.bundle.manifest.router
        graph = self.bundle.graph(router.graph)
        session = Session(graph, self.engine.device, "router", threads=1)
        cells = self.grid.cells_in(self.lr)
        found = session.run(cells, "features", (len(cells), len(router.features)))
        shaped = found.T.reshape(-1, self.grid.rows, self.grid.columns)
        return dict(zip(router.features, shaped, strict=True))

    @cached_property
    def expected(self) -> Array:
        """The router's answers (cells,routes)."""
        scores = self.engine.bands(self.lr, effort=0.5).scores
        assert scores is not None
        return scores

    @cached_property
    def measured(self) -> Array:
        """What each route adds to the squared error, cell by cell (cells,routes)."""
        manifest, columns = self.engine.manifest, []
        for label in manifest.classes:
            (name,) = manifest.routes[label].experts
            answer = self.engine.run_expert(name, self.lr)
            columns.append(cell_errors(answer, self.hr, manifest.scale, self.grid))
        return np.stack(columns, axis=1)

    def plan(self, effort: float) -> Plan:
        return self.engine.bands(self.lr, effort=effort).plan
