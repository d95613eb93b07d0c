"""The receipt of a network's picture as plain values: the record of the machine's receipt, and what the network did.

The format is one of its own, so that nothing which reads the receipts of runs takes such weights for those of a picture
that a machine made. Where the record of a run says `picture`, this one holds the network's picture, and so do its
matches; `steps` hold the machine's estimates and weights, at the network's states. What it has beside is described in
docs/concepts/receipts.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.networks.receipt import NetworkReceipt
from smalti.receipts.record import Plan, record
from smalti.sampling.ddim import DDIM, Denoiser, pixels_of

__all__ = ["ALONG", "FORMAT", "TRUST", "WEIGHTS", "agreement_record", "identity", "network_record"]

FORMAT = "smalti.network-receipt/1"

WEIGHTS = (
    "weights are the machine's, exact for its estimates at the states that the network passed through; the network did "
    "not compute them, and they explain its picture only as far as the machine predicts it"
)
TRUST = (
    "agreement of the picture that the machine draws alone from the same noise with the network's; the machine never "
    "saw a state of the network"
)
ALONG = (
    "agreement of the two estimates at each state of the network: there the network leads, and towards the end both "
    "estimates are near to a state that is almost clean, so that agreement at the last steps says little"
)

_DECIMALS = 3


def identity(network: Denoiser, sampler: DDIM, *, place: str) -> dict[str, Any]:
    """What decides which network drew a picture, and how it is taken apart; equal for receipts that belong together.

    Args:
        network: the network.
        sampler: the machine's sampler, of the same steps.

    Keyword Args:
        place: where the network is.
    """
    settings = sampler.settings()
    return {
        "name": network.name,
        "place": place,
        "digest": getattr(network, "digest", ""),
        "steps": len(sampler.levels),
        "schedule": settings["schedule"],
        "patch_sizes": settings["patch_sizes"],
    }


def network_record(
    found: NetworkReceipt,
    chosen: Plan,
    *,
    network: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
    source: str = "",
    versions: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    tick: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """The record of a network's picture, plain JSON values. Tier: *bitwise* for the same states of the network.

    Args:
        found: the receipt.
        chosen: what goes into it.

    Keyword Args:
        network: which network it was, see `identity`.
        about: what else is known of it.
        source: where the machine's pictures are.
        versions: what it was made with.
        notes: what a person should know of it, one sentence each.
        tick: as in `smalti.receipts.record.record`.

    Raises:
        UsageError: the plan is not of this receipt.
    """
    made = record(found.receipt, chosen, picture=found.picture, tick=tick)
    made["format"] = FORMAT
    made["run"] |= {"source": source, "versions": dict(versions or {}), "network": dict(network)}
    made["notes"] = [*made["notes"], *notes]
    differences = found.differences
    for step in made["steps"]:
        place = step["step"]
        step["network"] = {
            "estimate": pixels_of(found.network[place]).ravel().tolist(),
            "difference": _grey(differences[place]),
        }
    made["network"] = {
        "text": WEIGHTS,
        "about": dict(about or {}),
        **agreement_record(found),
        "own": {"pixels": found.own.image.ravel().tolist()},
        "difference": _grey(found.finished_difference),
    }
    return made


def agreement_record(found: NetworkReceipt) -> dict[str, Any]:
    """How well machine and network agree, as JSON values: `trust` and `along`, null where r is not defined."""
    trust, along = found.trust, found.along
    return {
        "trust": {
            "text": TRUST,
            "r": _number(trust.r[0]),
            "r_squared": _number(trust.r_squared[0]),
            "mse": float(trust.mse[0]),
        },
        "along": {
            "text": ALONG,
            "times": [level.time for level in along.levels],
            "r": list(map(_number, along.r[0])),
            "mse": along.mse[0].tolist(),
        },
    }


def _number(value: float) -> float | None:
    """A number for JSON, which has none for what is undefined."""
    return None if math.isnan(value) else float(value)


def _grey(values: NDArray[np.float64]) -> list[float]:
    return values.round(_DECIMALS).ravel().tolist()
