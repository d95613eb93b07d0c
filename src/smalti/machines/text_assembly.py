"""Which parts the posterior of a text machine is made of, in which shares, and how they are found in few walks.

One search of the corpus answers for all kernels and ladders of a query (`smalti.engine.text_patterns`). Parts that were
made before can be handed in, so that machines whose settings differ do not search twice.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from smalti.engine import text
from smalti.engine.text_patterns import ask
from smalti.engine.text_posterior import BackOff
from smalti.engine.text_query import LADDERS, Matches, TextQuery, hybrid, substitutions
from smalti.errors import UsageError
from smalti.machines.text_mixture import Mixture, with_sides
from smalti.machines.text_parts import (
    BackOffPart,
    Floats,
    Part,
    back_off_part,
    kernel_part,
    ratio_of,
    sum_of,
    uniform_part,
)

if TYPE_CHECKING:
    from smalti.machines.text import TextMachine


def kernels_of(kappa: float | tuple[float, ...], gamma: float | tuple[float, ...], radius: int) -> tuple[Matches, ...]:
    """What matches are worth under hybrid noise, for each kernel. Raises `UsageError` for values without meaning."""
    kappas, gammas = np.atleast_1d(kappa).tolist(), np.atleast_1d(gamma).tolist()
    if len(kappas) != len(gammas) or not kappas:
        raise UsageError(f"{len(kappas)} kappas and {len(gammas)} gammas have no meaning: give one of each per kernel")
    return tuple(hybrid(radius, k, g) for k, g in zip(kappas, gammas, strict=True))


def mixture_of(
    machine: TextMachine,
    query: TextQuery,
    *,
    radius: int,
    keep: float | None = None,
    matrix: Floats | None = None,
    spread: bool = False,
    how: dict[str, Any],
    made: dict[Hashable, Part] | None = None,
) -> Mixture:
    """The posterior of a machine at the sites of a query. Tier: bitwise.

    Args:
        machine: the machine.
        query: the sites, with windows that reach as far as the machine ever does.

    Keyword Args:
        radius: how far it looks now.
        keep: under uniform noise, the probability that a symbol was kept.
        matrix: under structured noise, Q[k, x]. Shape (V, V).
        spread: whether entropies will be asked for.
        how: `threads` and `tick` of the engine.
        made: parts found before, by what they depend on; those made now are entered.
    """
    everything = np.ones(len(query.windows))
    made = {} if made is None else made
    near = query.within(radius)
    if machine.noise == "uniform":
        assert keep is not None
        return Mixture((uniform_part(near, ratio_of(keep, machine.vocabulary), everything, how),))
    if machine.noise == "structured":
        assert matrix is not None
        scores = substitutions(matrix, radius + 1)
        return Mixture((kernel_part(near, scores, text.sums(near, scores, spread=spread, **how), everything),))
    if machine.noise == "mask":
        _search(machine, near, near, (), spread, how, made)
        return Mixture(tuple(_back_off_parts(machine, near, everything, made).values()))
    kernels = kernels_of(machine.kappa, machine.gamma, radius) if machine.mixture < 1.0 else ()
    far = query.within(machine.back_off_radius)
    _search(machine, query, far, kernels, spread, how, made)
    share = (1.0 - machine.mixture) / max(len(kernels), 1) * everything
    parts: list[Part] = [replace(made[scores], share=share) for scores in kernels]
    ladders = _back_off_parts(machine, far, machine.mixture * everything, made) if machine.mixture > 0.0 else {}
    mixture = Mixture((*parts, *ladders.values()))
    if not _has_sides(machine):
        return mixture
    left, right = (
        ladders[side] if side in ladders else _ladder(machine, far, side, 0.0 * everything, made)
        for side in ("left", "right")
    )
    return with_sides(mixture, left, right, machine.pair, machine.caution)


def _has_sides(machine: TextMachine) -> bool:
    return machine.noise == "hybrid" and not machine.pair == machine.caution == 0.0


def _search(
    machine: TextMachine,
    query: TextQuery,
    far: TextQuery,
    kernels: tuple[Matches, ...],
    spread: bool,
    how: dict[str, Any],
    made: dict[Hashable, Part],
) -> None:
    """Makes all parts that are not made yet, with as few walks as possible; ladders see the windows `far`."""
    names = dict.fromkeys(machine.ladders) if machine.mixture > 0.0 or machine.noise == "mask" else {}
    if _has_sides(machine):
        names |= dict.fromkeys(("left", "right"))
    back_off = BackOff(machine.beta, machine.discount)
    scores = [one for one in dict.fromkeys(kernels) if one not in made]
    ladders = [
        rungs
        for rungs in dict.fromkeys(far.rungs(LADDERS[name](far.radius)) for name in names)
        if (rungs, back_off) not in made
    ]
    sums, depths = ask(query, scores, ladders, spread=spread, **how)
    share = np.ones(len(query.windows))
    for one, found in zip(scores, sums, strict=True):
        made[one] = kernel_part(query.within(len(one.values) // 2), one, found, share)
    for rungs, counts in zip(ladders, depths, strict=True):
        made[rungs, back_off] = back_off_part(far, rungs, back_off, counts, share)


def _back_off_parts(
    machine: TextMachine, query: TextQuery, share: Floats, made: dict[Hashable, Part]
) -> dict[str, BackOffPart]:
    """The parts of back-off, by ladder; ladders of which nothing is known have no say."""
    count = {name: float(machine.ladders.count(name)) for name in dict.fromkeys(machine.ladders)}
    speaks = {
        name: np.where(query.heard(LADDERS[name](query.radius)).any(axis=1), own, 0.0) for name, own in count.items()
    }
    voices = sum_of(speaks.values())
    share_of = {
        name: np.where(voices > 0, speaks[name], own) / np.where(voices > 0, voices, float(len(machine.ladders)))
        for name, own in count.items()
    }
    return {name: _ladder(machine, query, name, share * share_of[name], made) for name in share_of}


def _ladder(
    machine: TextMachine, query: TextQuery, name: str, share: Floats, made: dict[Hashable, Part]
) -> BackOffPart:
    ladder = LADDERS[name](query.radius)
    part = made[query.rungs(ladder), BackOff(machine.beta, machine.discount)]
    assert isinstance(part, BackOffPart)
    return part.on(query, ladder, share)
