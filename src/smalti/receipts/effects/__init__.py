"""Effect: what becomes of finished pictures without some items, and which items have the largest."""

from smalti.receipts.effects.halves import Halves, half_corpora, lds
from smalti.receipts.effects.ranking import Ranked, Ranking, one_step_values, rank
from smalti.receipts.effects.rerun import Change, Effect, Proof, SeedEffect, effect, prove

__all__ = [
    "Change",
    "Effect",
    "Halves",
    "Proof",
    "Ranked",
    "Ranking",
    "SeedEffect",
    "effect",
    "half_corpora",
    "lds",
    "one_step_values",
    "prove",
    "rank",
]
