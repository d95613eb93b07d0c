"""Small problems for the engine, chosen by hypothesis: every admission, odd sizes, extreme values, and each branch of
the kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from smalti.engine import Exclusion, Query, native
from smalti.noise import Level
from smalti.window import Admission, border_axis, inside_axis, local_axis

# The naive twin looks at one pair of sites after the other.
MOST_PAIRS = 2500

# Sides of a picture: small squares and rectangles, long ones that are cut into strips (8 or more columns), high ones
# that are cut into bands (more than 8 rows).
_SIDES = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.just(4), st.just(4)),
    st.tuples(st.integers(1, 3), st.integers(8, 36)),
    st.tuples(st.integers(9, 24), st.integers(1, 2)),
)


def level(signal: float) -> Level:
    """The variance-preserving level of this signal."""
    return Level(time=0.5, signal=signal, noise=math.sqrt(1.0 - signal * signal))


# From almost no signal (places of more than 2^30 score units, which need 64 bits) to a place of 16 units.
LEVELS = st.one_of(
    st.sampled_from([3.2e-5, 1e-3, 0.009, 0.011, 0.05, 0.3, 0.7, 0.95, 0.99, 0.999, 0.99999]).map(level),
    st.floats(1e-3, 0.99999).map(level),
    st.sampled_from([0.0013, 0.002, 0.005]).map(lambda s: Level(time=0.0, signal=1.0, noise=s)),
)


@dataclass(frozen=True)
class Setting:
    """How the kernel is asked to work; none of it may be seen in the result."""

    threads: int
    target: str


SETTINGS = st.builds(Setting, threads=st.integers(1, 5), target=st.sampled_from(sorted(native.targets())))


@st.composite
def pictures(draw: st.DrawFn, items: int, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """uint8 (items, *size, channels): constant, of two values, random, or one picture repeated."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (items, *size, channels)
    kind = draw(st.sampled_from(["random", "two values", "constant", "repeated", "near"]))
    if kind == "two values":
        return rng.choice(np.array(draw(st.sampled_from([[0, 255], [127, 128], [0, 1]])), np.uint8), shape)
    if kind == "constant":
        return np.full(shape, draw(st.sampled_from([0, 127, 128, 255])), np.uint8)
    if kind == "repeated":
        return np.repeat(rng.integers(0, 256, (1, *shape[1:]), dtype=np.uint8), items, axis=0)
    if kind == "near":
        return (rng.integers(0, 250, (1, *shape[1:])) + rng.integers(0, 6, shape)).astype(np.uint8)
    return rng.integers(0, 256, shape, dtype=np.uint8)


@st.composite
def noisy(
    draw: st.DrawFn, images: NDArray[np.uint8], batch: int, size: tuple[int, int], at: Level
) -> NDArray[np.int16]:
    """int16 (batch, *size, channels): zero, at the ends of the grid, wide noise, or noised pieces of the corpus."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (batch, *size, images.shape[3])
    kind = draw(st.sampled_from(["noised", "noised", "wide", "ends", "end", "zero"]))
    if kind == "zero":
        return np.zeros(shape, np.int16)
    if kind == "ends":
        return rng.choice(np.array([-32767, 32767], np.int16), shape)
    if kind == "end":
        return np.full(shape, draw(st.sampled_from([-32767, 32767])), np.int16)
    if kind == "wide":
        return rng.integers(-32767, 32768, shape, dtype=np.int16)
    clean = np.resize(2.0 * images[rng.integers(len(images), size=batch)] - 255.0, shape) / 255.0
    x = at.signal * clean + at.noise * rng.standard_normal(shape)
    return np.clip(np.rint(4080 * x), -32767, 32767).astype(np.int16)


@st.composite
def admissions(draw: st.DrawFn) -> tuple[Admission, tuple[int, int], tuple[int, int]]:
    """An admission with its state size and corpus size."""
    kind = draw(st.sampled_from(["border", "border", "border resized", "inside", "local", "ideal", "equivariant"]))
    corpus = draw(_SIDES)
    state = corpus
    if kind in ("ideal", "equivariant"):
        return Admission(0, "zero", (), "same-place" if kind == "ideal" else "every-shift"), state, corpus
    widest = (min(corpus) - 1) // 2 if kind == "inside" else max(corpus) // 2 + 2
    # Windows of 91 and more may hold sums of squares beyond 32 bits.
    halves = st.integers(0, min(widest, 9))
    if kind in ("local", "border") and max(corpus) <= 6:
        halves = st.one_of(halves, halves, st.sampled_from([45, 92]))
    half = draw(halves)
    if kind == "inside":
        state = draw(st.one_of(st.just(corpus), st.tuples(st.integers(1, 9), st.integers(1, 9))))
    if kind == "border resized":
        half = min(half, (min(corpus) - 1) // 2)
        state = (draw(st.integers(2 * half + 1, 2 * half + 4)), draw(st.integers(2 * half + 1, 2 * half + 10)))
    axis = {"inside": inside_axis, "local": lambda s, c, _: local_axis(s, c)}.get(kind, border_axis)
    rows, columns = (axis(s, c, half) for s, c in zip(state, corpus, strict=True))
    padding = "circular" if kind == "inside" else "zero"
    return Admission(half, padding, tuple((r, c) for r in rows for c in columns)), state, corpus


def _exclusions(items: int, whole: bool) -> st.SearchStrategy[Exclusion]:
    spans = st.tuples(st.integers(0, items), st.integers(0, items)).map(lambda p: (min(p), max(p)))
    if whole:
        return st.builds(Exclusion, items=spans)
    offsets = st.tuples(st.integers(-4, 4), st.integers(-8, 8))
    return st.builds(Exclusion, items=st.one_of(st.just((0, 0)), spans), offset=offsets, radius=st.integers(0, 4))


@st.composite
def queries(draw: st.DrawFn, *, whole: bool = True, most_items: int = 40) -> Query:
    """A query that the naive twin can answer in a moment."""
    admission, state, corpus = draw(admissions().filter(lambda a: whole or a[0].whole == "no"))
    channels = draw(st.sampled_from([1, 3, 4]))
    probe = Query(
        images=np.zeros((1, *corpus, channels), np.uint8),
        states=np.zeros((1, *state, channels), np.int16),
        admission=admission,
        level=level(0.5),
    )
    cost = native.pairs_per_item(probe)
    items = draw(st.integers(1, max(1, min(most_items, MOST_PAIRS // cost))))
    batch = draw(st.integers(1, max(1, min(3, MOST_PAIRS // (cost * items)))))
    at = draw(LEVELS)
    images = draw(pictures(items, corpus, channels))
    states = draw(noisy(images, batch, state, at))
    exclusions: tuple[Exclusion, ...] = ()
    if draw(st.booleans()):
        exclusions = tuple(draw(_exclusions(items, admission.whole != "no")) for _ in range(batch))
    return Query(images=images, states=states, admission=admission, level=at, exclusions=exclusions)
