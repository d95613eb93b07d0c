"""From masked or random tokens to a text: discrete samplers over one small protocol.

A denoiser gives, for a row of tokens in which -1 is the mask, the probabilities of the clean token at the sites asked
for. Every sampler is a generator of `TokenStep`s, each of which changes some tokens; what orders differ in is which:

    ancestral        each masked token with probability (a_s - a_t) / (1 - a_t), whatever the denoiser says
    confidence       those with the largest probability
    entropy          those with the smallest entropy
    margin           those with the largest difference between the two largest probabilities
    entropy-bounded  sorted by entropy, as many as keep the sum of entropies minus the largest at most gamma
    threshold        all whose largest probability is at least tau
    left-to-right    the leftmost
    remask           all are drawn; those drawn with the largest probability stay, the rest is masked again

and at least one, so that every sampler ends. (Sahoo et al. 2024, 2406.07524; Kim et al. 2025, 2502.06768, for margin;
Ben-Hamu et al. 2025, 2505.24857, for entropy bounds; Nie et al. 2025, 2502.09992, for remasking; blocks after Arriola
et al. 2025, 2503.09573.) With `block` the row is filled block by block from the left, each in the order chosen.
Visible tokens stay as they are, so a prompt and gaps to fill are nothing special.

Tier: *bitwise*, if the denoiser is: a draw is a function of (seed, step, site), made in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from smalti.errors import SmaltiError, UsageError
from smalti.noise.discrete import kept, uniform_reverse
from smalti.noise.words import uniforms
from smalti.sampling.truncation import Truncation, entropies

__all__ = [
    "MASK",
    "ORDERS",
    "Order",
    "Question",
    "TokenDenoiser",
    "TokenStep",
    "Walk",
    "together",
    "unmask",
    "unmask_walk",
    "unnoise",
    "unnoise_walk",
]

MASK = -1

Order = Literal[
    "ancestral", "confidence", "entropy", "margin", "entropy-bounded", "threshold", "left-to-right", "remask"
]
ORDERS: tuple[Order, ...] = get_args(Order)

Tokens = NDArray[np.int64]
Probabilities = NDArray[np.float64]


class TokenDenoiser(Protocol):
    """What a sampler needs of a machine for text."""

    @property
    def vocabulary(self) -> int:
        """Number V of tokens."""
        ...

    def __call__(self, tokens: Tokens, kept: float, sites: NDArray[np.int64]) -> Probabilities:
        """Probabilities of the clean token at some sites.

        Args:
            tokens: the row, -1 where masked. int64, shape (L,).
            kept: share of tokens kept at this time; denoisers of masks need not look at it.
            sites: places in the row, ascending. int64, shape (S,).

        Returns:
            float64, shape (S, V): non-negative, each row with a positive sum.
        """
        ...


@dataclass(frozen=True, eq=False)
class TokenStep:
    """One call of the denoiser, and the tokens it led to.

    Attributes:
        index: from 0.
        tokens: the row before the step, -1 where masked. Shape (L,).
        sites: places that the step changed, ascending. Shape (S,).
        drawn: what they became. Shape (S,).
        kept: share of tokens kept at the time of the call.
        probability: of each token drawn, in the distribution it was drawn from. float64, shape (S,).
        entropy: of the denoiser's distribution there, in bits, before truncation. float64, shape (S,).
    """

    index: int
    tokens: Tokens
    sites: NDArray[np.int64]
    drawn: Tokens
    kept: float
    probability: NDArray[np.float64]
    entropy: NDArray[np.float64]

    @property
    def following(self) -> Tokens:
        """The row after the step. Shape (L,)."""
        out = self.tokens.copy()
        out[self.sites] = self.drawn
        return out


@dataclass(frozen=True, eq=False)
class Question:
    """What a sampler asks a denoiser; entries as the arguments of `TokenDenoiser`."""

    tokens: Tokens
    kept: float
    sites: NDArray[np.int64]


Walk: TypeAlias = Generator[Question | TokenStep, Probabilities | None, None]
"""A sampler that asks whoever drives it: a `Question` wants its answer sent in, a `TokenStep` None."""


def together(
    walks: Sequence[Walk], answer: Callable[[list[tuple[int, Question]]], Sequence[Probabilities]]
) -> Iterator[tuple[int, TokenStep]]:
    """Drives several samplers at once, so that their questions can be answered by one call. Tier: as the answers.

    Args:
        walks: the samplers.
        answer: gives the answers to questions, each with the place of its sampler in `walks`.

    Returns:
        Steps, each with the place of its sampler, made as they are asked for; in the order in which each makes them.
    """
    answers: dict[int, Probabilities | None] = dict.fromkeys(range(len(walks)))
    while answers:
        questions: list[tuple[int, Question]] = []
        for place, given in answers.items():
            item = _next(walks[place], given)
            while isinstance(item, TokenStep):
                yield place, item
                item = _next(walks[place], None)
            if item is not None:
                questions.append((place, item))
        found = answer(questions) if questions else []
        answers = {place: given for (place, _), given in zip(questions, found, strict=True)}


def _next(walk: Walk, given: Probabilities | None) -> Question | TokenStep | None:
    try:
        return walk.send(given)
    except StopIteration:
        return None


def _driven(walk: Walk, denoiser: TokenDenoiser) -> Iterator[TokenStep]:
    def answer(questions: list[tuple[int, Question]]) -> list[Probabilities]:
        return [denoiser(one.tokens, one.kept, one.sites) for _, one in questions]

    return (step for _, step in together([walk], answer))


def unmask(
    denoiser: TokenDenoiser,
    tokens: Tokens,
    *,
    seed: int,
    order: Order = "confidence",
    steps: int | None = None,
    schedule: str = "linear",
    truncation: Truncation | None = None,
    block: int | None = None,
    gamma: float = 0.1,
    threshold: float = 0.9,
) -> Iterator[TokenStep]:
    """Fills the masked places of a row.

    Args:
        denoiser: what gives the probabilities.
        tokens: the row, -1 where masked; visible tokens stay. Shape (L,).

    Keyword Args:
        seed: seed of the sample, from 0.
        order: which places are filled when.
        steps: calls of the denoiser in each block; unless given, one for each masked place (confidence, entropy,
            margin, left-to-right, remask: one place a step; entropy-bounded and threshold: as many as it takes).
        schedule: of the share of tokens kept, one of `smalti.noise.discrete.KEPT`.
        truncation: temperature and truncation of what is drawn from; none unless given.
        block: length of the blocks; the whole row unless given.
        gamma: for entropy-bounded, in bits.
        threshold: for threshold.

    Returns:
        The steps, made as they are asked for.

    Raises:
        UsageError: a setting has no meaning.
    """
    walk = unmask_walk(
        denoiser.vocabulary,
        tokens,
        seed=seed,
        order=order,
        steps=steps,
        schedule=schedule,
        truncation=truncation,
        block=block,
        gamma=gamma,
        threshold=threshold,
    )
    return _driven(walk, denoiser)


def unmask_walk(
    vocabulary: int,
    tokens: Tokens,
    *,
    seed: int,
    order: Order = "confidence",
    steps: int | None = None,
    schedule: str = "linear",
    truncation: Truncation | None = None,
    block: int | None = None,
    gamma: float = 0.1,
    threshold: float = 0.9,
) -> Walk:
    """`unmask` for whoever answers the questions; `vocabulary` is V, other arguments and errors are the same."""
    if order not in ORDERS:
        raise UsageError(f"there is no order of decoding called {order!r}: choose one of {', '.join(ORDERS)}")
    if steps is not None and steps < 1:
        raise UsageError(f"a text takes at least 1 step, not {steps}")
    if steps is not None and order in ("entropy-bounded", "threshold"):
        raise UsageError(f"the order {order} takes as many steps as it needs: leave the number of steps out")
    if block is not None and block < 1:
        raise UsageError(f"a block is at least 1 token long, not {block}")
    if not gamma >= 0.0 or not 0.0 < threshold <= 1.0:
        raise UsageError(f"gamma is at least 0 and a threshold above 0 and at most 1, not {gamma} and {threshold}")
    return _unmasked(
        vocabulary,
        _checked(tokens, vocabulary),
        seed,
        order,
        steps,
        schedule,
        truncation or Truncation(),
        block,
        gamma,
        threshold,
    )


def _unmasked(
    vocabulary: int,
    tokens: Tokens,
    seed: int,
    order: Order,
    steps: int | None,
    schedule: str,
    truncation: Truncation,
    block: int | None,
    gamma: float,
    threshold: float,
) -> Walk:
    length = len(tokens)
    index = 0
    for begin in range(0, length, block or max(length, 1)):
        end = min(begin + (block or length), length)
        masked = begin + np.flatnonzero(tokens[begin:end] == MASK)
        if not len(masked):
            continue
        shares = kept(schedule, steps or len(masked))
        wanted = len(masked)
        for number, (before, after) in enumerate(itertools.pairwise(shares)):
            masked = begin + np.flatnonzero(tokens[begin:end] == MASK)
            if not len(masked):
                break
            last = number == len(shares) - 2
            asked = masked[:1] if order == "left-to-right" and steps is None else masked
            if order == "ancestral":
                chance = (after - before) / (1.0 - before)
                chosen = uniforms(length, seed=seed, purpose="text/reveal", step=index)[masked] < chance
                asked = masked if last else masked[chosen]
            index += 1
            if not len(asked):
                continue
            given = _checked_rows((yield Question(tokens, float(before), asked)), len(asked), vocabulary)
            law = truncation(given)
            draws = uniforms(length, seed=seed, purpose="text/draw", step=index)[asked]
            drawn = _drawn(law, draws)
            probability = np.take_along_axis(law, drawn[:, None], axis=1)[:, 0]
            entropy = entropies(given / np.cumsum(given, axis=1)[:, -1:])
            if order == "ancestral" or last:
                picked = np.arange(len(asked))
            elif order == "entropy-bounded":
                picked = _entropy_bounded(entropy, gamma)
            elif order == "threshold":
                largest = law.max(axis=1)
                picked = np.flatnonzero(largest >= threshold)
                picked = picked if len(picked) else np.array([largest.argmax()])
            else:
                # As many are visible after this step as the schedule keeps, and at least one more than before.
                visible = math.ceil(after * wanted) if steps is not None else number + 1
                count = max(1, visible - (wanted - len(masked)))
                picked = _preferred(order, law, entropy, probability)[:count]
            picked = np.sort(picked)
            step = TokenStep(
                index=index - 1,
                tokens=tokens,
                sites=asked[picked],
                drawn=drawn[picked],
                kept=float(before),
                probability=probability[picked],
                entropy=entropy[picked],
            )
            tokens = step.following
            yield step


def _preferred(
    order: Order, law: Probabilities, entropy: NDArray[np.float64], probability: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Places, the one to fill first at the front; the leftmost of equal ones."""
    if order == "left-to-right":
        return np.arange(len(law))
    if order == "entropy":
        return np.argsort(entropy, kind="stable")
    if order == "remask":
        return np.argsort(-probability, kind="stable")
    top = np.sort(law, axis=1)
    best = top[:, -1]
    if order == "margin" and law.shape[1] > 1:
        best = best - top[:, -2]
    return np.argsort(-best, kind="stable")


