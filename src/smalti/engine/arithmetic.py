"""Powers and logarithms of two from IEEE operations alone.

The C library's `exp2` and `log2`, and NumPy's vectorised ones, differ in the last bit from machine to machine. On the
way from scores to results Smalti therefore uses these, which round each addition, multiplication and division on its
own and so give the same bytes everywhere. They are accurate to one (`exp2`) and four (`log2`) units in the last place
(`tests/test_arithmetic.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LN2 = 0.6931471805599453

# 2^r = 1 + r h(r) on [0, 1] in float32, relative error at most 9e-8 (Chebyshev interpolation of h).
_EXP2_FRACTION_32 = tuple(
    np.float32(float.fromhex(c))
    for c in (
        "0x1.b49554p-13",
        "0x1.4cb7b0p-10",
        "0x1.3c487cp-7",
        "0x1.c69f98p-5",
        "0x1.ebfc3ep-3",
        "0x1.62e430p-1",
        "1",
    )
)
# The same on [0, 1) in float64, relative error at most 1.4e-16.
_EXP2_FRACTION_64 = tuple(
    float.fromhex(c)
    for c in (
        "0x1.37bcbc3f2a1afp-35",
        "0x1.cb0d4a0477000p-32",
        "0x1.e7b024354ec8cp-28",
        "0x1.b4f8826155a22p-24",
        "0x1.62c1ead717ce6p-20",
        "0x1.ffcbe421c32bep-17",
        "0x1.4309136463ce3p-13",
        "0x1.5d87fe764503ap-10",
        "0x1.3b2ab6fbacd2dp-7",
        "0x1.c6b08d7049f0cp-5",
        "0x1.ebfbdff82c591p-3",
        "0x1.62e42fefa39efp-1",
        "1",
    )
)


def exp2_fraction(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """2^x for 0 <= x < 1, same shape. Tier: bitwise."""
    p = np.full_like(x, _EXP2_FRACTION_64[0])
    for c in _EXP2_FRACTION_64[1:]:
        p = p * x + c
    return p


def exp2(x: ArrayLike) -> NDArray[np.float64]:
    """2^x in float64, same shape. Tier: bitwise."""
    x = np.asarray(x, np.float64)
    whole = np.floor(x)
    return np.ldexp(exp2_fraction(x - whole), np.clip(whole, -2000, 2000).astype(np.int32))


def log2(x: ArrayLike) -> NDArray[np.float64]:
    """Base-2 logarithm of positive float64, same shape. Tier: bitwise.

    x = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)) as a series in odd powers.
    """
    m, e = np.frexp(np.asarray(x, np.float64))
    low = m < 0.7071067811865476
    m = np.where(low, m * 2.0, m)
    e = e - low
    z = (m - 1.0) / (m + 1.0)
    square = z * z
    p = np.full_like(z, 1.0 / 25.0)
    for k in range(23, 0, -2):
        p = p * square + 1.0 / k
    return (2.0 / LN2) * z * p + e


def integer_weights(
    scores: NDArray[np.int64], span: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Places, 30-bit weights and logarithms of scores; same shapes. Tier: bitwise.

    A score n G + r (G = `span`, 0 <= r < G) has the place n and the weight trunc(2^(15 + 15 r / G)) in units of 2^(15
    (n - 1)). The last array is log2 of the weight above its place, 15 r / G, in steps of 1/4096. float32 from r on,
    as in the kernel.
    """
    place = scores // span
    f = (scores - place * span).astype(np.float32) * np.float32(15.0 / span)
    whole = np.trunc(f)
    r = f - whole
    p = np.full_like(r, _EXP2_FRACTION_32[0])
    for c in _EXP2_FRACTION_32[1:]:
        p = p * r + c
    weight = np.ldexp(p, whole.astype(np.int32) + 15).astype(np.int64)
    steps = (f * np.float32(4096) + np.float32(0.5)).astype(np.int64)
    return place, np.minimum(weight, 2**30 - 1), steps
