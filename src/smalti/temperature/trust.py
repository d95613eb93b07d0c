"""How far an estimate is to be trusted, in a sentence, from the simulation study of all protocols.

The figures are those that `bench/studies/temperature_coverage.py` prints (`make studies`): how many of 200 intervals of
95 % held the truth, in the simulated cell that is closest to the measurement.
"""

from __future__ import annotations

from typing import Any

from smalti.temperature.result import Protocol

__all__ = ["few", "sentence"]

FEW = 10
"""Fewer prompts than any of the study."""

_SIZES = (10, 30, 100)
_TEMPERATURES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

# By (prompts, answers to each), at each of these temperatures, in per cent: the mean over Gumbel, normal and bounded
# noise; and eight fixed configurations. The lower of what was found with the model's log-probabilities reported, and
# with those that each run met.
_LIKELIHOOD = {
    (10, 10): ((100, 99), (98, 94), (96, 90), (97, 98), (100, 92), (96, 90)),
    (10, 30): ((99, 90), (97, 79), (98, 79), (97, 90), (96, 95), (93, 98)),
    (10, 100): ((97, 80), (96, 57), (95, 72), (97, 88), (97, 95), (89, 98)),
    (30, 10): ((100, 94), (98, 90), (97, 88), (96, 92), (96, 92), (92, 90)),
    (30, 30): ((97, 82), (98, 80), (97, 80), (96, 92), (97, 92), (90, 88)),
    (30, 100): ((94, 61), (95, 74), (96, 81), (94, 95), (99, 90), (88, 90)),
    (100, 10): ((98, 91), (97, 90), (96, 84), (96, 85), (96, 88), (89, 80)),
    (100, 30): ((98, 80), (97, 86), (96, 78), (94, 82), (98, 95), (91, 70)),
    (100, 100): ((94, 72), (94, 88), (96, 74), (94, 85), (99, 88), (95, 70)),
}


def sentence(protocol: Protocol, prompts: int, runs: int, temperature: float) -> str:
    """What the study says of a protocol in the closest cell that it has.

    Args:
        protocol: which.
        prompts: number of prompts.
        runs: answers to each.
        temperature: the estimate, or the bound where there is none.
    """
    if protocol == "likelihood":
        p, m, t = _closest(prompts, _SIZES), _closest(runs, _SIZES), _closest(temperature, _TEMPERATURES)
        independent, fixed = _LIKELIHOOD[p, m][_TEMPERATURES.index(t)]
        return (
            f"In simulations of {p} prompts with {m} answers to each at a temperature of {t:g}, the closest to this "
            f"measurement, {independent} % of the intervals held the truth where noise is independent from answer to "
            f"answer, and {fixed} % where it is one of eight fixed configurations."
        )
    if protocol == "matched":
        return (
            "With references on both sides of the system's sharpness, the interval held the truth in 91 % or more of "
            "the simulations of every kind and size; a single reference of twice the sharpness, or half of it, is off "
            "by a factor of two."
        )
    return (
        "As published it has no uncertainty; in simulations it gave 0 for a true 0.001, and from 0.01 on nine in ten "
        "of its answers were within a factor of two."
    )


def _closest(number: float, sizes: tuple[float, ...]) -> Any:
    """The closest of the study's sizes, by ratio; the smaller of two that are as close."""
    return min(sizes, key=lambda size: (max(size, number) / min(size, max(number, 1e-9)), size))


def few(prompts: int) -> list[str]:
    """A warning where there are fewer prompts than the intervals were tested with."""
    return [f"Prompts are few ({prompts}): intervals were tested with {FEW} or more."] if prompts < FEW else []
