"""Leave-one-out scales: patch sizes over the noise without a network.

For an item n of the corpus and a noise level, noise is added to the item, and the machine, which may not use the item
(nor copies of it), estimates what it was. The patch size with the smallest mean squared error over a sample of items
is the scale of that level. A large patch fails because no other item is like this one as a whole; a small patch fails
because noise hides what it shows; so sizes fall with the noise.

With one picture only, a site may not use the corpus sites whose windows overlap its own place.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.calibration.sizes import candidate_sizes, plot_sizes
from smalti.corpus import ImageCorpus
from smalti.engine import Exclusion, Query, native
from smalti.engine.posterior import mean_of
from smalti.errors import InputError, UsageError
from smalti.machines import MACHINES, Machine
from smalti.noise import STATE_UNITS, Level, Schedule, gaussian_state
from smalti.noise import schedule as named_schedule
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import state_of, values_of
from smalti.window import Scales

Search = Literal["climb", "all"]

# (state site, corpus site) pairs that a calibration may look at when nobody says otherwise: some ten seconds on four
# cores.
_BUDGET = {"climb": 2e10, "all": 1e11}
# Larger pictures are judged on a square of this side, at a place of its own for each query.
_TILE = 32
# A climb stops after this many sizes in a row that are worse than the best.
_PATIENCE = 2


@dataclass(frozen=True, eq=False)
class Calibration:
    """Patch sizes over the noise, and the errors they were chosen by.

    Attributes:
        machine, schedule, label: what was calibrated.
        corpus_digest: of the corpus.
        levels: the noise levels, noisiest first; L of them.
        sizes: the patch sizes that were candidates, ascending; P of them.
        errors: mean squared error of the estimate, pixels in [-1, 1]; NaN where it was not computed. float64 (L, P).
        queries, items: how many pictures were estimated, from how many.
        single: whether places were left out instead of items, as there is one picture only.
        search: "all" sizes at each level, or a "climb" from the size of the level before.
        seed: of the noise and of the choice of items.
    """

    machine: str
    schedule: str
    label: str | None
    corpus_digest: str
    levels: tuple[Level, ...]
    sizes: tuple[int, ...]
    errors: NDArray[np.float64]
    queries: int
    items: int
    single: bool
    search: Search
    seed: int

    @property
    def chosen(self) -> tuple[int, ...]:
        """The size with the smallest error at each level; of equal ones the smaller. Length L."""
        return tuple(self.sizes[int(np.nanargmin(row))] for row in self.errors)

    @property
    def scales(self) -> Scales:
        """The chosen sizes as scales for a machine."""
        return Scales(tuple(level.log_snr for level in self.levels), self.chosen)

    def to_json(self) -> str:
        """The calibration as JSON text; `from_json` gives it back with the same bits."""
        return json.dumps(
            {
                "format": "smalti calibration 1",
                "machine": self.machine,
                "schedule": self.schedule,
                "label": self.label,
                "corpus_digest": self.corpus_digest,
                "queries": self.queries,
                "items": self.items,
                "single": self.single,
                "search": self.search,
                "seed": self.seed,
                "sizes": list(self.sizes),
                "levels": [
                    {
                        "time": level.time,
                        "signal": level.signal,
                        "noise": level.noise,
                        "chosen": chosen,
                        "errors": [None if math.isnan(e) else float(e) for e in row],
                    }
                    for level, chosen, row in zip(self.levels, self.chosen, self.errors, strict=True)
                ],
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str, *, origin: str = "the text") -> Calibration:
        """Reads what `to_json` wrote.

        Raises:
            InputError: if it is not that; `origin` is named.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] != "smalti calibration 1":
                raise ValueError
            levels = data["levels"]
            out = cls(
                machine=str(data["machine"]),
                schedule=str(data["schedule"]),
                label=data["label"],
                corpus_digest=str(data["corpus_digest"]),
                levels=tuple(Level(float(v["time"]), float(v["signal"]), float(v["noise"])) for v in levels),
                sizes=tuple(int(s) for s in data["sizes"]),
                errors=np.array([[math.nan if e is None else float(e) for e in v["errors"]] for v in levels]),
                queries=int(data["queries"]),
                items=int(data["items"]),
                single=bool(data["single"]),
                search=data["search"],
                seed=int(data["seed"]),
            )
            whole = out.errors.shape == (len(out.levels), len(out.sizes)) and len(out.levels) > 0
            if not whole or np.isnan(out.errors).all(axis=1).any():
                raise ValueError
            _ = out.scales  # sizes and levels are checked there
        except (ValueError, KeyError, TypeError, AttributeError, UsageError):
            raise InputError(
                f"{origin} is not a calibration that Smalti wrote: make one with `smalti calibrate`"
            ) from None
        return out

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Head and rows of the table of errors: time, chosen size, and an error for each size ("" where not
        computed).
        """
        head = ("time", "chosen", *(str(s) for s in self.sizes))
        rows = [
            (f"{level.time:.3f}", str(chosen), *("" if math.isnan(e) else f"{e:.5f}" for e in row))
            for level, chosen, row in zip(self.levels, self.chosen, self.errors, strict=True)
        ]
        return head, rows

    def plot(self, path: Path | str) -> None:
        """Draws errors against time for each size, and the chosen sizes, as a PNG."""
        of = (
            "one picture, overlapping places left out"
            if self.single
            else f"{self.queries} of {self.items} items left out in turn"
        )
        plot_sizes(
            path,
            times=[level.time for level in self.levels],
            sizes=self.sizes,
            values=self.errors,
            measure="mean squared error, pixels in [-1, 1]",
            scale="log",
            chosen=self.chosen,
            title=f"{self.machine}, {self.schedule}: {of}",
        )


def calibrate(
    corpus: ImageCorpus,
    *,
    machine: str = "border-aware",
    schedule: str | Schedule = "cosine",
    label: str | None = None,
    sizes: Iterable[int] | None = None,
    levels: int | None = None,
    queries: int | None = None,
    items: int | None = None,
    search: Search = "climb",
    seed: int = 0,
    output_size: tuple[int, int] | None = None,
    progress: Progress = SILENT,
) -> Calibration:
    """Finds patch sizes by leaving items out in turn. Tier: bitwise, a function of corpus, settings
    and seed.

    Args:
        corpus: the pictures.
        machine: name of a machine with windows.
        schedule: noise schedule on whose steps the sizes are found.
        label: use only the items with this label.
        sizes: candidates, odd; by default 3, 5, 7 ... as far as the pictures allow.
        levels: how many noise levels; by default 20, or 10 where 20 would take long.
        queries: how many items are left out in turn; by default 32, 16 where pictures are large, 6 tiles of a single
            picture.
        items: how many items serve as sources, queries among them; by default as many as take some ten seconds on
            four cores (a climb), or a minute (all).
        search: all sizes at all levels, or a climb from small to large as noise grows.
        seed: of the noise, and of the choice of items (by a hash of seed and content id).
        output_size: (H, W) of the pictures to be made, where it is not the corpus's own; larger patches are no
            candidates.
        progress: shown while it runs.

    Raises:
        UsageError: a machine without windows, or settings that leave nothing to compare.
        InputError: a corpus in which nothing is left once an item and its copies are left out.
    """
    if machine not in MACHINES or not MACHINES[machine].has_windows:
        raise UsageError(
            f"{machine!r} is not a machine with patch sizes: choose from local, equivariant-local, border-aware"
        )
    if search not in ("climb", "all"):
        raise UsageError(f"a calibration searches 'climb' or 'all', not {search!r}")
    for name, value in (("levels", levels), ("queries", queries), ("items", items)):
        if value is not None and value < 1:
            raise UsageError(f"a calibration needs at least 1 of its {name}, not {value}")
    noise = named_schedule(schedule) if isinstance(schedule, str) else schedule
    tried = MACHINES[machine](corpus, scales=1, label=label)
    single = len({corpus.ids[i] for i in tried.items}) == 1
    if single and machine == "local":
        raise InputError(
            "a local machine with one picture has nothing left once its place is left out: give scales yourself"
        )
    outputs = {corpus.size, output_size or corpus.size}

    def fits(patch_size: int) -> None:
        for output in outputs:
            tried.admission(patch_size, output)

    # Of a single picture some place must be left whose window overlaps nothing; larger ones are slow and copy it.
    most = min(min(corpus.size) // 2, 41) if single else None
    candidates = candidate_sizes(fits, corpus.size, sizes, most=most)
    tile = _tile(corpus.size)
    pairs = [native.pairs_per_item(_query(tried, size, tile, noise.grid(1)[0])) for size in candidates]
    tested = len(candidates) if search == "all" else min(len(candidates), 1 + _PATIENCE)
    used_queries = queries or (6 if single else 32 if math.prod(tile) < _TILE * _TILE else 16)
    if not single:
        used_queries = min(used_queries, len(tried.items))
    cost = tested * float(np.mean(pairs)) * used_queries
    count = len(tried.items)
    if levels is None:
        levels = 20 if cost * 20 * min(count, 500) <= _BUDGET[search] / 2 else 10
    used_items = min(count, items or max(64, int(_BUDGET[search] / (cost * levels))))
    if single:
        used_items = 1
    elif used_items < 2:
        raise UsageError("a calibration compares an item with others: let at least 2 items serve")
    used_queries = used_queries if single else min(used_queries, used_items)

    sample = _Sample(tried, used_items, used_queries, single, seed, tile)
    grid = noise.grid(levels)
    errors = np.full((levels, len(candidates)), np.nan)
    best = 0
    with progress.task("calibrating", levels) as task:
        for i in range(levels - 1, -1, -1):
            row = errors[i]
            for j in range(0 if search == "all" else best, len(candidates)):
                row[j] = sample.error(candidates[j], grid[i], i)
                if search == "climb" and j - int(np.nanargmin(row)) >= _PATIENCE:
                    break
            best = int(np.nanargmin(row))
            task.advance()
    return Calibration(
        machine=machine,
        schedule=noise.name,
        label=label,
        corpus_digest=corpus.digest,
        levels=grid,
        sizes=candidates,
        errors=errors,
        queries=used_queries,
        items=used_items,
        single=single,
        search=search,
        seed=seed,
    )


def _tile(size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    return min(height, _TILE), min(width, _TILE)


def _query(
    machine: Machine,
    patch_size: int,
    tile: tuple[int, int],
    level: Level,
    *,
    images: NDArray[np.uint8] | None = None,
    state: NDArray[np.int16] | None = None,
    corner: tuple[int, int] = (0, 0),
    exclusion: Exclusion | None = None,
) -> Query:
    """The question about one tile of one noisy item."""
    height, width = machine.corpus.size
    if state is None:
        state = np.zeros((height, width, machine.corpus.channels), np.int16)
    admission = machine.admission(patch_size, (height, width))
    (top, left), (rows, columns) = corner, tile
    return Query(
        images=machine.images[:1] if images is None else images,
        states=state[None],
        admission=admission.within((top, top + rows), (left, left + columns)),
        level=level,
        exclusions=() if exclusion is None else (exclusion,),
    )


class _Sample:
    """Items that serve as sources, and those of them that are left out in turn."""

    def __init__(
        self, machine: Machine, items: int, queries: int, single: bool, seed: int, tile: tuple[int, int]
    ) -> None:
        self.machine, self.single, self.seed, self.tile = machine, single, seed, tile
        ids = [machine.corpus.ids[i] for i in machine.items]
        order = sorted(range(len(ids)), key=lambda i: (_hash(seed, ids[i]), i))
        chosen = sorted(order[:items])
        self.ids = [ids[i] for i in chosen]
        self.images = np.ascontiguousarray(machine.images[chosen])
        place = {i: at for at, i in enumerate(chosen)}
        self.queries = [0] * queries if single else [place[i] for i in order[:queries]]
        self.clean = [values_of(self.images[item]) for item in self.queries]
        firsts = [self.ids.index(self.ids[item]) for item in self.queries]
        self.copies = [(first, first + self.ids.count(self.ids[first])) for first in firsts]

    def error(self, patch_size: int, level: Level, step: int) -> float:
        """Mean squared error of the estimates over the queries, pixels in [-1, 1]."""
        shape = self.images.shape[1:]
        found = []
        whole = self.tile == shape[:2]
        queries: list[Query] = []
        corners: list[tuple[int, int]] = []
        for number, (clean, copies) in enumerate(zip(self.clean, self.copies, strict=True)):
            noise = gaussian_state(shape, seed=number, purpose=f"calibration/{self.seed}", step=step) / STATE_UNITS
            corner = self._corner(number)
            exclusion = Exclusion(radius=patch_size) if self.single else Exclusion(items=copies)
            queries.append(
                _query(
                    self.machine,
                    patch_size,
                    self.tile,
                    level,
                    images=self.images,
                    state=state_of(level.signal * clean + level.noise * noise),
                    corner=corner,
                    exclusion=exclusion,
                )
            )
            corners.append(corner)
        if whole:
            queries = [
                replace(
                    queries[0],
                    states=np.concatenate([q.states for q in queries]),
                    exclusions=tuple(q.exclusions[0] for q in queries),
                )
            ]
        means = np.concatenate([mean_of(native.sums(q)) for q in queries])
        for clean, (top, left), mean in zip(self.clean, corners, means, strict=True):
            area = np.s_[top : top + self.tile[0], left : left + self.tile[1]]
            difference = mean[area] - clean[area]
            judged = ~np.isnan(difference)
            if judged.any():
                squares = difference[judged] ** 2
                found.append(math.fsum(squares) / squares.size)
        if not found:
            raise InputError(
                "nothing is left to compare once an item and its copies are left out: give scales yourself"
            )
        return math.fsum(found) / len(found)

    def _corner(self, number: int) -> tuple[int, int]:
        """Where a query's tile lies; also tiles at the edges of the picture come up."""
        height, width = self.images.shape[1:3]
        draw = _hash(self.seed, f"corner {number}")
        rows, columns = height - self.tile[0] + 1, width - self.tile[1] + 1
        return draw % rows, draw // rows % columns


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"smalti/calibration/{seed}/{text}".encode()).digest()[:8], "little")
