"""A prediction as two tables: finished pictures, and steps. One row for each seed, predictor and number or place of
steps.
"""

from __future__ import annotations

import math
from typing import Any

from smalti.networks.comparison import Agreement
from smalti.networks.predicted.names import parts
from smalti.networks.prediction import Prediction
from smalti.receipts.tables import Column

__all__ = ["PICTURES", "STEPS", "pictures", "steps"]

PICTURES = {
    "seed": "seed of the noise that all begin with",
    "predictor": "what predicts the network",
    "scales": "where its patch sizes came from; missing where it has none, or its own",
    "network_steps": "number of steps of the network",
    "r": "Pearson's r of the two finished pictures; missing where one of them is of one colour",
    "r_squared": "the square of r",
    "mse": "mean squared difference, pixels in [-1, 1]",
    "cosine": "cosine similarity",
}
"""The columns of the table of finished pictures."""

STEPS = {
    "seed": "seed of the noise that all begin with",
    "predictor": "what predicts the network",
    "scales": "where its patch sizes came from; missing where it has none, or its own",
    "step": "step, from 0, the noisiest",
    "time": "time of its noise level",
    "patch_size": "patch size of the predictor at this level, in pixels; missing where it has none",
    "r_own_way": "Pearson's r of the two estimates of the clean picture, as pixels, each denoiser on its own way",
    "r_same_state": "Pearson's r of the two estimates at the network's own state, not rounded",
    "mse_same_state": "mean squared difference of the two estimates there, pixels in [-1, 1]",
    "cosine_same_state": "cosine similarity of the two estimates there",
}
"""The columns of the table of steps."""


def pictures(found: Prediction) -> dict[str, Column]:
    """The table of finished pictures, columns by name."""
    table: dict[str, list[Any]] = {name: [] for name in PICTURES}
    for name in found.predictors:
        kind, scales = parts(name)
        for count in sorted(found.network):
            one = found.agreement(name, count)
            rows = {"predictor": kind, "scales": scales, "network_steps": count}
            _add(table, rows | _measures(one), found.seeds)
    return dict(table)


def steps(found: Prediction) -> dict[str, Column]:
    """The table of steps, columns by name."""
    table: dict[str, list[Any]] = {name: [] for name in STEPS}
    for name, trace in found.predictors.items():
        kind, scales = parts(name)
        sizes = trace.settings["patch_sizes"]
        own, same = found.over_time(name), found.along[name]
        for step, level in enumerate(found.levels):
            rows = {
                "predictor": kind,
                "scales": scales,
                "step": step,
                "time": level.time,
                "patch_size": None if sizes is None else sizes[step],
                "r_own_way": _known(own.r[:, step]),
                "r_same_state": _known(same.r[:, step]),
                "mse_same_state": _known(same.mse[:, step]),
                "cosine_same_state": _known(same.cosine[:, step]),
            }
            _add(table, rows, found.seeds)
    return dict(table)


def _measures(one: Agreement) -> dict[str, list[float | None]]:
    return {name: _known(getattr(one, name)) for name in ("r", "r_squared", "mse", "cosine")}


def _known(values: Any) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def _add(table: dict[str, list[Any]], rows: dict[str, Any], seeds: tuple[int, ...]) -> None:
    """Adds a row for each seed; what is one value is that of all."""
    for name, column in table.items():
        value = seeds if name == "seed" else rows[name]
        column.extend(value if isinstance(value, list | tuple) else [value] * len(seeds))
