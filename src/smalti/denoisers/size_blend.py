"""A machine at several patch sizes at once: at each level, its estimates are added with shares of the sizes.

A machine looks through windows of one size P, and the best size depends on the place: where a corpus has the like of a
large window, that window tells more, and elsewhere it misleads. One size must fit all places. Here the estimate is

    mean = sum over P of share_P mean_P,      share_P >= 0,      sum of the shares = 1,

so it stays what a machine's estimate is, a mixture of corpus pixels with weights that add up to 1: a source has the sum
over P of share_P times its weight at P.

The shares come from the corpus alone (`fit_size_blend`), by leaving items out in turn as in `smalti.calibration`: noise
is added to an item, each size estimates what it was from the other items, and at each level

    shares = argmin of the sum of (mean - x_0)^2 over all pixels of all items left out,

among shares that are not negative and add up to 1. They are rounded to whole multiples of 1/256 that add up to 1, and
sizes whose share is 0 are not asked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from smalti.calibration.sizes import candidate_sizes
from smalti.corpus import ImageCorpus
from smalti.denoisers.blend import Shares, noisy_items
from smalti.denoisers.denoiser import ClosedForm, Floats, admitted_states
from smalti.engine import Exclusion
from smalti.errors import UsageError, whole_number
from smalti.machines import BorderAware, Machine
from smalti.noise import Level
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import values_of
from smalti.window import whole_size

__all__ = ["SizeBlend", "convex_shares", "fit_size_blend"]

# Shares are whole multiples of 1 / _PARTS.
_PARTS = 256
# The descent ends when no exchange between two sizes changes the squared error by more than this part of it, and in any
# case after so many exchanges. Far finer than the rounding of the shares.
_ENOUGH, _MOST_EXCHANGES = 1e-9, 20_000


class SizeBlend(ClosedForm):
    """A machine at several patch sizes at once (see `smalti.denoisers.size_blend`). Tier: *bitwise*.

    Attributes:
        machines: the machine at each size. (P,).
        sizes: the patch sizes, ascending. (P,).
        shares: of the sizes, in one band of frequencies: all.
    """

    name = "size-blend"

    def __init__(
        self,
        corpus: ImageCorpus,
        sizes: Iterable[int],
        shares: Shares,
        *,
        kind: type[Machine] = BorderAware,
        label: str | None = None,
    ) -> None:
        """Puts a machine of several sizes together.

        Args:
            corpus: the pictures.
            sizes: odd patch sizes, ascending.
            shares: how far each size is believed: `values` (L, 1, P), not negative, adding up to 1; no `edges`.

        Keyword Args:
            kind: the machine, one with windows.
            label: use only the items with this label.

        Raises:
            UsageError: a size that the machine cannot have, or shares that are none.
        """
        super().__init__(corpus, label=label)
        self.sizes = tuple(whole_size(size) for size in sizes)
        self.machines = tuple(_made(kind, corpus, size, label) for size in self.sizes)
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            raise UsageError(f"the patch sizes of a size blend ascend, and there is at least one; not {self.sizes}")
        expected = (len(shares.levels), 1, len(self.sizes))
        if shares.values.shape != expected or shares.edges or not shares.levels:
            raise UsageError(
                f"the shares of {len(self.sizes)} patch sizes have the shape (levels, 1, {len(self.sizes)}), "
                f"not {shares.values.shape}"
            )
        if not (shares.values >= 0.0).all() or np.abs(shares.values.sum(axis=2) - 1.0).max() > 1e-9:
            raise UsageError("the shares of patch sizes are not negative and add up to 1 at each level")
        self.shares = shares

    @property
    def digest(self) -> str:
        """As that of other denoisers: of machine, sizes and shares. Tier: *bitwise*."""
        told = (type(self).__qualname__, self.machines[0].name, repr(self.sizes), repr(self.shares.levels))
        found = hashlib.sha256("\n".join(told).encode())
        found.update(self.shares.values.tobytes())
        return found.hexdigest()

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if the machine cannot make pictures of this height and width at some size."""
        for machine in self.machines:
            machine.check_output(size)

    def patch_size(self, level: Level) -> int:
        """The largest patch size that has a share at a level."""
        return max(size for size, share in zip(self.sizes, self.shares.at(level)[0], strict=True) if share > 0.0)

    def item_shares(self, state: NDArray[np.int16], level: Level) -> Floats:
        """Each item's share of the weight at each pixel: its shares at the sizes, added with the shares of the sizes.

        Args:
            state: int16 (H, W, C) or (B, H, W, C), in units of 1/4080.
            level: its noise level.

        Returns:
            Not negative, adding up to 1 over the items, float64 (N, H, W) or (N, B, H, W), in the order of
            `machines[0].items`. Tier: *bitwise*.

        Raises:
            InputError: a state that is not on the grid or has another number of channels.
            UsageError: a size or level at which the machine has no meaning.
        """
        states = admitted_states(state, self.corpus.channels)
        total: Floats = np.zeros((len(self.images), *states.shape[:3]))
        for machine, share in zip(self.machines, self.shares.at(level)[0], strict=True):
            if share > 0.0:
                found = machine(states, level, report=("shares",)).shares
                assert found is not None
                total += share * found
        return total[:, 0] if state.ndim == 3 else total

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        total: Floats = np.zeros(states.shape)
        for machine, share in zip(self.machines, self.shares.at(level)[0], strict=True):
            if share > 0.0:
                total += share * machine(states, level).mean
        return np.clip(total, -1.0, 1.0)  # a sum of products may leave the interval by a last bit


