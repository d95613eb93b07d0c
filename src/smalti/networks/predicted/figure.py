"""What the plots of a prediction share: figures as PNG, and colours that people with any eyes can tell apart."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smalti.networks.predicted.names import brief

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Style", "key", "new_figure", "png", "styles"]

_DOTS = 130  # an inch

# Okabe & Ito 2008, without yellow, which is too pale for a line, and without black, which is the baseline's.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_BASELINE = "#000000"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))
_MARKERS = "osD^vPX<>ph*"


@dataclass(frozen=True)
class Style:
    """How one predictor is drawn in every plot.

    Attributes:
        colour: of its line and dots.
        dashes: pattern of its line, as matplotlib takes it.
        marker: form of its dots.
    """

    colour: str
    dashes: Any
    marker: str


def styles(names: Sequence[str], *, baseline: str) -> dict[str, Style]:
    """A style for each predictor: twelve markers, and lines of one colour differ in their dashes.

    Args:
        names: the predictors, in the order in which they are told of.

    Keyword Args:
        baseline: the one among them that is drawn in black.
    """
    found = {baseline: Style(_BASELINE, (0, (5, 2)), "x")}
    for place, name in enumerate(name for name in names if name != baseline):
        turn, colour = divmod(place, len(_COLOURS))
        found[name] = Style(_COLOURS[colour], _DASHES[turn % len(_DASHES)], _MARKERS[place % len(_MARKERS)])
    return found


def new_figure(width: float, height: float, *, title: str | None = None, layout: Any = "constrained") -> Figure:
    """An empty figure of this size in inches, with a title above it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    if title is not None:
        # Names may hold what matplotlib would read as formulas.
        figure.suptitle(title, fontsize="medium", parse_math=False)
    return figure


def key(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Writes below a figure what its lines are."""
    legend = figure.legend(
        *(handles, [brief(name) for name in names]),
        loc="outside lower center",
        ncols=min(4, len(names)),
        fontsize="small",
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def png(figure: Figure, *, dots: int = _DOTS) -> bytes:
    """A figure as the content of a PNG file, with so many dots an inch."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dots, metadata={"Software": None})
    return out.getvalue()
