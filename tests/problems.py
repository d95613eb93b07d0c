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
from smalti.engine.arithmetic import integer_weights
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


def wide_problem(name: str) -> Query:
    """Problems whose sums leave 32 bits, each at another place of the arithmetic."""
    rng = np.random.default_rng(5)

    def local(size: int, half: int, channels: int, *, items: int, value: int, signal: float) -> Query:
        axis = local_axis(size, size)[0]
        images = np.full((items, size, size, channels), 255, np.uint8)
        images[1::2] = rng.integers(0, 256, images[1::2].shape)
        states = np.full((2, size, size, channels), value, np.int16)
        states[1] = rng.integers(-32767, 32768, states[1].shape)
        return Query(images, states, Admission(half, "zero", ((axis, axis),)), level(signal))

    if name == "product of state and corpus":  # 18^2 * 4 values: |X| |q| = 1296 * 32767 * 255 > 2^33
        return local(18, 20, 4, items=6, value=32767, signal=0.9)
    if name == "negative product":
        return local(18, 20, 4, items=6, value=-32767, signal=0.9)
    if name == "squares of the corpus":  # windows for which (2 h + 1)^2 C 255^2 > 2^31
        return local(6, 92, 1, items=20, value=32767, signal=0.5)
    if name == "squares times the signal":  # 8 a sum of q^2 > 2^31 with sum of q^2 < 2^31: 68^2 values
        return local(68, 68, 1, items=1, value=0, signal=0.99)
    if name == "squares of the whole window":  # sum of q^2 = 183^2 * 255^2 > 2^31: one window is all of an item
        axis = inside_axis(2, 183, 91)[0]
        images = np.stack([np.full((183, 183, 1), 255, np.uint8), rng.integers(0, 256, (183, 183, 1), dtype=np.uint8)])
        states = rng.integers(-50, 50, (1, 2, 2, 1), dtype=np.int16)
        return Query(images, states, Admission(91, "circular", ((axis, axis),)), level(0.05))
    if name == "a place that ends beyond 32 bits":  # scores up to 3.06 G with 4 G > 2^31, and all of them in 32 bits
        rows, columns = local_axis(12, 12)[0], local_axis(19, 19)[0]
        images = np.full((40, 12, 19, 1), 255, np.uint8)
        images[20:] = rng.integers(100, 256, (20, 12, 19, 1))
        states = np.full((1, 12, 19, 1), 32767, np.int16)
        return Query(images, states, Admission(19, "zero", ((rows, columns),)), level(0.01984))
    if name in ("whole pictures", "whole pictures, shifted"):  # rows of 360 values: 360 * 32767 * 255 > 2^31
        images = np.full((3, 2, 90, 4), 255, np.uint8)
        images[1:] = rng.integers(0, 256, images[1:].shape)
        states = np.full((2, 2, 90, 4), 32767, np.int16)
        states[1] = -32767
        return Query(
            images, states, Admission(0, "zero", (), "every-shift" if "shifted" in name else "same-place"), level(0.3)
        )
    if name == "span":  # a place of more than 2^30 score units
        return local(5, 1, 3, items=17, value=32767, signal=0.001)
    inside = inside_axis(19, 19, 8)[0]  # 17^2 values in a window, border-aware windows of fewer beside
    images = rng.integers(0, 2, (3, 19, 19, 1)).astype(np.uint8) * 255
    states = rng.choice(np.array([-32767, 32767], np.int16), (1, 19, 19, 1))
    if name == "wide and narrow blocks together":
        axes = border_axis(19, 19, 8)
        return Query(images, states, Admission(8, "zero", tuple((r, c) for r in axes for c in axes)), level(0.7))
    assert name == "wrapping"
    return Query(images, states, Admission(8, "circular", ((inside, inside),)), level(0.7))


WIDE = [
    "product of state and corpus",
    "negative product",
    "squares of the corpus",
    "squares of the whole window",
    "squares times the signal",
    "a place that ends beyond 32 bits",
    "whole pictures",
    "whole pictures, shifted",
    "span",
    "wide and narrow blocks together",
    "wrapping",
]


def largest_weight(q: int) -> tuple[Level, int]:
    """A level and a state value whose score with the pixel q has the weight 2^30 - 1."""
    x = np.arange(-32767, 32768)
    for thousandth in range(100, 300):
        at = level(thousandth / 1000)
        span = Query(
            np.zeros((1, 1, 1, 1), np.uint8), np.zeros((1, 1, 1, 1), np.int16), Admission(0, "zero", ()), at
        ).span
        _, weight, _ = integer_weights(x * q - int(np.rint(8.0 * at.signal * q * q)), span)
        if weight.max() == 2**30 - 1:
            return at, int(x[np.argmax(weight)])
    raise AssertionError("no level has such a score")