def _entropy_bounded(entropy: NDArray[np.float64], gamma: float) -> NDArray[np.int64]:
    """The longest prefix, sorted by entropy, whose sum of entropies without the largest is at most gamma."""
    order = np.argsort(entropy, kind="stable")
    before = np.cumsum(entropy[order]) - entropy[order]
    return order[: max(1, int((before <= gamma).sum()))]


def unnoise(
    denoiser: TokenDenoiser,
    tokens: Tokens,
    *,
    seed: int,
    steps: int,
    schedule: str = "linear",
    fixed: NDArray[np.bool_] | None = None,
    truncation: Truncation | None = None,
) -> Iterator[TokenStep]:
    """Takes uniform noise out of a row, by exact reverse steps (see `smalti.noise.discrete`).

    Args:
        denoiser: gives *leave-one-out* probabilities: those of a site do not look at its own token.
        tokens: the row at time 1, no token masked. Shape (L,).

    Keyword Args:
        seed: seed of the sample, from 0.
        steps: number of steps, at least 1.
        schedule: of the share of tokens kept, one of `smalti.noise.discrete.KEPT`.
        fixed: places that are known and stay. Shape (L,).
        truncation: temperature and truncation of the posterior, before each step.

    Returns:
        The steps, made as they are asked for.

    Raises:
        UsageError: a setting has no meaning, or a token is masked.
    """
    walk = unnoise_walk(
        denoiser.vocabulary,
        tokens,
        seed=seed,
        steps=steps,
        schedule=schedule,
        fixed=fixed,
        truncation=truncation,
    )
    return _driven(walk, denoiser)


