"""Receipts: what a finished sample owes to whom, and what changes without it.

Weight is exact; effect is exact too, and another thing; match is a similarity. None of them is another.
"""

from smalti.receipts.composition import UNITS, Composition
from smalti.receipts.effects import (
    Change,
    Effect,
    Halves,
    Proof,
    Ranked,
    Ranking,
    SeedEffect,
    effect,
    half_corpora,
    lds,
    one_step_values,
    prove,
    rank,
)
from smalti.receipts.ledger import Entry, Ledger, SampleTotals, Total, Verified, default_ledger
from smalti.receipts.match import NearestPatches, nearest_items, nearest_patches
from smalti.receipts.one_step import LeaveOneOut, leave_one_out, mean_without
from smalti.receipts.proof import ExactPixel, Source, exact
from smalti.receipts.receipt import Credit, Match, Receipt

__all__ = [
    "UNITS",
    "Change",
    "Composition",
    "Credit",
    "Effect",
    "Entry",
    "ExactPixel",
    "Halves",
    "LeaveOneOut",
    "Ledger",
    "Match",
    "NearestPatches",
    "Proof",
    "Ranked",
    "Ranking",
    "Receipt",
    "SampleTotals",
    "SeedEffect",
    "Source",
    "Total",
    "Verified",
    "default_ledger",
    "effect",
    "exact",
    "half_corpora",
    "lds",
    "leave_one_out",
    "mean_without",
    "nearest_items",
    "nearest_patches",
    "one_step_values",
    "prove",
    "rank",
]
