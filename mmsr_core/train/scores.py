"""What the test split says of a run."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mmsr_core.plugin.components import Output, RouterData
from mmsr_core.runtime.tiles import Grid
from mmsr_core.train.labels import FLOOR, cheapest_within
from mmsr_core.train.recipe import Recipe


def scores(
    recipe: Recipe, output: Output, test: RouterData, predictions: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """What the test split says: mean luma PSNR of each route, and how well the router labels.

    `labels` and `predicted` are shares of the cells; `agreement` is the share of cells whose
    predicted class is the measured one, by the same rule.
    """
    if output == "probs":
        predicted = predictions.argmax(axis=1)
    else:
        predicted = cheapest_within(predictions, test.costs, recipe.router.epsilon)
    errors = [
        np.average(
            test.errors[test.images == index],
            axis=0,
            weights=Grid(int(height), int(width), recipe.tiles.cell).areas,
        )
        for index, (height, width) in enumerate(test.shapes)
    ]
    psnr = -10 * np.log10(np.maximum(errors, FLOOR)).mean(axis=0)
    return {
        "photographs": len(np.unique(test.photos)),
        "cells": len(test.labels),
        "psnr_y": dict(zip(test.classes, psnr.round(3).tolist(), strict=True)),
        "labels": _shares(test.labels, test.classes),
        "predicted": _shares(predicted, test.classes),
        "agreement": round(float((predicted == test.labels).mean()), 4),
    }


def _shares(labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, float]:
    counts = np.bincount(labels, minlength=len(classes)) / len(labels)
    return dict(zip(classes, counts.round(4).tolist(), strict=True))
