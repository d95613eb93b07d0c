"""The background temperature of pictures: 0 for ours, and what a float32 variant that depends on the batch would have.

    .venv/bin/python bench/studies/image_temperature.py

Pictures from the built-in digits, by patches of 5 x 5, as `smalti generate` makes them. Prints

- ours: the bytes of the finished pictures, compared over threads, instruction sets, shards of the corpus, batches, and
  the order of the items;
- a float32 variant by matrix products, as one writes it in an afternoon (`smalti.bench.baseline`): how far its logits
  move, in nats, when batch, blocks of the corpus, or the order of a product's sum change, and which bytes of the
  pictures do;
- that variant with normal noise of known size on each logit, drawn anew: the temperature that acts like it (0.814 times
  its size, `smalti.temperature.noise`), and which bytes differ between two runs.

About two minutes of four cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import smalti
from smalti.bench.baseline import Floats, Sums, combine, unfold
from smalti.engine import native
from smalti.engine.posterior import mean_of
from smalti.machines import Machine
from smalti.noise import STATE_UNITS, Level
from smalti.temperature.noise import HiddenNoise

ITEMS, SEEDS, STEPS, PATCH = 120, range(16), 20, 5
SIZES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Pictures = NDArray[np.uint8]


class Mean(NamedTuple):
    """All that a sampler needs of a posterior."""

    mean: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Variant:
    """A denoiser on the corpus of a machine, under its name."""

    machine: Machine
    answer: Callable[[NDArray[np.int16], Level], NDArray[np.float64]]

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def corpus(self) -> smalti.ImageCorpus:
        return self.machine.corpus

    def check_output(self, size: tuple[int, int]) -> None:
        self.machine.check_output(size)

    def __call__(self, state: NDArray[np.int16], level: Level) -> Mean:
        return Mean(self.answer(state, level))

    def pictures(self, batch: int) -> Pictures:
        return smalti.DDIM(self, steps=STEPS)(SEEDS, batch=batch).images


def exact(machine: Machine, *, threads: int, target: str, cuts: Iterable[int], order: NDArray[np.int64]) -> Variant:
    """The machine with its items in some order, cut into shards before some of them, by some threads and kernel."""
    bounds = [0, *cuts, len(machine.images)]

    def answer(state: NDArray[np.int16], level: Level) -> NDArray[np.float64]:
        query = machine.query(state, level)
        images = query.images[order]
        shards = [replace(query, images=np.ascontiguousarray(images[a:b])) for a, b in pairwise(bounds)]
        first, *rest = (native.sums(shard, threads=threads, target=target) for shard in shards)
        for part in rest:
            first = first.merge(part)
        return mean_of(first)

    return Variant(machine, answer)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the float32 variant computes.

    Attributes:
        block: items of the corpus at a time.
        reverse: whether inner products are summed from the other end, as another kernel does.
        noise: of each logit.
        seed: of the noise.
    """

    block: int = ITEMS
    reverse: bool = False
    noise: HiddenNoise = field(default_factory=HiddenNoise)
    seed: int = 0


def floating(machine: Machine, way: Way) -> Variant:
    """The same in float32, borders filled with grey (0)."""
    half = PATCH // 2
    around = ((0, 0), (half, half), (half, half), (0, 0))
    items = np.pad(machine.images.astype(np.float32) / np.float32(127.5) - np.float32(1), around)
    generator = np.random.default_rng(way.seed)

    def answer(state: NDArray[np.int16], level: Level) -> NDArray[np.float64]:
        rows = unfold(np.pad(state.astype(np.float32) / np.float32(STATE_UNITS), around), PATCH)
        total: Sums | None = None
        for begin in range(0, len(items), way.block):
            block = items[begin : begin + way.block]
            logit = logits(rows, block, level, reverse=way.reverse)
            if way.noise.kind != "none":
                logit = way.noise(logit.astype(np.float64), generator).astype(np.float32)
            top = logit.max(axis=1)
            weight = np.exp(logit - top[:, None])
            centres = block[:, half:-half, half:-half].reshape(-1, block.shape[3])
            part = Sums(top, weight.sum(axis=1), weight @ centres)
            total = part if total is None else combine(total, part)
        assert total is not None
        return np.clip((total.value / total.weight[:, None]).reshape(state.shape), -1, 1).astype(np.float64)

    return Variant(machine, answer)


def logits(rows: Floats, items: Floats, level: Level, *, reverse: bool = False) -> Floats:
    """Log-weights in nats of all patches of padded items for patches of states, up to a constant of each row."""
    patches = unfold(items, PATCH)
    turn = slice(None, None, -1 if reverse else 1)
    out = np.ascontiguousarray(rows[:, turn]) @ np.ascontiguousarray(patches[:, turn]).T
    out *= np.float32(level.signal / level.noise**2)
    out -= np.float32(0.5 * (level.signal / level.noise) ** 2) * np.einsum("ij,ij->i", patches, patches)
    return out


