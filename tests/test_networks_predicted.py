"""Plots of a prediction: styles that differ, and names that plots cannot take as they are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import smalti
from smalti import BorderAware, Ideal, ImageCorpus, Scales
from smalti.denoisers import Wiener
from smalti.networks import predict
from smalti.networks.predicted import Case, curves, draw
from smalti.networks.predicted.figure import key, new_figure, styles
from smalti.networks.predicted.names import brief


class Theirs(Ideal):
    """A network with a name that is no formula."""

    name = r"a_$\frac$_" + "b" * 200


@pytest.mark.parametrize("steps", [1, 3])
def test_any_names_can_be_drawn(steps: int, few_digits: ImageCorpus) -> None:
    corpus = few_digits.without(range(10, len(few_digits)))
    scales = Scales.listed([3, 5], schedule=smalti.schedule("cosine"))
    names = ("border-aware:_mine$\\x$.json", "border-aware:/home/" + "c" * 200 + "/scales.json")
    predictors = {**{name: BorderAware(corpus, scales=scales) for name in names}, "ideal": Ideal(corpus)}
    predictors |= {f"other-{n}": Wiener(corpus) for n in range(9)}
    found = predict(Theirs(corpus), predictors, seeds=[3], steps=steps, network_steps=[steps])
    drawn = draw(Case(found, Theirs.name, names, "ideal"))
    assert sorted(drawn) == ["pairs.png", "scales.png", "scatter.png", "time.png", "trajectories.png"]
    for content in drawn.values():
        with Image.open(io.BytesIO(content)) as picture:
            assert max(picture.size) < 2500
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


@pytest.mark.parametrize(("middle", "top"), [(9.0, None), (40.0, None), (0.5, None), ((0.1, 1000.0), 4.0)])
def test_the_axis_of_errors_holds_the_errors_the_right_way_up(
    middle: float | tuple[float, float], top: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[float, float]] = []

    def png(figure: Any) -> bytes:
        shown.append(figure.axes[2].get_ylim())
        return b""

    monkeypatch.setattr(curves, "png", png)
    values = np.broadcast_to(np.asarray(middle), 2).astype(np.float64)
    errors = {"a": curves.Curve(values, values * 0.9, values * 1.1)}
    r = {"a": curves.Curve(*np.full((3, 2), 0.5))}
    curves.over_time(r, r, errors, times=[1.0, 0.5], styles=styles(["a"], baseline="a"), title="")
    [(low, high)] = shown
    assert low < high
    if top is None:
        assert low <= values.min() * 0.9
        assert values.max() * 1.1 <= high
    else:
        assert high == top


def test_twelve_predictors_differ() -> None:
    names = [f"p{n}" for n in range(12)]
    found = styles([*names, "ideal"], baseline="ideal")
    assert len({one.marker for one in found.values()}) == 13
    assert len({(one.colour, str(one.dashes)) for one in found.values()}) == 13
    assert found["ideal"].colour == "#000000"


def test_the_key_names_all_lines() -> None:
    figure = new_figure(4, 3)
    cell = figure.subplots()
    names = ["a$_$", "given: _b.json", "c" * 100]
    key(figure, [cell.plot([0, 1])[0] for _ in names], names)
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told[:2] == names[:2]
    assert told[2] == "c" * 19 + " … " + "c" * 18


@pytest.mark.parametrize("most", [40, 11, 12])
def test_brief_names_keep_both_ends(most: int) -> None:
    text = "abcdefghijklmnopqrstuvwxyz" * 3
    assert brief(text[:most], most) == text[:most]
    short = brief(text, most)
    assert len(short) == most
    start, end = short.split(" … ")
    assert text.startswith(start)
    assert text.endswith(end)
