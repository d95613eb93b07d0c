"""References as the system was asked: the same prompts, the same number of answers, at temperatures we choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.progress import SILENT, Progress
from smalti.temperature import matched, published
from smalti.temperature.matched import Curve, Measured
from smalti.temperature.metrics import Forms
from smalti.temperature.references import ENDED, Reference, sample

__all__ = ["CONTROLS", "OFF", "ReferenceAnswers", "ask", "of_forms", "published_table"]

CONTROLS = (0.01, 0.03, 0.1)
"""Temperatures at which a reference is measured as if it were a system, and must come back."""

OFF = 1.5
"""The factor by which a control may be off before a warning is due."""

_CONTROL_SEED = 1_000_003  # added to the seed: other answers than those of the curve


@dataclass(frozen=True, eq=False)
class ReferenceAnswers:
    """Answers of a reference at `matched.GRID`, and of its controls.

    Attributes:
        name: the reference.
        answers: tokens, `ENDED` behind an end. Shape (P, G, n, L).
        controls: the same at `CONTROLS`, from other random numbers. Shape (P, 3, n, L).
    """

    name: str
    answers: NDArray[np.int32]
    controls: NDArray[np.int32]

    def curve(self, prompts: Sequence[int] | None = None) -> Curve:
        """The curve of some prompts' answers, of all unless named."""
        chosen = self.answers if prompts is None else self.answers[list(prompts)]
        found = [[_measures(answers) for answers in of_prompt] for of_prompt in chosen]
        table = np.array(found).reshape(*chosen.shape[:2], 2)
        return Curve(self.name, np.array(matched.GRID), table[:, :, 0], table[:, :, 1])

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
    """Samples references for the matched protocol. Tier: as `references.sample`."""
    out = []
    with progress.task("asking references", len(references) * len(prompts)) as task:
        for reference in references:
            answers, controls = [], []
            for prompt in prompts:
                answers.append(sample(reference, prompt, matched.GRID, runs=runs, max_tokens=max_tokens, seed=seed))
                other = seed + _CONTROL_SEED
                controls.append(sample(reference, prompt, CONTROLS, runs=runs, max_tokens=max_tokens, seed=other))
                task.advance()
            out.append(ReferenceAnswers(reference.name, np.array(answers), np.array(controls)))
    return out


def published_table(
    reference: Reference, prompts: Sequence[str], *, max_tokens: int, seed: int, progress: Progress = SILENT
) -> NDArray[np.float64]:
    """The three numbers of the published protocol for a reference. Shape (G, P, 3). Tier: as `references.sample`."""
    out = np.zeros((len(published.GRID), len(prompts), 3))
    with progress.task(f"published protocol, {reference.name}", len(prompts)) as task:
        for p, prompt in enumerate(prompts):
            runs = published.REFERENCE_RUNS
            answers = sample(reference, prompt, published.GRID, runs=runs, max_tokens=max_tokens, seed=seed)
            for g, at in enumerate(answers):
                forms = Forms.of([tuple(str(token) for token in one if token != ENDED) for one in at.tolist()])
                out[g, p] = published.row(forms, max_tokens)
            task.advance()
    return out


def of_forms(forms: Sequence[Forms], length: int) -> Measured:
    """What the answers of a system have."""
    return Measured(
        np.array([one.behind(length) for one in forms]), np.array([float(len(one.forms) > 1) for one in forms])
    )


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
