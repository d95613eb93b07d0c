"""Effects and rankings as JSON values: what `smalti effect` prints with --json and writes as effect.json."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.receipts.effects.ranking import Ranking
from smalti.receipts.effects.rerun import Change, Effect, Proof
from smalti.sampling.reopen import OpenRun

if TYPE_CHECKING:
    from smalti.receipts.text.ranking import TextRanking

__all__ = ["effect_record", "picture_names", "ranked_by_effect", "ranking_record", "run_record"]

_KEPT = (
    "machine, label, levels, patch sizes, picture size and seeds are those of the run; patch sizes were not calibrated "
    "again, so that removing the items is the only change"
)
_MEASURES = (
    "differences between the finished pictures, of the exact means before rounding to pixels, in grey levels (255 from "
    "black to white), over all pixels and channels; r is Pearson's, null where a picture is of one colour; pixels "
    "counts those that differ as written to files"
)
_ONE_STEP = (
    "root mean square change of a step's mean without the item, in grey levels, summed over the steps: it orders the "
    "work and is no effect"
)
_PARTED = "the first step after which the states differ, from 0; null: never"


def effect_record(found: Effect, opened: OpenRun) -> dict[str, Any]:
    """An effect as JSON values, in the format `smalti.effect/1`.

    Args:
        found: the effect.
        opened: the run it is of.
    """
    corpus = opened.machine.corpus
    return {
        "format": "smalti.effect/1",
        "run": _run(opened),
        "without": {
            "items": [_item(corpus, item) for item in found.removed],
            "corpus_items": len(corpus) - len(found.removed),
            "corpus_digest": found.after.corpus_digest,
        },
        "kept": _KEPT,
        "measures": {"change": _MEASURES, "parted": _PARTED},
        "notes": list(found.notes),
        "seeds": [
            {
                "seed": one.seed,
                "changed": one.parted is not None,
                "parted": one.parted,
                "proof": _proof(one.proof),
                "change": _change(one.change),
            }
            for one in found
        ],
        "total": _change(found.total),
    }


def ranking_record(found: Ranking, opened: OpenRun) -> dict[str, Any]:
    """A ranking as JSON values, in the format `smalti.effect-ranking/1`.

    Args:
        found: the ranking.
        opened: the run it is of.
    """
    corpus = opened.machine.corpus
    return {
        "format": "smalti.effect-ranking/1",
        "run": _run(opened),
        "kept": _KEPT,
        "measures": {"effect": _MEASURES, "one_step": _ONE_STEP},
        **ranked_by_effect(
            found,
            "items",
            [
                ({**_item(corpus, one.item), "one_step": one.one_step}, one.effect and _change(one.effect))
                for one in found.items
            ],
        ),
    }


def ranked_by_effect(
    found: Ranking | TextRanking, name: str, entries: Iterable[tuple[dict[str, Any], dict[str, Any] | None]]
) -> dict[str, Any]:
    """What the record of a ranking says, of pictures and of texts alike.

    Args:
        found: the ranking.
        name: what is ranked.
        entries: in the ranking's order, what is known of each, and its effect; None where the budget did not reach it.
    """
    return {
        "seed": found.seed,
        "runs": found.runs,
        "covered": found.covered,
        name: [{**about, "effect": "not run" if effect is None else effect} for about, effect in entries],
    }


def picture_names(seed: int) -> dict[str, str]:
    """File names of a seed's pictures: before, after, difference."""
    return {kind: f"{seed:06d}-{kind}.png" for kind in ("before", "after", "difference")}


def run_record(opened: OpenRun) -> dict[str, Any]:
    """Which run a record is about, of pictures or of texts."""
    request = opened.record.request
    return {
        "folder": shown(opened.folder.absolute()),
        "source": request.source,
        "corpus_digest": request.corpus_digest,
    }


def _run(opened: OpenRun) -> dict[str, Any]:
    request = opened.record.request
    return {
        **run_record(opened),
        "machine": request.machine,
        "label": request.label,
        "corpus_items": len(opened.machine.corpus),
        "size": list(request.size),
        "steps": request.steps,
    }


def _item(corpus: ImageCorpus, item: int) -> dict[str, Any]:
    label = None if corpus.labels is None else corpus.labels[item]
    return {"index": item, "id": corpus.ids[item], "name": corpus.names[item], "label": label}


def _proof(proof: Proof | None) -> dict[str, Any] | None:
    return None if proof is None else {**asdict(proof), "unchanged": proof.unchanged}


def _change(change: Change) -> dict[str, Any]:
    return {**asdict(change), "r": None if math.isnan(change.r) else change.r}
