"""Effects on texts and rankings as JSON values: what `smalti effect` prints with --json and writes as effect.json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smalti.corpus.text import TextCorpus
from smalti.receipts.effects.record import ranked_by_effect, run_record
from smalti.receipts.text.effect import TextEffect
from smalti.receipts.text.ranking import TextRanking
from smalti.sampling.reopen import OpenRun

__all__ = ["text_effect_record", "text_ranking_record"]

_KEPT = "machine, tokens, what was given, sampler and seeds are those of the run"
_MEASURES = {
    "tokens_changed": "places of the row that hold another token than before",
    "parted": "the first step at which the two runs drew something else, from 0; null: never",
}
_UNITS = "weight of the document in the text, in units of 2^-40 of a token: it orders the work and is no effect"


def text_effect_record(found: tuple[TextEffect, ...], opened: OpenRun, documents: Iterable[int]) -> dict[str, Any]:
    """An effect on texts as JSON values, in the format `smalti.text-effect/1`.

    Args:
        found: the effect, seed by seed.
        opened: the run it is of.
        documents: what was removed.
    """
    corpus = opened.machine.corpus
    return {
        "format": "smalti.text-effect/1",
        "run": _run(opened),
        "without": {
            "documents": [_document(corpus, document) for document in sorted(set(documents))],
            "corpus_digest": found[0].after.corpus_digest,
        },
        "kept": _KEPT,
        "measures": _MEASURES,
        "seeds": [{"seed": one.before.seed, **_effect(one), **_texts(one)} for one in found],
    }


def text_ranking_record(found: TextRanking, opened: OpenRun) -> dict[str, Any]:
    """A ranking as JSON values, in the format `smalti.text-effect-ranking/1`.

    Args:
        found: the ranking.
        opened: the run it is of.
    """
    corpus = opened.machine.corpus
    return {
        "format": "smalti.text-effect-ranking/1",
        "run": _run(opened),
        "kept": _KEPT,
        "measures": {**_MEASURES, "units": _UNITS},
        **ranked_by_effect(
            found,
            "documents",
            [
                (
                    {**_document(corpus, one.document), "units": one.units, "share": one.units / found.whole_units},
                    one.effect and {**_effect(one.effect), "after": one.effect.after.text},
                )
                for one in found.documents
            ],
        ),
    }


def _run(opened: OpenRun) -> dict[str, Any]:
    return {
        **run_record(opened),
        "settings": opened.record.request.settings(),
        "corpus_documents": len(opened.machine.corpus),
    }


def _document(corpus: TextCorpus, document: int) -> dict[str, Any]:
    return {"index": document, "id": corpus.ids[document], "name": corpus.names[document]}


def _effect(one: TextEffect) -> dict[str, Any]:
    return {
        "changed": one.parted is not None,
        "parted": one.parted,
        "tokens": len(one.before.tokens),
        "tokens_changed": one.tokens_changed,
        "first_changed": one.first,
    }


def _texts(one: TextEffect) -> dict[str, Any]:
    return {
        "before": one.before.text,
        "after": one.after.text,
        "pieces": [[piece.before, piece.after] for piece in one.pieces],
    }
