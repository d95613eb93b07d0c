"""Effects and rankings as JSON values: what `smalti effect` prints with --json and writes as effect.json."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.receipts.effects.ranking import Ranking
from smalti.receipts.effects.rerun import Change, Effect, Proof
from smalti.sampling.reopen import OpenRun

__all__ = ["effect_record", "picture_names", "ranking_record"]

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
        "seed": found.seed,
        "kept": _KEPT,
        "measures": {"effect": _MEASURES, "one_step": _ONE_STEP},
        "runs": found.runs,
        "covered": found.covered,
        "items": [
            {
                **_item(corpus, one.item),
                "one_step": one.one_step,
                "effect": "not run" if one.effect is None else _change(one.effect),
            }
            for one in found.items
        ],
    }


def picture_names(seed: int) -> dict[str, str]:
    """File names of a seed's pictures: before, after, difference."""
    return {kind: f"{seed:06d}-{kind}.png" for kind in ("before", "after", "difference")}


def _run(opened: OpenRun) -> dict[str, Any]:
    request = opened.record.request
    return {
        "folder": shown(opened.folder.absolute()),
        "machine": request.machine,
        "label": request.label,
        "source": request.source,
        "corpus_digest": request.corpus_digest,
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
