"""Patch sizes over the noise, fitted to a network: the procedure of Kamb & Ganguli 2025 (2412.20292).

A network draws some seeds. At each step of its own trajectory, at the state it stands at, a machine with each patch
size gives its estimate of the clean picture; for each seed the best size is the one whose estimate has the highest
cosine similarity with the network's own (of equal ones the smaller). The scale of a level is the median over the seeds:
the lower one of the middle two where the seeds are even in number, so that it is always a size that was tried.

The published code uses the size found at a step one step later. Here the size found at a level is used at that level.

All sizes are tried. A `climb` tries fewer: from the size of the noisier level on it goes up and down until two larger
and two smaller sizes than the median have been tried, or all there are. Where similarity hardly depends on the size, as
at much noise and for networks that see the whole picture, it may end at another size than the one defined above.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.calibration.sizes import candidate_sizes, plot_sizes
from smalti.corpus import ImageCorpus
from smalti.denoisers import LocalLinear, PatchComposite
from smalti.errors import InputError, UsageError
from smalti.machines import MACHINES
from smalti.networks.comparison import cosine
from smalti.networks.kept import identity_of
from smalti.noise import Level, Schedule
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import DDIM, Denoiser, asked, batches, checked_seeds
from smalti.window import Scales

__all__ = ["KINDS", "FittedScales", "Search", "fit_scales"]

Search = Literal["climb", "all"]

KINDS: dict[str, Callable[..., Denoiser]] = {
    **{name: machine for name, machine in MACHINES.items() if machine.has_windows},
    PatchComposite.name: PatchComposite,
    LocalLinear.name: LocalLinear,
}
"""Denoisers with patch sizes, by name: called with a corpus, `scales` and `label`."""

_FORMAT = "smalti fitted scales 1"
# A climb goes on until so many sizes on either side of the median were tried.
_PATIENCE = 2


@dataclass(frozen=True, eq=False)
class FittedScales:
    """Patch sizes over the noise that were fitted to a network, and the similarities they were chosen by.

    Attributes:
        machine: name of the denoiser with patch sizes.
        network: name of the network.
        network_id: digest of the network, or what else tells it from others; empty where it is not known.
        schedule, label: noise schedule, and the label to whose items the denoiser was restricted.
        corpus_digest: of the denoiser's corpus.
        size: height and width of the pictures that the network drew.
        levels: the levels, noisiest first. (L,).
        sizes: the patch sizes that were candidates, ascending. (P,).
        seeds: the seeds that the network drew. (S,).
        search: "all" sizes, or a "climb".
        cosines: cosine similarity of the denoiser's estimate and the network's; NaN where a size was not tried, 0 where
            the denoiser's estimate is 0 everywhere. float64 (S, L, P).
    """

    machine: str
    network: str
    network_id: str
    schedule: str
    label: str | None
    corpus_digest: str
    size: tuple[int, int]
    levels: tuple[Level, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    search: Search
    cosines: NDArray[np.float64]

    @property
    def best(self) -> NDArray[np.int64]:
        """The size with the highest similarity for each seed at each level. (S, L)."""
        return np.array(self.sizes)[np.nanargmax(self.cosines, axis=2)]

    @property
    def chosen(self) -> tuple[int, ...]:
        """The lower median of `best` over the seeds, at each level. (L,)."""
        return tuple(np.sort(self.best, axis=0)[(len(self.seeds) - 1) // 2].tolist())

    @property
    def scales(self) -> Scales:
        """The chosen sizes as scales for a machine."""
        return Scales(tuple(level.log_snr for level in self.levels), self.chosen)

    @property
    def medians(self) -> NDArray[np.float64]:
        """Median similarity over the seeds, NaN where a size was not tried. (L, P)."""
        return np.median(self.cosines, axis=0)

    def described(self) -> dict[str, Any]:
        """What decided the scales, as values that JSON can hold."""
        return {
            "format": _FORMAT,
            **{name: getattr(self, name) for name in ("machine", "network", "network_id", "schedule", "label")},
            "corpus_digest": self.corpus_digest,
            "size": list(self.size),
            "levels": [[level.time, level.signal, level.noise] for level in self.levels],
            "sizes": list(self.sizes),
            "seeds": list(self.seeds),
            "search": self.search,
        }

    def to_json(self) -> str:
        """The record as JSON text; `from_json` gives it back with the same bits."""
        cosines = [[[None if math.isnan(c) else c for c in row] for row in one] for one in self.cosines.tolist()]
        return json.dumps({**self.described(), "chosen": list(self.chosen), "cosines": cosines}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, origin: str = "the text") -> FittedScales:
        """Reads what `to_json` wrote.

        Raises:
            InputError: it is not that; `origin` is named.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] != _FORMAT or data["search"] not in ("climb", "all"):
                raise ValueError
            height, width = data["size"]
            found = cls(
                **{name: str(data[name]) for name in ("machine", "network", "network_id", "schedule", "corpus_digest")},
                label=data["label"],
                size=(int(height), int(width)),
                levels=tuple(Level(*map(float, level)) for level in data["levels"]),
                sizes=tuple(int(size) for size in data["sizes"]),
                seeds=tuple(int(seed) for seed in data["seeds"]),
                search=data["search"],
                cosines=np.array(
                    [[[math.nan if c is None else float(c) for c in row] for row in one] for one in data["cosines"]]
                ),
            )
            shape = len(found.seeds), len(found.levels), len(found.sizes)
            if found.cosines.shape != shape or 0 in shape or np.isnan(found.cosines).all(axis=2).any():
                raise ValueError
            _ = found.scales  # sizes and levels are checked there
        except (ValueError, KeyError, TypeError, AttributeError, UsageError):
            raise InputError(f"{origin} holds no fitted scales that Smalti wrote: fit them again.") from None
        return found

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Head and rows of a table: time, chosen size, how many seeds agree, and the median similarity of each size (""
        where it was not tried).
        """
        head = ("time", "chosen", "seeds", *(str(size) for size in self.sizes))
        agree = (self.best == np.array(self.chosen)).sum(axis=0)
        rows = [
            (
                f"{level.time:.3f}",
                str(chosen),
                f"{count} of {len(self.seeds)}",
                *("" if math.isnan(c) else f"{c:.4f}" for c in row),
            )
            for level, chosen, count, row in zip(self.levels, self.chosen, agree, self.medians, strict=True)
        ]
        return head, rows

    def plot(self, path: Path | str) -> None:
        """Draws the median similarity against time for each size, and the chosen sizes, as a PNG."""
        plot_sizes(
            path,
            times=[level.time for level in self.levels],
            sizes=self.sizes,
            values=self.medians,
            measure="cosine similarity with the network, median",
            scale="linear",
            chosen=self.chosen,
            title=f"{self.machine}, {self.schedule}: fitted to {self.network} with {len(self.seeds)} seeds",
        )


def fit_scales(
    network: Denoiser,
    kind: Callable[..., Denoiser] | str,
    corpus: ImageCorpus,
    *,
    seeds: Iterable[int],
    steps: int = 20,
    schedule: str | Schedule = "cosine",
    label: str | None = None,
    sizes: Iterable[int] | None = None,
    search: Search = "all",
    size: tuple[int, int] | None = None,
    batch: int = 16,
    network_id: str = "",
    progress: Progress = SILENT,
) -> FittedScales:
    """Fits patch sizes to a network along its own trajectory (see `smalti.networks.fitted_scales`). Tier: *bitwise* but
    for the network, so *statistical* with one.

    Args:
        network: the network, or any denoiser in its place.
        kind: name of a denoiser with patch sizes (`KINDS`), or a class that is called as they are.
        corpus: its pictures.

    Keyword Args:
        seeds: what the network draws; best others than those that are predicted later, for the fit has seen these.
            (S,).
        steps: number of levels.
        schedule: noise schedule.
        label: use only the items with this label; the network's own unless given.
        sizes: candidates, odd; by default 3, 5, 7 ... up to one that covers a picture.
        search: all sizes at all levels; or a climb, which is cheaper and may miss the best (see the module).
        size: height and width of the pictures that the network draws; those of its corpus unless given.
        batch: how many seeds share a call.
        network_id: what tells this network from others in the record, where it has no `digest` of its own.
        progress: shown while it runs.

    Raises:
        UsageError: a denoiser without patch sizes; a seed, size or number of steps that cannot be used; levels of which
            two have one signal-to-noise ratio; other channels than the network's.
        InputError: the network's estimate is 0 everywhere.
    """
    make = KINDS.get(kind) if isinstance(kind, str) else kind
    if make is None:
        raise UsageError(f"{kind!r} has no patch sizes that could be fitted: choose from {', '.join(KINDS)}.")
    if search not in ("climb", "all"):
        raise UsageError(f"Scales are fitted by a search of 'climb' or 'all', not {search!r}.")
    if network.corpus.channels != corpus.channels:
        raise UsageError(
            f"The network {network.name} makes pictures with {network.corpus.channels} channels, and those of the "
            f"corpus have {corpus.channels}: scales cannot be fitted."
        )
    if label is None:
        label = getattr(network, "label", None)
    sampler = DDIM(network, steps=steps, schedule=schedule)
    output = sampler.checked_size(size)
    chosen = checked_seeds(seeds)
    made: dict[int, Denoiser] = {}

    def fits(patch_size: int) -> None:
        denoiser = make(corpus, scales=patch_size, label=label)
        denoiser.check_output(output)
        made[patch_size] = denoiser

    fits(1)  # what is wrong at every size is said here, and this one is left where no other fits
    candidates = candidate_sizes(fits, corpus.size, sizes)
    Scales(tuple(level.log_snr for level in sampler.levels), (1,) * len(sampler.levels))  # refused now, not at the end
    cosines = np.full((len(chosen), steps, len(candidates)), np.nan)
    groups = [sampler.run(group, output) for group in batches(chosen, batch)]
    start = len(candidates) - 1
    with progress.task("fitting scales", steps) as task:
        for index, together in enumerate(zip(*groups, strict=True)):
            row = cosines[:, index]

            def look(j: int, together: Any = together, row: NDArray[np.float64] = row) -> None:
                row[:, j] = [c for step in together for c in _similarities(made[candidates[j]], step, network.name)]

            if search == "all":
                for j in range(len(candidates)):
                    look(j)
            else:
                start = climb(row, start, look)
            task.advance()
    return FittedScales(
        machine=made[candidates[0]].name,
        network=network.name,
        network_id=identity_of(network, sampler.levels, network_id) or "",
        schedule=sampler.schedule.name,
        label=label,
        corpus_digest=corpus.digest,
        size=output,
        levels=sampler.levels,
        sizes=candidates,
        seeds=chosen,
        search=search,
        cosines=cosines,
    )


def climb(row: NDArray[np.float64], start: int, look: Callable[[int], None]) -> int:
    """Fills similarities (S, P) of one level by `look` from a place on, until the median lies well inside of what was
    tried; gives the place of the median.
    """
    low = high = start
    look(start)
    while True:
        middle = int(np.sort(np.nanargmax(row, axis=1))[(len(row) - 1) // 2])
        if high < min(middle + _PATIENCE, row.shape[1] - 1):
            high += 1
            look(high)
        elif low > max(middle - _PATIENCE, 0):
            low -= 1
            look(low)
        else:
            return middle


def _similarities(denoiser: Denoiser, step: Any, network: str) -> list[float]:
    """Similarity of the estimates of a denoiser and of the network at a step of the network. (B,)."""
    theirs = step.posterior.mean
    if not theirs.any(axis=(1, 2, 3)).all():
        raise InputError(
            f"The network {network} estimates a picture that is 0 everywhere at time {step.level.time}, to which "
            "nothing can be fitted: its weights or its clock are wrong."
        )
    means = asked(denoiser, step.state, step.level).mean
    return [cosine(a, b) if a.any() else 0.0 for a, b in zip(means, theirs, strict=True)]
