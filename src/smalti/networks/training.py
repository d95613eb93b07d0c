"""Training a network to predict noise, as Kamb & Ganguli 2025 (2412.20292) trained theirs.

At each step a batch of pictures x_0 in [-1, 1] is drawn without replacement from the epoch's random order; each gets a
time t, uniform on {0, ..., 999} / 1000, and noise eps, and the loss is the mean of

    |eps - network(a(t) x_0 + s(t) eps, t)|^2

over all values. Adam (Kingma & Ba 2015, 1412.6980) with step size `rate` times `decay` to the power of the step.

Weights at the start, order, times and noise are functions of (seed, step) from Smalti's own generator, and the file
keeps Adam's state. So a training that was stopped goes on as if it had not been: on one machine's processor, with one
number of threads, to the same bytes. Between machines, libraries, numbers of threads, and on CUDA: *statistical*.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.errors import InputError, UsageError, whole_number
from smalti.networks.backend import torch_library, usable_device
from smalti.networks.checkpoint import Checkpoint, fitted, read_checkpoint, write_checkpoint
from smalti.networks.models import NetworkConfig, build, initialise
from smalti.networks.network import Network, Training
from smalti.noise import STATE_UNITS, gaussian_state, schedule
from smalti.noise.words import random_words, uniforms
from smalti.progress import SILENT, Progress
from smalti.sampling.files import remove_leftovers

__all__ = ["Plan", "StoppedTraining", "train"]

_TIMES = 1000
_MOST_STEPS = 10**9
_SAVE_EVERY_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train. The defaults are the paper's.

    Attributes:
        steps: steps in all; one step sees one batch.
        seed: of weights, order, times and noise.
        batch: pictures in one step.
        rate: step size of Adam at the first step.
        decay: factor on it after each step.
        ema: factor of a running mean of the weights, which is then what predicts; None: no mean.
        schedule: noise schedule.

    Raises:
        UsageError: a value has no meaning.
    """

    steps: int
    seed: int = 0
    batch: int = 128
    rate: float = 1e-4
    decay: float = 0.999965
    ema: float | None = None
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        steps = whole_number(self.steps, "The number of steps is a whole number of at least 1", least=1)
        if steps > _MOST_STEPS:
            raise UsageError(
                f"A training has {_MOST_STEPS:,} steps at most, but {steps:,} were asked for: ask for fewer."
            )
        whole_number(self.seed, "A seed is a whole number from 0")
        whole_number(self.batch, "A batch is a whole number of at least 1", least=1)
        if not 0.0 < self.rate < 1.0:
            raise UsageError(f"The rate is above 0 and below 1, such as 0.0001, but it is {self.rate}.")
        if not 0.0 < self.decay <= 1.0:
            raise UsageError(f"The decay is above 0 and at most 1, such as 0.999965, but it is {self.decay}.")
        if self.ema is not None and not 0.0 < self.ema < 1.0:
            raise UsageError(f"The factor of the running mean is between 0 and 1, such as 0.999, but it is {self.ema}.")
        schedule(self.schedule)

    @staticmethod
    def steps_of_epochs(epochs: int, items: int, batch: int) -> int:
        """Steps in which every picture is seen `epochs` times."""
        return whole_number(epochs, "The number of epochs is a whole number of at least 1", least=1) * -(
            -items // batch
        )


