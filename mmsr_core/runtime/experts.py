"""The experts of a bundle at work; what fails for want of memory or of range is run again."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from mmsr_core.errors import NotFinite, OutOfMemory
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.session import Device, Session
from mmsr_core.runtime.tiles import Floats

Notice = Callable[[str], None]
"""Told, in one line, what somebody should know who is still getting their image."""


def suited(manifest: Manifest, device: Device) -> Manifest:
    """The manifest as a device runs it, with fp32 graphs where another precision gains nothing:
    8 bits are for CPUs, 16 for GPUs."""
    useless = "int8" if device.is_gpu else "fp16"
    if all(expert.precision != useless for expert in manifest.experts):
        return manifest
    experts = tuple(
        expert.model_copy(
            update={
                "graph": expert.exact,
                "cost": expert.exact_cost,
                "precision": "fp32",
                "exact": None,
                "exact_cost": None,
            }
        )
        if expert.precision == useless and expert.exact is not None
        else expert
        for expert in manifest.experts
    )
    return manifest.model_copy(update={"experts": experts})


class Experts:
    """One session per expert, and a second one for those that had to be run in fp32."""

    def __init__(
        self,
        manifest: Manifest,
        graphs: Mapping[str, bytes],
        device: Device,
        threads: int | None,
        notice: Notice,
    ) -> None:
        """Open every expert of `manifest`, `graphs` being the files of its bundle."""
        self._manifest, self._graphs, self._device = manifest, graphs, device
        self._threads, self._notice = threads, notice
        self._sessions = {
            expert.name: self._open(expert.name, expert.graph, expert.precision == "fp16")
            for expert in manifest.experts
        }
        self._exact: dict[str, Session] = {}
        self._opening = threading.Lock()
        self._too_many: dict[str, int] = {}
        self._said: set[str] = set()

    def run(self, name: str, tiles: Floats) -> Floats:
        """Tiles (n,3,h,w) → upscaled (n,3,s·h,s·w).

        What runs out of memory is halved: the batch first, then the tile, whose halves see as
        far beyond their border as the expert looks. What is not finite runs on the expert's fp32
        graph. OutOfMemory when a tile is too small to be halved, NotFinite when there is no such
        graph or it fails alike.
        """
        count, _, height, width = tiles.shape
        pixels = count * height * width
        divisible = count > 1 or max(height, width) > 4 * self._context(name)
        if not divisible or pixels < self._too_many.get(name, pixels + 1):
            try:
                return self._finite(name, tiles)
            except OutOfMemory:
                if not divisible:
                    raise
                self._too_many[name] = pixels
                self._say(f"{name}: out of memory on {self._device.name}; going on in halves")
        if count > 1:
            return np.concatenate([self.run(name, half) for half in np.array_split(tiles, 2)])
        return self._halved(name, tiles, axis=2 if height >= width else 3)

    def _context(self, name: str) -> int:
        """LR pixels that an answer needs around it."""
        return max(self._manifest.tiles.halo, self._manifest.expert(name).radius or 0)

    def _halved(self, name: str, tiles: Floats, axis: int) -> Floats:
        scale, context = self._manifest.scale, self._context(name)
        middle = tiles.shape[axis] // 2
        before, _ = np.split(tiles, [middle + context], axis)
        _, after = np.split(tiles, [middle - context], axis)
        before, after = (self.run(name, np.ascontiguousarray(half)) for half in (before, after))
        first, _ = np.split(before, [middle * scale], axis)
        _, second = np.split(after, [context * scale], axis)
        return np.concatenate([first, second], axis)

    def _finite(self, name: str, tiles: Floats) -> Floats:
        try:
            return self._answer(self._sessions[name], tiles)
        except NotFinite:
            if self._manifest.expert(name).exact is None:
                raise
        if len(tiles) > 1:  # the others keep their precision
            return np.concatenate([self._finite(name, tile[None]) for tile in tiles])
        precision = self._manifest.expert(name).precision
        self._say(f"{name}: an answer in {precision} is not finite; that tile runs in fp32")
        return self._answer(self._exactly(name), tiles)

    def _answer(self, session: Session, tiles: Floats) -> Floats:
        n, channels, height, width = tiles.shape
        scale = self._manifest.scale
        return session.run(tiles, "upscaled", (n, channels, height * scale, width * scale))

    def _exactly(self, name: str) -> Session:
        """The session of an expert's fp32 graph, opened when it is first needed."""
        with self._opening:
            if name not in self._exact:
                graph = self._manifest.expert(name).exact
                assert graph is not None
                self._exact[name] = self._open(f"{name} in fp32", graph)
            return self._exact[name]

    def _open(self, origin: str, graph: str, half: bool = False) -> Session:
        graph_bytes = self._graphs[graph]
        return Session(graph_bytes, self._device, origin, self._threads, lasting=True, half=half)

    def _say(self, line: str) -> None:
        """Tell it once."""
        if line not in self._said:
            self._said.add(line)
            self._notice(line)
