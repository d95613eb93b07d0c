"""Hidden noise: what a server adds to its logits without being asked, so that there is something to measure.

    none            nothing
    gumbel:S        S times a standard Gumbel draw on each logit: exactly temperature S
    gaussian:S      a normal draw of standard deviation S on each logit
    bounded:S       a draw from [-S, S] on each logit
    batch:KxS       K configurations, each of which always errs in the same way: by a normal deviate of standard
                    deviation S on each logit that is a function of the configuration and of the logits. Which one a
                    request meets depends on load, as in real servers, where the size of a batch chooses the kernel.

What temperature a noise acts like, to first order: at a place whose two best logits are a margin m apart, the answer
flips with probability P(X > m), X the difference of two draws. If margins near 0 are spread evenly, the share of flips
is proportional to E[max(X, 0)], which is T ln 2 at temperature T, S / sqrt(pi) for normal and S / 3 for bounded noise:

    gaussian   T = S / (sqrt(pi) ln 2) = 0.814 S
    bounded    T = S / (3 ln 2)        = 0.481 S
    batch      T = 0.814 (1 - 1 / K) S, every configuration met equally often: two answers of one configuration agree

With more than two candidates at a place the factor of normal noise is a little larger, up to 0.83.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.engine.arithmetic import LN2, log2
from smalti.errors import UsageError
from smalti.noise.gaussian import STATE_UNITS, gaussian_state

__all__ = ["HiddenNoise", "NoiseKind", "logarithms", "parse_noise"]

NoiseKind: TypeAlias = Literal["none", "gumbel", "gaussian", "bounded", "batch"]

_GAUSSIAN = 1.0 / (math.sqrt(math.pi) * math.log(2.0))
_BOUNDED = 1.0 / (3.0 * math.log(2.0))
_EXAMPLES = "none, gumbel:0.03, gaussian:0.1, bounded:0.1 or batch:8x0.05"
_MOST_CONFIGURATIONS = 1_000_000
_MOST = 1000.0  # nats: beyond it nothing is left of any logit


@dataclass(frozen=True)
class HiddenNoise:
    """Noise on logits; see the module. Make one with `parse_noise`.

    Attributes:
        kind: which law.
        scale: S, in nats.
        configurations: K; 1 but for `batch`.

    Raises:
        UsageError: a value without meaning.
    """

    kind: NoiseKind = "none"
    scale: float = 0.0
    configurations: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(NoiseKind):
            raise UsageError(f"there is no hidden noise called {self.kind!r}: give {_EXAMPLES}")
        if not 0.0 <= self.scale <= _MOST:
            raise UsageError(f"hidden noise of size {self.scale!r} has no meaning: give 0 to {_MOST:g} nats")
        if not 1 <= self.configurations <= _MOST_CONFIGURATIONS:
            raise UsageError(
                f"hidden noise of {self.configurations!r} configurations has no meaning: give 1 to "
                f"{_MOST_CONFIGURATIONS:,}"
            )

    def __str__(self) -> str:
        """What `parse_noise` makes the same noise from."""
        if self.kind == "none":
            return "none"
        size = f"{self.configurations}x{self.scale!r}" if self.kind == "batch" else repr(self.scale)
        return f"{self.kind}:{size}"

    @property
    def equivalent_temperature(self) -> float:
        """The temperature that it acts like: exact for `gumbel`, else to first order (see the module)."""
        factors: dict[NoiseKind, float] = {
            "none": 0.0,
            "gumbel": 1.0,
            "gaussian": _GAUSSIAN,
            "bounded": _BOUNDED,
            "batch": _GAUSSIAN * (1.0 - 1.0 / self.configurations),
        }
        return factors[self.kind] * self.scale

    def __call__(
        self, logits: NDArray[np.float64], generator: np.random.Generator, configuration: ArrayLike = 0
    ) -> NDArray[np.float64]:
        """Logits as a server with this noise computes them.

        Args:
            logits: natural logarithms up to a constant; -inf stays. float64, shape (B, V).
            generator: where draws come from; `none` and `batch` draw nothing.
            configuration: under `batch`, which configuration answers each row, taken modulo K. Whole numbers, shape
                (B,) or ().

        Returns:
            The logits with noise; for `none` the array that was given. float64, shape (B, V). Tier: *statistical*;
            `batch` is *bitwise*, a function of configuration and logits.
        """
        if self.kind == "none":
            return logits
        shape = logits.shape
        if self.kind == "gumbel":
            return logits + self.scale * generator.gumbel(size=shape)
        if self.kind == "gaussian":
            return logits + self.scale * generator.standard_normal(shape)
        if self.kind == "bounded":
            return logits + generator.uniform(-self.scale, self.scale, shape)
        chosen = np.broadcast_to(np.asarray(configuration, np.int64) % self.configurations, shape[:1])
        return np.stack([row + self.scale * _fixed(row, int(own)) for row, own in zip(logits, chosen, strict=True)])


def _fixed(row: NDArray[np.float64], configuration: int) -> NDArray[np.float64]:
    """The standard normal deviates of a configuration for a row of logits. Shape (V,)."""
    purpose = f"temperature/configuration/{hashlib.sha256(row.tobytes()).hexdigest()}"
    return gaussian_state(row.shape, seed=configuration, purpose=purpose) / STATE_UNITS


def parse_noise(text: str) -> HiddenNoise:
    """The noise of a name such as `gumbel:0.03`, `gaussian:0.1`, `bounded:0.1`, `batch:8x0.05` or `none`.

    Raises:
        UsageError: anything else.
    """
    kind, colon, size = text.strip().partition(":")
    number = r"([0-9]*\.?[0-9]+(?:[eE]-?[0-9]+)?)"
    found = re.fullmatch(rf"([0-9]{{1,9}})[xX×]{number}" if kind == "batch" else rf"(){number}", size)
    if kind == "none" and not colon:
        return HiddenNoise()
    if kind not in get_args(NoiseKind) or kind == "none" or found is None:
        raise UsageError(f"hidden noise {text!r} has no meaning: give {_EXAMPLES}")
    return HiddenNoise(cast(NoiseKind, kind), float(found[2]), int(found[1] or 1))


def logarithms(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithms, -inf of 0; same shape. Tier: *bitwise*."""
    there = probabilities > 0.0
    return np.where(there, LN2 * log2(np.where(there, probabilities, 1.0)), -np.inf)
