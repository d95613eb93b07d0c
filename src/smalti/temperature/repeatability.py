"""How alike the answers to the same prompts are, as plain numbers: shares, distances, places of divergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from smalti.resample import Interval, counts, interval, means
from smalti.temperature.likelihood import Sites, hazards
from smalti.temperature.matched import binomial
from smalti.temperature.metrics import Forms
from smalti.temperature.record import Recording

__all__ = ["agreeing", "mean_of", "repeatability"]


def mean_of(values: ArrayLike, *, draws: int, seed: int) -> Interval:
    """The mean over prompts of values from 0 to 1, with its bootstrap interval. Shape (P,).

    One prompt says nothing of others: from 0 to 1. Where all values are the same, all draws are too: the interval then
    goes as far as prompts with 0, or with 1, could have been missed (Clopper & Pearson 1934).
    """
    table = np.asarray(values, np.float64)[:, None]
    point = float(means(table, np.ones((1, len(table))))[0, 0])
    if len(table) == 1:
        return Interval(point, 0.0, 1.0)
    if (table == table[0]).all():
        missed = binomial(0, len(table))[1]
        return Interval(point, point * (1.0 - missed), point + (1.0 - point) * missed)
    drawn = means(table, counts(draws, len(table), seed=seed, purpose="temperature/bootstrap/prompts"))[:, 0]
    low, high = interval(drawn, len(table))
    return Interval(point, min(low, point), max(high, point))


def repeatability(
    recording: Recording, forms: Mapping[int, Forms], measured: Sequence[int], *, draws: int, seed: int
) -> dict[str, Any]:
    """The entry `repeatability` of a result. Tier: *bitwise* for draws and seed.

    Args:
        recording: without answers from a cache.
        forms: of each prompt that has answers.
        measured: the prompts whose answers are compared, with two answers or more.

    Keyword Args:
        draws: bootstrap draws of prompts.
        seed: of the draws.
    """
    shown = [forms[prompt] for prompt in measured]
    lost = [place for one in shown for place in one.divergences]
    parted = [place for place in lost if place is not None]
    numbers = {
        "exact_match": [one.exact_match for one in shown],
        "disagreement": [one.disagreement for one in shown],
        "edit_distance": [one.edit_distance(recording.length) for one in shown],
        "behind": [one.behind(recording.length) for one in shown],
    }
    return {
        **{name: mean_of(values, draws=draws, seed=seed) for name, values in numbers.items()},
        "first_divergence": {
            "median": float(median(parted)) if parted else None,
            "never": 1.0 - len(parted) / len(lost),
        },
        "by_prompt": [
            {
                "prompt": prompt,
                "text": recording.prompts[prompt],
                "answers": one.runs,
                "distinct": len(one.forms),
                "exact_match": one.exact_match,
                "first_divergence": list(one.divergences),
            }
            for prompt, one in sorted(forms.items())
        ],
    }


def agreeing(
    shown: Sequence[Forms], length: int, found: Sites | None, temperature: float
) -> list[tuple[int, float, float | None]]:
    """(place, share of answers that have not left the path before or at it, the share that a temperature predicts).

    The path is the likeliest one where a system tells log-probabilities, and else the most frequent answer; nothing is
    predicted then. Behind the last place that is known a path goes on as it is.
    """
    if found is None:
        lost = [length if place is None else place for one in shown for place in one.divergences]
        return [(t, sum(place > t for place in lost) / len(lost), None) for t in range(length)]
    runs = found.runs
    stay = hazards(found, np.array([temperature]))[0][:, 0] if temperature > 0 else np.zeros(len(found.prompt))
    still, expected = float(runs), np.zeros(0)
    came = {int(p): int(found.came[(found.prompt == p) & (found.place == 0)].sum()) for p in np.unique(found.prompt)}
    log_stay = dict.fromkeys(came, 0.0)
    out = list[tuple[int, float, float | None]]()
    for t in range(length):
        for row in np.flatnonzero(found.place == t).tolist():
            still -= int(found.left[row].sum())
            log_stay[int(found.prompt[row])] += float(stay[row])
        expected = sum(came[p] * float(np.exp(log_stay[p])) for p in came)
        out.append((t, still / runs, expected / runs))
    return out
