"""Plots as SVG whose places are shares of its size, so that it fits any page and its letters keep their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from smalti.temperature.report.markup import Markup, Piece, joined, tag

__all__ = ["Axis", "Plot", "decades"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One direction of a plot.

    Attributes:
        low: value at its beginning.
        high: value at its end.
        scale: `linear`, or `log` for positive values; what lies outside is drawn at the edge.
        ticks: values with their text.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    scale: Literal["linear", "log"] = "linear"

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.scale == "log":
            if value <= self.low:
                return 0.0
            place = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place))

    def at(self, value: float) -> str:
        """Where a value lies, for an attribute: `37.5%`."""
        return _percent(self.share(value))


def decades(values: Iterable[float], *, low: float, high: float) -> Axis:
    """A logarithmic axis of whole decades from `low` to `high`, or further where values lie beyond.

    Args:
        values: what must find room on it; those that are not positive need none.

    Keyword Args:
        low: a power of ten.
        high: a power of ten.
    """
    positive = [value for value in values if value > 0]
    first = min([round(math.log10(low)), *(math.floor(math.log10(value)) for value in positive)])
    last = max([round(math.log10(high)), *(math.ceil(math.log10(value)) for value in positive)])
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    values = [step * 10.0**power for power in range(first, last) for step in steps] + [10.0**last]
    return Axis(low=10.0**first, high=10.0**last, scale="log", ticks=[(value, _decimal(value)) for value in values])


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot with its two axes.

    Attributes:
        across: the axis from left to right.
        up: the axis from bottom to top.
        height: of the plotted part, in pixels.
        label: what it shows, in a sentence, for those who cannot see it.
        across_title: what is written below it.
        up_title: what is written above its left edge.
    """

    across: Axis
    up: Axis
    height: int
    label: str
    across_title: str = ""
    up_title: str = ""

    def figure(self, *marks: Piece) -> Markup:
        """The plot with its axes, and these marks on it."""
        grid = (tag("line", class_="grid", x1=0, x2="100%", y1=self.y(v), y2=self.y(v)) for v, _ in self.up.ticks)
        left = (
            tag("text", text, class_="tick", x=-8, y=self.y(value), dy="0.35em", text_anchor="end")
            for value, text in self.up.ticks
        )
        below = (
            tag("text", text, class_="tick", x=self.across.at(value), y="100%", dy="1.5em", text_anchor="middle")
            for value, text in self.across.ticks
        )
        down = (
            tag("line", class_="grid", x1=self.across.at(v), x2=self.across.at(v), y1="100%", y2="100%", stroke_width=1)
            for v, _ in self.across.ticks
        )
        return tag(
            "div",
            tag("p", self.up_title, class_="axis-title") if self.up_title else None,
            tag(
                "svg",
                *grid,
                *down,
                *left,
                *below,
                *marks,
                class_="plot",
                height=self.height,
                role="img",
                aria_label=self.label,
            ),
            tag("p", self.across_title, class_="axis-title below") if self.across_title else None,
            class_="chart",
        )

    def y(self, value: float) -> str:
        """Where a value lies from the top, for an attribute."""
        return _percent(1 - self.up.share(value))

    def curve(self, points: Iterable[tuple[float, float]], *, class_: str) -> Markup:
        """A line through points."""
        written = " ".join(f"{1000 * self.across.share(x):.1f},{1000 * (1 - self.up.share(y)):.1f}" for x, y in points)
        line = tag("polyline", class_=f"curve {class_}", points=written, vector_effect="non-scaling-stroke")
        # In an SVG of its own, that is stretched to the plot while its line keeps its thickness.
        return tag(
            "svg",
            line,
            width="100%",
            height="100%",
            viewBox="0 0 1000 1000",
            preserveAspectRatio="none",
            overflow="visible",
        )

    def point(self, x: float, y: float, *, class_: str, text: str) -> Markup:
        """A dot, and what is shown when it is pointed at."""
        return tag("circle", tag("title", text), class_=class_, cx=self.across.at(x), cy=self.y(y), r=4.5)

    def upright(self, x: float, *, class_: str) -> Markup:
        """A line from bottom to top."""
        return tag("line", class_=class_, x1=self.across.at(x), x2=self.across.at(x), y1=0, y2="100%")

    def level(self, y: float, *, class_: str) -> Markup:
        """A line from left to right."""
        return tag("line", class_=class_, x1=0, x2="100%", y1=self.y(y), y2=self.y(y))

    def columns(self, low: float, high: float, *, class_: str) -> Markup:
        """A band from bottom to top."""
        first, last = self.across.share(low), self.across.share(high)
        return tag("rect", class_=class_, x=_percent(first), width=_percent(last - first), y=0, height="100%")

    def rows(self, low: float, high: float, *, class_: str) -> Markup:
        """A band from left to right."""
        first, last = self.up.share(low), self.up.share(high)
        return tag("rect", class_=class_, x=0, width="100%", y=_percent(1 - last), height=_percent(last - first))


def key(*entries: tuple[str, str]) -> Markup:
    """What the lines and dots of a plot are: (class, text) for each."""
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag(
                    "svg",
                    _sign(class_),
                    width=22,
                    height=10,
                    aria_hidden="true",
                ),
                joined([text]),
            )
            for class_, text in entries
        ),
        class_="lines",
    )


def _sign(class_: str) -> Markup:
    if class_ in ("dot", "hollow"):
        return tag("circle", class_=class_, cx=11, cy=5, r=5)
    return tag("line", class_=f"curve {class_}", x1=0, x2=22, y1=5, y2=5)


def _decimal(value: float) -> str:
    return f"{value:.6g}" if value >= 1e-4 else f"{value:.0e}".replace("e-0", "e-")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
