"""The patch sizes among which scales are chosen, and a picture of what they were chosen by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.window import check_patch_size, smallest_odd_from, whole_size

__all__ = ["candidate_sizes", "plot_sizes"]

_SIZES = (3, 5, 7, 9, 11, 13, 15, 17, 21, 25, 33, 41, 49, 65)


def candidate_sizes(
    fits: Callable[[int], object],
    size: tuple[int, int],
    given: Iterable[int] | None = None,
    *,
    most: int | None = None,
) -> tuple[int, ...]:
    """The sizes to compare, ascending.

    Args:
        fits: raises `UsageError` for a size at which the denoiser cannot work.
        size: height and width of the pictures of the corpus.
        given: the sizes that a person asked for, all of which must fit; unless given, 3, 5, 7 ... up to one that covers
            a picture, as far as they fit.

    Keyword Args:
        most: where the sizes that are not given end, if before that.

    Raises:
        UsageError: a given size is not odd and positive, or does not fit; or none is given.
    """
    if given is not None:
        asked = tuple(sorted({whole_size(one) for one in given}))
        if not asked:
            raise UsageError("a calibration needs at least one patch size")
        for one in asked:
            check_patch_size(one)
            fits(one)
        return asked
    covering = smallest_odd_from(max(size))
    largest = min(covering if most is None else most, _SIZES[-1])
    found: list[int] = []
    for one in sorted({*_SIZES, covering} if most is None else _SIZES):
        try:
            fits(one)
        except UsageError:
            continue
        if one <= largest:
            found.append(one)
    return tuple(found) or (1,)


def plot_sizes(
    path: Path | str,
    *,
    times: Sequence[float],
    sizes: Sequence[int],
    values: NDArray[np.float64],
    measure: str,
    scale: Literal["linear", "log"],
    chosen: Sequence[int],
    title: str,
) -> None:
    """Draws a measure against time for each size, and the chosen sizes, as a PNG.

    Args:
        path: the file.

    Keyword Args:
        times: of the levels. (L,).
        sizes: patch sizes. (P,).
        values: the measure; NaN where there is none. (L, P).
        measure: what it is, with its unit.
        scale: of its axis.
        chosen: the chosen size at each level. (L,).
        title: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for j, size in enumerate(sizes):
        shade = 0.1 + 0.8 * j / max(1, len(sizes) - 1)
        left.plot(times, values[:, j], color=(shade, 0.35, 1 - shade), marker=".", label=str(size))
    left.set(xlabel="time (noise grows to the right)", ylabel=measure, yscale=scale)
    left.legend(title="patch size", fontsize="x-small", ncols=2)
    right.step(times, chosen, where="mid", color="black", marker="o", markersize=4)
    right.set(xlabel="time (noise grows to the right)", ylabel="chosen patch size, pixels", ylim=(0, None))
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=150, metadata={"Software": None})
