"""The result of a measurement: what `result.json` holds. docs/concepts/temperature.md says what each entry is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from smalti.resample import Interval

__all__ = ["FORMAT", "ByReference", "Estimate", "Protocol", "Result", "figure", "rounded"]

FORMAT = "smalti.temperature/1"

Protocol = Literal["likelihood", "matched", "published"]

_DIGITS = 6


@dataclass(frozen=True)
class ByReference:
    """A temperature by one reference; ends are None for a protocol without uncertainty.

    Attributes:
        name: the reference.
        temperature: the estimate.
        low: lower end of its 95 % interval.
        high: upper end.
        controls: (T, found): the reference itself at T, measured as a system is; as (T, None) none is known.
    """

    name: str
    temperature: float
    low: float | None
    high: float | None
    controls: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A background temperature by one protocol.

    Attributes:
        protocol: which.
        temperature: the estimate; None where no answers differed.
        low: lower end of the 95 % interval; None where there is none.
        high: upper end.
        bound: where no answers differed, the temperature is below this at `level`; else None.
        level: coverage that the interval is meant to have.
        systematic: range of what cannot be told from answers: of references, or of tokens not reported.
        by_reference: the estimate by each reference.
        trust: a sentence on how far it is to be trusted.
        warnings: sentences.
    """

    protocol: Protocol
    temperature: float | None
    low: float | None
    high: float | None
    bound: float | None
    level: float = 0.95
    systematic: tuple[float, float] | None = None
    by_reference: tuple[ByReference, ...] = ()
    trust: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Its entry in `result.json`."""
        return {
            "protocol": self.protocol,
            "temperature": self.temperature,
            "low": self.low,
            "high": self.high,
            "level": self.level,
            "bound": self.bound,
            "systematic": self.systematic,
            "by_reference": [vars(one) for one in self.by_reference],
            "trust": self.trust,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an analysis found. `to_json` gives the record; its parts are as docs/concepts/temperature.md says."""

    system: Mapping[str, str]
    units: str
    plan: Mapping[str, Any]
    headline: Mapping[str, Any]
    estimates: tuple[Estimate, ...]
    unavailable: tuple[Mapping[str, str], ...]
    repeatability: Mapping[str, Any]
    loads: tuple[Mapping[str, Any], ...]
    load_test: Mapping[str, Any]
    drift: Mapping[str, Any]
    fingerprints: tuple[Mapping[str, Any], ...]
    fit: Mapping[str, Any]
    curves: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())

    def estimate(self, protocol: Protocol) -> Estimate | None:
        """The estimate by a protocol; None where it is not available."""
        return next((one for one in self.estimates if one.protocol == protocol), None)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values; numbers have six digits."""
        record = {"format": FORMAT} | vars(self) | {"estimates": [one.to_json() for one in self.estimates]}
        return rounded(record)


def figure(temperature: float) -> str:
    """A temperature as people read it, with two significant figures: `0.030`, `0.0021`, `1.3`.

    It is rounded as the record is first, so that a number reads the same before and after it was stored.
    """
    value = float(f"{temperature:.{_DIGITS}g}")
    if value == 0:
        return "0"
    return f"{value:#.2g}".rstrip(".") if value >= 1e-4 else f"{value:.1e}".replace("e-0", "e-")


def rounded(value: Any) -> Any:
    """JSON values with numbers of six digits, so that the last bits of a mathematics library never show."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {str(key): rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    if isinstance(value, Interval):
        return rounded(vars(value))
    return value