def fit_size_blend(
    corpus: ImageCorpus,
    *,
    levels: Iterable[Level],
    sizes: Iterable[int] | None = None,
    kind: type[Machine] = BorderAware,
    label: str | None = None,
    queries: int = 32,
    seed: int = 0,
    progress: Progress = SILENT,
) -> SizeBlend:
    """A machine of several sizes whose shares come from items that are left out in turn. Tier: *bitwise*, a function
    of corpus, settings and seed.

    Args:
        corpus: the pictures.

    Keyword Args:
        levels: noise levels at which shares are found.
        sizes: candidates, odd; by default 3, 5, 7 ... as far as the pictures allow.
        kind: the machine, one with windows.
        label: use only the items with this label.
        queries: how many items are left out in turn, their copies with them; all, if there are fewer.
        seed: of the noise and of the choice of items.
        progress: shown while it runs.

    Raises:
        UsageError: no level, a machine without windows, sizes it cannot have, or fewer than two different pictures.
    """
    at = tuple(levels)
    if not at:
        raise UsageError("a size blend needs at least one noise level to find its shares at")
    queries = whole_number(queries, "The number of items to leave out is a whole number from 1", least=1)
    tried = _made(kind, corpus, 1, label)
    candidates = candidate_sizes(lambda size: tried.admission(size, corpus.size), corpus.size, sizes)
    ids = [corpus.ids[i] for i in tried.items]
    # An id stands for all copies of an item; they lie side by side.
    chosen = sorted(set(ids), key=lambda name: hashlib.sha256(f"smalti/size blend/{seed}/{name}".encode()).digest())
    if len(chosen) < 2:
        raise UsageError("a size blend compares a picture with others: its corpus has at least two different ones")
    firsts = [ids.index(name) for name in chosen[:queries]]
    left_out = [Exclusion(items=(first, first + ids.count(ids[first]))) for first in firsts]
    items = tried.images[firsts]
    found: list[Floats] = []
    with progress.task("blending", len(at) * len(candidates)) as task:
        for step, level in enumerate(at):
            states = noisy_items(items, level, step=step, seed=seed)
            errors: list[Floats] = []
            for size in candidates:
                machine = _made(kind, corpus, size, label)
                errors.append(machine(states, level, exclude=left_out).mean - values_of(items))
                task.advance()
            found.append(rounded(convex_shares(products(errors))))
    shares = Shares(at, (), np.stack(found)[:, None, :])
    return SizeBlend(corpus, candidates, shares, kind=kind, label=label)


def products(errors: Sequence[Floats]) -> Floats:
    """Sums of products of errors, two estimates at a time: exact sums of rounded products. (P, P). Tier: *bitwise*."""
    count = len(errors)
    out = np.empty((count, count))
    for one in range(count):
        for other in range(one + 1):
            out[one, other] = out[other, one] = math.fsum((errors[one] * errors[other]).ravel().tolist())
    return out


def convex_shares(squares: Floats) -> Floats:
    """The shares w >= 0 with sum 1 that make w' squares w least. Tier: *bitwise*.

    From the best single estimate on, share goes from the estimate that gains most by losing some to the one that gains
    most by having more, as much as is best for the two (sequential minimal optimisation: Platt 1998).

    Args:
        squares: sums of products of errors, symmetric and positive semidefinite. (P, P).

    Returns:
        The shares. (P,).
    """
    best = int(np.argmin(np.diagonal(squares)))
    shares = np.zeros(len(squares))
    shares[best] = 1.0
    slope = squares[best].copy()
    for _ in range(_MOST_EXCHANGES):
        to, source = int(np.argmin(slope)), int(np.argmax(np.where(shares > 0.0, slope, -np.inf)))
        gain = float(slope[source] - slope[to])
        if gain <= _ENOUGH * float(squares[best, best]):
            break
        bend = float(squares[to, to] + squares[source, source] - 2.0 * squares[to, source])
        available = float(shares[source])
        moved = gain / bend if bend * available > gain else available
        shares[to] += moved
        shares[source] = 0.0 if moved == available else shares[source] - moved
        slope = slope + moved * (squares[to] - squares[source])
    return shares


def rounded(shares: Floats) -> Floats:
    """Shares as whole multiples of 1/256 that add up to 1: each rounded down, and what is missing goes to those that
    lost most. (P,). Tier: *bitwise*.
    """
    parts = shares * _PARTS
    whole = np.floor(parts)
    missing = _PARTS - int(whole.sum())
    whole[np.argsort(whole - parts, kind="stable")[:missing]] += 1.0
    return whole / _PARTS


def _made(kind: type[Machine], corpus: ImageCorpus, size: int, label: str | None) -> Machine:
    """The machine at one size.

    Raises:
        UsageError: it has no windows, or no windows of this size.
    """
    if not kind.has_windows:
        raise UsageError(f"the {kind.name} machine looks at whole images: a size blend is of a machine with windows")
    return kind(corpus, scales=size, label=label)
