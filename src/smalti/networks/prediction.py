"""How well closed-form machines predict what a trained network draws.

The same noise goes through the network and through each predictor, by DDIM on the same levels. Three comparisons, each
seed by seed (`smalti.networks.comparison`):

    finished pictures   the network's, with as few steps as the predictor or with more, and the predictor's: their means
                        in float64, before they are rounded to pixels; a network's may lie outside of [-1, 1]
    over time           the estimates of the clean picture at each step of the two free trajectories, as pixels
    along               the two estimates *at the states of the network's own trajectory*, in float64: the error that
                        one step makes, without those of the steps before

A predictor that is bitwise gives the same bytes everywhere. A network does not: what is compared with it is
*statistical*, to its last digits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError, whole_number
from smalti.networks.comparison import Agreement, Measure, StepAgreement, agreement, step_agreement
from smalti.networks.kept import Walk, kept_steps, kept_trace, name_of_seeds, safe_name
from smalti.noise import Level, Schedule
from smalti.progress import SILENT, Progress, Task
from smalti.resample import Interval, bootstrapped, medians
from smalti.sampling.ddim import DDIM, Denoiser, asked, batches, checked_seeds
from smalti.sampling.files import claimed
from smalti.sampling.trace import Trace

__all__ = ["Prediction", "predict"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network drew and what predictors made of the same noise (see `smalti.networks.prediction`).

    Attributes:
        network: the network's pictures, by the number of its steps; one of these is the predictors' own.
        predictors: the predictors' pictures, by name.
        along: agreement of each predictor's estimate with the network's at the states of the network's trajectory, by
            name; only for those that were asked for.
        seeds: the seeds. (S,).
        levels: the levels of the predictors, noisiest first. (T,).
    """

    network: Mapping[int, Trace]
    predictors: Mapping[str, Trace]
    along: Mapping[str, StepAgreement]
    seeds: tuple[int, ...]
    levels: tuple[Level, ...]

    def agreement(self, name: str, network_steps: int | None = None) -> Agreement:
        """Agreement of the finished pictures of a predictor and the network, as means in float64.

        Args:
            name: the predictor.
            network_steps: number of the network's steps; the most that there are, unless given.

        Raises:
            UsageError: there is no such predictor, or the network was not run with so many steps.
        """
        steps = max(self.network) if network_steps is None else network_steps
        if steps not in self.network:
            there = " and ".join(str(number) for number in sorted(self.network))
            raise UsageError(f"The network was run with {there} steps, not with {steps}.")
        return agreement(self.network[steps].means, self._of(name).means, self.seeds)

    def difference(
        self,
        name: str,
        other: str,
        measure: Measure = "r",
        network_steps: int | None = None,
        *,
        draws: int = 2000,
        seed: int = 0,
    ) -> Interval:
        """By how much one predictor agrees more than another: the median over seeds of the difference for one seed,
        with a 95 % bootstrap interval over seeds. Where it holds 0, the two cannot be told apart.

        Args:
            name: a predictor.
            other: the one whose measure is subtracted.
            measure: "r", "r_squared", "mse" or "cosine".
            network_steps: as in `agreement`.

        Keyword Args:
            draws: bootstrap draws.
            seed: of the draws.

        Raises:
            UsageError: as `agreement`.
        """
        mine, its = (getattr(self.agreement(one, network_steps), measure) for one in (name, other))
        known = (mine - its)[~np.isnan(mine - its)]
        return bootstrapped(
            lambda weights: medians(known, weights), len(known), draws=draws, seed=seed, purpose="networks/agreement"
        )

    def over_time(self, name: str) -> StepAgreement:
        """Agreement of the estimates, as pixels, at each step of the two free trajectories.

        Raises:
            UsageError: there is no such predictor.
        """
        theirs = self.network[len(self.levels)].estimates
        return step_agreement(theirs, self._of(name).estimates, self.levels, self.seeds)

    def _of(self, name: str) -> Trace:
        if name not in self.predictors:
            raise UsageError(f"There is no predictor {name!r}: there are {', '.join(self.predictors)}.")
        return self.predictors[name]


