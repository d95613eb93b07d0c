"""Whether answers depend on the load and on time: permutation tests.

How much of the variety of answers lies between groups is measured as in an analysis of variance of categories (Light &
Margolin 1971): with n_ga answers of form a in group g to a prompt,

    between = sum over prompts of  sum_g sum_a n_ga^2 / n_g - sum_a n_a^2 / n,    of    sum of n - sum_a n_a^2 / n

It is 0 where groups answer alike. It sees both a group that answers differently and one that varies more. The chance p
of as much or more is counted over random exchanges of answers between groups, within a prompt and whatever else they
were asked under; so p needs no assumption but that the order within a prompt was by chance. A p below 0.05 is called
an effect: one system in twenty without any would be called so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.noise.words import random_words
from smalti.temperature.metrics import Forms
from smalti.temperature.record import Answer, Recording
from smalti.temperature.resample import whole

__all__ = ["ALARM", "Change", "Effect", "Fingerprint", "change", "fingerprints", "load_effect"]

ALARM = 0.05
"""A p below this is called an effect."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """Whether groups answer alike.

    Attributes:
        statistic: share of the variety of answers that lies between groups, in [0, 1].
        p: chance of as much by exchanging answers; None where there is one group or no variety.
    """

    statistic: float
    p: float | None


@dataclass(frozen=True)
class Change:
    """Whether answers changed at some time.

    Attributes:
        at: the first block behind the change that explains most; None without an effect.
        p: chance of as large a change by exchanging answers between blocks; None where there is one block or no
            variety.
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
    """Whether answers depend on the load; they are exchanged within time blocks. Tier: *bitwise* for draws and seed."""
    groups = {load: g for g, load in enumerate(recording.loads)}
    between = np.zeros(draws + 1)
    variety = 0.0
    for prompt, answers, forms in _varied(recording):
        group = np.array([groups[answer.load] for answer in answers])
        shuffled = _exchanged(group, np.array([a.block for a in answers]), draws, seed, f"loads/{prompt}")
        table = _table(shuffled, forms, len(groups))
        between += _spread(table).sum(axis=1) - _spread(table.sum(axis=1, keepdims=True)).sum(axis=1)
        variety += float(whole(forms.runs)) - float(_spread(forms.counts[None, None, :]).sum())
    if len(groups) < 2 or not variety:
        return Effect(0.0, None)
    return Effect(float(between[0]) / variety, _chance(between))


def change(recording: Recording, *, draws: int, seed: int) -> Change:
    """Whether answers changed between two time blocks; they are exchanged within loads. Tier: *bitwise* as above."""
    blocks = {block: b for b, block in enumerate(recording.blocks)}
    loads = {load: g for g, load in enumerate(recording.loads)}
    cuts = len(blocks) - 1
    if cuts < 1:
        return Change(None, None)
    between = np.zeros((draws + 1, cuts))
    seen = False
    for prompt, answers, forms in _varied(recording):
        group = np.array([blocks[answer.block] for answer in answers])
        shuffled = _exchanged(group, np.array([loads[a.load] for a in answers]), draws, seed, f"blocks/{prompt}")
        table = _table(shuffled, forms, len(blocks))
        before = np.cumsum(table, axis=1)[:, :-1]
        behind = forms.counts - before
        between += _spread(before) + _spread(behind) - _spread(forms.counts[None, None, :])
        seen = True
    if not seen:
        return Change(None, None)
    p = _chance(between.max(axis=1))
    return Change(recording.blocks[int(between[0].argmax()) + 1] if p < ALARM else None, p)


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


def _exchanged(group: Ints, stratum: Ints, draws: int, seed: int, purpose: str) -> Ints:
    """Groups as they are, then exchanged within strata in each draw. Shape (draws + 1, n)."""
    out = np.repeat(group[None, :], draws + 1, axis=0)
    words = random_words(draws * len(group), seed=seed, purpose=f"temperature/exchange/{purpose}")
    chance = words.reshape(draws, len(group))
    for one in np.unique(stratum):
        members = np.flatnonzero(stratum == one)
        out[1:, members] = group[members][chance[:, members].argsort(axis=1, kind="stable")]
    return out


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


def _chance(values: NDArray[np.float64]) -> float:
    """Share of values that are at least the first one, itself among them. The steps' roundings are forgiven."""
    return float((values >= values[0] - 1e-6 / 2.0**-30).mean())
