"""A text machine as the denoiser that samplers of tokens drive, with a memory, so that nothing is searched twice.

What a machine says of a site depends on the tokens within its reach and nothing else. So a site is asked about again
only if its window has changed, and sites with equal windows are asked about once: the probabilities are those that
asking anew would give, byte for byte. One token a step then costs at most 2 reach + 1 sites, whatever the length of the
text, and blocks filled from the left ask nothing of what lies to their left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.engine.text_query import windows_of
from smalti.machines.text import TextMachine
from smalti.noise.words import uniforms
from smalti.sampling.text_settings import MASKING
from smalti.sampling.tokens import MASK, Question

__all__ = ["TextDenoiser", "random_start"]

# A radius, and a window.
_Key: TypeAlias = tuple[int, bytes]


@dataclass(eq=False)
class TextDenoiser:
    """A `smalti.sampling.tokens.TokenDenoiser`, for one row of tokens or, by `answer`, for several. Tier: *bitwise*.

    Machines with mask and hybrid noise are for `unmask`. With uniform and structured noise, for `unnoise`, the machine
    leaves the token at the site itself out, and takes the share of tokens kept from the sampler; then nothing can be
    kept between the steps, as that share changes. A radius that changes with the share of tokens that are visible takes
    that from the row.

    Attributes:
        machine: what is asked.
        threads: worker threads; all processors unless given.
        remember: whether answers are kept, which changes time only.
        asked: sites that the sampler has asked for so far.
        searched: sites that the machine was asked about.
    """

    machine: TextMachine
    threads: int | None = None
    remember: bool = True
    asked: int = field(default=0, init=False)
    searched: int = field(default=0, init=False)
    _known: dict[int, dict[_Key, NDArray[np.float64]]] = field(default_factory=dict, init=False, repr=False)

    @property
    def vocabulary(self) -> int:
        """Number V of tokens."""
        return self.machine.vocabulary

    def __call__(self, tokens: NDArray[np.int64], kept: float, sites: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `TokenDenoiser`."""
        return self.answer([(0, Question(tokens, kept, sites))])[0]

    def answer(self, questions: Sequence[tuple[int, Question]]) -> list[NDArray[np.float64]]:
        """Answers for several rows by one search of the corpus; see `smalti.sampling.tokens.together`."""
        self.asked += sum(len(question.sites) for _, question in questions)
        if self.machine.noise not in MASKING:
            self.searched += sum(len(question.sites) for _, question in questions)
            return [
                self.machine(one.tokens.astype(np.int32), one.sites, keep=one.kept, threads=self.threads).probabilities
                for _, one in questions
            ]
        windows = [windows_of(one.tokens.astype(np.int32), one.sites, self.machine.reach) for _, one in questions]
        visible = [np.full(len(one.sites), (one.tokens != MASK).sum() / len(one.tokens)) for _, one in questions]
        if not self.remember:
            anew = self._anew(np.concatenate(windows), np.concatenate(visible))
            return np.split(anew, np.cumsum([len(rows) for rows in windows])[:-1])
        keys = [
            [(radius, window.tobytes()) for radius, window in zip(self.machine.radius_at(shares), rows, strict=True)]
            for rows, shares in zip(windows, visible, strict=True)
        ]
        fresh: dict[_Key, tuple[NDArray[np.int32], float]] = {}
        for (place, _), rows, shares, names in zip(questions, windows, visible, keys, strict=True):
            known = self._known.get(place, {})
            fresh |= {
                name: (row, share) for name, row, share in zip(names, rows, shares, strict=True) if name not in known
            }
        found: dict[_Key, NDArray[np.float64]] = {}
        if fresh:
            rows, shares = zip(*fresh.values(), strict=True)
            found = dict(zip(fresh, self._anew(np.stack(rows), np.array(shares)), strict=True))
        answers: list[NDArray[np.float64]] = []
        for (place, _), names in zip(questions, keys, strict=True):
            known = self._known.get(place, {})
            # Samplers ask for fewer and fewer sites: what this question did not need, no later one will.
            self._known[place] = {name: found[name] if name in found else known[name] for name in names}
            answers.append(np.stack([self._known[place][name] for name in names]))
        return answers

    def _anew(self, windows: NDArray[np.int32], visible: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the machine says of windows in rows of which shares are visible, in one call."""
        self.searched += len(windows)
        return self.machine.distributions(windows, visible=visible, threads=self.threads)


def random_start(template: NDArray[np.int32], vocabulary: int, *, seed: int) -> NDArray[np.int32]:
    """A row of noise alone, uniform or structured: each masked place of a template with a token drawn from all V.

    Args:
        template: the row, -1 where a token is to be drawn; others stay. int32, shape (L,).
        vocabulary: V.

    Keyword Args:
        seed: seed of the sample.

    Returns:
        The row. int32, shape (L,). Tier: *bitwise*: a token is a function of (seed, place).
    """
    drawn = np.floor(uniforms(len(template), seed=seed, purpose="text/initial") * vocabulary).astype(np.int32)
    return np.where(template == MASK, drawn, template).astype(np.int32)
