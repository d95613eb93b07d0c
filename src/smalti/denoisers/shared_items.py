"""A machine of patches, and beside it whole items whose weights all pixels share.

A machine with windows answers for each pixel alone, so neighbouring pixels may follow different items. Here a part of
the estimate is the same choice of items everywhere:

    mean = (1 - share) mean_P + share sum over items n of w_n k_n,
    w_n proportional to exp(-|x - a k_n|^2 / (2 (width s)^2)),     sum of the w_n = 1,

with mean_P the machine's own at patch size P. With share 0 this is the machine, with share 1 and width 1 the ideal one,
and with share 1 and a width near 0 the nearest item. A source has (1 - share) times its weight at P, and the pixel of
item n at the same place share times w_n more: a pixel stays a mixture of corpus pixels with weights that add up to 1.

The weights w are those of an attention over the items, with the noisy picture as the query, the items as keys and
values, and a a / (width s)^2 as the inverse temperature.

Size, width and share are fitted to a network by `smalti.networks.fit_shared_items`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers.denoiser import ClosedForm, Floats, admitted_states
from smalti.engine import Query, native
from smalti.engine.posterior import finish
from smalti.errors import UsageError
from smalti.machines import BorderAware, Ideal, Machine
from smalti.noise import Level
from smalti.window import Scales, nearest_place

__all__ = ["Recall", "SharedItems", "whole_items"]


@dataclass(frozen=True)
class Recall:
    """How whole items join in, over the noise.

    Attributes:
        levels: the noise levels this is known at. (L,).
        sizes: the machine's patch size. (L,).
        widths: width of the kernel that compares whole items, in units of the noise. (L,).
        shares: their part of the estimate, 0 to 1. (L,).
    """

    levels: tuple[Level, ...]
    sizes: tuple[int, ...]
    widths: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.levels or {len(self.sizes), len(self.widths), len(self.shares)} != {len(self.levels)}:
            raise UsageError(
                "one patch size, one width and one share are needed for each level, and at least one level"
            )
        for width in self.widths:
            if not 0.0 < width < math.inf:
                raise UsageError(f"the width of a kernel is a number above 0, in units of the noise, not {width}")
        for share in self.shares:
            if not 0.0 <= share <= 1.0:
                raise UsageError(f"the share of whole items lies between 0 and 1, and {share} does not")

    def at(self, level: Level) -> tuple[int, float, float]:
        """Size, width and share of the level whose log signal-to-noise ratio is nearest."""
        nearest = nearest_place([each.log_snr for each in self.levels], level)
        return self.sizes[nearest], self.widths[nearest], self.shares[nearest]


class SharedItems(ClosedForm):
    """A machine of patches with whole items beside it (see `smalti.denoisers.shared_items`). Tier: *bitwise*.

    Attributes:
        recall: patch size, width and share over the noise.
        machines: the machine at each patch size.
    """

    name = "shared-items"

    def __init__(
        self, corpus: ImageCorpus, recall: Recall, *, kind: type[Machine] = BorderAware, label: str | None = None
    ) -> None:
        """Puts a machine and whole items together.

        Args:
            corpus: the pictures.
            recall: patch size, width and share over the noise.

        Keyword Args:
            kind: the machine, one with windows.
            label: use only the items with this label.

        Raises:
            UsageError: a machine without windows, or a patch size that it cannot have.
        """
        super().__init__(corpus, label=label)
        if not kind.has_windows:
            raise UsageError(f"the {kind.name} machine looks at whole images already: name a machine with windows")
        self.recall = recall
        self.machines = {
            size: kind(corpus, scales=Scales.constant(size), label=label) for size in sorted(set(recall.sizes))
        }
        self._ideal = Ideal(corpus, label=label)

    @property
    def digest(self) -> str:
        """As that of other denoisers: of machine and recall. Tier: *bitwise*."""
        kind = next(iter(self.machines.values())).name
        return hashlib.sha256("\n".join((type(self).__qualname__, kind, repr(self.recall))).encode()).hexdigest()

    def patch_size(self, level: Level) -> int:
        """The machine's patch size at a level; 0 where whole items are all."""
        size, _, share = self.recall.at(level)
        return 0 if share == 1.0 else size

    def item_shares(self, state: NDArray[np.int16], level: Level) -> Floats:
        """Each item's share of the weight at each pixel.

        Args:
            state: int16 (H, W, C) or (B, H, W, C), in units of 1/4080.
            level: its noise level.

        Returns:
            Not negative, adding up to 1 over the items, float64 (N, H, W) or (N, B, H, W), in the order of `images`.
            Tier: *bitwise*.

        Raises:
            InputError: a state that is not on the grid or has another number of channels.
            UsageError: a size or level at which the denoiser has no meaning.
        """
        states = admitted_states(state, self.corpus.channels)
        self.check_output((states.shape[1], states.shape[2]))
        total: Floats = np.zeros((len(self.images), *states.shape[:3]))
        for query, share in self._parts(states, level):
            total += share * native.shares(query, native.sums(query))
        return total[:, 0] if state.ndim == 3 else total

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        total: Floats = np.zeros(states.shape)
        for query, share in self._parts(states, level):
            total += share * finish(query, native.sums(query))[0]
        return np.clip(total, -1.0, 1.0)  # a sum of products may leave the interval by a last bit

    def _parts(self, states: NDArray[np.int16], level: Level) -> list[tuple[Query, float]]:
        """The engine's questions for patches and for whole items, each with its share, as far as it has one."""
        size, width, share = self.recall.at(level)
        patches, items = self.machines[size].query(states, level), whole_items(self._ideal, states, level, width)
        return [(query, part) for query, part in ((patches, 1.0 - share), (items, share)) if part > 0.0]


def whole_items(ideal: Ideal, states: NDArray[np.int16], level: Level, width: float) -> Query:
    """The engine's question for whole items, for states (B, H, W, C); the kernel's width is in units of the noise."""
    return replace(ideal.query(states, level), width=width)
