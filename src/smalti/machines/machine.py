"""What all machines share: a corpus, scales, and the way from a state to a posterior."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.engine import Exclusion, Posterior, Query, native
from smalti.engine.posterior import finish
from smalti.engine.query import span_of
from smalti.errors import InputError, UsageError
from smalti.noise import Level
from smalti.window import Admission, Scaled, Scales

Report = Literal["entropy", "shares", "sources"]


class Machine(ABC):
    """A closed-form denoiser: corpus, window, admission rule. Calling it gives a `Posterior`.

    Attributes:
        corpus: the whole corpus; its digest goes into records.
        label: the label to whose items the machine is restricted, or None.
        scales: patch sizes over the noise; None for machines that look at whole images.
        has_windows: whether it compares patches, and so has scales, rather than whole images.
        images: pixels of the items it uses, uint8 (N, H, W, C).
        items: index in `corpus` of each of them, int64 (N,).
    """

    name: str
    has_windows: ClassVar[bool] = True

    def __init__(
        self, corpus: ImageCorpus, *, scales: Scales | Scaled | int | None = None, label: str | None = None
    ) -> None:
        """Puts a machine together.

        Args:
            corpus: the pictures.
            scales: patch sizes over the noise, a calibration that has them, or one odd size for all levels.
            label: use only the items with this label.

        Raises:
            UsageError: a label the corpus does not have, or scales missing or not fitting.
        """
        self.corpus = corpus
        self.label = label
        if label is None:
            self.items = np.arange(len(corpus))
            self.images = corpus.images
        else:
            self.items = np.array(corpus.places_of(label))
            self.images = np.ascontiguousarray(corpus.images[self.items])
        if isinstance(scales, Scaled):
            scales = scales.scales
        if scales is not None and not isinstance(scales, Scales):
            if isinstance(scales, bool) or not hasattr(scales, "__index__"):
                raise UsageError(f"scales are a Scales record, a calibration, or one odd patch size, not {scales!r}")
            scales = Scales.constant(operator.index(scales))
        self.scales = self._checked_scales(scales)
        self.check_output(corpus.size)

    def _checked_scales(self, scales: Scales | None) -> Scales | None:
        if scales is None:
            raise UsageError(
                f"the {self.name} machine needs scales: "
                "an odd patch size, Scales.listed([3, 5, 7], ...), or calibrate(corpus)"
            )
        return scales

    @abstractmethod
    def admission(self, patch_size: int, size: tuple[int, int]) -> Admission:
        """Which corpus sites may serve which sites of a state of this height and width.

        Raises:
            UsageError: if this machine cannot make such a state with such a patch.
        """

    def patch_size(self, level: Level) -> int:
        """The patch size at a level, in pixels."""
        assert self.scales is not None
        return self.scales.at(level)

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if this machine cannot make pictures of this height and width with its scales."""
        assert self.scales is not None
        for patch_size in sorted(set(self.scales.sizes)):
            self.admission(patch_size, size)

    def check_level(self, level: Level) -> None:
        """Raises `UsageError` at so little noise or signal that the state grid cannot tell sources apart."""
        span_of(level)

    def query(self, states: NDArray[np.int16], level: Level, *, exclusions: Sequence[Exclusion] = ()) -> Query:
        """The engine's question for states (B, H, W, C) at a level."""
        return Query(
            images=self.images,
            states=states,
            admission=self.admission(self.patch_size(level), (states.shape[1], states.shape[2])),
            level=level,
            exclusions=exclusions,
        )

    def __call__(
        self,
        state: NDArray[np.int16],
        level: Level,
        *,
        report: Collection[Report] = (),
        keep: int = 8,
        exclude: Sequence[Exclusion] = (),
        tick: Callable[[float], None] | None = None,
    ) -> Posterior:
        """The posterior of a state, or of a batch of states. Tier: bitwise; independent of the batch and of threads.

        Args:
            state: int16 (H, W, C) or (B, H, W, C), in units of 1/4080.
            level: its noise level.
            report: what to add: "entropy"; "shares" of every item (a walk for each item, N x H x W numbers);
                "sources", the best ones.
            keep: how many sources to list at each site.
            exclude: for each state, corpus sites that may not serve it (items by their place in `images`).
            tick: called with the share of the work done since the last call.

        Raises:
            InputError: a state that is not on the grid or has another number of channels.
            UsageError: a size or level this machine cannot make.
        """
        if state.ndim not in (3, 4):
            raise InputError("a state is an int16 array of shape (H, W, C), or (B, H, W, C) for a batch")
        unknown = set(report) - {"entropy", "shares", "sources"}
        if unknown:
            raise UsageError(f"a posterior has no report named {min(unknown)!r}: entropy, shares or sources")
        single = state.ndim == 3
        states = np.ascontiguousarray(state[None] if single else state)
        query = self.query(states, level, exclusions=exclude)
        sums = native.sums(query, spread="entropy" in report, tick=tick)
        mean, evidence, entropy, cut = finish(query, sums)
        shares = None
        if "shares" in report:
            shares = native.shares(query, sums)
        sources = native.sources(query, sums, keep=keep, items=self.items) if "sources" in report else None
        batch = Posterior(
            mean=mean,
            evidence=evidence,
            cut=cut,
            state=states,
            level=level,
            patch_size=2 * query.admission.half + 1 if query.admission.whole == "no" else 0,
            entropy=entropy,
            shares=shares,
            sources=sources,
        )
        return batch.of_state(0) if single else batch
