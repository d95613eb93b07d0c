"""The parts that show what the answer rests on: each a question, the answer in a sentence, and a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from smalti.temperature.report import words
from smalti.temperature.report.forest import Row, forest
from smalti.temperature.report.markup import Markup, Piece, tag
from smalti.temperature.report.plot import Axis, Plot, decades, key

__all__ = ["evidence"]

Result = Mapping[str, Any]

_SHARES = [(0.0, "0\u00a0%"), (0.25, "25\u00a0%"), (0.5, "50\u00a0%"), (0.75, "75\u00a0%"), (1.0, "100\u00a0%")]
_SHARE = Axis(low=0, high=1, ticks=_SHARES)
# How far below its maximum a log-likelihood is of interest.
_DEEP = 10.0


def evidence(result: Result) -> list[Markup]:
    """The parts that show what the answer rests on; those without data are left out."""
    parts = (_divergence, _fit, _loads, _drift, _matched, _likelihood)
    return [part for part in (make(result) for make in parts) if part is not None]


def _part(title: str, text: str, *pieces: Piece, name: str | None = None) -> Markup:
    return tag("section", tag("h2", title), tag("p", text, class_="finding"), *pieces, class_="part", id=name)


def _divergence(result: Result) -> Markup | None:
    rows = result["curves"]["divergence"]
    if not rows:
        return None
    length, unit = len(rows), result["units"]
    observed = [(0, 1.0), *((place + 1, share) for place, share, _ in rows)]
    predicted = [(place + 1, share) for place, _, share in rows if share is not None]
    path = "the likeliest answer" if predicted else "the commonest answer to their prompt"
    text = f"After {unit[:-1]} {length}, {words.percent(observed[-1][1])} of the answers are still {path}."
    plot = Plot(
        across=Axis(low=0, high=length, ticks=_whole_ticks(length)),
        up=_SHARE,
        height=220,
        label=f"Share of answers that have not parted, over {unit}. {text}",
        across_title=unit.capitalize(),
        up_title="Not parted yet",
    )
    marks = [plot.curve([(0, 1.0), *predicted], class_="predicted")] if predicted else []
    names = [("observed", "observed")]
    names += [("predicted", "predicted by one temperature")] if predicted else []
    drawn = plot.figure(*marks, plot.curve(observed, class_="observed"))
    return _part("Where do answers part?", text, drawn, key(*names))


def _whole_ticks(length: float) -> list[tuple[float, str]]:
    step = next((s for s in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if length / s <= 8), 1024)
    return [(value, str(value)) for value in range(0, int(length) + 1, step)]


def _fit(result: Result) -> Markup | None:
    thirds = result["fit"]["thirds"]
    if not thirds:
        return None
    names = ("Steady places", "Middle", "Unsteady places") if len(thirds) == 3 else [str(k + 1) for k in range(99)]
    values = [one[name] for one in thirds for name in ("predicted", "observed")]
    lowest = min([value for value in values if value > 0], default=1e-3)
    axis = decades([max(lowest, 1e-6)], low=1e-3, high=1)
    axis = replace(axis, ticks=[(value, _share_tick(value)) for value, _ in axis.ticks])
    rows = [
        Row(
            name=name,
            figure=words.percent(one["observed"]),
            detail=f"predicted {words.percent(one['predicted'])}, {words.counted(one['n'], 'token')}",
            value=one["observed"],
            expected=one["predicted"],
        )
        for name, one in zip(names, thirds, strict=False)
    ]
    return _part(
        "Does one temperature describe it?",
        result["fit"]["text"],
        forest(rows, axis, title="Share that parts there"),
        key(("dot", "observed"), ("hollow", "predicted by one temperature")),
        name="fit",
    )


def _share_tick(value: float) -> str:
    return f"{100 * value:.10g}\u00a0%" if value >= 1e-5 else f"{100 * value:.0e}\u00a0%".replace("e-0", "e-")


def _loads(result: Result) -> Markup | None:
    if len(result["loads"]) < 2:
        return None
    rows = [
        Row(
            name=one["load"],
            figure=words.percent(one["exact_match"]["value"]),
            detail=_load_detail(one),
            value=one["exact_match"]["value"],
            low=one["exact_match"]["low"],
            high=one["exact_match"]["high"],
        )
        for one in result["loads"]
        if one["exact_match"] is not None  # no prompt has two answers under this load
    ]
    shown = forest(rows, _SHARE, title="Commonest answer given")
    return _part("Does load matter?", result["load_test"]["text"], shown, name="load_test")


def _load_detail(one: Mapping[str, Any]) -> str:
    found = one["temperature"]
    told = words.counted(one["answers"], "answer")
    if found is None or found.get("value") is None:
        return told
    return f"temperature {words.temperature(found['value'])}, {told}"


def _drift(result: Result) -> Markup | None:
    blocks = [one for one in result["drift"]["blocks"] if one["disagreement"] is not None]
    if len(blocks) < 2:
        return None
    places = [one["block"] + 1 for one in blocks]  # people count from 1
    plot = Plot(
        across=Axis(
            low=min(places) - 0.4,
            high=max(places) + 0.4,
            ticks=[(k, str(k)) for k in places if len(places) <= 12 or k % -(-len(places) // 12) == 0],
        ),
        up=_SHARE,
        height=180,
        label=f"Pairs that differ in each time block. {result['drift']['text']}",
        across_title="Time block",
        up_title="Pairs that differ",
    )
    change = result["drift"]["change_at"]
    marks = [] if change is None else [plot.upright(change + 0.5, class_="change")]
    marks.append(plot.curve([(k, one["disagreement"]) for k, one in zip(places, blocks, strict=True)], class_="thin"))
    marks += [
        plot.point(
            k,
            one["disagreement"],
            class_="dot",
            text=f"block {k}: {words.percent(one['disagreement'])}",
        )
        for k, one in zip(places, blocks, strict=True)
    ]
    names = [] if change is None else [key(("change", f"a change before block {change + 1}"))]
    return _part("Did it change over time?", result["drift"]["text"], plot.figure(*marks), *names, name="drift")


def _matched(result: Result) -> Markup | None:
    curves = [one for one in result["curves"]["matched"] if one["points"]]
    if not curves:
        return None
    measured = result["repeatability"]["behind"]
    axis = decades([t for one in curves for t, _ in one["points"]], low=1e-3, high=1)
    text = "A reference varies as much as this system at the temperature at which its curve meets the system's line."
    plot = Plot(
        across=axis,
        up=_SHARE,
        height=240,
        label=f"Share of an answer behind the first difference, over the temperature of each reference. {text}",
        across_title="Temperature of the reference",
        up_title="Behind the first difference",
    )
    marks = [
        plot.rows(measured["low"], measured["high"], class_="band"),
        plot.level(measured["value"], class_="observed-level"),
        *(plot.curve([(t, d) for t, d in one["points"]], class_=f"series-{k % 6}") for k, one in enumerate(curves)),
    ]
    names = [(f"series-{k % 6}", str(one["reference"])) for k, one in enumerate(curves)]
    return _part("What do the references say?", text, plot.figure(*marks), key(("observed", "this system"), *names))


def _likelihood(result: Result) -> Markup | None:
    points = [(t, value) for t, value in result["curves"]["likelihood"] if value is not None and t > 0]
    if not points:
        return None
    most = max(value for _, value in points)
    one = next((e for e in result["estimates"] if e["protocol"] == "likelihood"), None)
    found = None if one is None else one["temperature"] if one["bound"] is None else one["bound"]
    near = [t for t, value in points if value - most > -_DEEP] + ([found] if found else [])
    axis = decades(near, low=10.0 ** math.floor(math.log10(min(near))), high=10.0 ** math.ceil(math.log10(max(near))))
    plot = Plot(
        across=axis,
        up=Axis(low=-_DEEP, high=0, ticks=[(v, f"{v:g}".replace("-", "−")) for v in (0, -2, -4, -6, -8, -10)]),
        height=200,
        label="Log-likelihood of the first differences over temperature, relative to its maximum.",
        across_title="Temperature",
        up_title="Log-likelihood, from its maximum",
    )
    marks: list[Markup] = []
    if one is not None and one["bound"] is None:
        marks.append(plot.columns(one["low"], one["high"], class_="band"))
    marks += [plot.upright(found, class_="observed-level")] if found else []
    curve = _above(points, most - _DEEP)
    text = "The sharper the peak, the better these answers tell one temperature from another."
    if one is not None and one["bound"] is not None:
        text = "Nothing parted, so the likelihood only falls with temperature: it gives a bound."
    drawn = plot.figure(*marks, plot.curve([(t, value - most) for t, value in curve], class_="observed"))
    return _part("How sharp is the estimate?", text, drawn)


def _above(points: Sequence[tuple[float, float]], bottom: float) -> list[tuple[float, float]]:
    """The part of a curve with one peak that lies above a level, cut there."""
    found = list[tuple[float, float]]()
    for (t, value), (u, other) in pairwise(points):
        if value >= bottom:
            found.append((t, value))
        if (value < bottom) != (other < bottom):
            share = (bottom - value) / (other - value)
            found.append((t * (u / t) ** share, bottom))
    return found + [point for point in points[-1:] if point[1] >= bottom]
