"""A blend of denoisers, band by band: each is believed at the spatial frequencies and noise levels where it is good.

Estimates e_1 ... e_M of a picture go through the cosine transform (DCT-II, orthonormal, each channel by itself), whose
coefficients (row frequency u, column frequency w) are sorted into bands by r = hypot(u / H, w / W). In each band the
blend is the sum of share_m e_m with shares that add up to 1; they may be negative, as in any linear combination of
estimates (stacking: Wolpert 1992, Neural Networks 5; Breiman 1996, Machine Learning 24).

The shares come from the corpus alone (`fit_blend`). Some items are left out, with all copies of them; denoisers made
from the rest estimate these items under noise; and in each band

    shares = argmin of sum of (sum_m share_m e_m - x_0)^2 + ridge * spread * sum of (share_m - 1 / M)^2

over the n coefficients of the items, with `spread` the mean over m of the sum of (e_m - x_0)^2 and ridge = 1/100 +
10/n. Then the denoisers are made anew from the whole corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.corpus.pixels import shown_size
from smalti.denoisers.denoiser import ClosedForm, Floats
from smalti.errors import UsageError, whole_number
from smalti.machines import Machine
from smalti.noise import STATE_UNITS, Level, gaussian_state
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser, state_of, values_of
from smalti.window import nearest_place

__all__ = ["Blend", "Shares", "fit_blend", "left_out", "noisy_items"]

# Bounds of the bands in cycles per two pixels: an octave each, and the slowest together.
EDGES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
# How firmly shares are held to equal ones: a part that stays, and as much as so many coefficients weigh.
RIDGE, WORTH = 0.01, 10.0

Maker = Callable[[ImageCorpus], Sequence[Denoiser]]


@dataclass(frozen=True, eq=False)
class Shares:
    """What a blend believes of whom.

    Attributes:
        levels: the noise levels they were found at. (L,).
        edges: bounds between the bands, ascending, in cycles per two pixels. (B - 1,).
        values: share of each denoiser; they add up to 1. (L, B, M).
    """

    levels: tuple[Level, ...]
    edges: tuple[float, ...]
    values: Floats

    def at(self, level: Level) -> Floats:
        """Those of the level whose log signal-to-noise ratio is nearest. (B, M)."""
        return self.values[nearest_place([each.log_snr for each in self.levels], level)]


class Blend(ClosedForm):
    """Several denoisers, blended band by band (see `smalti.denoisers.blend`). Tier: *statistical*.

    Attributes:
        parts: the denoisers. (M,).
        shares: how far each is believed.
    """

    name = "blend"

    def __init__(self, parts: Sequence[Denoiser], shares: Shares) -> None:
        """Puts denoisers of one corpus together.

        Args:
            parts: the denoisers, machines among them if need be.
            shares: how far each is believed.

        Raises:
            UsageError: they are of several corpora, or not as many as there are shares.
        """
        if not parts or len({(part.corpus.digest, getattr(part, "label", None)) for part in parts}) != 1:
            raise UsageError("a blend is of at least one denoiser, and all are of one corpus and label")
        corpus = parts[0].corpus
        if not isinstance(corpus, ImageCorpus):
            raise UsageError("a blend is of denoisers that were made from pictures at hand, an ImageCorpus")
        if shares.values.shape != (len(shares.levels), len(shares.edges) + 1, len(parts)):
            raise UsageError(
                f"the shares of a blend of {len(parts)} denoisers have the shape (levels, bands, {len(parts)}), "
                f"not {shares.values.shape}"
            )
        super().__init__(corpus, label=getattr(parts[0], "label", None))
        self.parts = tuple(parts)
        self.shares = shares

    @property
    def digest(self) -> str:
        """As that of other denoisers: of the parts and shares; empty where that of a part is. Tier: *bitwise*."""
        parts = [
            f"{type(part).__qualname__} {part.scales!r}" if isinstance(part, Machine) else getattr(part, "digest", "")
            for part in self.parts
        ]
        if not all(parts):
            return ""
        found = hashlib.sha256("\n".join(["Blend", *parts, repr(self.shares.levels), repr(self.shares.edges)]).encode())
        found.update(self.shares.values.tobytes())
        return found.hexdigest()

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if some part cannot make pictures of this height and width."""
        for part in self.parts:
            part.check_output(size)

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        return blended([part(states, level).mean for part in self.parts], self.shares.at(level), self.shares.edges)


def blended(estimates: Sequence[Floats], shares: Floats, edges: Sequence[float]) -> Floats:
    """Estimates (B, H, W, C) of the same pictures, blended with shares (bands, M)."""
    size = estimates[0].shape[1:3]
    by_frequency = shares[bands(size, edges)]
    total = sum(by_frequency[..., m, None] * transformed(e) for m, e in enumerate(estimates))
    rows, columns = (cosines(side) for side in size)
    return np.einsum("ui,buwc,wj->bijc", rows, total, columns, optimize=True)


