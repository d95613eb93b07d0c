"""What a text posterior is made of: parts in fixed shares, and the sides that shift mass between symbols.

The parts are mixtures of corpus places, and so is their sum m. What the *sides* say is none: with p_l and p_r the
back-offs on the ladders to the left and to the right, and p_0 that of the whole corpus,

    z(a) proportional to p_l(a) p_r(a) / p_0(a)     where both sides are known (the pair of sides)
    z(a) = p_l(a), or p_r(a)                        where one is

The pair is right where two sides are independent given the symbol between them; no place need have seen both. The blend
is

    p(a) = prior / V + (1 - prior) g(a),   g(a) proportional to ((m(a) - prior / V)^(1 - pair) z(a)^pair)^(1 - c)

with c = `caution` where one side is known and 0 where both are: what one side says alone is taken less literally.
`prior`, the mass of no place, is that of m. Where nothing is known, p = m.

**Receipts.** The blend decides how much mass a symbol has; which places it owes it to is decided by m: each symbol's
mass, p(a) - prior / V, is split among its places in proportion to their weights in m. So the weights of the places that
hold a symbol, and prior / V, sum to its probability; a symbol that no place holds has no more than prior / V; and
within a symbol the order of places is that of m.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import TokenCorpus
from smalti.engine.arithmetic import exp2, log2
from smalti.engine.text_posterior import TextSources
from smalti.machines.text_parts import BackOffPart, Floats, Part, Symbols, sum_of


@dataclass(frozen=True, eq=False)
class Mixture:
    """Parts in their shares, for Q sites.

    parts: at least one.
    factor: float64 (Q, V), what the weights of each symbol's places are multiplied by; None: nothing is shifted.
    """

    parts: tuple[Part, ...]
    factor: Floats | None = None

    @cached_property
    def linear(self) -> Floats:
        """The sum m of the parts, (Q, V)."""
        return sum_of(part.share[:, None] * part.probabilities for part in self.parts)

    @cached_property
    def prior(self) -> Floats:
        """The mass of no place, (Q,); each symbol has 1 / V of it."""
        return sum_of(part.share * part.prior for part in self.parts)

    @cached_property
    def probabilities(self) -> Floats:
        """The posterior, (Q, V)."""
        if self.factor is None:
            return self.linear
        floor = (self.prior / self.linear.shape[1])[:, None]
        return np.where(self.factor == 1.0, self.linear, floor + self.factor * np.maximum(self.linear - floor, 0.0))

    @property
    def entropy(self) -> Floats:
        """At most that of the places' weights in m, nats (Q,): the mean over the parts."""
        return sum_of(part.share * part.entropy() for part in self.parts)

    def mass(self, of: Symbols) -> Floats:
        """(Q,), the mass of all places that hold a symbol; -1: of all."""
        of_symbol = sum_of(part.share * part.mass(of) for part in self.parts)
        return np.where(of >= 0, of_symbol * self._factor_of(of), 1.0 - self.prior)

    def weights(self, around: NDArray[np.int64], symbol: NDArray[np.int64]) -> Floats:
        """(Q, K), the weights of places of which is given what the corpus holds around (Q, K, 2 R' + 1) and there."""
        weights = sum_of(part.share[:, None] * part.weights(around, symbol) for part in self.parts)
        if self.factor is None:
            return weights
        inside = symbol < self.factor.shape[1]
        return weights * np.where(inside, np.take_along_axis(self.factor, np.where(inside, symbol, 0), axis=1), 1.0)

    def documents(self, of: Symbols, threads: int | None) -> Floats:
        """(Q, D), the mass of each document's places that hold a symbol."""
        weights = sum_of(part.share[:, None] * part.documents(of, threads) for part in self.parts)
        return weights * self._factor_of(of)[:, None]

    def sources(self, corpus: TokenCorpus, reach: int, of: Symbols, top: int) -> TextSources:
        """The best places of each part that hold a symbol (Q,), -1 for any, with their weight in the whole posterior.

        `reach` is how far windows of any part go.
        """
        places = np.sort(np.concatenate([part.best(of, top) for part in self.parts], axis=1), axis=1)
        places[:, 1:][places[:, 1:] == places[:, :-1]] = -1  # a place that several parts list
        there = places >= 0
        safe = np.where(there, places, reach)
        symbol = corpus.symbols[safe].astype(np.int64)
        around = corpus.symbols[safe[..., None] + np.arange(-reach, reach + 1)].astype(np.int64)
        weight = np.where(there, self.weights(around, symbol), 0.0)
        # Equal weights in order of place, which is that of document and offset.
        order = np.lexsort((safe, -weight), axis=1)[:, :top]
        places, symbol = (np.take_along_axis(a, order, 1) for a in (safe, symbol))
        there, weight = np.take_along_axis(there, order, 1), np.take_along_axis(weight, order, 1)
        document, offset = corpus.document_of(np.where(there, places, corpus.starts[0]))
        return TextSources(
            document=np.where(there, document, -1),
            offset=np.where(there, offset, -1),
            symbol=np.where(there, symbol, -1),
            weight=weight,
            left_out=np.maximum(self.mass(of) - np.cumsum(weight, axis=1)[:, -1], 0.0),
        )

    def _factor_of(self, of: Symbols) -> Floats:
        if self.factor is None:
            return np.ones(len(of))
        return self.factor[np.arange(len(of)), np.maximum(of, 0)]


def with_sides(mixture: Mixture, left: BackOffPart, right: BackOffPart, pair: float, caution: float) -> Mixture:
    """The mixture, shifted by the sides that are known. Tier: bitwise."""
    bottom, _ = left.back_off.probabilities(left.counts[:, :1], left.heard[:, :0])
    own = np.maximum(mixture.linear - (mixture.prior / bottom.shape[1])[:, None], 0.0)
    known_left, known_right = (side.heard.any(axis=1, keepdims=True) for side in (left, right))
    both = known_left & known_right
    sides = np.where(known_left, left.probabilities, 1.0) * np.where(known_right, right.probabilities, 1.0)
    there = (own > 0) & (sides > 0) & (bottom > 0)

    def log(x: Floats) -> Floats:
        return log2(np.where(there, x, 1.0))

    blend = (1.0 - pair) * log(own) + pair * (log(sides) - np.where(both, log(bottom), 0.0))
    blend = np.where(there, exp2(np.where(both, blend, (1.0 - caution) * blend)), 0.0)
    total = np.cumsum(blend, axis=1)[:, -1]
    # Sides that have nothing in common with what the places say leave it as it is.
    shifted = (known_left | known_right) & (total > 0)[:, None]
    whole = (1.0 - mixture.prior) / np.where(total > 0, total, 1.0)
    factor = np.where(there, blend * whole[:, None] / np.where(own > 0, own, 1.0), 0.0)
    return Mixture(mixture.parts, np.where(shifted, factor, 1.0))
