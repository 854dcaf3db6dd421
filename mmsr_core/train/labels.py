"""The rule of the labels: the cheapest route that is as good as the best."""

import numpy as np
import numpy.typing as npt

FLOOR = 1e-10
"""The mean squared error, in [0,1]² units, of a PSNR of 100 dB."""


def cheapest_within(
    errors: npt.NDArray[np.float64], costs: npt.NDArray[np.float64], epsilon: float
) -> npt.NDArray[np.int64]:
    """For each row of `errors` (n,r), the cheapest route within `epsilon` dB of the best one.

    `costs` (r,). Errors under 100 dB of PSNR count as equal: what nobody sees costs nothing.
    """
    seen = np.maximum(errors, FLOOR)
    good = seen <= seen.min(axis=1, keepdims=True) * 10 ** (epsilon / 10)
    label: npt.NDArray[np.int64] = np.where(good, costs, np.inf).argmin(axis=1)
    return label
