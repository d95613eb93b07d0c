"""How a row of tokens is filled: the one record that samplers of tokens, requests and traces share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from smalti.errors import UsageError
from smalti.noise.discrete import KEPT
from smalti.sampling.truncation import Truncation

__all__ = ["MASKING", "ORDERS", "Order", "TextSettings"]

Order = Literal[
    "ancestral", "confidence", "entropy", "margin", "entropy-bounded", "threshold", "left-to-right", "remask"
]
ORDERS: tuple[Order, ...] = get_args(Order)

MASKING = ("mask", "hybrid")
"""Noises under which a row is filled in an order; under the others all places may change in every step."""

STEPS, SCHEDULE = 50, "fourth-root"
"""Steps and schedule by which noise without masks is taken out unless told (docs/concepts/text.md has the figures)."""

# What belongs to one order only: its name, the order, its default, whether a value has a meaning, and what has.
_OWN = (
    ("gamma", "entropy-bounded", 0.1, lambda value: 0.0 <= value < float("inf"), "a number of bits of at least 0"),
    ("threshold", "threshold", 0.9, lambda value: 0.0 < value <= 1.0, "a probability above 0, at most 1"),
)


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How a row of tokens is filled; see `smalti.sampling.tokens` for what the words mean.

    Attributes:
        order: which places are filled when; None under noise without masks, where all may change in every step.
        steps: calls of the denoiser, in each block; None: one for each masked place, or as many as the order needs.
        schedule: of the share of tokens kept, one of `smalti.noise.discrete.KEPT`.
        block: length of the blocks that are filled one after another, from the left; None: one for all.
        gamma: for the order entropy-bounded, in bits; None for others.
        threshold: for the order threshold; None for others.
        truncation: temperature and truncation of what is drawn from.

    Raises:
        UsageError: a setting has no meaning, or none for this order.
    """

    order: Order | None = "left-to-right"
    steps: int | None = None
    schedule: str = "linear"
    block: int | None = None
    gamma: float | None = None
    threshold: float | None = None
    truncation: Truncation = field(default_factory=Truncation)

    def __post_init__(self) -> None:
        if self.order is not None and self.order not in ORDERS:
            raise UsageError(f"there is no order of decoding called {self.order!r}: choose one of {', '.join(ORDERS)}")
        if self.schedule not in KEPT:
            raise UsageError(
                f"there is no schedule of noise on tokens called {self.schedule!r}: choose one of {', '.join(KEPT)}"
            )
        for name, owner, _, good, meaning in _OWN:
            value = getattr(self, name)
            if (value is not None) != (self.order == owner):
                raise UsageError(f"{name} belongs to the order {owner}: give it there and nowhere else")
            if value is not None and not good(value):
                raise UsageError(f"{name} {value} has no meaning: give {meaning}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"a text takes at least 1 step, not {self.steps}")
        if self.steps is not None and self.order in ("entropy-bounded", "threshold"):
            raise UsageError(f"the order {self.order} takes as many steps as it needs: leave the number of steps out")
        if self.block is not None and self.block < 1:
            raise UsageError(f"a block is at least 1 token long, not {self.block}")
        if self.order is None and (self.steps is None or self.block is not None):
            raise UsageError(
                "noise without masks is taken out of the whole text in a number of steps: give one, and no blocks"
            )

    @classmethod
    def for_noise(cls, noise: str, **given: Any) -> TextSettings:
        """The settings for a machine's noise, with what was not `given`, or is None, at its default.

        Raises:
            UsageError: a setting has no meaning, or none under this noise.
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        if noise not in MASKING:
            for name in ("order", "block", "gamma", "threshold"):
                if name in chosen:
                    raise UsageError(f"under {noise} noise every token may change in every step: leave out {name}")
            return cls(**{"order": None, "steps": STEPS, "schedule": SCHEDULE, **chosen})
        order = chosen.get("order", "left-to-right")
        return cls(**{**{name: default for name, owner, default, _, _ in _OWN if owner == order}, **chosen})

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TextSettings:
        """The settings that `to_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        if set(record) != {f.name for f in fields(cls)}:
            raise ValueError("settings")
        return cls(**{**record, "truncation": Truncation(**record["truncation"])})
