"""Effect for texts: what becomes of finished texts when documents are taken out and the same seeds run again.

Removed is what was asked for, all of it at once. Kept on purpose is everything else: machine, tokens (also those that
only the removed documents had), what was given, sampler and seeds. So the effect is an exact counterfactual of one run,
not an estimate. Rows have the same length before and after, and are compared place by place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.machines.text import TextMachine, text_machine_from
from smalti.progress import SILENT, Progress, Task
from smalti.sampling.reopen import OpenRun
from smalti.sampling.text_trace import TextSample

__all__ = ["Piece", "TextEffect", "text_effect", "texts_without"]

# Tokens that stay between two that change are told with them if they are fewer than this.
_JOINED = 3


@dataclass(frozen=True)
class Piece:
    """A stretch of a text that stayed, or changed.

    Attributes:
        before, after: what it was, and what it is; equal where it stayed.
    """

    before: str
    after: str

    @property
    def stayed(self) -> bool:
        """Whether nothing changed."""
        return self.before == self.after


@dataclass(frozen=True, eq=False)
class TextEffect:
    """The effect of removing documents on one seed's text. Tier: *bitwise*.

    Attributes:
        before, after: the samples.
        parted: the first step at which the two runs drew something else, or in another place; None: never.
    """

    before: TextSample
    after: TextSample
    parted: int | None

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which tokens are others now, (L,)."""
        return self.before.tokens != self.after.tokens

    @property
    def tokens_changed(self) -> int:
        """How many tokens are others now."""
        return int(self.changed.sum())

    @property
    def first(self) -> int | None:
        """The first token, from the left, that is another now; None: none is."""
        places = np.flatnonzero(self.changed)
        return int(places[0]) if len(places) else None

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The text in stretches that stayed and that changed; joined, their texts are those before and after."""
        changed = self.changed.copy()
        edges = np.flatnonzero(np.diff(changed.astype(np.int8))) + 1
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if not changed[begin] and end - begin < _JOINED:
                changed[begin:end] = True
        cuts = [0, *(np.flatnonzero(np.diff(changed.astype(np.int8))) + 1).tolist(), len(changed)]
        texts = [_cut(sample, cuts) for sample in (self.before, self.after)]
        return tuple(Piece(*both) for both in zip(*texts, strict=True))


def text_effect(
    opened: OpenRun, documents: Iterable[int], *, seeds: Iterable[int] | None = None, progress: Progress = SILENT
) -> tuple[TextEffect, ...]:
    """Runs seeds of a run of texts again without some documents. Tier: *bitwise*. Costs one run of the seeds.

    Args:
        opened: the run.
        documents: indices in its corpus, at least one; removed together.

    Keyword Args:
        seeds: seeds of the run; all unless given.
        progress: where progress is shown.

    Raises:
        UsageError: no document, one that the corpus does not have, or all of them; a seed that the run does not have.
    """
    removed = sorted(set(documents))
    if not removed:
        raise UsageError("an effect is that of removing at least one document, and none was named")
    before = [opened.trace.of_seed(seed) for seed in (opened.trace.seeds if seeds is None else seeds)]
    with progress.task("running again without", len(before) * opened.record.request.steps) as task:
        return texts_without(opened, removed, before, task=task)


def texts_without(
    opened: OpenRun, documents: Iterable[int], before: Sequence[TextSample], *, task: Task
) -> tuple[TextEffect, ...]:
    """Samples of a run made again without some documents. Tier: *bitwise*.

    Args:
        opened: the run.
        documents: indices in its corpus, at least one; removed together.
        before: samples of the run.

    Keyword Args:
        task: advanced by the steps of each sample.

    Raises:
        UsageError: a document that the corpus does not have, or all of them.
    """
    machine: TextMachine = opened.machine
    without = text_machine_from(machine.settings(), machine.corpus.without(documents), machine.tokenizer)
    request = replace(opened.record.request, corpus_digest=without.corpus.digest)
    again = request.maker(without)([sample.seed for sample in before], task)
    return tuple(TextEffect(old, new, _parted(old, new)) for old, new in zip(before, again, strict=True))


def _cut(sample: TextSample, cuts: list[int]) -> list[str]:
    """The text in stretches of tokens; a character of several tokens goes with the first of them."""
    # Where each stretch of tokens begins: behind all characters of the tokens before it.
    ends = [0, *(max(end for _, end in sample.pieces[:cut]) for cut in cuts[1:])]
    return [sample.text[begin:end] for begin, end in itertools.pairwise(ends)]


def _parted(before: TextSample, after: TextSample) -> int | None:
    """The first step at which events differ."""
    old, new = before.events, after.events
    if not np.array_equal(before.start, after.start):
        return 0
    both = min(len(old), len(new))
    same = (
        (old.step[:both] == new.step[:both])
        & (old.site[:both] == new.site[:both])
        & (old.token[:both] == new.token[:both])
    )
    if same.all():
        if len(old) == len(new):
            return None
        return int((old if len(old) > both else new).step[both])
    at = int(np.flatnonzero(~same)[0])
    return int(min(old.step[at], new.step[at]))
