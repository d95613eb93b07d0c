"""From masked or random tokens to a text: discrete samplers over one small protocol.

A denoiser gives, for a row of tokens in which -1 is the mask, the probabilities of the clean token at the sites asked
for. Every sampler is a generator of steps (`TokenStep`), each of which changes some tokens:

    unmask   fills masked places, in an order of decoding (`smalti.sampling.orders`) until none is left
    unnoise  takes noise without masks out of a row, by exact reverse steps in which every place may change

With a `block` the row is filled block by block from the left, each in the order chosen (Arriola et al. 2025,
2503.09573). Visible tokens stay as they are, so a prompt and gaps to fill are nothing special.

Tier: *bitwise*, if the denoiser is: a draw is a function of (seed, step, site), made in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.errors import SmaltiError, UsageError
from smalti.noise.discrete import kept, uniform_reverse
from smalti.noise.words import uniforms
from smalti.sampling.orders import Found, Stage, asked, picked
from smalti.sampling.text_settings import TextSettings
from smalti.sampling.truncation import entropies

__all__ = [
    "MASK",
    "Question",
    "Reverse",
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


Reverse: TypeAlias = Callable[[Probabilities, Tokens, float, float], Probabilities]
"""The law of tokens one step back, (S, V), from leave-one-out probabilities (S, V), the tokens now (S,), and the shares
kept before and after; see `smalti.noise.discrete.uniform_reverse`."""

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
    denoiser: TokenDenoiser, tokens: Tokens, settings: TextSettings | None = None, *, seed: int
) -> Iterator[TokenStep]:
    """Fills the masked places of a row.

    Args:
        denoiser: what gives the probabilities.
        tokens: the row, -1 where masked; visible tokens stay. Shape (L,).
        settings: in which order, how many at a time, drawn from what; from the left, one at a time unless given.

    Keyword Args:
        seed: seed of the sample, from 0.

    Returns:
        The steps, made as they are asked for.

    Raises:
        UsageError: the settings have no order of decoding, or the row is none.
    """
    return _driven(unmask_walk(denoiser.vocabulary, tokens, settings, seed=seed), denoiser)


def unmask_walk(vocabulary: int, tokens: Tokens, settings: TextSettings | None = None, *, seed: int) -> Walk:
    """`unmask` for whoever answers the questions; `vocabulary` is V, other arguments and errors are the same."""
    settings = settings or TextSettings()
    if settings.order is None:
        raise UsageError("masks are filled in an order of decoding, and these settings have none: give one")
    return _unmasked(vocabulary, _checked(tokens, vocabulary), settings, seed)


def _unmasked(vocabulary: int, tokens: Tokens, settings: TextSettings, seed: int) -> Walk:
    length = len(tokens)
    block = settings.block or length
    index = 0
    for begin in range(0, length, block):
        wanted = masked = begin + np.flatnonzero(tokens[begin : begin + block] == MASK)
        shares = kept(settings.schedule, settings.steps or max(len(wanted), 1)).tolist()
        for number, (before, after) in enumerate(itertools.pairwise(shares)):
            if not len(masked):
                break
            last = number == len(shares) - 2
            stage = Stage(number, index, masked, len(wanted), before, after, last)
            sites = asked(settings, stage, length=length, seed=seed)
            index += 1
            if not len(sites):
                continue
            given = _checked_rows((yield Question(tokens, before, sites)), len(sites), vocabulary)
            law = settings.truncation(given)
            drawn = _drawn(law, uniforms(length, seed=seed, purpose="text/draw", step=index)[sites])
            probability = np.take_along_axis(law, drawn[:, None], axis=1)[:, 0]
            entropy = entropies(given / np.cumsum(given, axis=1)[:, -1:])
            filled = picked(settings, stage, Found(law, entropy, probability))
            step = TokenStep(
                index=stage.index,
                tokens=tokens,
                sites=sites[filled],
                drawn=drawn[filled],
                kept=before,
                probability=probability[filled],
                entropy=entropy[filled],
            )
            tokens = step.following
            masked = np.setdiff1d(masked, step.sites, assume_unique=True)
            yield step


def unnoise(
    denoiser: TokenDenoiser,
    tokens: Tokens,
    settings: TextSettings,
    *,
    seed: int,
    fixed: NDArray[np.bool_] | None = None,
    reverse: Reverse = uniform_reverse,
) -> Iterator[TokenStep]:
    """Takes noise without masks out of a row, by exact reverse steps.

    Args:
        denoiser: gives *leave-one-out* probabilities: those of a site do not look at its own token.
        tokens: the row at time 1, no token masked. Shape (L,).
        settings: how many steps, drawn from what; without an order.

    Keyword Args:
        seed: seed of the sample, from 0.
        fixed: places that are known and stay. Shape (L,).
        reverse: the step back under the noise; that of uniform noise unless given (`smalti.noise.structured`).

    Returns:
        The steps, made as they are asked for.

    Raises:
        UsageError: the settings have an order, a token is masked, or the row is none.
    """
    walk = unnoise_walk(denoiser.vocabulary, tokens, settings, seed=seed, fixed=fixed, reverse=reverse)
    return _driven(walk, denoiser)


def unnoise_walk(
    vocabulary: int,
    tokens: Tokens,
    settings: TextSettings,
    *,
    seed: int,
    fixed: NDArray[np.bool_] | None = None,
    reverse: Reverse = uniform_reverse,
) -> Walk:
    """`unnoise` for whoever answers the questions; `vocabulary` is V, other arguments and errors are the same."""
    tokens = _checked(tokens, vocabulary)
    if settings.order is not None:
        raise UsageError("an order of decoding is for masks, and noise without masks has none: leave it out")
    if (tokens == MASK).any():
        raise UsageError("uniform noise knows no mask: fill the places with random tokens first")
    sites = np.flatnonzero(~fixed) if fixed is not None else np.arange(len(tokens))
    return _unnoised(vocabulary, tokens, settings, seed, sites, reverse)


def _unnoised(
    vocabulary: int, tokens: Tokens, settings: TextSettings, seed: int, sites: NDArray[np.int64], reverse: Reverse
) -> Walk:
    assert settings.steps is not None
    for index, (before, after) in enumerate(itertools.pairwise(kept(settings.schedule, settings.steps).tolist())):
        if not len(sites):
            return
        given = _checked_rows((yield Question(tokens, before, sites)), len(sites), vocabulary)
        law = reverse(settings.truncation(given), tokens[sites], before, after)
        drawn = _drawn(law, uniforms(len(tokens), seed=seed, purpose="text/draw", step=index)[sites])
        changed = np.flatnonzero(drawn != tokens[sites])
        step = TokenStep(
            index=index,
            tokens=tokens,
            sites=sites[changed],
            drawn=drawn[changed],
            kept=before,
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
