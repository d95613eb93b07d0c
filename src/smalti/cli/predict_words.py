"""A prediction told in words: one table, and what its figures mean."""

from __future__ import annotations

import math

from smalti.cli.terminal import counted
from smalti.networks.predicted import Case, Comparison
from smalti.networks.predicted.names import in_words, parts
from smalti.resample import Interval

_BETWEEN = "   "
_MOST_OUTSIDE = 0.05


def table(case: Case) -> str:
    """The predictors in rows: r and r squared with their intervals, for each number of the network's steps."""
    found = case.prediction
    counts = sorted(found.network)
    head = ["predictor", "scales", *(name for _ in counts for name in ("r", "r²"))]
    rows = [head]
    for name in found.predictors:
        kind, scales = parts(name)
        row = [kind, scales or ""]
        for count in counts:
            one = found.agreement(name, count)
            row += [interval(one.median("r")), interval(one.median("r_squared"))]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    pair = [widths[2 + 2 * n] + widths[3 + 2 * n] + len(_BETWEEN) for n in range(len(counts))]
    over = [" " * (widths[0] + len(_BETWEEN) + widths[1])]
    over += [f"network, {counted(count, 'step')}".ljust(wide) for count, wide in zip(counts, pair, strict=True)]
    lines = [over, *([cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)] for row in rows)]
    return "\n".join(_BETWEEN.join(line).rstrip() for line in lines)


def basis(case: Case) -> str:
    """What the figures of the table are."""
    seeds = len(case.prediction.seeds)
    medians = f"medians over {seeds:,} seeds with 95 % bootstrap intervals" if seeds > 1 else "of one seed"
    return (
        f"{medians}; r is Pearson's correlation of a finished picture with the network's; predictors with "
        f"{counted(case.steps, 'step')}"
    )


def comparison(how: Comparison, steps: int) -> str:
    """One predictor beside another, in a sentence."""
    return (
        f"{in_words(how.one)} is nearer to the network ({counted(steps, 'step')}) than {in_words(how.other)} for "
        f"{how.better:,} of {counted(how.seeds, 'seed')}; difference of r: {interval(how.difference, signed=True)}"
    )


def interval(found: Interval, *, signed: bool = False) -> str:
    """A value with its interval: `0.857 [0.835, 0.865]`, or `-` where there is none."""
    if math.isnan(found.value):
        return "-"
    value, low, high = (f"{x:{'+' if signed else ''}.3f}" for x in (found.value, found.low, found.high))
    return value if math.isnan(found.low) else f"{value} [{low}, {high}]"


def out_of_range(case: Case) -> list[str]:
    """A note where a sizeable share of the network's numbers cannot be those of pictures."""
    share = case.outside(case.finest)
    # On digits, after 12,000 steps of training 2 % at most; after 300 to 1,000 steps 8 to 31 %.
    if share <= _MOST_OUTSIDE:
        return []
    return [
        f"{100 * share:.1f} % of the numbers in the network's pictures lie more than 0.05 outside of [-1, 1], black to "
        "white; r hides how far, and mse in prediction.json does not: it may need more training"
    ]


def undefined(case: Case) -> list[str]:
    """A note for each predictor that has pictures without r, and for few seeds."""
    found = case.prediction
    notes = []
    for name in found.predictors:
        none = max(found.agreement(name, count).undefined for count in found.network)
        if none:
            notes.append(
                f"r of {in_words(name)} has no value for {none:,} of {counted(len(found.seeds), 'seed')}, where a "
                "picture is of one colour; medians leave them out"
            )
    if len(found.seeds) == 1:
        notes.append("one seed gives no interval: ask for more, such as --seeds 0-99")
    return notes
