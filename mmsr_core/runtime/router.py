"""The router of a bundle at work: what it expects of every route on every cell of an image."""

import numpy as np

from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.partition import Array
from mmsr_core.runtime.pipeline import Request
from mmsr_core.runtime.previous import Previous
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.source import Source
from mmsr_core.runtime.tiles import Grid

BATCH = 1024
"""Cells that it is asked about at a time."""


class Router:
    """One session, asked from top to bottom of an image."""

    def __init__(self, manifest: Manifest, graph: bytes, device: Device) -> None:
        """Open the router of `manifest`, whose file is `graph`."""
        self._output, self._routes = manifest.router.output, len(manifest.classes)
        # Threads add a forest's trees in an order of their own: one, so that plans never differ.
        self.session = Session(graph, device, f"{manifest.name}: router", threads=1)

    def scores(
        self, source: Source, grid: Grid, request: Request, previous: Previous | None = None
    ) -> Array:
        """Its answers (cells, routes), row by row; those that `previous` knows are not asked for.

        The request's progress is told that nothing is done yet, so that whoever wants to stop can.
        """
        scores = np.zeros((grid.rows * grid.columns, self._routes))
        asked = np.ones(len(scores), bool)
        if previous is not None and previous.scores is not None:
            asked = ~previous.same.ravel()
            scores[:] = previous.scores
        start, rows = 0, max(1, BATCH // grid.columns) * grid.cell
        for strip in request.clock.read(source.strips(rows)):
            with request.clock.stage("route"):
                stop = start + -(-len(strip) // grid.cell) * grid.columns
                mine = asked[start:stop]
                if mine.any():
                    cells = grid.cells_in(strip)[mine]
                    answers = self.session.run(cells, self._output, (len(cells), self._routes))
                    scores[start:stop][mine] = answers
            request.progress(0.0)
            start = stop
        return scores
