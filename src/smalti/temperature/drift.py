"""Whether answers depend on the load and on time: permutation tests.

How much of the variety of answers lies between groups is measured as in an analysis of variance of categories (Light &
Margolin 1971): with n_ga answers of form a in group g to a prompt,

    between = sum over prompts of  sum_g sum_a n_ga^2 / n_g - sum_a n_a^2 / n,    of    sum of n - sum_a n_a^2 / n

It is 0 where groups answer alike. It sees both a group that answers differently and one that varies more. The chance p
of as much or more is counted over random exchanges between groups, within a prompt and whatever else they were asked
under. Answers to one prompt that were asked together may share what the server did to them, and be alike for that; so
a *unit* is exchanged whole: the answers to a prompt of one burst, or of one mixed round. Between time blocks, units are
exchanged within a load; so p needs no assumption but that the order within a prompt was by chance. Between loads, units
are of different sizes: where any holds several answers, those of the other loads are joined until all loads have as
many units in a block, since exchanges of two groups of as many units allow for a variety that differs between them.
A p below 0.05 is called an effect: one system in twenty without any would be called so.

In 400 simulated systems without any effect, 6 prompts in 3 blocks, where all that is under way together meets one of
eight configurations, alarms were: of load 5 % and of time 4 % with one burst of 8 in each block beside 8 requests
alone, 6 % and 4 % with two bursts, 7 % and 6 % with 10 requests in mixed rounds of 8 under way. (Exchanges of single
answers gave 97 % and 99 %, 92 % and 98 %, 12 % and 15 %.) Of 200 systems that answer otherwise under load, or from the
third block on, 90 % and 97 % were found with one burst, and all otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.noise.words import random_words
from smalti.resample import whole
from smalti.temperature.metrics import Forms
from smalti.temperature.plan import ALONE, Load
from smalti.temperature.record import Answer, Recording

__all__ = ["ALARM", "Change", "Effect", "Fingerprint", "change", "fingerprints", "load_effect"]

ALARM = 0.05
"""A p below this is called an effect."""

_FORGIVEN = 1e-6 / 2.0**-30

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """Whether groups answer alike.

    Attributes:
        statistic: share of the variety of answers that lies between groups, in [0, 1].
        p: chance of as much by exchanging units; None where there is one group or no variety, or no exchange that
            changes anything.
    """

    statistic: float
    p: float | None


@dataclass(frozen=True)
class Change:
    """Whether answers changed at some time.

    Attributes:
        at: the first block behind the change that explains most; None without an effect.
        p: chance of as large a change by exchanging units between blocks; None where there is one block or no variety,
            or no exchange that changes anything.
    """

    at: int | None
    p: float | None


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint that the system named, with its answers and the first and last of them in the order of asking."""

    value: str
    answers: int
    first: int
    last: int


def load_effect(recording: Recording, *, draws: int, seed: int) -> Effect:
    """Whether answers depend on the load; units are exchanged within blocks. Tier: *bitwise* for draws and seed."""
    groups = {load: g for g, load in enumerate(recording.loads)}
    between = np.zeros(draws + 1)
    variety = 0.0
    for prompt, answers, forms in _varied(recording):
        group = np.array([groups[answer.load] for answer in answers])
        block = np.array([a.block for a in answers])
        units = _balanced(_units(recording, answers), group, block)
        shuffled = _exchanged(group, block, units, draws, seed, f"loads/{prompt}")
        table = _table(shuffled, forms, len(groups))
        between += _spread(table).sum(axis=1) - _spread(table.sum(axis=1, keepdims=True)).sum(axis=1)
        variety += float(whole(forms.runs)) - float(_spread(forms.counts[None, None, :]).sum())
    if len(groups) < 2 or not variety:
        return Effect(0.0, None)
    return Effect(float(between[0]) / variety, _chance(between))


def change(recording: Recording, *, draws: int, seed: int) -> Change:
    """Whether answers changed between two time blocks; units are exchanged within loads. Tier: *bitwise* as above."""
    blocks = {block: b for b, block in enumerate(recording.blocks)}
    loads = {load: g for g, load in enumerate(recording.loads)}
    cuts = len(blocks) - 1
    if cuts < 1:
        return Change(None, None)
    between = np.zeros((draws + 1, cuts))
    seen = False
    for prompt, answers, forms in _varied(recording):
        group = np.array([blocks[answer.block] for answer in answers])
        load = np.array([loads[a.load] for a in answers])
        shuffled = _exchanged(group, load, _units(recording, answers), draws, seed, f"blocks/{prompt}")
        table = _table(shuffled, forms, len(blocks))
        before = np.cumsum(table, axis=1)[:, :-1]
        behind = forms.counts - before
        between += _spread(before) + _spread(behind) - _spread(forms.counts[None, None, :])
        seen = True
    if not seen:
        return Change(None, None)
    p = _chance(between.max(axis=1))
    found = p is not None and p < ALARM
    return Change(recording.blocks[int(between[0].argmax()) + 1] if found else None, p)


