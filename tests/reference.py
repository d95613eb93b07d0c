"""The five image machines in float64, written straight from theory.md (sections 1 and 2): explicit patches, no engine.

Nothing of the engine, the window or the machines is used here. Every patch is cut out, padding patterns are told
apart by counting the rows and columns that a window misses on each side, and logits are -|x - a k|^2 / (2 s^2) summed
over the window.

`tolerances` derives how far the engine's answers may lie from these, from the engine's own definition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """Logits of all admitted sources of a state site, shape (n,), and the pixel at the centre of each, shape (n, C)."""

    logits: Float
    pixels: Float
    energy: float  # |x|^2 / (2 s^2) over the window, the part of the logits that all sources have in common

    @property
    def weights(self) -> Float:
        return np.exp(self.logits - self.evidence)

    @property
    def mean(self) -> Float:
        return self.weights @ self.pixels

    @property
    def evidence(self) -> float:
        return float(np.asarray(logsumexp(self.logits)))

    @property
    def entropy(self) -> float:
        return float(-(self.weights * (self.logits - self.evidence)).sum())


def sites(
    machine: str, images: NDArray[np.uint8], state: NDArray[np.int16], *, patch: int, signal: float, noise: float
) -> list[list[Site]]:
    """Site of each pixel of a state (H, W, C), for a corpus (N, H', W', C) and the machine called `machine`."""
    k: Float = 2.0 * images.astype(np.float64) / 255.0 - 1.0
    x: Float = state.astype(np.float64) / 4080.0
    height, width, _ = x.shape

    def site(window: Float, patches: Float, centres: Float) -> Site:
        n = len(patches)
        difference = window.reshape(1, -1) - signal * patches.reshape(n, -1)
        logits = -(difference**2).sum(axis=1) / (2 * noise * noise)
        return Site(logits, centres, float((window**2).sum()) / (2 * noise * noise))

    if machine == "ideal":
        return [[site(x, k, k[:, i, j]) for j in range(width)] for i in range(height)]
    if machine == "equivariant":
        moved = np.concatenate([np.roll(k, (dy, dx), (1, 2)) for dy in range(height) for dx in range(width)])
        return [[site(x, moved, moved[:, i, j]) for j in range(width)] for i in range(height)]
    h = patch // 2
    rows, columns = k.shape[1:3]
    zero = ((h, h), (h, h), (0, 0))
    padded = np.pad(x, zero, mode="wrap" if machine == "equivariant-local" else "constant")
    items = np.pad(k, ((0, 0), *zero))
    out: list[list[Site]] = []
    for i in range(height):
        line: list[Site] = []
        for j in range(width):
            if machine == "local":
                places = [(i, j)]
            elif machine == "equivariant-local":
                places = [(y, z) for y in range(h, rows - h) for z in range(h, columns - h)]
            else:
                places = [
                    (y, z)
                    for y in range(rows)
                    for z in range(columns)
                    if missing(i, height, h) == missing(y, rows, h) and missing(j, width, h) == missing(z, columns, h)
                ]
            patches = np.concatenate([items[:, y : y + patch, z : z + patch] for y, z in places])
            centres = np.concatenate([k[:, y, z] for y, z in places])
            line.append(site(padded[i : i + patch, j : j + patch], patches, centres))
        out.append(line)
    return out


def missing(place: int, side: int, half: int) -> tuple[int, int]:
    """The padding pattern along one axis: how many places of the window lie before the picture, how many behind."""
    window = range(place - half, place + half + 1)
    return sum(p < 0 for p in window), sum(p >= side for p in window)


@dataclass(frozen=True)
class Tolerance:
    mean: float
    evidence: float
    entropy: float


def tolerances(site: Site, *, signal: float, noise: float) -> Tolerance:
    """How far the engine may be from the float64 formula at a site, if it does what its definition says.

    Write lambda for a logit without the common energy, in nats; the engine has it as a whole number E of score units,
    15 binary places to G units, G = round(Gamma), Gamma = 15 ln 2 * 4080 * 255 s^2 / a. So one unit is u = 15 ln 2 /
    G nats.

    1. E is rounded once: u / 2. G is rounded: |lambda| / (2 G), a common factor of all lambdas.
    2. The part of E above its place goes through float32 three times (the part, 15 / G, their product), each within a
       relative 2^-24 of at most 15 binary places: 3 * 15 ln 2 * 2^-24 = 1.9e-6. 2^r is a polynomial within 9e-8, and
       its evaluation adds less than 2^-22 (the last two roundings are 2^-24 each of at most twice the value, those
       before shrink): in all below 2.5e-6.
    3. The weight is cut to a whole number of at least 2^15: a factor in (1 - 2^-15, 1], so at most t = 2^-15 * 1.0001
       in nats.
    4. Of each of n sources less than one unit of 2^(15 (T - 2)) is dropped, and the best has a weight of at least
       2^30 such units: in all a share d <= n 2^-30.

    Sources more than 50 binary places below the best have a true share below n 2^-50, and the engine drops them; with
    this their share is added to d, and in what follows |lambda - lambda_best| <= R = 50 ln 2.

    evidence: the logarithm of a sum moves by no more than its terms, and by -log(1 - d) <= 1.01 d for what is dropped:
        u / 2 + (|lambda_best| + R) / (2 G) + 2.5e-6 + t + 1.01 d.

    mean: with a common shift taken out, the logarithms of the weights are off by delta in an interval of length
        eta = u + R / (2 G) + 5e-6 + t,
    so each normalised weight is off by a factor within e^(+-eta), the sum of all |p - q| is at most e^eta - 1, and
    dropping adds 2 d. Pixels lie in [-1, 1], so this is the bound for the mean.

    entropy: the sum of p log p moves by at most (e^eta - 1) H + eta for the factors, and by d log n + h(d) for what
    is dropped (Fannes and Audenaert; h the binary entropy). Logarithms are kept in steps of 2^-12 binary places, so
    0.51 / 4096 off, and are those of weights before cutting (t) and dropping (1.45 d).

    Both sides round in float64: logits and energy of size M are off by less than (their number of terms + 8) 2^-53 M
    each; 400 * 2^-53 M covers windows of up to 300 values here.
    """
    unit_real = 15 * math.log(2) * 4080 * 255 * noise * noise / signal
    g = round(unit_real)
    u, reach = 15 * math.log(2) / g, 50 * math.log(2)
    n = len(site.logits)
    best = abs(float(site.logits.max()) + site.energy)
    cut = 2.0**-15 * 1.0001
    dropped = n * 2.0**-30 + n * 2.0**-50
    rounding = 400 * 2.0**-53 * (1 + best + site.energy)
    eta = u + reach / (2 * g) + 5e-6 + cut + 2 * rounding
    factor = math.expm1(eta)
    h = site.entropy
    binary = -dropped * math.log(dropped) - (1 - dropped) * math.log1p(-dropped)
    return Tolerance(
        mean=factor + 2 * dropped,
        evidence=u / 2 + (best + reach) / (2 * g) + 2.5e-6 + cut + 1.01 * dropped + 2 * rounding,
        entropy=factor * h
        + eta
        + dropped * math.log(max(n, 2))
        + binary
        + math.log(2) * 0.51 / 4096
        + cut
        + 1.45 * dropped,
    )
