"""The parts of a text machine's mixture for one site and one symbol, found again from the definition, exactly.

Nothing is shared with the compiled kernel but the definition of a weight (`smalti.engine.arithmetic.integer_weights`).
The weights of scores are whole numbers; those of back-off and of uniform noise are quotients of whole numbers, as
counts are whole and settings are taken as they are written (0.7 is 7 / 10). So a place's weight in the mixture is a
fraction, without rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import TokenCorpus
from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import SLICE_BITS, SLICES
from smalti.engine.text_query import LADDERS, Ladder, Matches, Scores, hybrid, substitutions
from smalti.machines.text import TextMachine

__all__ = ["ExactPart", "exact_parts"]

# Places whose windows are looked at together.
_CHUNK = 1 << 20

Known = dict[int, int]
"""The symbols known around a site, by their offset from it."""


@dataclass(frozen=True, eq=False)
class ExactPart:
    """One term of the mixture, for one site and one symbol.

    Attributes:
        share: of the mixture.
        probability: of the symbol, that of no place included.
        prior: the mass of no place, of which each of V symbols has 1 / V.
        kind: for each place that holds the symbol, in order of place, which of `weights` it has. int64 (n,).
        weights: whole numbers.
        whole: what they are divided by.
        roundings: how many, of at most 2^-53 of it each, the machine's float64 of share times probability takes; what
            a setting as it is written and its float64 are apart counts as roundings too.
    """

    share: Fraction
    probability: Fraction
    prior: Fraction
    kind: NDArray[np.int64]
    weights: tuple[int, ...]
    whole: int
    roundings: int

    def weight(self, kind: int) -> Fraction:
        """What a place of a kind has in the mixture."""
        return self.share * Fraction(self.weights[kind], self.whole)


def exact_parts(
    machine: TextMachine, known: Known, symbol: int, *, radius: int, keep: float | None
) -> tuple[NDArray[np.int64], tuple[ExactPart, ...]]:
    """The places that hold a symbol, ascending, and the parts of the mixture. Tier: *bitwise*, without rounding.

    Args:
        machine: the machine.
        known: what is known around the site, within the machine's reach.
        symbol: the symbol asked about.

    Keyword Args:
        radius: the machine's radius at that time.
        keep: under noise without masks, the share of symbols kept.
    """
    corpus = machine.symbols
    inside = np.flatnonzero(corpus.symbols[: corpus.places] < corpus.vocabulary)
    of = _Symbol(machine, inside, inside[corpus.symbols[inside] == symbol], symbol)
    near = {offset: x for offset, x in known.items() if abs(offset) <= radius}
    if machine.noise == "uniform":
        assert keep is not None
        return of.held, (_matches(of, near, keep),)
    if machine.noise == "structured":
        assert keep is not None
        scores = substitutions(machine.jumps.forward(keep), radius + 1)
        return of.held, (_kernel(of, near, scores, Fraction(1)),)
    if machine.noise == "mask":
        return of.held, _ladders(of, near, radius, Fraction(1))
    kernels: tuple[ExactPart, ...] = ()
    mixture = _as_written(machine.mixture)
    if mixture < 1:
        settings = zip(np.atleast_1d(machine.kappa).tolist(), np.atleast_1d(machine.gamma).tolist(), strict=True)
        scored = [hybrid(radius, kappa, gamma) for kappa, gamma in settings]
        share = (1 - mixture) / len(scored)
        kernels = tuple(_kernel(of, near, scores, share, math.ceil(1 / (1 - mixture))) for scores in scored)
    far = {offset: x for offset, x in known.items() if abs(offset) <= machine.back_off_radius}
    return of.held, kernels + (_ladders(of, far, machine.back_off_radius, mixture) if mixture > 0 else ())


class _Symbol(NamedTuple):
    """A machine, all places inside its documents, those that hold a symbol, and the symbol."""

    machine: TextMachine
    inside: NDArray[np.int64]
    held: NDArray[np.int64]
    symbol: int


def _kernel(of: _Symbol, known: Known, scores: Scores, share: Fraction, roundings: int = 0) -> ExactPart:
    """Weights 2^(score / unit), as whole numbers on one scale."""
    corpus, inside = of.machine.symbols, of.inside
    place = np.empty(len(inside), np.int64)
    weight = np.empty(len(inside), np.int64)
    for begin, end in _chunks(len(inside)):
        place[begin:end], weight[begin:end], _ = integer_weights(
            _scores(corpus, known, inside[begin:end], scores), scores.span
        )
    # As in the kernel: in units of 2^(15 (T - 2)), T the highest place; what lies lower is dropped.
    mass = (weight << SLICE_BITS) >> (SLICE_BITS * np.minimum(place.max() - place, SLICES))
    whole = _added(mass)
    of_symbol = mass[corpus.symbols[inside] == of.symbol]
    weights, kind = np.unique(of_symbol, return_inverse=True)
    own = Fraction(_added(of_symbol), whole)
    # Two sums of three slices, and what is made of them.
    roundings += 2 * 2 * SLICES + 4
    return ExactPart(share, own, Fraction(0), kind.astype(np.int64), tuple(weights.tolist()), whole, roundings)


def _scores(corpus: TokenCorpus, known: Known, places: NDArray[np.int64], scores: Scores) -> NDArray[np.int64]:
    """The score of each of some places."""
    found = np.zeros(len(places), np.int64)
    for offset, x in known.items():
        there = corpus.symbols[places + offset]
        if isinstance(scores, Matches):
            found += np.where(there == x, scores.values[offset + len(scores.values) // 2], 0)
        else:
            found += scores.table[x][there]
    return found


def _ladders(of: _Symbol, known: Known, reach: int, share: Fraction) -> tuple[ExactPart, ...]:
    """The back-offs; ladders of which nothing is known have no say, unless that is so of all of them."""
    names = of.machine.ladders
    heard = {name: any(offset in known for rung in LADDERS[name](reach) for offset in rung) for name in names}
    voices = [name for name in names if heard[name] or not any(heard.values())]
    return tuple(
        _back_off(of, known, LADDERS[name](reach), share * voices.count(name) / len(voices))
        for name in dict.fromkeys(voices)
    )


def _back_off(of: _Symbol, known: Known, ladder: Ladder, share: Fraction) -> ExactPart:
    """The back-off on one ladder: see `smalti.engine.text_posterior.BackOff`."""
    machine, here, held, symbol = of
    corpus, vocabulary = machine.symbols, machine.vocabulary
    beta, discount = _as_written(machine.beta), _as_written(machine.discount)
    p = prior = Fraction(1)
    p /= vocabulary
    # What each rung gives to a place that meets it, and what it hands down to those before it.
    given: list[Fraction] = []
    handed: list[Fraction] = []
    met = np.zeros(len(held), np.int64)
    # n - d is further from what is written where d is close to 1.
    roundings = 8 + math.ceil(1 / (1 - discount))
    for rung in ((), *ladder):
        seen = [(offset, known[offset]) for offset in rung if offset in known]
        if rung and not seen:
            continue
        for offset, x in seen:
            here = here[corpus.symbols[here + offset] == x]
        if not len(here):
            break
        counts = np.bincount(corpus.symbols[here], minlength=vocabulary)[:vocabulary]
        rest = beta + sum(min(discount, n) * times for n, times in _how_often(counts))
        total, own = len(here) + beta, int(counts[symbol])
        keeps = own - min(discount, own)
        p = (keeps + rest * p) / total
        prior = rest * prior / total
        roundings += int(np.count_nonzero(counts)) + 8
        given.append(Fraction(keeps) / own / total if own else Fraction(0))
        handed.append(rest / total)
        met += np.isin(held, here, assume_unique=True)
    kept = Fraction(1)
    for rung in reversed(range(len(given))):
        given[rung] *= kept
        kept *= handed[rung]
    # A place that meets some rungs has what each of them gives.
    by_depth = [sum(given[: depth + 1], Fraction(0)) for depth in range(len(given))]
    whole = math.lcm(*(weight.denominator for weight in by_depth))
    weights = tuple(weight.numerator * (whole // weight.denominator) for weight in by_depth)
    return ExactPart(share, p, prior, met - 1, weights, whole, roundings)


def _matches(of: _Symbol, known: Known, keep: float) -> ExactPart:
    """Weights that grow by one factor with each match."""
    corpus, inside = of.machine.symbols, of.inside
    ratio = 1 + Fraction(keep) * corpus.vocabulary / (1 - Fraction(keep))
    ones = Matches((1,) * (2 * corpus.gap + 1), 1)
    counts = np.zeros(len(known) + 1, np.int64)
    for begin, end in _chunks(len(inside)):
        counts += np.bincount(_scores(corpus, known, inside[begin:end], ones), minlength=len(counts))
    most = int(np.flatnonzero(counts)[-1])
    powers = tuple(ratio.numerator**m * ratio.denominator ** (most - m) for m in range(most + 1))
    kind = _scores(corpus, known, of.held, ones)
    whole = sum(n * power for n, power in zip(counts[: most + 1].tolist(), powers, strict=True))
    own = sum(n * powers[m] for m, n in _how_often(kind))
    # A power is as many products of a quotient that has 5; they are added up by matches, and then by symbol.
    roundings = 6 * most + (most + 1) + corpus.vocabulary + 4
    return ExactPart(Fraction(1), Fraction(own, whole), Fraction(0), kind, powers, whole, roundings)


def _as_written(number: float) -> Fraction:
    return Fraction(repr(float(number)))


def _added(numbers: NDArray[np.int64]) -> int:
    """The sum, which may leave 64 bits."""
    return (int((numbers >> 24).sum()) << 24) + int((numbers & (2**24 - 1)).sum())


def _how_often(numbers: NDArray[np.int64]) -> Sequence[tuple[int, int]]:
    """Each different number with how often it is there."""
    found, times = np.unique(numbers, return_counts=True)
    return list(zip(found.tolist(), times.tolist(), strict=True))


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, count, _CHUNK):
        yield begin, min(begin + _CHUNK, count)
