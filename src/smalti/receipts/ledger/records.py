"""What a ledger tells: its runs, what groups of items are owed, and what a check found."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["NO_DOCUMENT_ID", "Entry", "Group", "SampleTotals", "Total", "Verified"]

NO_DOCUMENT_ID = "no document"
"""Content id, name and group of what no document has; no document has such an id."""

Group = tuple[str | None, str | None, str | None]
"""What tells groups apart: value, name, label; the last two are None unless items are listed one by one.

What no document has is a group of its own under any column, `(NO_DOCUMENT_ID, NO_DOCUMENT_ID, None)`: its name tells it
from documents that have this text there.
"""


@dataclass(frozen=True)
class Entry:
    """Samples of one run in a ledger.

    Attributes:
        run: the run, see `run_id`.
        folders: where the samples were last seen: one folder, or several, if each has other seeds of the run.
        samples: the ledger's numbers of its samples, in the order of the seeds.
        new: how many of them were entered now.
        corrected: how many items got another name, label or metadata now.
    """

    run: str
    folders: tuple[str, ...]
    samples: tuple[int, ...]
    new: int = 0
    corrected: int = 0


@dataclass(frozen=True, slots=True)
class Total:
    """What a group of items is owed.

    Attributes:
        value: what the items have in common; the content id where items are listed one by one; None: no value.
        units: their units.
        whole: the units counted altogether.
        samples: number of samples that owe the group something.
        name: the item's name, where items are listed one by one; `NO_DOCUMENT_ID` for what no document has.
        label: the item's label, likewise.
    """

    value: str | None
    units: int
    whole: int
    samples: int
    name: str | None = None
    label: str | None = None

    @property
    def share(self) -> Fraction:
        """Share of all units counted, exactly; the shares of all groups sum to 1."""
        return Fraction(self.units, self.whole)

    @property
    def group(self) -> Group:
        """What tells the group apart."""
        return self.value, self.name, self.label


@dataclass(frozen=True)
class SampleTotals:
    """What one sample owes.

    Attributes:
        run: the run, see `run_id`.
        folder: where it was last seen.
        seed: the seed.
        picture: SHA-256 of the picture's pixels, hexadecimal.
        pixels: number of pixels, H W.
        totals: the groups, most units first, as shares of this sample.
    """

    run: str
    folder: str
    seed: int
    picture: str
    pixels: int
    totals: tuple[Total, ...]


@dataclass(frozen=True)
class Verified:
    """What a ledger that was found whole holds: number of runs, samples and credits."""

    runs: int
    samples: int
    credits: int
