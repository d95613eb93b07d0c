"""What the engine is asked: states, a corpus, an admission, a noise level.

The score of a state site i and a corpus site j is the integer

    E(i, j) = sum over the window of X q  -  rint(8 a * sum over the window of q^2)

with X the state in units of 1/4080, q = 2u - 255 the centred pixel, a the signal level. With logit = -|x - a k|^2 /
(2 s^2), exp(logit) is proportional to 2^(15 E / G), where G, the span of a place, is rounded to a whole number of
score units. The two roundings move a base-2 logit by at most half a unit of E, and all of them by the common factor 1
+- 1/(2 G).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2
from smalti.errors import InputError, UsageError
from smalti.noise import STATE_LIMIT, STATE_UNITS, Level
from smalti.window import Admission

PIXEL_UNIT = 255


@dataclass(frozen=True)
class Exclusion:
    """Corpus sites that may not serve a state, for leave-one-out.

    items: items [begin, end) are left out.
    offset, radius: sites whose displacement (corpus site minus state site) is within `radius` - 1 of `offset` on both
        axes are left out; radius 0 leaves none out.
    """

    items: tuple[int, int] = (0, 0)
    offset: tuple[int, int] = (0, 0)
    radius: int = 0


@dataclass(frozen=True)
class Query:
    """One question to the engine.

    Args:
        images: corpus pixels, uint8 (N, H', W', C), C-contiguous, C in {1, 3, 4}.
        states: int16 (B, H, W, C) in units of 1/4080, within +-32767.
        admission: for these sizes.
        level: the noise level of all states.
        exclusions: one for each state, or empty for none.
        width: width of the kernel in units of the noise. With 1 weights are those of a posterior; with more, farther
            sources weigh more.
    """

    images: NDArray[np.uint8]
    states: NDArray[np.int16]
    admission: Admission
    level: Level
    exclusions: Sequence[Exclusion] = field(default=())
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or not self.images.flags.c_contiguous:
            raise InputError("corpus images must be a C-contiguous uint8 array of shape (N, H, W, C)")
        if self.images.shape[0] == 0:
            raise InputError("the corpus has no items")
        if self.images.shape[3] not in (1, 3, 4):
            raise InputError(f"pictures have 1, 3 or 4 channels, not {self.images.shape[3]}")
        if self.states.dtype != np.int16 or self.states.ndim != 4 or self.states.shape[3] != self.images.shape[3]:
            raise InputError("states must be an int16 array of shape (B, H, W, C) with the corpus's channels")
        if self.states.size == 0:
            raise InputError("there are no states to ask about")
        if self.states.min() < -STATE_LIMIT:
            raise InputError(f"state values must lie within +-{STATE_LIMIT} units of 1/{STATE_UNITS}")
        if not (0 < self.level.signal <= 1 and self.level.noise > 0):
            raise UsageError(
                "a machine needs a level with some signal (above 0, at most 1) and some noise (above 0), "
                f"not signal {self.level.signal:g} and noise {self.level.noise:g}"
            )
        if not 0 < self.width < math.inf:
            raise UsageError(f"the width of a kernel is a number above 0, in units of the noise, not {self.width}")
        if self.exclusions and len(self.exclusions) != len(self.states):
            raise UsageError("give one exclusion for each state, or none")
        if self.admission.whole != "no" and any(e.radius for e in self.exclusions):
            raise UsageError("a whole-image machine leaves out whole items, not places")
        if self.admission.whole != "no" and self.states.shape[1:] != self.images.shape[1:]:
            raise UsageError("a whole-image machine makes pictures of the corpus's own size")
        for axis, spans in enumerate(zip(*self.admission.pairs, strict=True), start=1):
            for span in spans:
                if not span.fits(self.states.shape[axis], self.images.shape[axis]):
                    raise UsageError("the admission was made for other sizes than those of these states and pictures")

    @property
    def span(self) -> int:
        """Score units in a place, worth 15 bits of weight."""
        return span_of(self.level, self.width)

    def exclusion(self, state: int) -> Exclusion:
        """The exclusion of one state."""
        return self.exclusions[state] if self.exclusions else Exclusion()


def span_of(level: Level, width: float = 1.0) -> int:
    """Score units in a place, worth 15 bits of weight: 15 s^2 4080 255 ln 2 / a, rounded, with s the noise times the
    width of the kernel. Tier: bitwise.

    Raises:
        UsageError: if the level is beyond what the state grid can tell apart.
    """
    a, s = level.signal, level.noise * width
    span = 15.0 * LN2 * STATE_UNITS * PIXEL_UNIT * s * s / a
    if not 15.5 < span < 2.0**61:
        raise UsageError(
            f"the level signal {a:g}, noise {s:g} is beyond what the state grid can tell apart: "
            "use fewer steps, or a noise of at least 0.0013 and a signal of at least 1e-11"
        )
    return round(span)
