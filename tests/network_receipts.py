"""Networks on NumPy arrays that are machines, exactly or nearly, for the tests of receipts of networks' pictures."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti import BorderAware, ImageCorpus, Machine, schedule
from smalti.networks import ContinuousTime, NetworkMachine, NetworkReceipt, network_receipt
from smalti.networks.receipt_record import identity, network_record
from smalti.noise import STATE_UNITS
from smalti.receipts.record import plan
from smalti.sampling import DDIM

STEPS = 5


def as_network(machine: Machine, *, off: float = 0.0) -> NetworkMachine:
    """A network on float32 arrays that answers as the machine does, `off` by a fixed pattern; for 20 steps at most."""
    levels = {np.float32(level.time): level for steps in range(1, 21) for level in schedule("cosine").grid(steps)}

    def predict(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float64]:
        # The state lies on a grid, which float32 is fine enough to tell apart.
        states = np.rint(x.astype(np.float64) * STATE_UNITS).astype(np.int16).transpose(0, 2, 3, 1)
        mean = machine(np.ascontiguousarray(states), levels[time[0]]).mean
        pattern = np.cos(np.arange(mean[0].size)).reshape(mean[0].shape)
        return (mean + off * pattern).transpose(0, 3, 1, 2)

    return NetworkMachine(
        predict, machine.corpus, predicts="clean", clock=ContinuousTime("cosine"), name="nearly", digest="abc"
    )


def border_aware(corpus: ImageCorpus) -> BorderAware:
    """A border-aware machine with patches of 3."""
    return BorderAware(corpus, scales=3)


def receipt_of(machine: Machine, *, off: float, seed: int = 0) -> NetworkReceipt:
    """A receipt for the picture of a network that is nearly the machine."""
    return network_receipt(as_network(machine, off=off), machine, seed, steps=STEPS)


def record_of(found: NetworkReceipt, *, steps: Literal["last", "all"] = "all") -> dict[str, Any]:
    """Its record."""
    machine = found.receipt.machine
    sampler = DDIM(machine, steps=len(found.levels))
    network = identity(as_network(machine), sampler, place="out/net.safetensors")
    return network_record(found, plan(found.receipt, steps=steps, top=4), network=network, source="digits")
