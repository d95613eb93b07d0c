"""Measures of networks in PyTorch: derivatives against its own, and what padding and depth must give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from network_cases import made, small, torch
from smalti import schedule
from smalti.networks import ContinuousTime, Net, NetworkMachine, Padding, TrainedOn
from smalti.networks.measures import StateSet, conservation, equivariance, jacobian, locality
from smalti.networks.network import torch_predictor
from smalti.noise import gaussian_state

LEVELS = tuple(schedule("cosine").level(t) for t in (0.9, 0.5, 0.1))


def network(net: Net, padding: Padding, side: int, **more: Any) -> NetworkMachine:
    """A network with random weights, larger ones than first weights so that it is not nearly linear."""
    module = made(small(net, padding=padding, **more), seed=1)
    with torch.no_grad():
        for weight in module.parameters():
            weight *= 1.5
    predictor = torch_predictor(module.float())
    return NetworkMachine(predictor, TrainedOn("", (side, side), 1), predicts="noise", clock=ContinuousTime("cosine"))


def noise(side: int) -> StateSet:
    states = [[gaussian_state((side, side, 1), seed=n, purpose="test", step=i) for i in range(3)] for n in range(2)]
    return StateSet(LEVELS, np.array(states), (0, 1), "noise")


def by_autograd(module: Any, state: NDArray[np.int16], at: Any) -> NDArray[np.float64]:
    """The Jacobian of (x - s eps) / a, by PyTorch in float64."""
    side = state.shape[0]
    time = torch.full((1,), at.time, dtype=torch.float64)

    def mean(x: Any) -> Any:
        return (x - at.noise * module(x.reshape(1, 1, side, side), time, None).reshape(-1)) / at.signal

    return torch.autograd.functional.jacobian(mean, torch.from_numpy(state.reshape(-1) / 4080)).numpy()


@pytest.mark.parametrize("net", ["resnet", "unet", "unet-attention"])
def test_the_jacobian_of_a_network_is_that_of_autograd(net: Net) -> None:
    module = made(small(net), seed=1)
    given = NetworkMachine(
        torch_predictor(made(small(net), seed=1).float()),
        TrainedOn("", (4, 4), 1),
        predicts="noise",
        clock=ContinuousTime("cosine"),
    )
    for _, _, state, at in noise(4):
        expected = by_autograd(module, state, at)
        found = jacobian(given, state, at)
        # A network is linear but for kinks, which a step may cross, and float32 leaves 1e-7 s / a over 2 d.
        assert np.linalg.norm(found - expected) <= 0.02 * np.linalg.norm(expected)


def test_a_circular_resnet_commutes_with_every_shift() -> None:
    found = equivariance(network("resnet", "circular", 8), noise(8), shifts=[(1, 0), (0, 3), (4, 5)])
    assert (found.errors[..., 0] < 1e-5).all()
    assert (equivariance(network("resnet", "zeros", 8), noise(8)).error().values > 1e-4).all()


def test_a_circular_unet_commutes_with_shifts_by_its_halvings() -> None:
    found = equivariance(network("unet", "circular", 8, layers=3), noise(8), shifts=[(4, 0), (0, 4), (1, 0), (2, 2)])
    for shift in ((4, 0), (0, 4)):
        assert (found.error(shift=shift).values < 1e-5).all()
    for shift in ((1, 0), (2, 2)):
        assert (found.error(shift=shift).values > 1e-4).all()


def test_a_resnet_sees_as_far_as_its_layers() -> None:
    # Two residual convolutions between two others: 9 x 9 pixels. Rounding may leak further, and nothing else.
    machine = network("resnet", "zeros", 12)
    found = locality(machine, noise(12), pixels=16)
    within = found.sides.index(9)
    assert (found.shares[:, :, within] > 1.0 - 1e-6).all()
    assert (found.shares[:, :, within - 1] < 1.0 - 1e-6).all()
    inner = equivariance(machine, noise(12), shifts=[(1, 0)])
    assert (inner.error(4).values < 1e-5).all()
    assert (inner.error(0).values > 1e-4).all()


def test_networks_are_no_gradients() -> None:
    assert (conservation(network("resnet", "zeros", 4), noise(4)).of_mean > 0.01).all()
