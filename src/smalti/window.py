"""How local a machine is: which corpus sites may serve which state sites, and patch sizes over the noise.

A window is a square of odd side P = 2 h + 1 around a site. An `Admission` lists pairs of rectangles: the state sites
of one may take their sources from the corpus sites of the other. Along each axis a pair is either free (any place
inside the corpus range) or fixed (the place with the same offset). Padding says what the state's windows see beyond
its edge; corpus windows see zeros there.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError

if TYPE_CHECKING:
    from smalti.noise import Level, Schedule

Padding = Literal["zero", "circular"]
Whole = Literal["no", "same-place", "every-shift"]


@dataclass(frozen=True)
class Span:
    """One axis of a pair of ranges: state places [state0, state1) and corpus places [corpus0, corpus1)."""

    state0: int
    state1: int
    corpus0: int
    corpus1: int
    place: Literal["free", "fixed"]

    @property
    def empty(self) -> bool:
        """Whether no state place is in it."""
        return self.state0 >= self.state1

    def fits(self, state: int, corpus: int) -> bool:
        """Whether its ranges lie within sides of these lengths and, where the place is fixed, are equally long."""
        inside = 0 <= self.state0 <= self.state1 <= state and 0 <= self.corpus0 <= self.corpus1 <= corpus
        return inside and (self.place == "free" or self.state1 - self.state0 == self.corpus1 - self.corpus0)

    def within(self, begin: int, end: int) -> Span:
        """The part of it whose state places lie in [begin, end)."""
        low, high = max(self.state0, begin), min(self.state1, end)
        if self.place == "free":
            return replace(self, state0=low, state1=high)
        shift = self.corpus0 - self.state0
        return Span(low, high, low + shift, high + shift, "fixed")


@dataclass(frozen=True)
class Admission:
    """Which corpus sites may serve which state sites, for one patch size, state size and corpus size.

    `pairs` holds (rows, columns). `whole` other than "no" means whole-image machines, one weight for all sites: then
    `half` is 0 and `pairs` is empty.
    """

    half: int
    padding: Padding
    pairs: tuple[tuple[Span, Span], ...]
    whole: Whole = "no"

    def within(self, rows: tuple[int, int], columns: tuple[int, int]) -> Admission:
        """The same for state rows [begin, end) and columns [begin, end) only; the other sites get no sources."""
        pairs = tuple((r.within(*rows), c.within(*columns)) for r, c in self.pairs)
        return replace(self, pairs=tuple((r, c) for r, c in pairs if not (r.empty or c.empty)))

    def pad(self, states: NDArray[np.int16]) -> NDArray[np.int16]:
        """States (B, H, W, C) with `half` more sites on each side, (B, H + 2 half, W + 2 half, C)."""
        h = self.half
        mode = "wrap" if self.padding == "circular" else "constant"
        return np.ascontiguousarray(np.pad(states, ((0, 0), (h, h), (h, h), (0, 0)), mode=mode))


def local_axis(state: int, corpus: int) -> tuple[Span, ...]:
    """Each place takes its sources from the same place."""
    if state != corpus:
        raise UsageError(f"a local machine makes pictures of the corpus's own size: {corpus}, not {state}")
    return (Span(0, state, 0, corpus, "fixed"),)


def inside_axis(state: int, corpus: int, half: int) -> tuple[Span, ...]:
    """Each place takes its sources from all places whose window lies inside the corpus item."""
    if corpus < 2 * half + 1:
        raise UsageError(
            f"a patch of {2 * half + 1} does not fit inside pictures of side {corpus}: "
            "use smaller scales or larger pictures"
        )
    return (Span(0, state, half, corpus - half, "free"),)


def border_axis(state: int, corpus: int, half: int) -> tuple[Span, ...]:
    """Places whose window crosses an edge take the place at the same distance from that edge; inner places any inner
    place.
    """
    if state == corpus:
        if corpus <= 2 * half:
            return (Span(0, state, 0, corpus, "fixed"),)
    elif min(state, corpus) < 2 * half or (state > 2 * half and corpus <= 2 * half):
        raise UsageError(
            f"a patch of {2 * half + 1} leaves no inner place in a picture of side {min(state, corpus)}, "
            f"which is possible only where output and corpus have the same size ({state} and {corpus} here): "
            "use smaller scales"
        )
    spans = (
        Span(0, half, 0, half, "fixed"),
        Span(half, state - half, half, corpus - half, "free"),
        Span(state - half, state, corpus - half, corpus, "fixed"),
    )
    return tuple(s for s in spans if not s.empty)


def whole_size(size: object) -> int:
    """A patch size as a whole number; `UsageError` for anything that is not one."""
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        raise UsageError(f"a patch size is an odd number of pixels, 1 or more, and {size!r} is not")
    return operator.index(size)  # pyright: ignore[reportArgumentType]


def check_patch_size(size: int) -> int:
    """Half of an odd, positive patch size; `UsageError` otherwise."""
    if size < 1 or size % 2 == 0:
        raise UsageError(f"a patch size is an odd number of pixels, 1 or more, and {size} is not")
    return size // 2


# Published for the ResNet on CIFAR-10, lowest noise first (Kamb & Ganguli 2025).
PAPER_CIFAR10 = (3, 3, 3, 3, 5, 5, 5, 7, 7, 7, 7, 9, 9, 11, 11, 13, 15, 17, 17, 17)
NAMED_SCALES = {"paper-cifar10": PAPER_CIFAR10}


def nearest_place(log_snr: Sequence[float], level: Level) -> int:
    """The place of the log signal-to-noise ratio that is nearest to a level's; of equally near ones the first."""
    wanted = level.log_snr
    return int(np.argmin([abs(x - wanted) for x in log_snr]))


