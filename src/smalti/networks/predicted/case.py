"""A prediction with what is in focus: the machine with its patch sizes, and the baseline it is held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.networks.prediction import Prediction
from smalti.resample import Interval

__all__ = ["Case", "Comparison"]


OUTSIDE = 1.05
"""From where a number counts as outside of [-1, 1]: a trained network overshoots a little, at black and at white."""


@dataclass(frozen=True, eq=False)
class Case:
    """A prediction, and which of its predictors it is about.

    Attributes:
        prediction: the prediction.
        name: of the network.
        machines: the machine in focus, once for each choice of patch sizes; names of predictors, at least one.
        baseline: name of the predictor it is held against.
    """

    prediction: Prediction
    name: str
    machines: tuple[str, ...]
    baseline: str

    @property
    def focus(self) -> tuple[str, ...]:
        """The machines, and the baseline where it is none of them."""
        return tuple(dict.fromkeys((*self.machines, self.baseline)))

    @property
    def finest(self) -> int:
        """The largest number of steps with which the network was asked: its picture as the paper takes it."""
        return max(self.prediction.network)

    @property
    def steps(self) -> int:
        """Number of steps of the predictors."""
        return len(self.prediction.levels)

    def ranked(self) -> NDArray[np.int64]:
        """Places of the seeds from best to worst predicted by the first machine; last those without r. (S,)."""
        r = self.prediction.agreement(self.machines[0], self.finest).r
        return np.argsort(-np.where(np.isnan(r), -np.inf, r), kind="stable")

    def outside(self, network_steps: int) -> float:
        """Share of the numbers in the network's finished pictures that lie more than 0.05 outside of [-1, 1]."""
        return float((np.abs(self.prediction.network[network_steps].means) > OUTSIDE).mean())

    def comparisons(self) -> list[Comparison]:
        """Each machine beside the baseline, and beside the machine with the first patch sizes."""
        pairs = [(name, self.baseline) for name in self.machines if name != self.baseline]
        pairs += [(name, self.machines[0]) for name in self.machines[1:]]
        found = {name: self.prediction.agreement(name, self.finest).r for name in self.focus}
        return [
            Comparison(
                one=one,
                other=other,
                better=int((found[one] > found[other]).sum()),
                seeds=int((~np.isnan(found[one] - found[other])).sum()),
                difference=self.prediction.difference(one, other, "r", self.finest),
            )
            for one, other in pairs
        ]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two predictors, picture by picture, against the network with the most steps.

    Attributes:
        one: name of a predictor.
        other: name of the one it is held against.
        better: for how many seeds its r is larger.
        seeds: for how many seeds both have an r.
        difference: median over these of its r less the other's, with a 95 % interval.
    """

    one: str
    other: str
    better: int
    seeds: int
    difference: Interval