def fingerprints(recording: Recording) -> tuple[Fingerprint, ...]:
    """The fingerprints that the system named, in the order of their first answers."""
    seen = dict[str, list[int]]()
    for answer in recording.of():
        if answer.fingerprint is not None:
            seen.setdefault(answer.fingerprint, []).append(answer.order)
    return tuple(Fingerprint(value, len(orders), orders[0], orders[-1]) for value, orders in seen.items())


def _varied(recording: Recording) -> Iterator[tuple[int, tuple[Answer, ...], Forms]]:
    """The prompts whose answers differ; no others can have an effect."""
    for prompt in range(len(recording.prompts)):
        answers = recording.of(prompt=prompt)
        if answers:
            forms = Forms.of(answers)
            if len(forms.forms) > 1:
                yield prompt, answers, forms


def _units(recording: Recording, answers: Sequence[Answer]) -> Ints:
    """Which answers to a prompt were asked together: numbers in the order of loads, blocks and rounds. Shape (n,)."""
    repeats = dict[str, int]()
    for answer in recording.answers:
        repeats[answer.load] = max(repeats.get(answer.load, 0), answer.repeat + 1)
    keys = list[tuple[str, int, int]]()
    for answer in answers:
        load = _load(answer.load)
        most = repeats[answer.load]
        if load.kind == "burst":  # whole ones were asked for, should the last answers be missing
            most = -(-most // load.width) * load.width
        place = load.round_of(answer.prompt, answer.repeat, prompts=len(recording.prompts), repeats=most)
        keys.append((answer.load, answer.block, place))
    number = {key: k for k, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys], np.int64)


def _load(name: str) -> Load:
    """The load of a name; one of no known kind is taken for requests that are asked alone."""
    try:
        return Load.of(name)
    except UsageError:
        return ALONE


def _balanced(units: Ints, group: Ints, stratum: Ints) -> Ints:
    """Units joined until all groups have as many in a stratum, where any of its units has several answers."""
    out, number = np.empty_like(units), 0
    for one in np.unique(stratum):
        inside = stratum == one
        members = [np.unique(units[inside & (group == each)]) for each in np.unique(group[inside])]
        least = min(map(len, members))
        single = int(inside.sum()) == sum(map(len, members))
        for own in members:
            for part in np.array_split(own, len(own) if single else least):
                out[np.isin(units, part)] = number
                number += 1
    return out


def _exchanged(group: Ints, stratum: Ints, units: Ints, draws: int, seed: int, purpose: str) -> Ints:
    """Groups as they are, then those of whole units exchanged within strata in each draw. Shape (draws + 1, n)."""
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    own, within = group[first], stratum[first]
    out = np.repeat(own[None, :], draws + 1, axis=0)
    words = random_words(draws * len(own), seed=seed, purpose=f"temperature/exchange/{purpose}")
    chance = words.reshape(draws, len(own))
    for one in np.unique(within):
        members = np.flatnonzero(within == one)
        out[1:, members] = own[members][chance[:, members].argsort(axis=1, kind="stable")]
    return out[:, unit]


def _table(groups: Ints, forms: Forms, size: int) -> Ints:
    """Answers of each form in each group: n_ga. Shape (draws + 1, groups, forms)."""
    kinds = len(forms.counts)
    draws = np.arange(len(groups))[:, None]
    flat = (draws * size + groups) * kinds + forms.which
    return np.bincount(flat.ravel(), minlength=len(groups) * size * kinds).reshape(len(groups), size, kinds)


def _spread(table: Ints) -> NDArray[np.float64]:
    """sum_a n_ga^2 / n_g of each group, in whole steps; 0 for an empty one. Shape (draws, groups)."""
    total = table.sum(axis=2)
    return whole((table * table).sum(axis=2) / np.maximum(total, 1))


def _chance(values: NDArray[np.float64]) -> float | None:
    """Share of values that are at least the first one, itself among them; None if all are equal. The steps' roundings
    are forgiven.
    """
    if np.ptp(values) <= _FORGIVEN:
        return None
    return float((values >= values[0] - _FORGIVEN).mean())