@dataclass(frozen=True)
class Scales:
    """Patch sizes over the noise: at a level, the size whose log signal-to-noise ratio is nearest.

    `log_snr` ascends strictly (most noise first) and `sizes` goes with it.
    """

    log_snr: tuple[float, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes or len(self.sizes) != len(self.log_snr):
            raise UsageError("scales need one patch size for each noise level, and at least one")
        for size in self.sizes:
            check_patch_size(size)
        if any(not a < b for a, b in zip(self.log_snr, self.log_snr[1:], strict=False)):
            raise UsageError("the log signal-to-noise ratios of scales must ascend")

    @classmethod
    def constant(cls, size: int) -> Scales:
        """The same patch size at every level."""
        return cls((0.0,), (size,))

    @classmethod
    def listed(cls, sizes: Iterable[int], *, schedule: Schedule) -> Scales:
        """Sizes as the literature lists them, lowest noise first, placed on the steps of `schedule`."""
        given = tuple(whole_size(s) for s in sizes)
        if not given:
            raise UsageError("a list of scales needs at least one patch size")
        return cls(tuple(level.log_snr for level in schedule.grid(len(given))), given[::-1])

    @classmethod
    def named(cls, name: str) -> Scales:
        """Published scales, on the schedule they were published for."""
        from smalti.noise import schedule

        if name not in NAMED_SCALES:
            raise UsageError(
                f"no scales are named {name!r}: choose from {', '.join(NAMED_SCALES)}, or list sizes such as 3,5,7"
            )
        return cls.listed(NAMED_SCALES[name], schedule=schedule("cosine"))

    def at(self, level: Level) -> int:
        """The patch size at a noise level; between two equally near ones, that of the noisier."""
        return self.sizes[self.place(level)]

    def place(self, level: Level) -> int:
        """The place in `sizes` of the patch size at a noise level."""
        return nearest_place(self.log_snr, level)

    def along(self, levels: Sequence[Level]) -> tuple[int, ...]:
        """The patch size at each of the levels."""
        return tuple(self.at(level) for level in levels)


@runtime_checkable
class Scaled(Protocol):
    """Anything that has scales, such as a calibration."""

    @property
    def scales(self) -> Scales:
        """Patch sizes over the noise."""
        ...


def smallest_odd_from(value: float) -> int:
    """The smallest odd number that is not below `value`."""
    n = math.ceil(value)
    return n if n % 2 else n + 1
