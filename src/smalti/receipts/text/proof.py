"""The proof of a token: how it was drawn, and all of its sources with exact weights, found again from the definition.

A number from [0, 1), a function of seed, step and place alone, led to the token: it lies where the running sum of the
distribution passes over it. What the machine gave the token before temperature and truncation is taken apart without
rounding: in the mixture of its parts (`smalti.receipts.text.exact_parts`) documents and the prior have fractions that
sum to the token's probability there, which is found a second time, from the counts alone.

Two tiers come of it. The probability of a *plain* mixture is that fraction, and the machine's float64 is *certified
within* the roundings of its sums (`bound_of`). Where what the sides say shifts the mixture
(`smalti.machines.text_mixture`), the probability has no closed form but that of its roundings: it is *bitwise* the
machine's. How it is divided among places is a fraction in either case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, SmaltiError, UsageError
from smalti.noise.words import uniforms
from smalti.receipts.text.exact_parts import ExactPart, exact_parts
from smalti.receipts.text.receipt import TextReceipt
from smalti.sampling.text_settings import MASKING
from smalti.sampling.truncation import entropies

__all__ = ["ExactToken", "TextPlace", "exact_token"]


@dataclass(frozen=True)
class TextPlace:
    """A place of the corpus that a token owes weight to.

    Attributes:
        document: index in the corpus.
        begin, end: its characters there.
        weight: in the mixture.
    """

    document: int
    begin: int
    end: int
    weight: Fraction


@dataclass(frozen=True, eq=False)
class ExactToken:
    """How one token was drawn, and what it owes to whom. Tier: see the module.

    Attributes:
        token: its place in the text.
        symbol: what it is.
        step: the step at which it was drawn.
        posterior: what the machine gave each symbol, before temperature and truncation. float64, shape (V,).
        law: what it was drawn from. float64, shape (V,).
        number: the number drawn, in [0, 1).
        low, high: where the token begins and ends in the running sum of `law`, both as shares of the whole sum.
        mixture: its probability in the mixture of the machine's parts.
        prior: the part of that which no place has.
        documents: all documents with weight in the mixture, largest first, of equal ones the first.
        places: the places with the largest weight in the mixture, largest first, of equal ones the first.
        places_in_all: how many places hold the symbol.
        shifted: whether what the sides say shifts the mixture, so that `posterior` is another.
        of_noise: under noise without masks, the share of the token that the noise has.
    """

    token: int
    symbol: int
    step: int
    posterior: NDArray[np.float64]
    law: NDArray[np.float64]
    number: float
    low: float
    high: float
    mixture: Fraction
    prior: Fraction
    documents: tuple[tuple[int, Fraction], ...]
    places: tuple[TextPlace, ...]
    places_in_all: int
    shifted: bool
    of_noise: Fraction

    @property
    def probability(self) -> Fraction:
        """Before temperature and truncation: the fraction of a plain mixture, or the machine's float64 as it is."""
        return Fraction(float(self.posterior[self.symbol])) if self.shifted else self.mixture

    @property
    def of_prior(self) -> Fraction:
        """The share of the token that the prior has: all that is not of the noise, of a token that no place holds."""
        held = self.mixture > self.prior
        return (1 - self.of_noise) * (min(self.prior / self.probability, Fraction(1)) if held else 1)

    def share(self, weight: Fraction) -> Fraction:
        """The share of the token that a weight in the mixture, above 0, is; all documents, `of_prior` and `of_noise`
        have 1.
        """
        return (1 - self.of_noise - self.of_prior) * weight / (self.mixture - self.prior)


