"""The rule of the labels: the cheapest route that is as good as the best."""

import numpy as np
import numpy.typing as npt


def cheapest_within(
    errors: npt.NDArray[np.float64], costs: npt.NDArray[np.float64], epsilon: float
) -> npt.NDArray[np.int64]:
    """For each row of `errors` (n,r), the cheapest route within `epsilon` dB of the best one."""
    floor = 1e-10
    limit = np.maximum(errors.min(axis=1, keepdims=True), floor) * 10 ** (epsilon / 10)
    good = np.maximum(errors, floor) <= limit
    return np.where(good, costs[None, :], np.inf).argmin(axis=1)
