"""From exact sums to what a person asks for: mean, evidence, entropy, sources."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2, exp2, log2
from smalti.engine.partial import NO_PLACE, SLICE_BITS, Partial
from smalti.engine.query import PIXEL_UNIT, Query
from smalti.errors import InputError
from smalti.noise import STATE_UNITS, Level


@dataclass(frozen=True, eq=False)
class Sources:
    """The best corpus sites for each state site, best first. Tier: bitwise.

    item: int64 (..., H, W, K), index in the corpus, -1 where there are fewer than K sources.
    row, column: int64 (..., H, W, K), the place in the item.
    weight: float64 (..., H, W, K), exact posterior weight, 0 where there is no source.
    left_out: float64 (..., H, W), the mass that the list leaves out.
    """

    item: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]
    left_out: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """What a machine believes about the clean picture, given a noisy state.

    Arrays have a leading batch axis where the state had one. Tier: bitwise.

    mean: float64 (..., H, W, C) in [-1, 1], E[x_0 | x_t] under the machine's model.
    evidence: float64 (..., H, W) nats, log of the sum over admitted sites of exp(logit), with logit = -|x - a k|^2 /
        (2 s^2) over the window.
    cut: float64 (..., H, W), a proven bound on the share of the weight that was dropped for lying more than 30 bits
        below the best source.
    entropy: float64 (..., H, W) nats, of the weights of the sources; None unless asked for. Kept to 2^-12 bits.
    shares: float64 (N, ..., H, W), each item's share of the weight; None unless asked for.
    sources: the best sources; None unless asked for.
    patch_size: side of the window in pixels; 0 where whole images were compared.
    state: int16 (..., H, W, C) in units of 1/4080, and level: what was asked about.
    """

    mean: NDArray[np.float64]
    evidence: NDArray[np.float64]
    cut: NDArray[np.float64]
    state: NDArray[np.int16]
    level: Level
    patch_size: int
    entropy: NDArray[np.float64] | None = None
    shares: NDArray[np.float64] | None = None
    sources: Sources | None = None

    def of_state(self, index: int) -> Posterior:
        """The posterior of one state of a batch, without the batch axis."""

        def pick(a: NDArray[Any] | None) -> Any:
            return None if a is None else a[index]

        return Posterior(
            mean=self.mean[index],
            evidence=self.evidence[index],
            cut=self.cut[index],
            state=self.state[index],
            level=self.level,
            patch_size=self.patch_size,
            entropy=pick(self.entropy),
            shares=None if self.shares is None else self.shares[:, index],
            sources=None
            if self.sources is None
            else Sources(**{f.name: getattr(self.sources, f.name)[index] for f in fields(Sources)}),
        )

    @property
    def effective_sources(self) -> NDArray[np.float64] | None:
        """exp(entropy): how many equally weighted sources would be as uncertain; (..., H, W)."""
        return None if self.entropy is None else exp2(self.entropy / LN2)

    @property
    def noise(self) -> NDArray[np.float64]:
        """The noise prediction (x - a mean) / s; (..., H, W, C)."""
        return (self.state / STATE_UNITS - self.level.signal * self.mean) / self.level.noise

    @property
    def score(self) -> NDArray[np.float64]:
        """The score (a mean - x) / s^2; (..., H, W, C)."""
        return (self.level.signal * self.mean - self.state / STATE_UNITS) / (self.level.noise * self.level.noise)


def window_energy(query: Query) -> NDArray[np.float64]:
    """Sum of squares of the state over each site's window, in units of 1/4080^2; (B, H, W). Exact up to 8 million
    values: integers below 2^53.
    """
    x = query.states.astype(np.int64)
    if query.admission.whole != "no":
        return np.broadcast_to((x * x).sum(axis=(1, 2, 3))[:, None, None], x.shape[:3]).astype(np.float64)
    size = 2 * query.admission.half + 1
    padded = query.admission.pad(query.states).astype(np.int64)
    squares = (padded * padded).sum(axis=3)
    rows = np.pad(squares.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
    rows = rows[:, size:] - rows[:, :-size]
    both = np.pad(rows.cumsum(axis=2), ((0, 0), (0, 0), (1, 0)))
    return (both[:, :, size:] - both[:, :, :-size]).astype(np.float64)


def admitted(query: Query) -> NDArray[np.float64]:
    """How many corpus sites each state site may take its sources from, exclusions not counted; (H, W)."""
    _, height, width, _ = query.states.shape
    items = float(len(query.images))
    if query.admission.whole != "no":
        return np.full((height, width), items * (height * width if query.admission.whole == "every-shift" else 1))
    out = np.zeros((height, width))
    for rows, columns in query.admission.pairs:
        places = 1
        for span in (rows, columns):
            places *= span.corpus1 - span.corpus0 if span.place == "free" else 1
        out[rows.state0 : rows.state1, columns.state0 : columns.state1] = items * places
    return out


def mean_of(sums: Partial) -> NDArray[np.float64]:
    """The mean (B, H, W, C) in [-1, 1] from exact sums; NaN where a site has no source. Tier: bitwise.

    It is a quotient of two rounded sums and could leave the interval by a last bit, so it is clipped.
    """
    totals = sums.totals()
    weight = np.where(sums.place == NO_PLACE, np.nan, totals[..., 0])
    return np.clip(totals[..., 1 : 1 + sums.channels] / weight[..., None] / PIXEL_UNIT, -1.0, 1.0)


def finish(
    query: Query, sums: Partial
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64]]:
    """Mean (B, H, W, C), evidence (B, H, W), entropy (B, H, W) or None, and cut (B, H, W) from exact sums.

    Raises:
        InputError: if a site has no admitted source at all.
    """
    if (sums.place == NO_PLACE).any():
        raise InputError(
            f"{int((sums.place == NO_PLACE).sum())} sites have no admitted source left: "
            "leave out less, or use a larger corpus"
        )
    totals = sums.totals()
    weight = totals[..., 0]
    above = log2(weight)
    s = query.level.noise * query.width * STATE_UNITS
    log_weight = above + float(SLICE_BITS) * (sums.place - 2).astype(np.float64)
    evidence = LN2 * log_weight - window_energy(query) / (2.0 * s * s)
    entropy = None
    if sums.has_spread:
        # A slice's logarithms are counted from its own place; here from the lowest one, as `above`.
        spread = sums.slices[..., -1, :].astype(np.float64) / 4096.0
        kept = sums.slices[..., 0, :].astype(np.float64)
        by_place = spread + float(SLICE_BITS) * np.arange(3.0) * kept
        total = (by_place[..., 2] * 2.0**SLICE_BITS + by_place[..., 1]) * 2.0**SLICE_BITS + by_place[..., 0]
        entropy = LN2 * np.maximum(above - total / weight, 0.0)
    cut = admitted(query) / weight
    return mean_of(sums), evidence, entropy, cut