def exact_token(receipt: TextReceipt, token: int, *, top: int = 8) -> ExactToken:
    """How one token of a text was drawn, with the exact weights of all documents. Tier: see the module.

    Memory: about 30 numbers for each place of the corpus.

    Args:
        receipt: the receipt.
        token: its place in the text, from 0.

    Keyword Args:
        top: how many places to list.

    Raises:
        InputError: the trace is not one that this machine makes.
        UsageError: there is no such token, it was not drawn, or `top` is below 1.
        SmaltiError: the machine's float64 is not the fraction, which would be an error of Smalti.
    """
    sample, machine = receipt.sample, receipt.machine
    event = receipt.last_event(token)
    if event is None:
        raise UsageError(f"token {token} was not drawn: it was given, or is left of the noise the run began with")
    if top < 1:
        raise UsageError(f"list at least one place of a token, not {top}")
    events, state = sample.events, sample.state(event)
    site, step, symbol = (int(of[event]) for of in (events.site, events.step, events.token))
    masks = machine.noise in MASKING
    keep = None if masks else float(events.kept[event])
    posterior = machine(state, [site], keep=keep).probabilities
    law, _, of_noise = receipt.drawn_from(posterior, state[[site]], np.array([event]))
    entropy = entropies(posterior / np.cumsum(posterior, axis=1)[:, -1:])[0]
    # As the samplers draw (`smalti.sampling.tokens`): those of masks count the numbers of a step from 1.
    number = float(uniforms(len(state), seed=sample.seed, purpose="text/draw", step=step + masks)[site])
    running = np.concatenate([[0.0], np.cumsum(law[0])])
    same = (
        entropy == events.entropy[event]
        and law[0, symbol] == events.probability[event]
        and running[symbol] <= number * running[-1] < running[symbol + 1]
    )
    if not same:
        raise InputError(
            f"token {token} of seed {sample.seed} comes out otherwise than the trace says: it was not made by this "
            "machine, or was altered; make the run again from the command in its run.json"
        )
    visible = float((state >= 0).sum() / len(state)) if keep is None else keep
    reach = range(-machine.reach, machine.reach + 1)
    known = {d: int(state[site + d]) for d in reach if 0 <= site + d < len(state) and state[site + d] >= 0}
    if masks or machine.centre == "leave-one-out":
        known.pop(0, None)
    held, parts = exact_parts(machine, known, symbol, radius=int(machine.radius_at(visible)), keep=keep)
    mixture = sum((part.share * part.probability for part in parts), Fraction(0))
    prior = sum((part.share * part.prior for part in parts), Fraction(0)) / machine.vocabulary
    found = ExactToken(
        token=token,
        symbol=symbol,
        step=step,
        posterior=posterior[0],
        law=law[0],
        number=number,
        low=float(running[symbol] / running[-1]),
        high=float(running[symbol + 1] / running[-1]),
        mixture=mixture,
        prior=prior,
        documents=_documents(receipt, held, parts),
        places=_places(receipt, held, parts, top),
        places_in_all=len(held),
        shifted=machine.noise == "hybrid" and bool(machine.pair or machine.caution) and bool(known),
        of_noise=Fraction(float(of_noise[0])),
    )
    _confirm(found, parts)
    return found


def bound_of(parts: Sequence[ExactPart]) -> Fraction:
    """How far the machine's float64 may be from the fraction of a plain mixture, as a share of it.

    All terms are positive, so no sum has more than the roundings of its worst term and those of adding up. Doubled, for
    what roundings do to each other.
    """
    return Fraction(max(part.roundings for part in parts) + len(parts), 2**52)


def _documents(
    receipt: TextReceipt, held: NDArray[np.int64], parts: tuple[ExactPart, ...]
) -> tuple[tuple[int, Fraction], ...]:
    """All documents with weight in the mixture."""
    weights: dict[int, Fraction] = {}
    document, _ = receipt.machine.symbols.document_of(held)
    for part in parts:
        pairs, times = np.unique(document * len(part.weights) + part.kind, return_counts=True)
        units: dict[int, int] = {}
        for pair, count in zip(pairs.tolist(), times.tolist(), strict=True):
            place, kind = divmod(pair, len(part.weights))
            units[place] = units.get(place, 0) + count * part.weights[kind]
        for place, unit in units.items():
            weights[place] = weights.get(place, Fraction(0)) + part.share * Fraction(unit, part.whole)
    return tuple(sorted(((d, w) for d, w in weights.items() if w), key=lambda pair: (-pair[1], pair[0])))


def _places(
    receipt: TextReceipt, held: NDArray[np.int64], parts: tuple[ExactPart, ...], top: int
) -> tuple[TextPlace, ...]:
    """The places with the largest weight."""
    rough = np.zeros(len(held))
    for part in parts:
        rough += np.array([float(part.weight(kind)) for kind in range(len(part.weights))])[part.kind]
    best = np.sort(rough)[::-1][min(top, len(rough)) - 1] if len(rough) else 0.0
    # Rounding may mistake one for its neighbour: all that come close are compared exactly.
    close = np.flatnonzero(rough >= best * (1 - 1e-9))
    exactly: dict[tuple[int, ...], Fraction] = {}
    weighed: list[tuple[Fraction, int]] = []
    for at in close.tolist():
        kinds = tuple(int(part.kind[at]) for part in parts)
        if kinds not in exactly:
            exactly[kinds] = sum((part.weight(kind) for part, kind in zip(parts, kinds, strict=True)), Fraction(0))
        weighed.append((exactly[kinds], at))
    weighed.sort(key=lambda pair: (-pair[0], pair[1]))
    chosen = [(weight, at) for weight, at in weighed[:top] if weight]
    documents, offsets = receipt.machine.symbols.document_of(held[[at for _, at in chosen]])
    return tuple(
        TextPlace(document, *receipt.characters(document, offset), weight)
        for (weight, _), document, offset in zip(chosen, documents.tolist(), offsets.tolist(), strict=True)
    )


def _confirm(found: ExactToken, parts: tuple[ExactPart, ...]) -> None:
    """Raises `SmaltiError` unless the weights sum to the probability, exactly, and that is the machine's."""
    whole = sum((weight for _, weight in found.documents), found.prior)
    given = Fraction(float(found.posterior[found.symbol]))
    near = found.shifted or abs(given - found.mixture) <= bound_of(parts) * found.mixture
    if whole != found.mixture or not near:
        raise SmaltiError(
            f"the weights of token {found.token} sum to {float(whole)!r}, its counts give {float(found.mixture)!r} and "
            f"the machine {float(given)!r}, which must not differ: please report it, with the command or the run folder"
        )
