"""References as the system was asked: the same prompts, the same number of answers, at temperatures we choose.

One seed gives the answers of both protocols that need them: where their temperatures coincide they share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.progress import SILENT, Progress
from smalti.temperature import matched, published
from smalti.temperature.matched import Curve, Measured
from smalti.temperature.metrics import Forms
from smalti.temperature.references import ENDED, Reference, sample

__all__ = ["CONTROLS", "OFF", "Asked", "ReferenceAnswers", "ask", "of_forms"]

CONTROLS = (0.01, 0.03, 0.1)
"""Temperatures at which a reference is measured as if it were a system, and must come back."""

OFF = 1.5
"""The factor by which a control may be off before a warning is due."""

_CONTROL_SEED = 1_000_003  # added to the seed: other answers than those of the curve
_BOTH = tuple(sorted({*matched.GRID, *published.GRID}))


@dataclass(frozen=True, eq=False)
class ReferenceAnswers:
    """Answers of a reference to the prompts of a system, as often and as long as the system's.

    Attributes:
        name: the reference.
        answers: tokens at `matched.GRID`, `ENDED` behind an end. Shape (P, G, n, L).
        controls: the same at `CONTROLS`, from other random numbers. Shape (P, 3, n, L).
        published: `published.REFERENCE_RUNS` answers at `published.GRID`. Shape (P, G', 32, L).
    """

    name: str
    answers: NDArray[np.int32]
    controls: NDArray[np.int32]
    published: NDArray[np.int32]

    @cached_property
    def curve(self) -> Curve:
        """The curve of the matched protocol."""
        found = [[_measures(answers) for answers in of_prompt] for of_prompt in self.answers]
        table = np.array(found).reshape(*self.answers.shape[:2], 2)
        return Curve(self.name, np.array(matched.GRID), table[:, :, 0], table[:, :, 1])

    @cached_property
    def table(self) -> NDArray[np.float64]:
        """The three numbers of the published protocol. Shape (G', P, 3)."""
        length = self.published.shape[3]
        return np.array([published.rows(_forms(of_prompt), length) for of_prompt in self.published]).swapaxes(0, 1)

    def control(self, which: int) -> Measured:
        """A control as a system."""
        table = np.array([_measures(of_prompt[which]) for of_prompt in self.controls])
        return Measured(table[:, 0], table[:, 1])


def ask(
    references: Sequence[Reference],
    prompts: Sequence[str],
    *,
    runs: int,
    max_tokens: int,
    seed: int,
    progress: Progress = SILENT,
) -> list[ReferenceAnswers]:
    """Samples references for the matched and the published protocol. Tier: as `references.sample`."""
    several = [max(runs * (t in matched.GRID), published.REFERENCE_RUNS * (t in published.GRID)) for t in _BOTH]
    out = []
    with progress.task("asking references", len(references) * max_tokens) as task:
        for reference in references:
            both = sample(
                reference,
                prompts,
                _BOTH,
                runs=several,
                max_tokens=max_tokens,
                seed=seed,
                tick=lambda: task.advance(0.75),
            )
            controls = sample(
                reference,
                prompts,
                CONTROLS,
                runs=runs,
                max_tokens=max_tokens,
                seed=seed + _CONTROL_SEED,
                tick=lambda: task.advance(0.25),
            )
            answers = both[:, [_BOTH.index(t) for t in matched.GRID], :runs]
            theirs = both[:, [_BOTH.index(t) for t in published.GRID], : published.REFERENCE_RUNS]
            out.append(ReferenceAnswers(reference.name, answers, controls, theirs))
    return out


class Asked:
    """References that remember what they answered: for recordings of the same prompts, they are asked once.

    Args:
        references: which.
    """

    def __init__(self, references: Sequence[Reference]) -> None:
        self._references = tuple(references)
        self._known: dict[tuple[tuple[str, ...], int, int, int], list[ReferenceAnswers]] = {}

    def __len__(self) -> int:
        """How many references."""
        return len(self._references)

    def answers(
        self, prompts: Sequence[str], *, runs: int, max_tokens: int, seed: int, progress: Progress = SILENT
    ) -> list[ReferenceAnswers]:
        """See `ask`."""
        key = tuple(prompts), runs, max_tokens, seed
        if key not in self._known:
            self._known[key] = ask(
                self._references, prompts, runs=runs, max_tokens=max_tokens, seed=seed, progress=progress
            )
        return self._known[key]


def of_forms(forms: Sequence[Forms], length: int) -> Measured:
    """What the answers of a system have."""
    return Measured(
        np.array([one.behind(length) for one in forms]), np.array([float(len(one.forms) > 1) for one in forms])
    )


def _forms(answers: NDArray[np.int32]) -> list[Forms]:
    """The forms of each of several sets of answers, shape (G, n, L)."""
    return [
        Forms.of([tuple(str(token) for token in one if token != ENDED) for one in some]) for some in answers.tolist()
    ]


def _measures(answers: NDArray[np.int32]) -> tuple[float, float]:
    """(behind, varied) of answers of shape (n, L): pairs agree as long as their beginnings do."""
    runs, length = answers.shape
    group = np.zeros(runs, np.int64)
    agreeing = 0
    for place in range(length):
        pairs = group * (int(answers.max()) + 2) + answers[:, place] + 1
        _, group, counts = np.unique(pairs, return_inverse=True, return_counts=True)
        if len(counts) == runs:
            break
        agreeing += int((counts * (counts - 1)).sum())
    return 1.0 - agreeing / (length * runs * (runs - 1)), float(group.max() > 0)
