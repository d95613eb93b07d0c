"""A prediction as JSON values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from smalti.networks.comparison import Agreement
from smalti.networks.predicted.case import OUTSIDE, Case
from smalti.networks.predicted.names import parts
from smalti.resample import LEVEL, Interval

__all__ = ["prediction_record"]

_MEASURES = (
    "r is Pearson's correlation over all pixels and channels of two pictures of one seed, of means before they are "
    "rounded to pixels unless it is said; r_squared its square; mse the mean squared difference, pixels in [-1, 1]; "
    "cosine the cosine similarity"
)
_MEDIANS = f"medians over seeds with {LEVEL:.0%} bootstrap intervals over seeds; null: not defined"
_OWN_WAY = (
    "estimates of the clean picture at each step, rounded to pixels, network and predictor each on its own way from "
    "the same noise, with the same number of steps"
)
_SAME_STATE = "estimates of the clean picture at the states of the network, with the same number of steps"
_RANGE = f"outside: share of the numbers in the network's pictures beyond {OUTSIDE} on either side, black -1 to white 1"


def prediction_record(case: Case) -> dict[str, Any]:
    """What was found, as JSON values: for each predictor its agreement with the network, and comparisons."""
    found = case.prediction
    return {
        "measures": {
            "all": _MEASURES,
            "medians": _MEDIANS,
            "own_way": _OWN_WAY,
            "same_state": _SAME_STATE,
            "range": _RANGE,
        },
        "range": [{"network_steps": count, "outside": case.outside(count)} for count in sorted(found.network)],
        "predictors": [_of_predictor(case, name) for name in found.predictors],
        "comparisons": [
            {
                "predictor": how.one,
                "with": how.other,
                "network_steps": case.finest,
                "seeds": how.seeds,
                "better": how.better,
                "difference_of_r": _interval(how.difference),
            }
            for how in case.comparisons()
        ],
    }


def _of_predictor(case: Case, name: str) -> dict[str, Any]:
    found = case.prediction
    kind, scales = parts(name)
    own, same = found.over_time(name), found.along[name]
    return {
        "name": name,
        "predictor": kind,
        "scales": scales,
        "patch_sizes": found.predictors[name].settings["patch_sizes"],
        "pictures": [
            {"network_steps": count, **_medians(found.agreement(name, count))} for count in sorted(found.network)
        ],
        "own_way": _steps(own.median("r"), "r"),
        "same_state": {measure: [_interval(one) for one in same.median(measure)] for measure in ("r", "mse", "cosine")},
    }


def _steps(medians: Sequence[Interval], measure: str) -> dict[str, Any]:
    return {measure: [_interval(one) for one in medians]}


def _medians(one: Agreement) -> dict[str, Any]:
    medians = {m: _interval(one.median(m)) for m in ("r", "r_squared", "mse", "cosine")}
    return {"seeds": len(one.seeds), "undefined": one.undefined, **medians}


def _interval(found: Interval) -> dict[str, float | None]:
    return {"median": _known(found.value), "low": _known(found.low), "high": _known(found.high)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
