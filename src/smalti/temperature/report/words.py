"""How figures are written on the page. A no-break space keeps a figure and its sign together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smalti.temperature.result import figure as temperature

__all__ = ["PROTOCOLS", "counted", "estimate", "interval", "percent", "probability", "short", "temperature"]

PROTOCOLS = {
    "likelihood": (
        "Likelihood",
        "The temperature at which the reported probabilities make the observed first differences likeliest.",
    ),
    "matched": (
        "Matched",
        "The temperature at which reference systems, asked as often, give answers that differ as much.",
    ),
    "published": (
        "Published",
        "The protocol of Messina and Scotta (2026), to the letter: it has no interval and no bound.",
    ),
}
"""Title and meaning of each protocol."""


def estimate(one: Mapping[str, Any] | None) -> str:
    """An entry of `estimates` in a few words: `0.031 (0.024 to 0.039)`, `below 0.0021`; None: `not available`."""
    if one is None:
        return "not available"
    if one["bound"] is not None:
        return f"below {temperature(one['bound'])}"
    within = "" if one["low"] is None else f" ({temperature(one['low'])} to {temperature(one['high'])})"
    return f"{temperature(one['temperature'])}{within}"


def percent(share: float) -> str:
    """A share in per cent, where only nothing is `0 %` and only all is `100 %`."""
    if share in (0, 1):
        return f"{100 * share:.0f}\u00a0%"
    if share < 0.0005:
        return "<0.1\u00a0%"
    if share > 0.9995:
        return ">99.9\u00a0%"
    return f"{100 * share:.0f}\u00a0%" if 0.1 <= share <= 0.9 else f"{100 * share:.1f}\u00a0%"


def probability(value: float) -> str:
    """A p-value: `0.018`, `<0.001`."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def interval(figure: Mapping[str, Any]) -> str | None:
    """`66 % to 78 %` for a figure with an interval; None where it has none, or nothing varied."""
    low, high = figure.get("low"), figure.get("high")
    return None if low is None or high is None or low == high else f"{percent(low)} to {percent(high)}"


def counted(number: int, thing: str) -> str:
    """`1 answer`, `2,160 answers`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def short(text: str, most: int) -> str:
    """Text of at most this many characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