def bands(size: tuple[int, int], edges: Sequence[float]) -> NDArray[np.int64]:
    """The band of each frequency of pictures of this height and width. (H, W)."""
    height, width = size
    return np.digitize(np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width), edges).astype(np.int64)


def cosines(side: int) -> Floats:
    """The orthonormal DCT-II, a frequency in each row. (side, side)."""
    place, frequency = np.arange(side), np.arange(side)[:, None]
    out = np.cos(np.pi * (2 * place + 1) * frequency / (2 * side)) * np.sqrt(2.0 / side)
    out[0] /= np.sqrt(2.0)
    return out


def transformed(pictures: Floats) -> Floats:
    """The cosine transform of pictures (B, H, W, C), each channel by itself. Same shape."""
    rows, columns = (cosines(side) for side in pictures.shape[1:3])
    return np.einsum("ui,bijc,wj->buwc", rows, pictures, columns, optimize=True)


def best_shares(estimates: Sequence[Floats], clean: Floats, edges: Sequence[float]) -> Floats:
    """Shares (bands, M) from estimates of known pictures, (B, H, W, C) each (see the module)."""
    band = bands(clean.shape[1:3], edges)
    errors = np.stack([transformed(e - clean) for e in estimates])
    count = len(estimates)
    out = np.full((len(edges) + 1, count), 1.0 / count)
    for b in range(len(out)):
        found = errors[:, :, band == b].reshape(count, -1)
        squares = found @ found.T
        held = (RIDGE + WORTH / max(1, found.shape[1])) * np.trace(squares) / count
        if held == 0.0:
            continue  # no error at all, or no frequency in the band
        # With shares that add up to 1, the error of the blend is the blend of the errors.
        inner = squares + held * np.eye(count)
        free, along = np.linalg.solve(inner, np.stack([np.full(count, held / count), np.ones(count)], axis=1)).T
        out[b] = free + along * (1.0 - free.sum()) / along.sum()
    return out


def fit_blend(
    corpus: ImageCorpus,
    make: Maker,
    *,
    levels: Iterable[Level],
    queries: int = 16,
    edges: Sequence[float] = EDGES,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Blend:
    """A blend whose shares come from items of the corpus that are left out. Tier: *statistical*.

    Args:
        corpus: the pictures.
        make: makes the denoisers from a corpus: called with the rest, then with the whole.

    Keyword Args:
        levels: noise levels at which shares are found.
        queries: how many items are left out; their copies go with them.
        edges: bounds between the bands, ascending, in cycles per two pixels.
        seed: of the noise and of the choice of items.
        progress: shown while it runs.

    Raises:
        UsageError: no level, or so many queries that nothing is left.
    """
    at = tuple(levels)
    if not at:
        raise UsageError("a blend needs at least one noise level to find its shares at")
    if list(edges) != sorted(set(edges)):
        raise UsageError("the bounds between the bands of a blend must ascend")
    rest, items = left_out(corpus, queries, seed=seed)
    parts = make(rest)
    found: list[Floats] = []
    with progress.task("blending", len(at) * len(parts)) as task:
        for step, level in enumerate(at):
            states = noisy_items(items, level, step=step, seed=seed)
            estimates: list[Floats] = []
            for part in parts:
                estimates.append(part(states, level).mean)
                task.advance()
            found.append(best_shares(estimates, values_of(items), edges))
    return Blend(make(corpus), Shares(at, tuple(edges), np.stack(found)))


def left_out(corpus: ImageCorpus, queries: int, *, seed: int) -> tuple[ImageCorpus, NDArray[np.uint8]]:
    """The corpus without some items, chosen by a hash of seed and content id, nor copies of them; and these items,
    (queries, H, W, C).

    Raises:
        UsageError: nothing would be left.
    """
    queries = whole_number(queries, "The number of items to leave out is a whole number from 1", least=1)
    # An id stands for all copies of an item.
    order = sorted(set(corpus.ids), key=lambda name: hashlib.sha256(f"smalti/left out/{seed}/{name}".encode()).digest())
    if len(order) <= queries:
        raise UsageError(
            f"with {queries} items left out nothing would be left of {len(order)} different pictures of "
            f"{shown_size(corpus.size)}: leave out fewer"
        )
    gone = set(order[:queries])
    places = [corpus.ids.index(name) for name in order[:queries]]
    return corpus.without(i for i, name in enumerate(corpus.ids) if name in gone), corpus.images[places]


def noisy_items(items: NDArray[np.uint8], level: Level, *, step: int, seed: int) -> NDArray[np.int16]:
    """States of items (B, H, W, C) at a level, with noise of their own each. Tier: bitwise."""
    shape = items.shape[1:]
    noise = [gaussian_state(shape, seed=n, purpose=f"left out/{seed}", step=step) for n in range(len(items))]
    return state_of(level.signal * values_of(items) + level.noise * (np.stack(noise) / STATE_UNITS))
