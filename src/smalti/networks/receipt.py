"""A receipt for a network's picture: a machine's exact weights along the network's own way, and how far to trust them.

A network draws a picture along states x_1, ..., x_T. At each of them a machine has a posterior of its own, with exact
weights of the corpus's patches. These are not what the network computed. They are what the closed form would have
answered in its place, and an explanation of the network only as far as the closed form predicts it. So a receipt of a
network's picture states two kinds of agreement, which answer different questions:

    alone   the machine starts from the same noise and goes its own way to the end. It never sees a state of the
            network. r of the two finished pictures is the trust.
    along   at each state of the network the two estimates of the clean picture are compared. Here the network leads,
            and towards the end both are near to the state itself, which is nearly clean: that any two denoisers agree
            there says little.

r is that of `smalti.networks.comparison`, on float64 means before they are rounded to pixels, as in `smalti predict`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.machines import Machine
from smalti.networks.comparison import Agreement, StepAgreement, agreement, step_agreement
from smalti.noise import Level, Schedule
from smalti.progress import SILENT, Progress, Task
from smalti.receipts.receipt import Receipt
from smalti.sampling.ddim import DDIM, Denoiser, checked_seeds, pixels_of
from smalti.sampling.trace import Sample

__all__ = ["GREY_LEVELS", "WALKS", "NetworkReceipt", "difference", "network_receipt", "one_receipt"]

GREY_LEVELS = 127.5
"""Grey levels in one unit of a mean, which lies in [-1, 1]."""

WALKS = 3
"""Steps of a receipt at each level: the network's, the machine's at the network's state, and the machine's alone."""


@dataclass(frozen=True, eq=False)
class NetworkReceipt:
    """A machine's receipt along the way of a network, and how well the machine predicts the network.

    The weights are bitwise functions of the network's states and exact for the machine; they are not the network's. The
    states are the network's and so *statistical*, as it is itself.

    Attributes:
        receipt: the machine's exact receipt at the network's states. Its sample holds the network's states with the
            machine's estimates, and so the last of these for a picture.
        picture: the picture that the network drew, its last estimate as pixels. uint8, shape (H, W, C).
        name: the network's name.
        levels: the levels, noisiest first. Shape (T,).
        network: the network's estimate of the clean picture at each step. float64, shape (T, H, W, C).
        machine: the machine's estimate at the same states. float64, shape (T, H, W, C).
        own: what the machine draws alone from the same noise.
    """

    receipt: Receipt
    picture: NDArray[np.uint8]
    name: str
    levels: tuple[Level, ...]
    network: NDArray[np.float64]
    machine: NDArray[np.float64]
    own: Sample

    def __repr__(self) -> str:
        return f"NetworkReceipt(seed {self.seed} of {self.name}, r {float(self.trust.r[0]):.3f})"

    @property
    def seed(self) -> int:
        """The seed."""
        return self.own.seed

    @property
    def trust(self) -> Agreement:
        """How well the machine predicts the picture: the one that it draws alone against the network's. Of one seed."""
        return agreement(self.own.mean[None], self.network[-1:], [self.seed])

    @property
    def along(self) -> StepAgreement:
        """How well the machine's estimate agrees with the network's at each state of the network; near the end of the
        way for a trivial reason (see the module). Of one seed.
        """
        return step_agreement(self.machine[None], self.network[None], self.levels, [self.seed])

    @property
    def differences(self) -> NDArray[np.float64]:
        """How far apart the two estimates are at each state of the network, in grey levels, the mean over channels.
        float64, shape (T, H, W).
        """
        return difference(self.machine, self.network)

    @property
    def finished_difference(self) -> NDArray[np.float64]:
        """How far apart the two finished pictures are in grey levels, the mean over channels. float64, shape (H, W)."""
        return difference(self.own.mean, self.network[-1])


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The absolute difference of means in [-1, 1] in grey levels, the mean over channels.

    Args:
        a: means. Shape (..., C).
        b: means. Same shape.

    Returns:
        float64, shape (...).
    """
    return GREY_LEVELS * np.abs(a - b).mean(axis=-1)


def network_receipt(
    network: Denoiser,
    machine: Machine,
    seed: int,
    *,
    steps: int = 20,
    schedule: str | Schedule = "cosine",
    size: tuple[int, int] | None = None,
    progress: Progress = SILENT,
) -> NetworkReceipt:
    """Draws a picture with a network, and takes it apart with a machine.

    The cost is that of two pictures of the machine, and of one of the network.

    Args:
        network: the network, such as a `NetworkMachine`; anything that samplers drive.
        machine: the machine whose weights are to explain it.
        seed: whole number from 0.

    Keyword Args:
        steps: steps from noise to picture, for both.
        schedule: a name (`smalti.noise.SCHEDULES`) or any `Schedule`.
        size: height and width of the picture; those of the machine's corpus unless given.
        progress: where progress is shown.

    Raises:
        InputError: the network returned something else than numbers of its state's shape.
        UsageError: the seed, the steps or the size cannot be used, the network does not know a level, or it makes
            pictures with other channels than the machine.
    """
    count = len(DDIM(network, steps=steps, schedule=schedule).levels)
    with progress.task("drawing and explaining", WALKS * count) as task:
        return one_receipt(network, machine, seed, steps=steps, schedule=schedule, size=size, task=task)


def one_receipt(
    network: Denoiser,
    machine: Machine,
    seed: int,
    *,
    steps: int = 20,
    schedule: str | Schedule = "cosine",
    size: tuple[int, int] | None = None,
    task: Task,
) -> NetworkReceipt:
    """As `network_receipt`, in a task that is shown already.

    Args:
        network: as there.
        machine: as there.
        seed: as there.

    Keyword Args:
        steps: as there.
        schedule: as there.
        size: as there.
        task: advanced by `WALKS` for each step.

    Raises:
        InputError, UsageError: as there.
    """
    if network.corpus.channels != machine.corpus.channels:
        raise UsageError(
            f"the network {network.name} makes pictures of {network.corpus.channels} channels and the machine of "
            f"{machine.corpus.channels}, so that one cannot explain the other: give the pictures it was trained on"
        )
    (seed,) = checked_seeds([seed])
    walk = DDIM(network, steps=steps, schedule=schedule)
    sampler = DDIM(machine, steps=steps, schedule=walk.schedule)
    size = sampler.checked_size(size)
    walk.checked_size(size)
    states: list[NDArray[np.int16]] = []
    said: list[NDArray[np.float64]] = []
    answered: list[NDArray[np.float64]] = []
    for step in walk.run([seed], size, tick=task.advance):
        states.append(step.state[0])
        said.append(np.array(step.posterior.mean[0], np.float64))
        answered.append(machine(step.state, step.level, tick=task.advance).mean[0])
    own = sampler.one_batch([seed], size, task=task)[0]
    estimates = np.stack([pixels_of(mean) for mean in answered])
    explained = Sample(
        seed=seed,
        image=estimates[-1],
        states=np.stack(states),
        estimates=estimates,
        mean=np.ascontiguousarray(answered[-1]),
        levels=walk.levels,
        settings={**sampler.settings(), "states_of": network.name},
        corpus_digest=machine.corpus.digest,
        machine=machine,
    )
    return NetworkReceipt(
        receipt=explained.receipt,
        picture=pixels_of(said[-1]),
        name=network.name,
        levels=walk.levels,
        network=np.stack(said),
        machine=np.stack(answered),
        own=own,
    )
