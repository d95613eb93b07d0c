"""Is the denoiser's field conservative: the gradient of the logarithm of some density?

With the mean f(x), the score is s(x) = (a f(x) - x) / s^2, and of its Jacobian, G = (a J - I) / s^2, the asymmetry is

    || G - G^T ||_F / || G + G^T ||_F

0 if and only if the score is a gradient there, as it is for every true posterior mean: then J = a / s^2 Cov. 1 where
the parts with and without curl are of one size, as for a matrix of independent numbers. Much of G is the -I / s^2 of
the state itself, a gradient however odd the denoiser is, most of all under much noise. So the same is reported of J
alone: f is a gradient if and only if s is, and || J - J^T || / || J + J^T || has nothing in it that helps.

In small pictures J is computed whole. In large ones, with u and v of independent fair signs,

    E (v^T J u - u^T J v)^2 = E (v^T A u)^2 = sum over i, j, k, l of A_ij A_kl E(v_i v_k) E(u_j u_l) = ||A||_F^2,

with A = J - J^T, as E(v_i v_k) is 1 for i = k and 0 otherwise, and so for u. The same holds with J + J^T, or G + G^T,
for A. So both squares are estimated without bias, each probe taking two directions and four calls. What is reported is
the root of the ratio of their sums over the probes; it is consistent, not unbiased.

Differences leave a trace: for an ideal machine, whose asymmetry is 0, what is found is what they add.

Chao et al. 2023 (2209.12753); Horvat & Pfister 2024 (2402.03845): networks are not conservative, and sample well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.networks.measures.asking import INAUDIBLE, derivatives, jacobian, probes_for, signs
from smalti.networks.measures.reading import Measurement, Reading, plot_readings
from smalti.networks.measures.states import StateSet
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser

__all__ = ["Conservation", "conservation"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Conservation(Measurement):
    """How far a denoiser is from a gradient (see `smalti.networks.measures.curl`).

    Attributes:
        probes: random probes at each state; None where the whole Jacobian was used.
        of_score: asymmetry of the Jacobian of the score. float64 (S, L).
        of_mean: that of the mean; NaN where it does not depend on the state, infinite where it is all curl.
            float64 (S, L).
    """

    probes: int | None
    of_score: Floats
    of_mean: Floats

    @property
    def score(self) -> Reading:
        """Asymmetry of the score."""
        return Reading("asymmetry of the score", self.denoiser, self.levels, self.of_score)

    @property
    def mean(self) -> Reading:
        """Asymmetry of the mean."""
        return Reading("asymmetry of the mean", self.denoiser, self.levels, self.of_mean)

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            **self.head("conservation"),
            "probes": self.probes,
            "score": self.score.to_record(),
            "mean": self.mean.to_record(),
        }

    def plot(self, path: Path | str) -> None:
        """Draws both asymmetries against time as a PNG."""
        plot_readings({"asymmetry": [self.mean, self.score]}, path, title=self.origin)


def conservation(
    denoiser: Denoiser,
    states: StateSet,
    *,
    probes: int | None = None,
    step: int | None = None,
    batch: int = 64,
    progress: Progress = SILENT,
) -> Conservation:
    """Measures how far the denoiser is from a gradient. Tier: *statistical*.

    Args:
        denoiser: a machine, a network, anything that samplers drive.
        states: where it is measured.

    Keyword Args:
        probes: random probes at each state; unless given, the whole Jacobian for pictures of up to 128 numbers, and 16
            probes for larger ones.
        step: of the differences, in units of 1/4080 (see `smalti.networks.measures.asking`).
        batch: how many states go into one call.
        progress: where progress is shown.

    Returns:
        The asymmetries; four calls of a state for each probe, or two for each number of a picture, at each state.

    Raises:
        UsageError: a setting has no meaning.
        SmaltiError: the denoiser returned something else than means.
    """
    probes = probes_for(states.picture, probes)
    of_score, of_mean = np.full((2, *states.shape), np.nan)
    with progress.task(f"asymmetry of {denoiser.name}", len(states.seeds) * len(states.levels)) as task:
        for n, i, state, level in states:
            if probes is None:
                found = jacobian(denoiser, state, level, step=step, batch=batch)
                odd, even = np.square(found - found.T).sum(), np.square(found + found.T).sum()
                of_state = np.square(level.signal * (found + found.T) - 2.0 * np.eye(len(found))).sum()
            else:
                drawn = signs(2 * probes, state.shape, seed=states.seeds[n], purpose="measures/curl", step=i)
                changes = derivatives(denoiser, state, level, drawn, step=step, batch=batch).reshape(2 * probes, -1)
                flat = drawn.reshape(2 * probes, -1).astype(np.float64)
                u, v = flat[:probes], flat[probes:]
                by_u, by_v = changes[:probes], changes[probes:]
                forth, back = (v * by_u).sum(axis=1), (u * by_v).sum(axis=1)
                odd, even = np.square(forth - back).sum(), np.square(forth + back).sum()
                of_state = np.square(level.signal * (forth + back) - 2.0 * (u * v).sum(axis=1)).sum()
            if even + odd >= INAUDIBLE**2 * (1 if probes is None else probes):
                of_mean[n, i] = math.sqrt(odd / even) if even else math.inf
            if of_state:
                of_score[n, i] = level.signal * math.sqrt(odd / of_state)
            task.advance()
    return Conservation(denoiser.name, states.levels, states.seeds, states.origin, probes, of_score, of_mean)
