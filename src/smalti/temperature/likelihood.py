r"""Background temperature from the log-probabilities that a system reports.

On the greedy path y* of a prompt an ideal system at temperature T takes the greedy token with probability

    q(T) = softmax(z / T)[y*] = 1 / (1 + S),    S = sum over other tokens of exp(-(z* - z) / T)

at every place. A run follows the path until it leaves it at D, or to the end. The runs of all prompts have

    log-likelihood(T) = sum over runs of  sum_{t < D} log q_t(T) + [the run left] log(1 - q_D(T))

and what enters is, at each place of each path (a *site*), how many runs came there and how many of them left. T is
its maximum. Where no run left, T = 0 fits best and the answer is the bound at which the chance of that is 5 %:
sum of -log q_t(T) over the runs = 3.

Systems report the K likeliest tokens only. The others have the mass r together and at most c each, so for T <= 1
their share of S lies between 0 and (r / c) exp(-(z* - log c) / T): *certified* bounds on q, and so on the maximum.
The estimate takes the most that they can do; intervals hold what follows from the most and from nothing, and the bound
is that from nothing, the larger one. With no alternative beside the greedy token there is nothing to estimate from.

Where a system reports log-probabilities after its noise, repeats of one prefix differ, and z is their mean over the n
runs there. A run then differs from a mean that it has a part in, by noise of sqrt(1 - 1 / n) its size (exactly so for
normal noise), or sqrt(1 - sum of c^2 / n^2) where c runs each report the same, as those of one fixed configuration do;
the gaps of such sites are divided by that, and a site with one such run says nothing.
Source: theory of Messina & Scotta 2026 (arXiv 2604.22411), section 2; the protocol is ours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.engine.arithmetic import LN2, exp2, log2
from smalti.resample import counts, interval, whole
from smalti.temperature.record import Answer, Recording

__all__ = ["GRID", "NONE_SEEN", "Fitted", "Sites", "fit", "hazards", "log_likelihoods", "peaks", "sites"]

GRID = np.array([10.0 ** (-5 + k / 30) for k in range(151)])
"""Temperatures at which the likelihood is computed; between them it is a parabola in log T."""

NONE_SEEN = 3.0
"""-log of the chance of what was seen at the upper bound: 5 %."""

_DROP = 1.9207294103470575  # half the 95 % point of chi-square with one degree of freedom
_STEP = 2.0**-16  # what log-likelihoods are rounded to, in nats
_CELLS = 2_000_000
_EQUAL = 1e-9  # log-probabilities that are as close are the same
_LOWEST = 1e9  # a log-probability of nothing
_LEAST_CAP = -690.0  # least log-probability of which the inverse is a number; a larger one bounds more
_LOG2_10 = 3.321928094887362

Floats = NDArray[np.float64]
Tail = Literal["none", "most"]


@dataclass(frozen=True, eq=False)
class Sites:
    """The places of greedy paths that runs came to.

    Attributes:
        prompt: the prompt of each site. Shape (N,).
        place: its place on the path, from 0. Shape (N,).
        gaps: how far the log-probability of each other reported token lies below the greedy one's, in nats; infinite
            where there is none. Shape (N, K).
        tail_gap: the same for the most that a token not reported can have. Shape (N,).
        tail_count: number of such tokens that would have the mass not reported. Shape (N,).
        came: runs that came to the site, by time block. Shape (N, B).
        left: those that took another token there. Shape (N, B).
        noisy: whether the log-probabilities differ between runs at a place, as they do where the noise is in them.
    """

    prompt: NDArray[np.int64]
    place: NDArray[np.int64]
    gaps: Floats
    tail_gap: Floats
    tail_count: Floats
    came: NDArray[np.int64]
    left: NDArray[np.int64]
    noisy: bool = False

    @property
    def runs(self) -> int:
        """Runs at the beginning of the paths."""
        return int(self.came[self.place == 0].sum())


@dataclass(frozen=True, eq=False)
class Fitted:
    """A temperature by maximum likelihood.

    Attributes:
        temperature: the maximum; 0 where no run left its path.
        low: lower end of the interval.
        high: upper end; where no run left its path, the bound.
        systematic: temperatures between which the maximum lies for sure, whatever the tokens not reported.
        left: runs that left their path.
        curve: log-likelihood at `GRID`. Shape (G,).
        capped: whether the maximum or an end lies at the highest temperature of the grid, 1.
    """

    temperature: float
    low: float
    high: float
    systematic: tuple[float, float]
    left: int
    curve: Floats
    capped: bool


def sites(recording: Recording) -> Sites | None:
    """The sites of a recording's answers, cached ones left out; None where no site has two alternatives.

    A path ends where a run of those still on it has ended, or where none of them tells alternatives that are possible.
    """
    blocks = {block: b for b, block in enumerate(recording.blocks)}
    rows: list[_Row] = []
    for prompt in range(len(recording.prompts)):
        runs = [answer for answer in recording.of(prompt=prompt) if not answer.cached]
        for place in range(recording.max_tokens):
            told = [answer for answer in runs if answer.top and len(answer.top) > place]
            if not told or any(len(answer.tokens) <= place for answer in runs):
                break
            row = _row(prompt, place, told, runs)
            if row is None:
                break
            rows.append(row)
            runs = [answer for answer in runs if answer.tokens[place] == row.greedy]
    noisy = any(row.noisy for row in rows)
    if noisy:
        rows = [row for row in rows if row.reports > 1]
    if not any(row.gaps for row in rows):
        return None
    width = max(len(row.gaps) for row in rows)
    came, left = (np.zeros((len(rows), len(blocks)), np.int64) for _ in range(2))
    for at, row in enumerate(rows):
        for answer in row.runs:
            came[at, blocks[answer.block]] += 1
            left[at, blocks[answer.block]] += answer.tokens[row.place] != row.greedy
    return Sites(
        np.array([row.prompt for row in rows]),
        np.array([row.place for row in rows]),
        np.array([row.gaps + [math.inf] * (width - len(row.gaps)) for row in rows]).reshape(len(rows), width),
        np.array([row.tail_gap for row in rows]),
        np.array([row.tail_count for row in rows]),
        came,
        left,
        noisy,
    )


@dataclass(frozen=True)
class _Row:
    prompt: int
    place: int
    greedy: str
    gaps: list[float]
    tail_gap: float
    tail_count: float
    runs: list[Answer]
    reports: int
    noisy: bool


def _row(prompt: int, place: int, told: Sequence[Answer], runs: list[Answer]) -> _Row | None:
    """One site: mean log-probabilities of the tokens that every run reports; all others are the tail."""
    lists = [dict(answer.top[place]) for answer in told if answer.top and answer.top[place]]
    known = set(lists[0]).intersection(*lists[1:]) if lists else set[str]()
    if not known:
        return None
    mean = {token: math.fsum(one[token] for one in lists) / len(lists) for token in known}
    taken = Counter(answer.tokens[place] for answer in runs)
    greedy = min(known, key=lambda token: (-mean[token], -taken[token], token))
    if mean[greedy] <= _LEAST_CAP:  # the likeliest token is one of the impossible ones
        return None
    noisy = any(
        max(apart) - min(apart) > _EQUAL for token in known for apart in [[o[greedy] - o[token] for o in lists]]
    )
    alike = Counter(tuple(sorted(one.items())) for one in lists).values() if noisy else ()
    shrunk = math.sqrt(1.0 - sum(c * c for c in alike) / len(lists) ** 2)
    # A token that is missing from a list has at most what is last there.
    cap = max(min(max(min(one.values()) for one in lists), mean[greedy]), _LEAST_CAP)
    rest = 1.0 - math.fsum(_exp(value) for value in mean.values())
    return _Row(
        prompt,
        place,
        greedy,
        sorted((mean[greedy] - value) / shrunk for token, value in mean.items() if token != greedy),
        (mean[greedy] - cap) / shrunk,
        max(rest, 0.0) / _exp(cap),
        runs,
        len(lists),
        noisy,
    )


def _exp(value: float) -> float:
    return float(exp2(value / LN2))


def hazards(found: Sites, temperatures: Floats, *, tail: Tail = "most") -> tuple[Floats, Floats]:
    """(log q, log(1 - q)) of each site at each temperature in (0, 1]; shapes (N, G). Tier: *bitwise*.

    `tail` chooses what is assumed of the tokens not reported: that there are none, or the most that can be.
    """
    gaps, size = found.gaps, np.ones_like(found.gaps)
    if tail == "most":
        gaps = np.concatenate([gaps, found.tail_gap[:, None]], axis=1)
        size = np.concatenate([size, found.tail_count[:, None]], axis=1)
    gaps = np.where(size > 0, gaps, math.inf)
    stay, leave = (np.empty((len(gaps), len(temperatures))) for _ in range(2))
    if not gaps.shape[1]:
        return np.zeros_like(stay), np.full_like(leave, -_LOWEST)
    nearest = np.minimum(gaps.min(axis=1, keepdims=True), _LOWEST)
    behind = np.minimum(gaps - nearest, _LOWEST)
    chunk = max(1, _CELLS // gaps.size)
    for begin in range(0, len(temperatures), chunk):
        t = temperatures[begin : begin + chunk] * LN2
        terms = exp2(-(behind[:, :, None] / t)) * np.where(gaps < math.inf, size, 0.0)[:, :, None]
        total = np.zeros((len(gaps), len(t)))
        for k in range(gaps.shape[1]):  # in this order on every machine
            total = total + terms[:, k]
        lead = -(nearest / t)
        seen = total > 0
        leave_total = np.where(seen, lead + log2(np.where(seen, total, 1.0)), -_LOWEST)
        stay[:, begin : begin + chunk] = -log2(1.0 + exp2(leave_total)) * LN2
        leave[:, begin : begin + chunk] = leave_total * LN2 + stay[:, begin : begin + chunk]
    return stay, leave


def log_likelihoods(found: Sites, *, tail: Tail = "most") -> Floats:
    """Log-likelihood of the runs of each prompt and time block at `GRID`, in steps of 2^-16 nats.

    Returns:
        Whole numbers. Shape (P, B, G), with P the prompts that have sites, in order.
    """
    stay, leave = hazards(found, GRID, tail=tail)
    return _summed(found, whole(stay, _STEP), whole(leave, _STEP))


def _summed(found: Sites, stay: Floats, leave: Floats) -> Floats:
    prompts, of_site = np.unique(found.prompt, return_inverse=True)
    out = np.zeros((len(prompts), found.came.shape[1], len(GRID)))
    for b in range(out.shape[1]):
        stayed, left = found.came[:, b] - found.left[:, b], found.left[:, b]
        # Where nobody left, the (possibly boundless) cost of leaving is not asked for.
        np.add.at(out[:, b], of_site, stayed[:, None] * stay + np.where(left[:, None] > 0, left[:, None] * leave, 0.0))
    return np.maximum(out, -(2.0**40))


def fit(found: Sites, *, draws: int, seed: int) -> Fitted:
    """The temperature of sites, with an interval of 95 %. Tier: *statistical*; *bitwise* for given draws and seed.

    The interval is the wider of two at each end: what chance allows with these prompts (the temperatures whose
    log-likelihood is within 1.92 of the maximum), and what other prompts and time blocks could have given (percentiles
    of the maximum over bootstrap draws of prompts and of blocks in which some run left its path). Where tokens are not
    reported, it holds the intervals of both that can be assumed of them.
    """
    parts = log_likelihoods(found)
    total = parts.sum(axis=(0, 1))
    left = int(found.left.sum())
    # Where all tokens are reported, both assumptions are one.
    fewest = log_likelihoods(found, tail="none") if found.tail_count.any() else parts
    if not left:
        bound, capped = _bound(fewest.sum(axis=(0, 1)))
        return Fitted(0.0, 0.0, bound, (0.0, 0.0), 0, total * _STEP, capped)
    best = float(peaks(total[None])[0])
    low, high = _interval(parts, draws, seed)
    if fewest is not parts:
        bottom, top = _interval(fewest, draws, seed)
        low, high = min(low, bottom), max(high, top)
    return Fitted(best, low, high, _certified(found, best), left, total * _STEP, high >= GRID[-1])


def _interval(parts: Floats, draws: int, seed: int) -> tuple[float, float]:
    """The wider of two intervals at each end, see `fit`."""
    low, high = _profile(parts.sum(axis=(0, 1)))
    drawn = _drawn(parts, draws, seed)
    if not len(drawn):
        return low, high
    bottom, top = interval(drawn, parts.shape[0])
    return min(low, bottom), max(high, top)


def _drawn(parts: Floats, draws: int, seed: int) -> Floats:
    """Maxima of bootstrap draws in which T = 0 is not the best. Shape (at most draws,)."""
    prompts, blocks, _ = parts.shape
    of_prompt = counts(draws, prompts, seed=seed, purpose="temperature/bootstrap/prompts")
    of_block = counts(draws, blocks, seed=seed, purpose="temperature/bootstrap/blocks")
    totals = np.zeros((draws, len(GRID)))
    for b in range(blocks):
        totals += of_block[:, b : b + 1] * (of_prompt @ parts[:, b])
    best = peaks(totals)
    return best[best > GRID[0]]


def peaks(totals: Floats) -> Floats:
    """Where curves over `GRID` are highest, each by a parabola in log T through three values. (n, G) gives (n,)."""
    at = totals.argmax(axis=1)
    middle = np.clip(at, 1, len(GRID) - 2)
    rows = np.arange(len(totals))
    before, here, after = (totals[rows, middle + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.clip(0.5 * (before - after) / np.where(bend < 0, bend, -1.0), -0.5, 0.5)
    return _between(at, np.where((bend < 0) & (middle == at), shift, 0.0))


def _between(at: int | NDArray[np.intp], shift: ArrayLike) -> Floats:
    """The temperature `shift` steps above GRID[at]."""
    return GRID[at] * exp2(np.asarray(shift) * (_LOG2_10 / 30))


def _profile(total: Floats) -> tuple[float, float]:
    """The temperatures around the maximum at which the curve has fallen by 1.92 nats, linear between grid points."""
    at = int(total.argmax())
    bottom = float(total[at]) - _DROP / _STEP
    low, high = at, at
    while low > 0 and total[low - 1] >= bottom:
        low -= 1
    while high < len(GRID) - 1 and total[high + 1] >= bottom:
        high += 1
    first = 0.0 if low == 0 else float(_between(low, -_share(float(total[low]), float(total[low - 1]), bottom)))
    last = (
        float(GRID[-1])
        if high == len(GRID) - 1
        else float(_between(high, _share(float(total[high]), float(total[high + 1]), bottom)))
    )
    return first, last


def _share(inside: float, outside: float, level: float) -> float:
    """How far from inside to outside a line crosses the level."""
    return (inside - level) / (inside - outside)


def _bound(total: Floats) -> tuple[float, bool]:
    """Where the log-likelihood falls to -3, and whether it does not up to the highest temperature."""
    below = np.flatnonzero(total * _STEP <= -NONE_SEEN)
    if not len(below):
        return float(GRID[-1]), True
    at = int(below[0])
    if at == 0:
        return float(GRID[0]), False
    share = _share(float(total[at - 1]), float(total[at]), -NONE_SEEN / _STEP)
    return float(_between(at - 1, share)), False


def _certified(found: Sites, best: float) -> tuple[float, float]:
    """The temperatures at which the maximum can lie, whatever the tokens not reported; `best` where the grid cannot
    tell them from it.
    """
    if not found.tail_count.any():
        return best, best
    stay_low, leave_high = (whole(v, _STEP) for v in hazards(found, GRID, tail="most"))
    stay_high, leave_low = (whole(v, _STEP) for v in hazards(found, GRID, tail="none"))
    least = _summed(found, stay_low, leave_low).sum(axis=(0, 1))
    most = _summed(found, stay_high, leave_high).sum(axis=(0, 1))
    inside = GRID[most >= least.max()]
    return (best, best) if len(inside) == 1 else (min(best, float(inside[0])), max(best, float(inside[-1])))


def of_block(found: Sites, block: int) -> Sites:
    """The sites with the runs of one time block alone."""
    return replace(found, came=found.came[:, block : block + 1], left=found.left[:, block : block + 1])
