"""What a ledger takes from samples of any kind: items, credits, and what tells one sample from another.

A text has L tokens where a picture has H x W pixels. What no document has, given tokens, noise and prior, is entered as
one more item after the documents, so that the units of a text sum to L 2^40 as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.corpus.text import TextCorpus
from smalti.machines import Machine
from smalti.machines.text import TextMachine
from smalti.receipts.ledger.records import NO_DOCUMENT_ID
from smalti.receipts.receipt import Receipt
from smalti.receipts.text import TextReceipt
from smalti.sampling.text_trace import TextSample
from smalti.sampling.trace import Sample

__all__ = ["OwedDocuments", "credits_of", "items_of", "sites_of"]


@dataclass(frozen=True)
class OwedDocuments:
    """The documents of a corpus and, last, `NO_DOCUMENT_ID`."""

    corpus: TextCorpus
    ids: tuple[str, ...] = field(init=False)
    names: tuple[str, ...] = field(init=False)
    metadata: tuple[Mapping[str, str], ...] = field(init=False)
    labels: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", (*self.corpus.ids, NO_DOCUMENT_ID))
        object.__setattr__(self, "names", (*self.corpus.names, NO_DOCUMENT_ID))
        object.__setattr__(self, "metadata", (*self.corpus.metadata, {}))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def digest(self) -> str:
        """That of the corpus."""
        return self.corpus.digest

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the corpus."""
        return self.corpus.columns

    def values(self, column: str) -> tuple[str | None, ...]:
        """Those of the corpus; `NO_DOCUMENT_ID` for what no document has."""
        return (*self.corpus.values(column), NO_DOCUMENT_ID)


def items_of(machine: Machine | TextMachine) -> ImageCorpus | OwedDocuments:
    """The items that samples of a machine can owe something."""
    return OwedDocuments(machine.corpus) if isinstance(machine, TextMachine) else machine.corpus


def sites_of(sample: Sample | TextSample) -> NDArray[Any]:
    """What a sample is, site by site: the pixels of a picture, (H, W, C), or the tokens of a text, (L, 1)."""
    return sample.tokens[:, None] if isinstance(sample, TextSample) else sample.image


def credits_of(
    sample: Sample | TextSample, machine: Machine | TextMachine, tick: Callable[[float], None]
) -> NDArray[np.int64]:
    """The units of `items_of(machine)`; they sum to 2^40 for each site."""
    if isinstance(sample, TextSample):
        assert isinstance(machine, TextMachine)
        receipt = TextReceipt(sample, machine)
        return np.append(receipt.credits(tick=tick), sum(receipt.no_document().values()))
    assert isinstance(machine, Machine)
    return Receipt(sample, machine).credits(tick=tick)
