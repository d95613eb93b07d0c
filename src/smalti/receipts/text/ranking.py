"""Documents ranked by their exact effect on one text, those with the largest weight first, within a budget.

An exact effect costs a run of the seed without the document, so not all of them may be tried. They are tried in the
order of their weight in the text (`smalti.receipts.text.receipt`), which costs one receipt and only orders the work:
what counts is the effect, a document that was not run again has none stated, and the order that is found is one among
the documents tried. What the weights of a run's tokens leave out is that a later token answers to an earlier one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from smalti.errors import UsageError
from smalti.progress import SILENT, Progress
from smalti.receipts.effects.ranking import check_budget, within_budget
from smalti.receipts.text.effect import TextEffect, texts_without
from smalti.sampling.reopen import OpenRun

__all__ = ["RankedDocument", "TextRanking", "rank_documents"]


@dataclass(frozen=True)
class RankedDocument:
    """A document of a ranking.

    Attributes:
        document: index in the corpus.
        units: its weight in the text, in units of 2^-40 of a token, which orders the work: not an effect.
        effect: its exact effect on the text; None where the budget did not reach it.
    """

    document: int
    units: int
    effect: TextEffect | None


@dataclass(frozen=True, eq=False)
class TextRanking:
    """Documents by effect on one text. Tier: *bitwise*, but for how many were run again if the budget is in seconds.

    Attributes:
        seed: the text's seed.
        documents: those run again, most changed tokens first, of equal ones the run that parts first, and then the
            larger weight; then the others, largest weight first.
        runs: how many were run again.
        covered: the share of the weight of all documents that is theirs; 1 where no document has any.
        whole_units: the units of the whole text.
    """

    seed: int
    documents: tuple[RankedDocument, ...]
    runs: int
    covered: float
    whole_units: int


def rank_documents(
    opened: OpenRun,
    seed: int,
    *,
    runs: int | None = 16,
    seconds: float | None = None,
    progress: Progress = SILENT,
) -> TextRanking:
    """Ranks documents by their effect on one text, each removed by itself. Tier: *bitwise* (see `TextRanking`).

    Args:
        opened: the run.
        seed: one of its seeds.

    Keyword Args:
        runs: most documents to run the seed again without; None: no limit.
        seconds: no run is begun this long after the first; None: no limit.
        progress: where progress is shown.

    Raises:
        InputError: the trace is not one that this machine makes.
        UsageError: a seed that the run does not have, a budget that has no meaning, a corpus of one document.
    """
    check_budget(runs, seconds)
    sample = opened.trace.of_seed(seed)
    if len(opened.machine.corpus) < 2:
        raise UsageError(
            "a corpus of one document has nothing left without it: documents are ranked where there are two or more"
        )
    receipt = sample.receipt
    with progress.task("weighing the documents", 1000) as task:
        units = receipt.credits(tick=lambda share: task.advance(1000 * share)).tolist()
    order = sorted(range(len(units)), key=lambda document: (-units[document], document))
    tried = order[:runs]
    with progress.task("running again without each", len(tried) * opened.record.request.steps) as task:
        effects = within_budget(
            tried, lambda document: texts_without(opened, [document], [sample], task=task)[0], seconds=seconds
        )
    done = len(effects)
    found = [RankedDocument(document, units[document], one) for document, one in zip(tried, effects, strict=False)]
    found.sort(key=_place)
    left = [RankedDocument(document, units[document], None) for document in order[done:]]
    whole = sum(units)
    covered = sum(units[document] for document in order[:done]) / whole if whole else 1.0
    return TextRanking(seed, (*found, *left), done, covered, receipt.whole_units)


def _place(ranked: RankedDocument) -> tuple[int, float, int, int]:
    assert ranked.effect is not None
    parted = ranked.effect.parted
    return -ranked.effect.tokens_changed, math.inf if parted is None else parted, -ranked.units, ranked.document
