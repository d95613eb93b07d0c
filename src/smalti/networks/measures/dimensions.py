"""How many dimensions the pictures have around a state, by what a denoiser believes.

Two measures, both about how a denoiser treats noise of standard deviation sigma = s / a around a point of a manifold
of dimension d in D numbers.

**Trace.** With y = x / a, the noisy picture on the scale of the clean one, and f the posterior mean (Tweedie),

    trace(d f / d y) = a trace J = E[ |x_0 - f|^2 | x ] / sigma^2 = D + sigma^2 trace(d score / d y):

directions along which the denoiser takes the noise away count 0, and those along which it lets it be count 1. For a
normal distribution with covariance eigenvalues lambda it is the sum of lambda / (lambda + sigma^2): the number of
directions wider than the noise. As sigma goes to 0 its mean over states goes to d, for a smooth density on the manifold
(Wu & Verdu 2011, "MMSE dimension"). A denoiser that knows single pictures only has 0. With |sigma score|^2 added, at a
clean picture, the trace is FLIPD (Kamkari et al. 2024, 2406.03537).

In large pictures the trace is the mean of u^T J u over directions u of independent fair signs, which is unbiased as
E(u_i u_j) is 1 for i = j and 0 otherwise (Hutchinson 1989); its variance is 1/2 the sum over i != j of (J_ij + J_ji)^2,
divided by the number of probes.

**Spectrum** (Stanczuk et al. 2024, 2212.12611). Under little noise the score points back to the manifold, at right
angles to it. So scores at K noisy copies of a clean picture span the D - d directions across it: of the singular values
of these K vectors times s / sqrt(K), the first D - d are near 1, and the rest small. D - d is the place of the greatest
drop from one to the next, where a 1 is put before the first and a 0 after the last, so that d = D and d = 0 can be
found too. Unlike there, the mean of the K scores is taken off first: by symmetry it is 0 on a flat manifold, and in
networks it is one more large value, that of the change which the network makes to a clean picture. Where values fall
without a clear drop, d says little; so the size of the drop goes with it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError, whole_number
from smalti.networks.measures.asking import derivatives, jacobian, means, probes_for, signs
from smalti.networks.measures.reading import Measurement, Reading, level_record, plot_readings
from smalti.networks.measures.states import StateSet
from smalti.noise import STATE_UNITS, Level, gaussian_state
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser, state_of, values_of

__all__ = ["Dimension", "ScoreSpectrum", "dimension", "score_spectrum"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dimension(Measurement):
    """The trace of d f / d y (see `smalti.networks.measures.dimensions`).

    Attributes:
        numbers: D, numbers in a picture.
        probes: random probes at each state; None where the whole Jacobian was used.
        traces: float64 (S, L).
    """

    numbers: int
    probes: int | None
    traces: Floats

    @property
    def trace(self) -> Reading:
        """The trace."""
        return Reading(f"dimension, of {self.numbers:,}", self.denoiser, self.levels, self.traces)

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            **self.head("dimension"),
            "numbers": self.numbers,
            "probes": self.probes,
            "trace": self.trace.to_record(),
        }

    def plot(self, path: Path | str) -> None:
        """Draws the trace against time as a PNG."""
        plot_readings({self.trace.title: [self.trace]}, path, title=self.origin)


def dimension(
    denoiser: Denoiser,
    states: StateSet,
    *,
    probes: int | None = None,
    step: int | None = None,
    batch: int = 64,
    progress: Progress = SILENT,
) -> Dimension:
    """Measures the local dimension by the trace. Tier: *statistical*.

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
        The traces; two calls of a state for each probe, or for each number of a picture, at each state.

    Raises:
        UsageError: a setting has no meaning.
        SmaltiError: the denoiser returned something else than means.
    """
    numbers = math.prod(states.picture)
    probes = probes_for(states.picture, probes)
    traces = np.empty(states.shape)
    with progress.task(f"dimension of {denoiser.name}", len(states.seeds) * len(states.levels)) as task:
        for n, i, state, level in states:
            if probes is None:
                found = float(np.trace(jacobian(denoiser, state, level, step=step, batch=batch)))
            else:
                drawn = signs(probes, state.shape, seed=states.seeds[n], purpose="measures/trace", step=i)
                changes = derivatives(denoiser, state, level, drawn, step=step, batch=batch)
                found = float((drawn * changes).sum()) / probes
            traces[n, i] = level.signal * found
            task.advance()
    return Dimension(denoiser.name, states.levels, states.seeds, states.origin, numbers, probes, traces)


@dataclass(frozen=True, eq=False)
class ScoreSpectrum:
    """Singular values of scores around clean pictures (see `smalti.networks.measures.dimensions`).

    Attributes:
        denoiser: name of what was measured.
        level: the noise level.
        copies: K, noisy copies of each picture.
        singular: singular values of the scores, less their mean, times s / sqrt(K), descending. 1 is what noise that is
            taken away as a whole gives in each direction, as K grows. float64 (S, D).
    """

    denoiser: str
    level: Level
    copies: int
    singular: Floats

    @property
    def dimensions(self) -> NDArray[np.int64]:
        """Dimension of each picture: D minus the place of the greatest drop. int64 (S,)."""
        return self.singular.shape[1] - self._drops.argmax(axis=1)

    @property
    def drops(self) -> Floats:
        """The greatest drop of each picture: 1 is as clear as can be. float64 (S,)."""
        return self._drops.max(axis=1)

    @property
    def _drops(self) -> Floats:
        ended = np.pad(self.singular, ((0, 0), (1, 1)))
        ended[:, 0] = 1.0
        return ended[:, :-1] - ended[:, 1:]

    @property
    def reading(self) -> Reading:
        """The dimensions."""
        values = self.dimensions[:, None].astype(np.float64)
        return Reading(f"dimension, of {self.singular.shape[1]:,}", self.denoiser, (self.level,), values)

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "measure": "score spectrum",
            "denoiser": self.denoiser,
            "levels": level_record([self.level]),
            "copies": self.copies,
            "singular": self.singular.tolist(),
            "drops": self.drops.tolist(),
            "dimension": self.reading.to_record(),
        }

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(self.to_record(), indent=1, allow_nan=False)

    def plot(self, path: Path | str) -> None:
        """Draws the singular values of each picture, and where they drop, as a PNG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        numbers = self.singular.shape[1]
        for row, found in zip(self.singular, self.dimensions, strict=True):
            (line,) = axes.plot(np.arange(1, numbers + 1), row, linewidth=0.8)
            if found < numbers:
                axes.plot([numbers - found], [row[numbers - found - 1]], "o", markersize=4, color=line.get_color())
        axes.set(xlabel="number of the singular value", ylabel="size; 1 is noise taken away", ylim=(0, None))
        axes.set_title(f"{self.denoiser}, time {self.level.time:g}: dots before the greatest drop", fontsize="medium")
        figure.savefig(path, dpi=120, metadata={"Software": None})