def unnoise_walk(
    vocabulary: int,
    tokens: Tokens,
    *,
    seed: int,
    steps: int,
    schedule: str = "linear",
    fixed: NDArray[np.bool_] | None = None,
    truncation: Truncation | None = None,
) -> Walk:
    """`unnoise` for whoever answers the questions; `vocabulary` is V, other arguments and errors are the same."""
    tokens = _checked(tokens, vocabulary)
    if (tokens == MASK).any():
        raise UsageError("uniform noise knows no mask: fill the places with random tokens first")
    shares = kept(schedule, steps)
    open_sites = np.flatnonzero(~fixed) if fixed is not None else np.arange(len(tokens))
    return _unnoised(vocabulary, tokens, seed, shares, open_sites, truncation or Truncation())


def _unnoised(
    vocabulary: int,
    tokens: Tokens,
    seed: int,
    shares: NDArray[np.float64],
    sites: NDArray[np.int64],
    truncation: Truncation,
) -> Walk:
    for index, (before, after) in enumerate(itertools.pairwise(shares)):
        if not len(sites):
            return
        given = _checked_rows((yield Question(tokens, float(before), sites)), len(sites), vocabulary)
        posterior = truncation(given)
        law = uniform_reverse(posterior, tokens[sites], float(before), float(after))
        drawn = _drawn(law, uniforms(len(tokens), seed=seed, purpose="text/draw", step=index)[sites])
        changed = np.flatnonzero(drawn != tokens[sites])
        step = TokenStep(
            index=index,
            tokens=tokens,
            sites=sites[changed],
            drawn=drawn[changed],
            kept=float(before),
            probability=np.take_along_axis(law, drawn[:, None], axis=1)[changed, 0],
            entropy=entropies(given / np.cumsum(given, axis=1)[:, -1:])[changed],
        )
        tokens = step.following
        yield step