def shifts(machine: Machine) -> list[tuple[Level, float, float]]:
    """For each step, how far logits of the first seed move between two ways of computing: deviation and largest."""
    half = PATCH // 2
    around = ((0, 0), (half, half), (half, half), (0, 0))
    items = np.pad(machine.images.astype(np.float32) / np.float32(127.5) - np.float32(1), around)
    found: list[tuple[Level, float, float]] = []
    for step in smalti.DDIM(floating(machine, Way()), steps=STEPS).run(SEEDS):
        rows = unfold(np.pad(step.state.astype(np.float32) / np.float32(STATE_UNITS), around), PATCH)
        alone = machine.images[0].shape[0] * machine.images[0].shape[1]
        one = logits(rows, items, step.level)[:alone]
        other = np.concatenate([logits(rows[:alone], part, step.level, reverse=True) for part in np.split(items, 8)], 1)
        # A shift of a whole row changes no weight.
        moved = (other - one).astype(np.float64)
        moved -= moved.mean(axis=1, keepdims=True)
        found.append((step.level, float(moved.std()), float(np.abs(moved).max())))
    return found


def told(name: str, pictures: Pictures, reference: Pictures) -> None:
    """How much of some pictures differs from others."""
    different = pictures != reference
    most = np.abs(pictures.astype(int) - reference).max()
    shares = f"{different.any(axis=(1, 2, 3)).mean():8.1%} of pictures {different.mean():9.3%} of bytes"
    print(f"  {name:<46}{shares}   by at most {most:3d}", flush=True)


def main() -> None:
    """Prints the three parts."""
    corpus = smalti.ImageCorpus.from_arrays(smalti.ImageCorpus.builtin("digits").images[:ITEMS])
    machine = smalti.EquivariantLocal(corpus, scales=smalti.Scales.constant(PATCH))
    reference = smalti.DDIM(machine, steps=STEPS)(SEEDS, batch=16).images
    print(f"{len(SEEDS)} pictures from {ITEMS} digits, {STEPS} steps, patches of {PATCH} x {PATCH}\n\nours")
    widest, *_ = native.targets()
    plain: dict[str, Any] = {"threads": 4, "target": widest, "cuts": (), "order": np.arange(ITEMS)}
    told("as smalti generate makes them, in batches of 16", exact(machine, **plain).pictures(16), reference)
    changes: list[tuple[str, int, dict[str, Any]]] = [
        *((f"{count} thread{'s' if count > 1 else ''}", 16, {"threads": count}) for count in (1, 2, 3)),
        *((f"instruction set {name}", 16, {"target": name}) for name in native.targets()),
        *((f"batches of {batch}", batch, {}) for batch in (1, 3, 7)),
        *((f"{count} shards", 16, {"cuts": range(ITEMS // count, ITEMS, ITEMS // count)}) for count in (2, 8, 60)),
        ("items in another order", 16, {"order": np.random.default_rng(0).permutation(ITEMS)}),
    ]
    for name, batch, change in changes:
        told(name, exact(machine, **(plain | change)).pictures(batch), reference)

    print("\nfloat32, by matrix products, against itself in batches of 16")
    single = floating(machine, Way()).pictures(16)
    told("once more", floating(machine, Way()).pictures(16), single)
    for batch in (1, 3, 7):
        told(f"batches of {batch}", floating(machine, Way()).pictures(batch), single)
    for block in (60, 15, 7):
        told(f"blocks of {block} items", floating(machine, Way(block=block)).pictures(16), single)
    told("products summed from the other end", floating(machine, Way(reverse=True)).pictures(16), single)
    everything = floating(machine, Way(block=7, reverse=True)).pictures(1)
    told("all of these", everything, single)
    print("  logits move by (nats: deviation, largest; temperature that acts like it)")
    found = shifts(machine)
    for at in (0, STEPS // 2, STEPS - 4, STEPS - 2, STEPS - 1):
        level, deviation, largest = found[at]
        acts = HiddenNoise("gaussian", deviation).equivalent_temperature
        print(f"    step {at + 1:2d}, noise {level.noise:.3f}:  {deviation:.2e}  {largest:.2e}  T = {acts:.1e}")

    print("\nfloat32 with normal noise of known size on each logit: two runs")
    for size in SIZES:
        noise = HiddenNoise("gaussian", size)
        runs = [floating(machine, Way(noise=noise, seed=seed)).pictures(16) for seed in (1, 2)]
        told(f"{size:g} nats (T = {noise.equivalent_temperature:.1e})", *runs)


if __name__ == "__main__":
    main()
