"""A token's weight in whole units, so that credits of documents add up to the last one.

As for pixels (`smalti.receipts.composition`) the weight of a token is divided into `UNITS` = 2^40: a document with
weight w has floor(w / W * 2^40) of them, W being the sum, and what is left over goes to the largest part, the first of
equal ones. Beside the documents stand two parts that no document has: what back-off leaves to the uniform prior, and
what a reverse step under uniform noise draws from the noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smalti.receipts.composition import UNITS

__all__ = ["divided"]


def divided(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Units of the parts of one token; they sum to `UNITS`. Tier: *bitwise*.

    Args:
        weights: none negative, not all 0. float64, shape (N,).

    Returns:
        int64, shape (N,), none negative.
    """
    unit = np.cumsum(weights)[-1] / UNITS  # exact: a power of two
    units = (weights / unit).astype(np.int64)
    units[int(weights.argmax())] += UNITS - int(units.sum())
    return units
