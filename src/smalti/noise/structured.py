"""Structured noise on tokens: before a token is drawn anew it turns into tokens that are like it.

Two kinds of jumps touch each token alone (Austin et al. 2021, 2107.03006, for noise with any matrix). A *fresh* jump
draws from all V tokens, U = 1 / V; a *near* one follows S, symmetric and doubly stochastic, made of symmetric rates w
(`smalti.noise.similar`) by Metropolis' rule (Metropolis et al. 1953), which needs no iteration and never fails:

    S[j, k] = w[j, k] / max(w[j], w[k]) for j != k,  w[j] the sum of row j;  S[j, j] is what is left to 1

With a share u of fresh jumps (`jump`) one jump has the law K = (1 - u) S + u U, and the noise is the process with the
generator K - I. Its clock is set by the fresh jumps: the share a of tokens that none of them has touched falls as for
uniform noise, by the schedules of `smalti.noise.discrete`. A token then has made n near jumps with the odds of a
Poisson variable of mean -ln(a) (1 - u) / u, and since S U = U

    Q(a) = exp(-ln(a) / u (K - I)) = a H(a) + (1 - a) U,    H(a) = sum over n of odds(n) S^n

So the stationary law is uniform, Q(0) = U exactly, and u = 1 is uniform noise. (With the clock of all jumps, a = share
that no jump has touched, a small u would leave most of what tokens are alike in at the last time of every schedule,
where one step back would have to settle it for all places at once.) Forward, a token first loses which of its likes it
is, and then everything; back, texts become clear from coarse to fine.

The step back from a share a_t to a_s > a_t is exact for p the leave-one-out posterior of the clean token, as Q is
symmetric and Q(a_t) = Q(a_s) Q(a_t / a_s):

    p(x_s = b | x_t)  ~  Q(a_t / a_s)[b, x_t]  sum over k of p(k) Q(a_s)[k, b]

Tier: *bitwise*: odds are decimal numbers of a stated precision, and all sums run in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.noise.schedule import CONTEXT
from smalti.noise.similar import product

__all__ = ["LEAST_JUMP", "MOST_TOKENS", "JumpNoise", "check_jump", "check_tokens", "stochastic"]

MOST_TOKENS = 256
"""Most tokens V that structured noise is computed for: its work grows with the third power of V."""

LEAST_JUMP = 0.01
"""Least share of fresh jumps: with fewer, tokens make thousands of near jumps before a fresh one."""

# Near jumps whose powers of S are kept; for more of them, the law of half as many is applied twice.
_MOST_MEAN = Decimal(32)
_NEGLIGIBLE = Decimal(2) ** -64
_MOST_KEPT = 8

Matrix = NDArray[np.float64]


def check_tokens(vocabulary: int) -> None:
    """Raises `UsageError` if structured noise is not for so many tokens."""
    if vocabulary > MOST_TOKENS:
        raise UsageError(
            f"structured noise is for at most {MOST_TOKENS} tokens, and these texts have {vocabulary:,}: cut them into "
            "bytes (--tokens bytes), or choose another noise"
        )


def check_jump(jump: float) -> None:
    """Raises `UsageError` if a share of fresh jumps has no meaning."""
    if not LEAST_JUMP <= jump <= 1.0:
        raise UsageError(f"a jump of {jump:g} has no meaning: give a share of {LEAST_JUMP:g} to 1")


def stochastic(rates: Matrix) -> Matrix:
    """S of the module for symmetric rates of at least 0, (V, V), whose diagonal has no meaning. Tier: *bitwise*."""
    rates = np.where(np.eye(len(rates), dtype=np.bool_), 0.0, rates)
    # Rates of any size: only their proportions matter.
    rates = rates / max(float(rates.max()), np.finfo(np.float64).tiny)
    row = np.cumsum(rates, axis=1)[:, -1]
    larger = np.maximum(row[:, None], row)
    out = np.where(rates > 0, rates / np.where(larger > 0, larger, 1.0), 0.0)
    np.fill_diagonal(out, np.maximum(1.0 - np.cumsum(out, axis=1)[:, -1], 0.0))
    return out


@dataclass(frozen=True, eq=False)
class JumpNoise:
    """Structured noise; see the module.

    Attributes:
        near: S, the law of near jumps, symmetric, rows that sum to 1. Shape (V, V).
        jump: u, the share of fresh jumps, from `LEAST_JUMP` to 1.

    Raises:
        UsageError: there are more than `MOST_TOKENS` tokens, or u has no meaning.
    """

    near: Matrix
    jump: float
    _powers: list[Matrix] = field(default_factory=list, init=False, repr=False)
    _known: dict[float, Matrix] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_tokens(len(self.near))
        check_jump(self.jump)

    def forward(self, kept: float) -> Matrix:
        """Q(a), what token j (row) turns into: rows that sum to 1. Shape (V, V).

        Args:
            kept: share a of tokens that no fresh jump has touched, above 0, at most 1.
        """
        return kept * self._near(kept) + (1.0 - kept) / len(self.near)

    def reverse(
        self, leave_one_out: Matrix, tokens: NDArray[np.int64], before: float, after: float
    ) -> NDArray[np.float64]:
        """The law of the tokens one step back, site by site; exact (see the module). Tier: *bitwise*.

        Args and returns as `smalti.noise.discrete.uniform_reverse`.
        """
        law = self.forward(before / after)[tokens] * product(leave_one_out, self.forward(after))
        return law / np.cumsum(law, axis=-1)[:, -1:]

    def split(self, posterior: Matrix, tokens: NDArray[np.int64], after: float) -> tuple[Matrix, Matrix]:
        """As `smalti.noise.discrete.uniform_split`: what comes of another token, near or not, is the noise's."""
        whole = product(posterior, self.forward(after))[np.arange(len(tokens)), tokens]
        own = posterior[np.arange(len(tokens)), tokens] * after * self._near(after).diagonal()[tokens]
        return own, np.maximum(whole - own, 0.0)

    def _near(self, kept: float) -> Matrix:
        """H(a)."""
        if kept not in self._known:
            with localcontext(CONTEXT):
                share = Decimal(self.jump)
                mean = -Decimal(kept).ln() * (1 - share) / share
            # A run asks for the matrices of one step and of the next; others may be made anew.
            while len(self._known) >= _MOST_KEPT:
                del self._known[next(iter(self._known))]
            self._known[kept] = self._after(mean)
        return self._known[kept]

    def _after(self, mean: Decimal) -> Matrix:
        """The law of as many near jumps as a Poisson variable of a mean says."""
        if mean > _MOST_MEAN:
            with localcontext(CONTEXT):
                half = self._after(mean / 2)
            return product(half, half)
        out = np.zeros(self.near.shape)
        for jumps, odds in enumerate(_poisson(mean)):
            out += odds * self._power(jumps)
        return out

    def _power(self, jumps: int) -> Matrix:
        while len(self._powers) <= jumps:
            self._powers.append(product(self._powers[-1], self.near) if self._powers else self._identity)
        return self._powers[jumps]

    @cached_property
    def _identity(self) -> Matrix:
        return np.eye(len(self.near))


def _poisson(mean: Decimal) -> Iterator[float]:
    """The odds of 0, 1, ... until the rest is negligible."""
    with localcontext(CONTEXT):
        odds = (-mean).exp()
        found = [odds]
        while len(found) <= mean or odds >= _NEGLIGIBLE:
            odds = odds * mean / len(found)
            found.append(odds)
    return map(float, found)
