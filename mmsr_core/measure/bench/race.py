"""The rounds of a benchmark, and what is worked out from them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsr_core.measure.bench.contenders import Contender
from mmsr_core.measure.bench.footprint import Footprint
from mmsr_core.measure.bench.lap import Lap, run_lap
from mmsr_core.measure.bench.outcome import Routing, Standing, psnr_seen
from mmsr_core.measure.evaluate import Upscale
from mmsr_core.measure.evaluation import Photograph
from mmsr_core.measure.hindsight import Hindsight
from mmsr_core.measure.metrics import psnr_y
from mmsr_core.runtime import image
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.plan import Plan
from mmsr_core.runtime.tiles import Floats

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shot:
    """One photograph: the HR file, what it is called, its LR file; the size of the HR, cut to a
    multiple of the scale."""

    hr: Path
    file: str
    lr: Path
    height: int
    width: int


class Race:
    """All contenders on all photographs in this process, in turns."""

    def __init__(
        self, engine: Engine, entrants: Sequence[Contender], opened: Mapping[str, Upscale]
    ) -> None:
        """`engine` is the model's own; `opened` has every entrant by name, ready to run."""
        self._engine, self._entrants, self._opened = engine, entrants, opened
        self._hindsight = Hindsight(engine)
        self._plans: dict[str, list[Plan]] = {one.name: [] for one in entrants if _routes(one)}
        self._stages: dict[str, Counter[str]] = {one.name: Counter() for one in entrants}
        self.photographs: list[Photograph] = []

    def run(self, shots: Sequence[Shot], target: Path, repeats: int, progress: Progress) -> None:
        """Every contender writes every photograph to `target`, `repeats` times."""
        for entrant in self._entrants:
            run_lap(self._opened[entrant.name], shots[0].lr, target)  # pays for memory and threads
        count = len(self._entrants)
        for number, shot in enumerate(shots):
            hr = image.read(shot.hr).rgb[: shot.height, : shot.width]
            laps: dict[str, list[Lap]] = {one.name: [] for one in self._entrants}
            reached: dict[str, float] = {}
            answers: dict[str, Floats] = {}
            plans: dict[str, Plan] = {}
            for turn in range(number * repeats, (number + 1) * repeats):
                for place in range(count):
                    entrant = self._entrants[(turn + place) % count]
                    name = entrant.name
                    lap, answer = run_lap(self._opened[name], shot.lr, target)
                    laps[name].append(lap)
                    if name not in reached:  # the same in every round
                        reached[name] = psnr_y(image.read(target).rgb, hr, self._scale)
                        if entrant.kind == "expert":
                            answers[name] = answer.pixels
                        if answer.result is not None:
                            plans[name] = answer.result.plan
                    progress("rounds", turn * count + place + 1, len(shots) * repeats * count)
            self._hindsight.note(hr, answers, plans)
            for name, plan in plans.items():
                self._plans[name].append(plan)
            for name, mine in laps.items():
                for lap in mine:
                    self._stages[name].update(lap.stages)
            rows = {name: {"psnr_y": reached[name], **_times(mine)} for name, mine in laps.items()}
            self.photographs.append(Photograph(shot.file, shot.width, shot.height, rows))

    def standing(self, entrant: Contender, deepest: str, footprint: Footprint) -> Standing:
        """One contender over all photographs, `deepest` being the row of the deepest expert."""
        mine, other = (
            [photo.rows[row] for photo in self.photographs] for row in (entrant.name, deepest)
        )
        pairs = list(zip(mine, other, strict=True))
        lost = [psnr_seen(b["psnr_y"]) - psnr_seen(a["psnr_y"]) for a, b in pairs]
        seconds = sum(row["seconds"] for row in mine)
        out = sum(photo.width * photo.height for photo in self.photographs) / 1e6
        stages = self._stages[entrant.name]
        return Standing(
            name=entrant.name,
            kind=entrant.kind,
            psnr_y=float(np.mean([row["psnr_y"] for row in mine])),
            lost=float(np.mean(lost)),
            worst=max(lost),
            seconds=seconds,
            time=_ratio(pairs, "seconds"),
            slowest=max(a["seconds"] / b["seconds"] for a, b in pairs),
            upscaling=_ratio(pairs, "upscaling"),
            megapixels_in=out / self._scale**2 / seconds,
            megapixels_out=out / seconds,
            peak=footprint.peak,
            first=footprint.seconds,
            stages={stage: spent / stages.total() for stage, spent in stages.items()},
        )

    def routings(self, progress: Progress) -> tuple[Routing, ...]:
        """What the router did at every effort, beside the oracle."""
        found = []
        classes, default = self._engine.manifest.classes, self._engine.manifest.effort.default
        routed = [entrant for entrant in self._entrants if _routes(entrant)]
        for number, entrant in enumerate(routed, 1):
            plans = self._plans[entrant.name]
            cells = np.concatenate([plan.routes.ravel() for plan in plans])
            pixels = sum(plan.grid.height * plan.grid.width for plan in plans)
            computed = sum(float(plan.pixels().sum()) for plan in plans)
            oracle = self._hindsight.oracle(entrant.name)
            found.append(
                Routing(
                    name=entrant.name,
                    effort=default if entrant.effort is None else entrant.effort,
                    classes={
                        label: float(np.mean(cells == route)) for route, label in enumerate(classes)
                    },
                    overlap=computed / pixels - 1,
                    cost=self._hindsight.time(oracle.routed),
                    oracle=self._hindsight.time(oracle.at_quality),
                    kept=oracle.kept,
                )
            )
            progress("oracle", number, len(routed))
        return tuple(found)

    def frontier(self, deepest: str) -> tuple[tuple[float, float], ...]:
        """The oracle's (time, dB lost) as standings count them, computed: its plans' cost in the
        deepest expert's time from array to array, and that one's reading and writing."""
        rows = [photo.rows[deepest] for photo in self.photographs]
        best = float(np.mean([psnr_seen(row["psnr_y"]) for row in rows]))
        inside = sum(row["upscaling"] for row in rows) / sum(row["seconds"] for row in rows)
        return tuple(
            (
                1 - inside + inside * self._hindsight.time(point),
                best - self._hindsight.reached(point),
            )
            for point in self._hindsight.frontier()
        )

    def spread(self) -> float | None:
        """How far rounds lie apart, over their median: the median over all. None for one round."""
        rows = [row for photo in self.photographs for row in photo.rows.values()]
        apart = [(row["most"] - row["least"]) / row["seconds"] for row in rows]
        return float(np.median(apart)) if any(apart) else None

    @property
    def _scale(self) -> int:
        return self._engine.manifest.scale


def _routes(entrant: Contender) -> bool:
    return entrant.kind == "routed"


def _times(laps: Sequence[Lap]) -> dict[str, float]:
    """Medians from file to file and from array to array, and the extremes of the first."""
    seconds = [lap.seconds for lap in laps]
    return {
        "seconds": float(np.median(seconds)),
        "least": min(seconds),
        "most": max(seconds),
        "upscaling": float(np.median([lap.upscaling for lap in laps])),
    }


def _ratio(pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], key: str) -> float:
    """Our total over theirs."""
    return sum(ours[key] for ours, _ in pairs) / sum(theirs[key] for _, theirs in pairs)
