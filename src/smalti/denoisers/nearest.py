"""The nearest item: what the ideal machine tends to as the noise goes to 0, at any noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smalti.denoisers.denoiser import ClosedForm, Floats
from smalti.engine import Query, native
from smalti.noise import Level
from smalti.sampling.ddim import values_of
from smalti.window import Admission

__all__ = ["Nearest"]


class Nearest(ClosedForm):
    """The item nearest to x / a, in L2 over whole pictures; of equally near ones the first. Tier: *bitwise*."""

    name = "nearest"

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        query = Query(self.images, states, Admission(half=0, padding="zero", pairs=(), whole="same-place"), level)
        # One score for all sites of a picture.
        return values_of(self.images[native.nearest(query)[:, 0, 0, 1]])