def score_spectrum(
    denoiser: Denoiser,
    pictures: NDArray[np.uint8],
    level: Level,
    *,
    copies: int | None = None,
    seed: int = 0,
    batch: int = 64,
    progress: Progress = SILENT,
) -> ScoreSpectrum:
    """Measures the local dimension by the spectrum of scores around clean pictures. Tier: *statistical*.

    Args:
        denoiser: a machine, a network, anything that samplers drive.
        pictures: clean pictures, of the corpus or not. uint8 (S, H, W, C).
        level: a level of little noise.

    Keyword Args:
        copies: K, noisy copies of each picture, at least D, the numbers in it; unless given 4 D, as in the paper.
        seed: of the noise.
        batch: how many states go into one call.
        progress: where progress is shown.

    Returns:
        The singular values; K calls of a state for each picture.

    Raises:
        UsageError: fewer copies than numbers.
        InputError: pictures of another form.
        SmaltiError: the denoiser returned something else than means.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or not pictures.size:
        raise InputError(f"Pictures are a uint8 array of shape (S, H, W, C), not {pictures.dtype} of {pictures.shape}.")
    numbers = math.prod(pictures.shape[1:])
    count = 4 * numbers if copies is None else whole_number(copies, "Copies are counted in whole numbers", least=1)
    if count < numbers:
        raise UsageError(
            f"Scores at {count} copies span {count} directions at most, and a picture has {numbers} numbers: use as "
            "many copies or more."
        )
    singular = np.empty((len(pictures), numbers))
    with progress.task(f"scores of {denoiser.name}", len(pictures)) as task:
        for n, picture in enumerate(pictures):
            noise = gaussian_state((count, *picture.shape), seed=seed, purpose="measures/score", step=n)
            states = state_of(level.signal * values_of(picture) + level.noise * (noise / STATE_UNITS))
            mean = means(denoiser, states, level, batch=batch)
            scores = ((level.signal * mean - states / STATE_UNITS) / level.noise).reshape(count, numbers)
            singular[n] = np.linalg.svd(scores - scores.mean(axis=0), compute_uv=False) / math.sqrt(count)
            task.advance()
    return ScoreSpectrum(denoiser.name, level, count, singular)
