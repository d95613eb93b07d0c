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
# noise; and eight fixed configurations. First where systems report the model's log-probabilities, then where they
# report those that each run met.
_LIKELIHOOD = {
    False: {
        (10, 10): ((100, 99), (98, 94), (96, 92), (97, 92), (98, 94), (96, 95)),
        (10, 30): ((99, 90), (97, 79), (98, 88), (97, 90), (97, 90), (97, 95)),
        (10, 100): ((97, 80), (96, 57), (95, 79), (97, 92), (96, 92), (94, 96)),
        (30, 10): ((100, 94), (98, 90), (97, 92), (96, 94), (97, 94), (96, 94)),
        (30, 30): ((97, 82), (98, 80), (97, 94), (96, 94), (98, 95), (95, 93)),
        (30, 100): ((94, 61), (95, 74), (96, 91), (94, 95), (96, 93), (94, 94)),
        (100, 10): ((98, 91), (97, 90), (96, 94), (96, 95), (96, 96), (95, 94)),
        (100, 30): ((98, 80), (97, 88), (96, 96), (94, 96), (97, 96), (95, 93)),
        (100, 100): ((94, 76), (94, 91), (96, 94), (94, 96), (98, 96), (96, 93)),
    },
    True: {
        (10, 10): ((100, 98), (99, 94), (99, 95), (99, 97), (98, 94), (98, 71)),
        (10, 30): ((100, 94), (99, 86), (99, 84), (98, 94), (99, 87), (98, 72)),
        (10, 100): ((99, 80), (98, 70), (98, 80), (98, 88), (98, 89), (94, 78)),
        (30, 10): ((100, 98), (100, 95), (99, 95), (98, 94), (98, 94), (98, 24)),
        (30, 30): ((99, 88), (100, 84), (99, 89), (98, 93), (98, 94), (96, 32)),
        (30, 100): ((97, 66), (97, 78), (96, 92), (94, 92), (97, 94), (94, 45)),
        (100, 10): ((99, 92), (98, 96), (99, 95), (98, 93), (98, 88), (94, 0)),
        (100, 30): ((99, 86), (99, 92), (99, 94), (95, 92), (97, 91), (95, 2)),
        (100, 100): ((96, 82), (97, 91), (98, 94), (94, 93), (98, 92), (96, 5)),
    },
}


def sentence(protocol: Protocol, prompts: int, runs: int, temperature: float, *, noisy: bool = False) -> str:
    """What the study says of a protocol in the closest cell that it has.

    Args:
        protocol: which.
        prompts: number of prompts.
        runs: answers to each.
        temperature: the estimate, or the bound where there is none.

    Keyword Args:
        noisy: whether the log-probabilities carry the noise.
    """
    if protocol == "likelihood":
        p, m, t = _closest(prompts, _SIZES), _closest(runs, _SIZES), _closest(temperature, _TEMPERATURES)
        independent, fixed = _LIKELIHOOD[noisy][p, m][_TEMPERATURES.index(t)]
        return (
            f"In simulations of {p} prompts with {m} answers to each at a temperature of {t:g}, the closest to this "
            f"measurement, and log-probabilities {'with' if noisy else 'without'} the noise in them, "
            f"{independent} % of the intervals held the truth where noise is independent from answer to answer, and "
            f"{fixed} % where it is one of eight fixed configurations."
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
