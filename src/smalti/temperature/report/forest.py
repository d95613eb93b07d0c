"""Rows of estimates on one common axis: each a point with its interval, as reviews of studies draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smalti.temperature.report.markup import Markup, Piece, tag
from smalti.temperature.report.plot import Axis

__all__ = ["Row", "forest"]

_HEIGHT = 26


@dataclass(frozen=True, kw_only=True)
class Row:
    """One estimate.

    Attributes:
        name: what it is of.
        figure: the estimate as text.
        detail: its interval as text, or what there is to say in its place.
        value: the estimate.
        low: lower end of its interval.
        high: upper end.
        wide: a wider interval behind it, such as the spread of references.
        bound: in place of a value: it is below this.
        others: further values, small, with what each is.
        expected: a value to compare with, drawn hollow.
        first: whether it is the row that the page's answer is taken from.
    """

    name: Piece
    figure: str
    detail: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    wide: tuple[float, float] | None = None
    bound: float | None = None
    others: Sequence[tuple[float, str]] = ()
    expected: float | None = None
    first: bool = False


def forest(rows: Sequence[Row], axis: Axis, *, title: str) -> Markup:
    """Rows under each other, and the axis below them.

    Args:
        rows: the estimates.
        axis: the axis of all of them.

    Keyword Args:
        title: what the axis measures.
    """
    ticks = (
        tag("text", text, class_="tick", x=axis.at(value), y=14, text_anchor=_anchor(axis.share(value)))
        for value, text in axis.ticks
    )
    return tag(
        "div",
        tag("ol", *(_row(row, axis) for row in rows), class_="rows"),
        tag(
            "div",
            tag("p", title, class_="axis-title"),
            tag("svg", *ticks, class_="ruler scale-row", height=20, aria_hidden="true"),
            class_="row axis",
        ),
        class_="forest",
    )


def _anchor(share: float) -> str:
    """What of a tick's text stands at its place: within the edges of a narrow page."""
    return "start" if share == 0 else "end" if share == 1 else "middle"


def _row(row: Row, axis: Axis) -> Markup:
    grid = (
        tag("line", class_="grid", x1=axis.at(value), x2=axis.at(value), y1=0, y2="100%") for value, _ in axis.ticks
    )
    words = tag(
        "div",
        tag("span", row.name, class_="row-name"),
        tag("span", tag("b", row.figure), class_="row-figure"),
        tag("span", row.detail, class_="row-detail") if row.detail else None,
        class_="row-words",
    )
    # Marks hang on the middle, however high the words beside them make the row.
    marks = tag("svg", *_marks(row, axis), y="50%", overflow="visible")
    ruler = tag("svg", *grid, marks, class_="ruler", height=_HEIGHT, aria_hidden="true")
    return tag("li", words, ruler, class_="row first" if row.first else "row")


def _marks(row: Row, axis: Axis) -> list[Markup]:
    marks = list[Markup]()
    if row.wide is not None:
        marks.append(_bar(axis, *row.wide, class_="wide", thick=16))
    if row.bound is not None:
        marks.append(_bar(axis, axis.low, row.bound, class_="below", thick=8))
        end = axis.at(row.bound)
        marks.append(tag("line", class_="end", x1=end, x2=end, y1=-9, y2=9))
    if row.low is not None and row.high is not None:
        marks.append(_bar(axis, row.low, row.high, class_="interval", thick=6))
    marks += [
        tag("line", tag("title", text), class_="other", x1=axis.at(v), x2=axis.at(v), y1=-7, y2=7)
        for v, text in row.others
    ]
    if row.expected is not None:
        marks.append(tag("circle", class_="hollow", cx=axis.at(row.expected), cy=0, r=5.5))
    if row.value is not None:
        marks.append(tag("circle", class_="dot", cx=axis.at(row.value), cy=0, r=5))
    return marks


def _bar(axis: Axis, low: float, high: float, *, class_: str, thick: int) -> Markup:
    first, last = axis.share(low), axis.share(high)
    return tag(
        "rect",
        class_=class_,
        x=f"{100 * first:.2f}%",
        width=f"{100 * (last - first):.2f}%",
        y=-thick / 2,
        height=thick,
        rx=min(3, thick / 2),
    )