class StoppedTraining(Exception):  # noqa: N818
    """A training that was stopped before its end; what was done is in the file.

    Attributes:
        steps: steps done.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(f"stopped after {steps} steps")
        self.steps = steps


def train(
    corpus: ImageCorpus,
    config: NetworkConfig,
    plan: Plan,
    *,
    path: Path | str,
    resume: bool = False,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
    save_every: float = _SAVE_EVERY_SECONDS,
    progress: Progress = SILENT,
) -> Network:
    """Trains a network and keeps it in a file, which is written every two minutes and at the end.

    The file is whole whenever it is there: a process that is killed leaves the one it wrote last.

    Args:
        corpus: the pictures.
        config: form of the network; its labels, if any, must be those of the corpus.
        plan: how to train.

    Keyword Args:
        path: the file, which must not be there unless `resume`.
        resume: go on from the file, if it is there; all but the number of steps must be as it says.
        device: `cpu`, `cuda`, or `cuda:1` and so on.
        stopped: asked after each step; once it says yes, the file is written and the training ends.
        save_every: seconds between two writings of the file, and so the most that is lost; changes no byte of it.
        progress: where progress is shown.

    Returns:
        The network, on the device.

    Raises:
        InputError: PyTorch is not installed; the file is there, is not one that can be gone on from, or cannot be
            written; or the loss is no longer a number.
        UsageError: pictures that do not fit the network, no such device, or less than no time between two writings.
        StoppedTraining: `stopped` said yes before the end.
    """
    where = usable_device(device)
    path = Path(path)
    if not save_every >= 0.0:
        raise UsageError(f"The file is written every 0 seconds or more, but this says {save_every}.")
    _check_fit(corpus, config)
    if path.exists() and not resume:
        raise InputError(f"{path} is there already: choose another name, or go on from it with resume.")
    training = Training(
        corpus_digest=corpus.digest,
        size=corpus.size,
        items=len(corpus),
        seed=plan.seed,
        schedule=plan.schedule,
        batch=plan.batch,
        rate=plan.rate,
        decay=plan.decay,
        ema=plan.ema,
        steps=0,
    )
    remove_leftovers(path)
    run = _Run(corpus, config, plan, training, where)
    if path.exists():
        run.go_on_from(path)
    left = plan.steps - run.done
    saved = time.monotonic()
    with progress.task("training", left) as task, ThreadPoolExecutor(1) as ahead:
        # Noise is drawn for the next step while the network is busy with this one.
        coming: Future[_Batch] | None = ahead.submit(run.batch, run.done) if left > 0 else None
        while coming is not None:
            batch = coming.result()
            coming = ahead.submit(run.batch, run.done + 1) if run.done + 1 < plan.steps else None
            run.step(batch)
            task.advance()
            if coming is not None and stopped():
                write_checkpoint(path, run.checkpoint())
                raise StoppedTraining(run.done)
            if time.monotonic() - saved >= save_every:
                write_checkpoint(path, run.checkpoint())
                saved = time.monotonic()
    last = run.checkpoint()
    write_checkpoint(path, last)
    module = fitted(config, last.part("weights"), origin=str(path)).to(where)
    return Network(config, module, last.training, last.tensors["losses"])


@dataclass(frozen=True, eq=False)
class _Batch:
    """What one step sees: pictures by index, signal and noise of each, times, and noise."""

    items: NDArray[np.int64]
    times: NDArray[np.float32]
    signal: NDArray[np.float32]
    spread: NDArray[np.float32]
    noise: NDArray[np.float32]


class _Run:
    """The state of a training."""

    def __init__(self, corpus: ImageCorpus, config: NetworkConfig, plan: Plan, training: Training, device: Any) -> None:
        self._torch = torch_library()
        self.config, self.plan, self.training, self.device = config, plan, training, device
        self.done = 0
        self.losses: list[float] = []
        self.shape = (*corpus.size, corpus.channels)
        self.pixels = self._torch.from_numpy(np.array(corpus.images.transpose(0, 3, 1, 2))).to(device)
        self.classes = None
        if config.labels:
            assert corpus.labels is not None
            numbers = [config.labels.index(label) for label in corpus.labels]
            self.classes = self._torch.tensor(numbers, device=device)
        chosen = schedule(plan.schedule)
        levels = [(1.0, 0.0)]
        levels += [(level.signal, level.noise) for level in (chosen.level(i / _TIMES) for i in range(1, _TIMES))]
        self.levels = np.array(levels, dtype=np.float32)
        self.order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        module = build(config)
        initialise(module, seed=plan.seed)
        self.module = module.to(device)
        self.weights = dict(self.module.named_parameters())
        self.mean = {name: weight.detach().clone() for name, weight in self.weights.items()} if plan.ema else None
        self.adam = self._torch.optim.Adam(list(self.weights.values()), lr=plan.rate)

    def batch(self, step: int) -> _Batch:
        """What a step sees: a function of seed and step."""
        count = self.training.items
        epoch, place = divmod(step, -(-count // self.plan.batch))
        if self.order[0] != epoch:
            words = random_words(count, seed=self.plan.seed, purpose="network/order", step=epoch)
            self.order = (epoch, np.argsort(words, kind="stable"))
        items = self.order[1][place * self.plan.batch : (place + 1) * self.plan.batch]
        drawn = uniforms(len(items), seed=self.plan.seed, purpose="network/time", step=step)
        times = np.floor(_TIMES * drawn).astype(np.int64)
        noise = gaussian_state((len(items), *self.shape), seed=self.plan.seed, purpose="network/noise", step=step)
        return _Batch(
            items=items,
            times=(times / _TIMES).astype(np.float32),
            signal=self.levels[times, 0],
            spread=self.levels[times, 1],
            noise=np.ascontiguousarray((noise / np.float32(STATE_UNITS)).astype(np.float32).transpose(0, 3, 1, 2)),
        )

    def step(self, batch: _Batch) -> None:
        """One step of Adam."""
        torch = self._torch
        items = torch.from_numpy(batch.items).to(self.device)
        noise = torch.from_numpy(batch.noise).to(self.device)
        signal, spread = (
            torch.from_numpy(v).to(self.device)[:, None, None, None] for v in (batch.signal, batch.spread)
        )
        clean = (2.0 * self.pixels[items].float() - 255.0) / 255.0
        times = torch.from_numpy(batch.times).to(self.device)
        predicted = self.module(
            signal * clean + spread * noise, times, None if self.classes is None else self.classes[items]
        )
        loss = torch.nn.functional.mse_loss(predicted, noise)
        value = float(loss.item())
        if not np.isfinite(value):
            raise InputError(
                f"At step {self.done + 1} the loss is {value}, so the training cannot go on: begin again with a "
                f"smaller rate than {self.plan.rate}."
            )
        for group in self.adam.param_groups:
            group["lr"] = self.plan.rate * self.plan.decay**self.done
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        if self.mean is not None and self.plan.ema is not None:
            with torch.no_grad():
                for name, mean in self.mean.items():
                    mean.lerp_(self.weights[name], 1.0 - self.plan.ema)
        self.losses.append(value)
        self.done += 1

    def checkpoint(self) -> Checkpoint:
        """The state as what the file holds.

        Raises:
            InputError: a weight is no longer a number, so that a good file would be replaced by a useless one.
        """
        tensors: dict[str, NDArray[Any]] = {"losses": np.array(self.losses, dtype=np.float32)}
        for name, weight in self.weights.items():
            state = self.adam.state[weight]
            tensors[f"first/{name}"] = _array(state["exp_avg"]) if state else np.zeros(tuple(weight.shape), np.float32)
            tensors[f"second/{name}"] = (
                _array(state["exp_avg_sq"]) if state else np.zeros(tuple(weight.shape), np.float32)
            )
            tensors[f"weights/{name}"] = _array(weight if self.mean is None else self.mean[name])
            if self.mean is not None:
                tensors[f"raw/{name}"] = _array(weight)
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise InputError(
                f"After step {self.done} a weight is no longer a number, so the training cannot go on: begin again "
                f"with a smaller rate than {self.plan.rate}."
            )
        return Checkpoint(self.config, replace(self.training, steps=self.done), tensors)

    def go_on_from(self, path: Path) -> None:
        """Takes up the state of a file.

        Raises:
            InputError: it is not the file of this training.
        """
        read = read_checkpoint(path)
        now = {**self.config.to_record(), **self.training.to_record(), "steps": read.training.steps}
        then = {**read.config.to_record(), **read.training.to_record()}
        for name, value in then.items():
            if now[name] != value:
                what = "pictures" if name == "corpus_digest" else f"{name.replace('_', ' ')} {value}"
                meant = "other ones" if name == "corpus_digest" else str(now[name])
                raise InputError(
                    f"{path} was trained with {what}, and {meant} cannot go on from it: choose another name, or "
                    "repeat the request that began it."
                )
        if read.training.steps > self.plan.steps:
            raise InputError(
                f"{path} has {read.training.steps} steps already, and {self.plan.steps} were asked for: ask for more, "
                "or choose another name."
            )
        torch = self._torch
        parts = {"first": read.part("first"), "second": read.part("second")}
        parts["raw"] = read.part("weights" if self.mean is None else "raw")
        if self.mean is not None:
            parts["mean"] = read.part("weights")
        losses = read.tensors.get("losses", np.empty(0))
        whole = all(
            name in part and part[name].dtype == np.float32 and part[name].shape == tuple(weight.shape)
            for part in parts.values()
            for name, weight in self.weights.items()
        )
        if not whole or losses.shape != (read.training.steps,):
            raise InputError(f"{path} does not hold the state of a training to go on from: choose another name.")

        def moved(part: str, name: str) -> Any:
            return torch.from_numpy(np.array(parts[part][name])).to(self.device)

        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(moved("raw", name))
                if read.training.steps:
                    self.adam.state[weight] = {
                        "step": torch.tensor(float(read.training.steps)),
                        "exp_avg": moved("first", name),
                        "exp_avg_sq": moved("second", name),
                    }
                if self.mean is not None:
                    self.mean[name].copy_(moved("mean", name))
        self.losses = [float(value) for value in losses]
        self.done = read.training.steps


def _array(tensor: Any) -> NDArray[Any]:
    return tensor.detach().cpu().numpy().copy()


def _check_fit(corpus: ImageCorpus, config: NetworkConfig) -> None:
    """Raises `UsageError` unless the network takes the pictures of the corpus."""
    config.check_size(corpus.size)
    if config.image_channels != corpus.channels:
        raise UsageError(
            f"The pictures have {corpus.channels} channels, and the network is for {config.image_channels}."
        )
    if config.labels and (corpus.labels is None or set(config.labels) != set(corpus.labels)):
        raise UsageError("The labels of the network are not those of the pictures: give those of the corpus, sorted.")
