"""From exact counts and sums to what a person asks about a token: its distribution, and what it owes to which place.

Each denoiser is a mixture of corpus places, so each place has a weight: the share of the posterior it gives to the
symbol it holds. What no place gives, the uniform prior at the bottom of a back-off, is told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2, exp2, log2
from smalti.engine.partial import NO_PLACE, SLICE_BITS, Partial
from smalti.errors import InputError, UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TextSources:
    """The best places of each site, best first; equal weights by document and offset. Tier: bitwise.

    document: int64 (Q, K), index in the corpus, -1 where there are fewer than K sources.
    offset: int64 (Q, K), the place in the document, in tokens.
    symbol: int64 (Q, K), what it holds; -1 where there is no source.
    weight: float64 (Q, K), exact posterior weight; 0 where there is no source.
    left_out: float64 (Q,), the mass of all other sources.
    """

    document: NDArray[np.int64]
    offset: NDArray[np.int64]
    symbol: NDArray[np.int64]
    weight: Floats
    left_out: Floats


@dataclass(frozen=True, eq=False)
class TextPosterior:
    """What a text machine believes about the wanted sites of a state. Tier: bitwise.

    sites: int64 (Q,), the wanted sites.
    probabilities: float64 (Q, V), the posterior of the clean symbol; rows sum to 1 within rounding.
    evidence: float64 (Q,) nats, log of the sum over places of exp(logit). For masks: log of the number of places that
        agree with all that is known in the window, -inf where there is none.
    support: int64 (Q,), how far back-off went: the last rung of the ladder that says something and that some place
        meets; -1 for machines without back-off.
    known: int64 (Q,), how many symbols of the window are known.
    prior: float64 (Q,), the mass that belongs to no source: what back-off leaves to the uniform prior.
    effective_sources: float64 (Q,), exp(entropy) of the sources' weights; None unless asked for. For mixtures of n
        parts a lower bound; the value is at most n times that. Before the pair of sides shifts anything.
    sources: the best places; None unless asked for.
    """

    sites: NDArray[np.int64]
    probabilities: Floats
    evidence: Floats
    support: NDArray[np.int64]
    known: NDArray[np.int64]
    prior: Floats
    effective_sources: Floats | None = None
    sources: TextSources | None = None

    @property
    def entropy(self) -> Floats:
        """Entropy of the distribution of the symbol in nats, (Q,)."""
        return entropy_of(self.probabilities)


def entropy_of(p: Floats) -> Floats:
    """Entropy in nats over the last axis; 0 log 0 is 0. Tier: bitwise."""
    terms = np.where(p > 0, p * log2(np.where(p > 0, p, 1.0)), 0.0)
    return LN2 * np.maximum(-_added(terms), 0.0)


@dataclass(frozen=True)
class BackOff:
    """What the counts of a ladder mean: from rung to rung, over those of which something is known,

    p_k(a) = (n_k(a) - d_k(a) + (sum of d_k + beta) p_{k-1}(a)) / (N_k + beta),  d_k(a) = min(discount, n_k(a))

    from the uniform p_{-1}; rung 0 is the whole corpus. Where no place meets a rung, p_k = p_{k-1}. With beta =
    discount = 0 the deepest rung that any place meets decides alone (infinity-gram).
    """

    beta: float
    discount: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.beta < float("inf") and 0.0 <= self.discount < 1.0):
            raise UsageError(
                f"a back-off with beta {self.beta:g} and discount {self.discount:g} has no meaning: give a beta of at "
                "least 0 and a discount of 0 to below 1"
            )

    def probabilities(self, counts: NDArray[np.int64], heard: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """The posterior (Q, V), and what it leaves to the uniform prior (Q,), from counts (Q, rungs + 1, V)."""
        q, rungs, vocabulary = counts.shape
        p = np.full((q, vocabulary), 1.0 / vocabulary)
        prior = np.ones(q)
        kept = self._kept(counts)
        passed, total, safe = self._rungs(counts, heard)
        for k in range(rungs):
            speaks = total[:, k] > 0
            p = np.where(speaks[:, None], (kept[:, k] + passed[:, k, None] * p) / safe[:, k, None], p)
            prior = np.where(speaks, passed[:, k] * prior / safe[:, k], prior)
        return p, prior

    def weights(
        self, counts: NDArray[np.int64], heard: NDArray[np.bool_], of: NDArray[np.integer] | None = None
    ) -> Floats:
        """The weight of a place by the rungs it meets and its symbol, (Q, rungs + 1, V), or (Q, rungs + 1, 1) if only
        one symbol of each site is asked about, `of` (Q,).
        """
        passed, total, safe = self._rungs(counts, heard)
        handed_on = np.ones(total.shape)
        for k in reversed(range(1, total.shape[1])):
            on = np.where(total[:, k] > 0, handed_on[:, k] * (passed[:, k] / safe[:, k]), handed_on[:, k])
            handed_on[:, k - 1] = on
        handed_on[total == 0] = 0.0
        n = counts if of is None else np.take_along_axis(counts, of[:, None, None], axis=2)
        own = self._kept(n) / np.maximum(n, 1) / safe[:, :, None] * handed_on[:, :, None]
        return np.cumsum(own, axis=1, out=own)

    def _kept(self, counts: NDArray[np.int64]) -> Floats:
        """n_k - d_k, of any shape."""
        return np.where(counts > 0, counts - self.discount, 0.0)

    def _rungs(self, counts: NDArray[np.int64], heard: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Sum of d_k + beta, and N_k + beta, 0 where the rung is passed over, and the same with 1 there, all (Q, rungs
        + 1).
        """
        of_all = counts.sum(axis=2).astype(np.float64)
        speaks = of_all > 0
        speaks[:, 1:] &= heard
        total = np.where(speaks, of_all + self.beta, 0.0)
        # The discount added up once for each symbol that is there, as a sum over all symbols in order would be.
        discounts = np.cumsum(np.r_[0.0, np.full(counts.shape[2], self.discount)])
        passed = discounts[np.count_nonzero(counts, axis=2)] + self.beta
        return passed, total, np.where(total > 0, total, 1.0)


