"""What tests of networks share: PyTorch with one thread, where it is installed, and small networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smalti import ImageCorpus
from smalti.networks import Net, NetworkConfig, Padding, build, initialise

torch: Any = pytest.importorskip("torch", reason="networks need PyTorch: pip install 'smalti[torch]'")

# Tests run side by side, and on such small networks threads only wait for one another.
torch.set_num_threads(1)


def small(net: Net = "resnet", *, padding: Padding = "zeros", **more: Any) -> NetworkConfig:
    """The form of a network of a few thousand weights."""
    given: dict[str, Any] = {"channels": 16, "layers": 2, "image_channels": 1, **more}
    return NetworkConfig.of_paper(net, padding=padding, **given)


def made(config: NetworkConfig, *, seed: int = 0) -> Any:
    """A network with first weights, in float64."""
    module = build(config)
    initialise(module, seed=seed)
    return module.double().eval()


def tiny_pictures(*, count: int = 10, side: int = 4, labelled: str = "") -> ImageCorpus:
    """Random grey pictures; with labels, as many as letters are given."""
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 1), dtype=np.uint8)
    labels = [labelled[i % len(labelled)] for i in range(count)] if labelled else None
    return ImageCorpus.from_arrays(images, labels=labels)