def predict(
    network: Denoiser,
    predictors: Mapping[str, Denoiser],
    *,
    seeds: Iterable[int],
    steps: int = 20,
    network_steps: Iterable[int] = (20, 150),
    schedule: str | Schedule = "cosine",
    size: tuple[int, int] | None = None,
    batch: int = 16,
    along: Iterable[str] | None = None,
    keep: str | Path | None = None,
    network_id: str = "",
    progress: Progress = SILENT,
) -> Prediction:
    """Draws the same seeds with a network and with predictors. Tier: that of the network and of each predictor.

    Args:
        network: the network, or any denoiser in its place.
        predictors: denoisers by name, such as those of `named_predictors`.

    Keyword Args:
        seeds: seeds of the samples. Scales that were fitted to the network should have been fitted with others. (S,).
        steps: number of the predictors' steps.
        network_steps: numbers of the network's steps; those of the predictors are always among them.
        schedule: noise schedule of all of them.
        size: height and width of the pictures; those of the network's corpus unless given.
        batch: how many seeds share a call; no byte of a bitwise predictor depends on it.
        along: names of the predictors that are also asked at the network's own states, which costs as much again as
            their run; all of them unless given.
        keep: a folder in which finished pieces are kept, so that the same call goes on where it was stopped; nothing is
            kept unless given. Changed work is refused, but for seeds, of which more can be asked for with the same
            batch.
        network_id: what tells this network from others in what is kept, where it has no `digest` of its own.
        progress: shown while it runs.

    Returns:
        All traces, and the agreement along the network's states.

    Raises:
        UsageError: no predictor; a seed, size or number of steps that cannot be used; a denoiser that makes other
            pictures; or, with `keep`, one that does not say what decides its answers.
        InputError: a kept piece is damaged or of other work, or cannot be written; or a network returned what is no
            picture.
    """
    chosen = checked_seeds(seeds)
    if not predictors:
        raise UsageError("A prediction needs at least one predictor, but none was given.")
    counts = {whole_number(steps, "A number of steps is a whole number from 1", least=1)}
    counts |= {whole_number(n, "A number of steps is a whole number from 1", least=1) for n in network_steps}
    asked_along = tuple(predictors) if along is None else tuple(along)
    unknown = [name for name in asked_along if name not in predictors]
    if unknown:
        raise UsageError(f"There is no predictor {unknown[0]!r} to ask along the network's states.")
    sampler = DDIM(network, steps=steps, schedule=schedule)
    output = sampler.checked_size(size)

    def walk(denoiser: Denoiser, count: int, given: str = "") -> Walk:
        if denoiser.corpus.channels != network.corpus.channels:
            raise UsageError(
                f"The network {network.name} makes pictures with {network.corpus.channels} channels, and the "
                f"{denoiser.name} denoiser those with {denoiser.corpus.channels}: they cannot be compared."
            )
        one = DDIM(denoiser, steps=count, schedule=schedule)
        found = Walk(one, one.checked_size(output), given)
        if keep is not None and found.decided is None:
            raise UsageError(
                f"The denoiser {denoiser.name} does not say what decides its answers, so that its pictures cannot be "
                "kept: give it a digest, or keep nothing."
            )
        return found

    theirs = {count: walk(network, count, network_id) for count in sorted(counts)}
    mine = {name: walk(denoiser, steps) for name, denoiser in predictors.items()}
    work = _Work(theirs, mine, theirs[steps], None if keep is None else Path(keep))
    total = sum(counts) + steps * (len(mine) + len(asked_along) + bool(asked_along))
    traces: dict[int | str, list[Trace]] = {key: [] for key in (*theirs, *mine)}
    errors: dict[str, list[StepAgreement]] = {name: [] for name in asked_along}
    held = contextlib.nullcontext() if keep is None else claimed(Path(keep))
    with held, progress.task("predicting", total * len(chosen)) as task:
        for group in batches(chosen, batch):
            for count in theirs:
                traces[count].append(work.trace("network", f"{count}-steps", theirs[count], group, task))
            for name in mine:
                traces[name].append(work.trace("predictors", safe_name(name), mine[name], group, task))
            for name, found in work.along(asked_along, traces[steps][-1], task).items():
                errors[name].append(found)
    return Prediction(
        network={count: Trace.join(traces[count]) for count in theirs},
        predictors={name: Trace.join(traces[name]) for name in mine},
        along={name: _joined(found) for name, found in errors.items()},
        seeds=chosen,
        levels=sampler.levels,
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """What is walked, and where its pieces are kept."""

    theirs: Mapping[int, Walk]
    mine: Mapping[str, Walk]
    network: Walk
    keep: Path | None

    def trace(self, kind: str, name: str, walk: Walk, seeds: tuple[int, ...], task: Task) -> Trace:
        """The trace of a batch."""
        found, known = kept_trace(
            self._place(kind, name, seeds),
            walk,
            seeds,
            lambda: walk.sampler.one_batch(seeds, walk.size, task=task),
        )
        if known:
            task.advance(len(seeds) * found.steps)
        return found

    def along(self, names: tuple[str, ...], trace: Trace, task: Task) -> dict[str, StepAgreement]:
        """How predictors agree with the network at the states of its trace of a batch."""
        levels, seeds = trace.levels, trace.seeds
        answers: list[NDArray[np.float64]] = []

        def tick(share: float) -> None:
            task.advance(share * len(seeds))

        def estimates(denoiser: Denoiser) -> NDArray[np.float64]:
            states = trace.states.swapaxes(0, 1).copy()
            found = [asked(denoiser, *at, tick=tick).mean for at in zip(states, levels, strict=True)]
            return np.stack(found, axis=1)

        def compared(name: str) -> StepAgreement:
            if not answers:  # a trace holds estimates as pixels only, so the network is asked once more
                answers.append(estimates(self.network.sampler.machine))
            return step_agreement(answers[0], estimates(self.mine[name].sampler.machine), levels, seeds)

        out: dict[str, StepAgreement] = {}
        for name in names:
            walk = self.mine[name]
            place = self._place("along", safe_name(name), seeds)
            out[name], known = kept_steps(place, self.network, walk, seeds, lambda name=name: compared(name))
            if known:
                task.advance(len(seeds) * len(levels))
        if names and not answers:
            task.advance(len(seeds) * len(levels))
        return out

    def _place(self, kind: str, name: str, seeds: tuple[int, ...]) -> Path | None:
        """The file of a piece."""
        return None if self.keep is None else self.keep / kind / name / f"{name_of_seeds(seeds)}.safetensors"


def _joined(parts: list[StepAgreement]) -> StepAgreement:
    r, mse, cosine = (np.concatenate([getattr(part, name) for part in parts]) for name in ("r", "mse", "cosine"))
    return StepAgreement(parts[0].levels, tuple(seed for part in parts for seed in part.seeds), r, mse, cosine)