def support_of(counts: NDArray[np.int64], heard: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last rung that says something and that some place meets, (Q,); 0 if none but the whole corpus."""
    met = (counts[:, 1:].sum(axis=2) > 0) & heard
    rungs = np.arange(1, heard.shape[1] + 1)
    return np.where(met, rungs, 0).max(axis=1, initial=0)


def shares_of(sums: Partial) -> Floats:
    """Each symbol's (or document's) share of the weight, (Q, K). Tier: bitwise.

    Raises:
        InputError: if a site has no admitted place at all.
    """
    if (sums.place == NO_PLACE).any():
        raise InputError(
            f"{int((sums.place == NO_PLACE).sum())} sites have no admitted place left: leave out less, or use a larger "
            "corpus"
        )
    totals = sums.totals()
    return totals[:, 1 : 1 + sums.channels] / totals[:, :1]


def evidence_of(sums: Partial) -> Floats:
    """Log of the sum of 2^(score / unit), nats (Q,). Tier: bitwise."""
    return LN2 * (log2(sums.totals()[:, 0]) + float(SLICE_BITS) * (sums.place - 2).astype(np.float64))


def source_entropy(sums: Partial) -> Floats:
    """Entropy of the places' weights in nats, (Q,), from sums with `spread`. Kept to 2^-12 bits. Tier: bitwise."""
    weight = sums.totals()[:, 0]
    spread = sums.slices[:, -1].astype(np.float64) / 4096.0
    by_place = spread + float(SLICE_BITS) * np.arange(3.0) * sums.slices[:, 0].astype(np.float64)
    total = (by_place[:, 2] * 2.0**SLICE_BITS + by_place[:, 1]) * 2.0**SLICE_BITS + by_place[:, 0]
    return LN2 * np.maximum(log2(weight) - total / weight, 0.0)


def class_entropy(count: NDArray[np.int64], weight: Floats) -> Floats:
    """Entropy in nats, (Q,), of places that come in classes: how many of each, and the weight of one, both (Q, ...)."""
    rows = len(count)
    of_class, of_place = count.reshape(rows, -1), weight.reshape(rows, -1)
    # Where there are many symbols, most classes are empty. `np.bincount` adds in order, as `_added` does.
    row, column = np.nonzero(of_class)
    n, w = of_class[row, column].astype(np.float64), of_place[row, column]
    total = np.bincount(row, n * w, rows)
    w = w / np.where(total > 0, total, 1.0)[row]
    terms = np.where(w > 0, n * w * log2(np.where(w > 0, w, 1.0)), 0.0)
    return LN2 * np.maximum(-np.bincount(row, terms, rows), 0.0)


def effective(entropy: Floats) -> Floats:
    """Exp of an entropy in nats."""
    return exp2(entropy / LN2)


def _added(x: Floats) -> Floats:
    """Sums over the last axis, from the first to the last: NumPy's own sum orders its terms as the processor likes."""
    return np.cumsum(x, axis=-1)[..., -1]
