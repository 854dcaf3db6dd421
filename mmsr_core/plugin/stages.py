"""Running what a classifier's `fit` returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def apply(stages: Sequence[Any], features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Run classifier stages, torch modules or scikit-learn estimators, on features (n,f).

    Returns class probabilities (n,c) or expected errors (n,r), as the classifier's `output` says.
    """
    import torch

    values: Any = features
    for stage in stages:
        if isinstance(stage, torch.nn.Module):
            with torch.inference_mode():
                values = stage(torch.as_tensor(np.asarray(values, np.float32))).numpy()
        elif hasattr(stage, "predict_proba"):
            values = stage.predict_proba(values)
        else:
            values = stage.predict(values)
    return np.asarray(values, np.float64)
