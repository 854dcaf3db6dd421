"""Runs and evaluations as `mmsr train` and `mmsr evaluate` leave them, with known figures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import make_record

Files = Callable[..., Path]


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def make_run(tmp_path: Path) -> Files:
    """make_run(folder, records, routes, **recipe keys): a run's directory.

    Every record is an expert of the recipe; by default a class of its own is its route.
    """

    def make(
        folder: str,
        records: list[dict[str, Any]],
        routes: dict[str, list[str]] | None = None,
        finished: bool = True,
        **changes: Any,
    ) -> Path:
        directory = tmp_path / folder
        keys = ("backbone", "depth", "options", "discriminator")
        if routes is None:
            routes = {f"C{number}": [one["expert"]] for number, one in enumerate(records)}
        recipe = {
            "name": folder,
            "version": "1.0.0",
            "scale": 4,
            "data": [{"folder": "photos", "store": "photos.tiles"}],
            "experts": [
                {"name": one["expert"]} | {key: one[key] for key in keys} for one in records
            ],
            "routes": {label: {"experts": experts} for label, experts in routes.items()},
        }
        write(directory / "recipe.json", recipe | changes)
        for one in records:
            write(directory / "experts" / one["expert"] / "training.json", one)
        if finished:
            psnr = {label: 28.5 + place for place, label in enumerate(routes)}
            write(directory / "scores.json", {"psnr_y": psnr})
        return directory

    return make


@pytest.fixture
def make_evaluation(tmp_path: Path) -> Files:
    """make_evaluation(model, {row: [{metric: value} per image]}, seconds by row): a JSON file."""

    def make(
        model: str,
        values: dict[str, list[dict[str, float | None]]],
        seconds: dict[str, float],
        better: dict[str, str] | None = None,
    ) -> Path:
        better = better or {"niqe": "lower"}
        images = len(next(iter(values.values())))
        rows = []
        for name, found in values.items():
            means = {}
            for key in better:
                known = [one[key] for one in found if one[key] is not None]
                means[key] = sum(known) / len(known) if known else None
            rows.append({"name": name, **means, "seconds": seconds[name], "macs": 1.0})
        facts = {
            "model": f"{model}@1.0.0",
            "device": "cpu",
            "images": images,
            "deepest": "deep",
            "metrics": {key: {"better": way, "images": images} for key, way in better.items()},
            "rows": rows,
            "classes": {},
            "stages": {},
            "per_image": [
                {
                    "file": f"{index:03}.png",
                    "width": 480,
                    "height": 320,
                    "rows": {
                        name: found[index] | {"seconds": seconds[name] / images}
                        for name, found in values.items()
                    },
                }
                for index in range(images)
            ],
        }
        return write(tmp_path / f"{model}.json", facts)

    return make


@pytest.fixture
def framework(make_run: Files) -> Path:
    """Table 3 of the 2019 paper: three models, and the plain one that no route names."""
    records = [
        make_record("shallow", depth=4, discriminator={"layers": 2}, classes=["SIMPLE"],
                    tiles=400, bytes=40_000_000, seconds=1730.0, waited=0.0),
        make_record("middle", depth=8, discriminator={"layers": 6}, classes=["MODERATE"],
                    tiles=350, bytes=35_000_000, seconds=3000.0, waited=300.0),
        make_record("deep", classes=["COMPLEX"], tiles=250, bytes=25_000_000, seconds=5894.8,
                    waited=0.0),
        make_record("plain", seconds=17171.3, waited=0.0),
    ]  # fmt: skip
    routes = {"SIMPLE": ["shallow"], "MODERATE": ["middle"], "COMPLEX": ["deep"]}
    return make_run("mmsr-x4", records, routes)


@pytest.fixture
def paper(make_run: Files, make_evaluation: Files) -> dict[str, list[Path]]:
    """The 2020 paper's results: three kinds, each a framework run, a plain run, an evaluation."""
    figures = {
        "msrresnet": (2517, 2449, 61, 5.1912, 5.155833, 85, 59),
        "srgan": (1920, 1812, 58, 2.0869, 2.0509, 82, 46),
        "esrgan": (4368, 4249, 78, 2.2041, 2.0535, 138, 95),
    }
    found: dict[str, list[Path]] = {"runs": [], "plains": [], "evaluations": []}
    for kind, (before, after, improved, pi, framework_pi, slow, quick) in figures.items():
        name = f"{kind}-mmsr"
        models = [
            make_record(f"m{index}", backbone=kind, bytes=12_436_600_000, seconds=after * 60.0)
            for index in range(3)
        ]
        plain = make_record("deep", backbone=kind, bytes=21_401_800_000, seconds=before * 60.0)
        found["runs"].append(make_run(name, models))
        found["plains"].append(make_run(f"{kind}-plain", [plain]))
        # The improved images gain one step each and the others tie, so that the means are exact.
        gain = (pi - framework_pi) * 100 / improved
        plain_row = [{"pi": pi} for _ in range(100)]
        routed = [{"pi": pi - gain * (index < improved)} for index in range(100)]
        values = {f"{kind}-plain@1.0.0": plain_row, "routed": routed}
        times = {f"{kind}-plain@1.0.0": float(slow), "routed": float(quick)}
        found["evaluations"].append(make_evaluation(name, values, times, {"pi": "lower"}))
    return found


@pytest.fixture
def study() -> dict[str, Any]:
    """A study in which the forest beats the rules on one set of photographs and not on another."""
    costs = {
        "forest-gain": {"router": (0.70, 0.75), "city": (0.80, 0.50)},
        "forest": {"router": (0.72, 0.70), "city": (0.70, 0.75)},
        "tvat-threshold": {"router": (0.80, 0.50), "city": (0.90, 0.25)},
        "edge-threshold, tuned": {"router": (0.85, 0.375), "city": (0.75, 0.625)},
        "oracle": {"router": (0.60, 1.0), "city": (0.60, 1.0)},
    }
    features = {"tvat-threshold": "tvat", "edge-threshold, tuned": "edge_score", "oracle": ""}
    rows = [
        {
            "router": router,
            "features": features.get(router, "recipe"),
            "cell": 32,
            "options": {"trees": 60, "depth": 12} if router.startswith("forest") else {},
            "microseconds": None if router == "oracle" else 5.25,
            "sets": {
                name: {"cost": cost, "kept": kept, "lost": 0.02, "agreement": 0.6}
                for name, (cost, kept) in sets.items()
            },
        }
        for router, sets in costs.items()
    ]
    photographs = {"router": 45, "city": 1}
    return {"tolerance": 0.02, "costs": "measured", "photographs": photographs, "rows": rows}
