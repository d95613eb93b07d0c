"""How far an estimate is to be trusted, in a sentence, from the simulation study of all protocols.

The figures are those that `bench/studies/temperature_coverage.py` prints (`make studies`): shares of simulated cells in
which the 95 % interval held the truth, over temperatures from 0.001 to 0.3.
"""

from __future__ import annotations

from smalti.temperature.result import Protocol

__all__ = ["few", "sentence"]

FEW = 10
"""Fewer prompts than any of the study."""

_SIZES = (10, 30, 100)

# By (prompts, answers to each): noise like a temperature (Gumbel, normal, bounded), and eight fixed configurations.
_LIKELIHOOD = {
    (10, 10): (0.98, 0.93),
    (10, 30): (0.96, 0.84),
    (10, 100): (0.96, 0.78),
    (30, 10): (0.97, 0.93),
    (30, 30): (0.97, 0.89),
    (30, 100): (0.95, 0.85),
    (100, 10): (0.97, 0.92),
    (100, 30): (0.97, 0.90),
    (100, 100): (0.96, 0.93),
}


def sentence(protocol: Protocol, prompts: int, runs: int) -> str:
    """What the study says of a protocol at the closest size that it has.

    Args:
        protocol: which.
        prompts: number of prompts.
        runs: answers to each.
    """
    if protocol == "likelihood":
        size = _closest(prompts), _closest(runs)
        like, lumps = _LIKELIHOOD[size]
        return (
            f"With {size[0]} prompts and {size[1]} answers to each, the interval held the truth in {100 * like:.0f} % "
            f"of simulated systems with independent noise, and in {100 * lumps:.0f} % of those with eight fixed "
            "configurations."
        )
    if protocol == "matched":
        return (
            "With references on both sides of the system's sharpness, the interval held the truth in 99 % of simulated "
            "systems; a single reference of twice the sharpness, or half of it, is off by a factor of two."
        )
    return (
        "As published it has no uncertainty; in simulations it gave 0 for a true 0.001, and from 0.01 on nine in ten "
        "of its answers were within a factor of two."
    )


def _closest(number: int) -> int:
    """The closest size of the study, by ratio; the smaller of two that are as close."""
    return min(_SIZES, key=lambda size: (max(size, number) / min(size, max(number, 1)), size))


def few(prompts: int) -> list[str]:
    """A warning where there are fewer prompts than the intervals were tested with."""
    return [f"{prompts} prompts are few: intervals were tested with {FEW} or more."] if prompts < FEW else []
