"""The copy check: how much of a picture from anywhere a corpus could have given. All of it is match, never weight."""

from smalti.receipts.copies.check import (
    NEAR_LEVELS,
    NEAR_R,
    SIZES,
    WITHIN,
    CopyCheck,
    SizeMatch,
    WholeMatch,
    check_copies,
    fitting_sizes,
)
from smalti.receipts.copies.region import CopiedRegion, copied_region
from smalti.receipts.copies.tiling import Tiling, tiling

__all__ = [
    "NEAR_LEVELS",
    "NEAR_R",
    "SIZES",
    "WITHIN",
    "CopiedRegion",
    "CopyCheck",
    "SizeMatch",
    "Tiling",
    "WholeMatch",
    "check_copies",
    "copied_region",
    "fitting_sizes",
    "tiling",
]
