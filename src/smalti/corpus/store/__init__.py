"""A corpus in one file that can forget."""

from smalti.corpus.store.file import STORES, SUFFIX, held_by, is_store
from smalti.corpus.store.records import Addition, Check, Compaction, Event, Item, Removal, State, Use
from smalti.corpus.store.store import CorpusStore

__all__ = [
    "STORES",
    "SUFFIX",
    "Addition",
    "Check",
    "Compaction",
    "CorpusStore",
    "Event",
    "Item",
    "Removal",
    "State",
    "Use",
    "held_by",
    "is_store",
]
