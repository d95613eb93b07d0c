"""A prediction as pictures for people, each the content of a PNG file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from smalti.networks.predicted.case import Case
from smalti.networks.predicted.curves import Curve, over_time, sizes_over_time
from smalti.networks.predicted.figure import styles
from smalti.networks.predicted.names import brief, in_words, parts
from smalti.networks.predicted.scatter import scatter
from smalti.networks.predicted.sheet import Group, sheet
from smalti.resample import Interval

__all__ = ["PICTURES", "draw"]

PICTURES = {
    "scatter.png": "r of the machine against r of the baseline, a dot for each seed",
    "pairs.png": "the network's pictures and their predictions, best, middling and worst",
    "trajectories.png": "how three of them come about",
    "time.png": "agreement over time, and the error of each step",
    "scales.png": "patch sizes over time",
}
"""The pictures, each with what it shows."""

_EACH = 5
_COLUMNS = 10


def draw(case: Case) -> dict[str, bytes]:
    """The pictures by name: those of `PICTURES`, but `scales.png` only where the machine has patch sizes."""
    drawn: dict[str, Callable[[Case], bytes | None]] = {
        "scatter.png": _scatter,
        "pairs.png": _pairs,
        "trajectories.png": _trajectories,
        "time.png": _over_time,
        "scales.png": _sizes,
    }
    found = {name: made(case) for name, made in drawn.items()}
    return {name: content for name, content in found.items() if content is not None}


def _scatter(case: Case) -> bytes:
    found = case.prediction
    style = styles(tuple(found.predictors), baseline=case.baseline)
    return scatter(
        {in_words(name): found.agreement(name, case.finest).r for name in case.machines},
        found.agreement(case.baseline, case.finest).r,
        baseline_name=case.baseline,
        styles={in_words(name): one for name, one in style.items()},
        title=f"Prediction of {brief(case.name)} ({_steps(case.finest)}): Pearson's r\n"
        f"of finished pictures, predictors with {_steps(case.steps)}",
    )


def _pairs(case: Case) -> bytes:
    found, order = case.prediction, case.ranked()
    measure = f"by r of {brief(in_words(case.machines[0]))}"
    if len(order) >= 3 * _EACH:
        middle = (len(order) - _EACH) // 2
        groups = {"best": order[:_EACH], "median": order[middle : middle + _EACH], "worst": order[-_EACH:]}
        title = f"From the same noise: {_EACH} pictures each of {len(order)}, {measure}"
    else:
        groups = {"": order}
        title = f"From the same noise, from best to worst {measure}"
    places = np.concatenate(list(groups.values()))
    network = found.network[case.finest].images[places]
    r = {name: found.agreement(name, case.finest).r[places] for name in case.focus}
    return sheet(
        [network, *(found.predictors[name].images[places] for name in case.focus)],
        title=title,
        rows=[Group("", (f"network, {_steps(case.finest)}", *map(in_words, case.focus)))],
        columns=[
            Group(heading, tuple(f"seed {found.seeds[place]}" for place in chosen))
            for heading, chosen in groups.items()
        ],
        notes=[[""] * len(places), *([_r(value) for value in r[name]] for name in case.focus)],
    )


def _trajectories(case: Case) -> bytes:
    found, order = case.prediction, case.ranked()
    chosen = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    if len(order) < len(chosen):
        chosen = {"best": order[0]}
    steps = np.unique(np.linspace(0, case.steps - 1, min(_COLUMNS, case.steps)).round().astype(int))
    ways = {f"network, {_steps(case.steps)}": found.network[case.steps]}
    ways |= {in_words(name): found.predictors[name] for name in case.focus}
    return sheet(
        [way.estimates[place][steps] for place in chosen.values() for way in ways.values()],
        title="How pictures come about: each denoiser's estimate of the clean picture, on its own way",
        rows=[
            Group(f"{heading}: seed {found.seeds[place]}" if len(chosen) > 1 else "", tuple(ways))
            for heading, place in chosen.items()
        ],
        columns=[Group("", tuple(f"t = {found.levels[step].time:.2f}" for step in steps))],
    )


def _over_time(case: Case) -> bytes:
    found = case.prediction
    names = tuple(dict.fromkeys((*case.focus, *found.predictors)))
    style = styles(tuple(found.predictors), baseline=case.baseline)
    return over_time(
        {in_words(name): _curve(found.over_time(name).median("r")) for name in names},
        {in_words(name): _curve(found.along[name].median("r")) for name in names if name in found.along},
        {in_words(name): _curve(found.along[name].median("mse")) for name in names if name in found.along},
        times=[level.time for level in found.levels],
        styles={in_words(name): one for name, one in style.items()},
        title=f"Agreement with {brief(case.name)}, {_steps(case.steps)} on both sides: medians over "
        f"seeds ({len(found.seeds)}), shaded 95 % intervals",
    )


def _sizes(case: Case) -> bytes | None:
    found = case.prediction
    sizes = {name: found.predictors[name].settings["patch_sizes"] for name in case.machines}
    known = {name: chosen for name, chosen in sizes.items() if chosen is not None}
    if not known:
        return None
    style = styles(tuple(found.predictors), baseline=case.baseline)
    return sizes_over_time(
        {_source(name): chosen for name, chosen in known.items()},
        times=[level.time for level in found.levels],
        styles={_source(name): style[name] for name in known},
        title=f"Patch sizes of the {parts(case.machines[0])[0]} machine",
    )


def _source(name: str) -> str:
    """Where patch sizes came from, for the key of a plot."""
    scales = parts(name)[1] or ""
    return {"network": "network: fitted to it", "auto": "auto: leaving pictures out"}.get(scales, f"given: {scales}")


def _steps(count: int) -> str:
    return f"{count:,} step{'' if count == 1 else 's'}"


def _r(value: float) -> str:
    return "no r" if np.isnan(value) else f"r {value:.2f}"


def _curve(medians: Sequence[Interval]) -> Curve:
    values: list[NDArray[np.float64]] = [
        np.array([getattr(one, name) for one in medians]) for name in ("value", "low", "high")
    ]
    return Curve(*values)
