"""Noise on tokens: the share that is kept at each time, and the exact steps back.

Forward, each token alone keeps its value with probability a(t), and is otherwise replaced, by the mask or by a token
drawn uniformly from all V (its own value among them). a falls from a(0) = 1:

    linear       a = 1 - t
    cosine       a = cos(pi t / 2)                (Sahoo et al. 2024, 2406.07524, appendix)
    log-linear   a = 1 - (1 - 1/1000) t           (the same; named for the noise -log a)
    fourth-root  a = (1 - t)^(1/4)                (ours: few steps where little is known, many where texts become clear)

One step back, from time t to an earlier s, with p the posterior probabilities of the clean token at a site:

    mask      a masked token is revealed with probability (a_s - a_t) / (1 - a_t), drawn from p; a visible one stays
    uniform   p(x_s = b | x_t) ~ (r [x_t = b] + (1 - r) / V) (a_s p(b) + (1 - a_s) / V),    r = a_t / a_s

(`smalti.noise.structured` has a third noise.) The second step is exact for p the *leave-one-out* posterior, which has
not seen x_t at the site itself (theory: the factor q(x_t | x_s = b) sum_a p(a) q(x_s = b | a)). With p the ordinary
posterior x_t would count twice.

Shares are computed in decimal arithmetic and rounded to 2^-40, so they are the same bytes everywhere.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.noise.schedule import CONTEXT, PI, checked_steps, cos_squared_and_rest, rounded

__all__ = ["KEPT", "kept", "uniform_reverse", "uniform_split"]


def _linear(time: Decimal) -> Decimal:
    return 1 - time


def _cosine(time: Decimal) -> Decimal:
    return cos_squared_and_rest(time * PI / 2)[0].sqrt()


def _log_linear(time: Decimal) -> Decimal:
    return 1 - Decimal("0.999") * time


def _fourth_root(time: Decimal) -> Decimal:
    return (1 - time).sqrt().sqrt()


KEPT = {"linear": _linear, "cosine": _cosine, "log-linear": _log_linear, "fourth-root": _fourth_root}
"""Schedules of the share of tokens that is kept, by name."""


def kept(name: str, steps: int) -> NDArray[np.float64]:
    """The share of tokens kept at the times 1, (steps - 1) / steps, ..., 0. Tier: *bitwise*.

    Args:
        name: one of `KEPT`.
        steps: number of steps, at least 1.

    Returns:
        Ascending, the last 1. float64, shape (steps + 1,).

    Raises:
        UsageError: unknown name, or a number of steps that is not at least 1.
    """
    if name not in KEPT:
        raise UsageError(f"there is no schedule of noise on tokens called {name!r}: choose one of {', '.join(KEPT)}")
    steps = checked_steps(steps)
    with localcontext(CONTEXT):
        return np.array([rounded(KEPT[name](Decimal(steps - i) / steps)) for i in range(steps + 1)])


def uniform_reverse(
    leave_one_out: NDArray[np.float64], tokens: NDArray[np.int64], before: float, after: float
) -> NDArray[np.float64]:
    """The law of the tokens one step back under uniform noise, site by site. Tier: *bitwise*; exact (see the module).

    Args:
        leave_one_out: posterior probabilities of the clean token given all *other* tokens. float64, shape (L, V).
        tokens: the tokens now. Shape (L,).
        before: share kept at the noisier time, where the tokens are.
        after: share kept at the earlier time, above 0, at least `before`.

    Returns:
        Rows that sum to 1 (to rounding). Shape (L, V).
    """
    vocabulary = leave_one_out.shape[-1]
    ratio = before / after
    stays = np.full(leave_one_out.shape, (1.0 - ratio) / vocabulary)
    stays[np.arange(len(tokens)), tokens] += ratio
    law = stays * (after * leave_one_out + (1.0 - after) / vocabulary)
    return law / np.cumsum(law, axis=-1)[:, -1:]


def uniform_split(
    posterior: NDArray[np.float64], tokens: NDArray[np.int64], after: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a step back owes the tokens it drew to, before x_t has its say: the posterior, or the noise.

    Args:
        posterior: what the step was made of. float64, shape (S, V).
        tokens: the tokens drawn. Shape (S,).
        after: share kept at the time they are drawn for.

    Returns:
        Their chance to be the clean token, kept; and to have come of the noise; each in shape (S,).
    """
    own = after * posterior[np.arange(len(tokens)), tokens]
    return own, np.full(len(tokens), (1.0 - after) / posterior.shape[-1])