def _drawn(law: Probabilities, uniform: NDArray[np.float64]) -> Tokens:
    """A token from each row, by inversion: the first whose running sum exceeds the number drawn."""
    running = np.cumsum(law, axis=1)
    below = (running <= (uniform * running[:, -1])[:, None]).sum(axis=1)
    # Rounding could reach beyond the last token with a chance.
    last = law.shape[1] - 1 - (law[:, ::-1] > 0.0).argmax(axis=1)
    return np.minimum(below, last)


def _checked(tokens: Tokens, vocabulary: int) -> Tokens:
    tokens = np.asarray(tokens, np.int64)
    if tokens.ndim != 1 or len(tokens) == 0 or tokens.min() < MASK or tokens.max() >= vocabulary:
        raise UsageError(
            f"a row of tokens has at least one of them, each from 0 to {vocabulary - 1} or -1 for the mask"
        )
    tokens.setflags(write=False)
    return tokens


def _checked_rows(given: Probabilities | None, sites: int, vocabulary: int) -> Probabilities:
    assert given is not None
    good = given.shape == (sites, vocabulary) and np.isfinite(given).all() and given.min() >= 0.0
    if not good or not (given.sum(axis=1) > 0.0).all():
        raise SmaltiError(
            f"the denoiser must return finite, non-negative float64 of shape {(sites, vocabulary)}, each row with a "
            f"positive sum, but it returned shape {given.shape}"
        )
    return given
