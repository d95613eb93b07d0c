"""A corpus in one file that can forget."""

from smalti.corpus.store.file import STORE, SUFFIX, is_store
from smalti.corpus.store.records import Addition, Check, Compaction, Event, Item, Removal, State, Use
from smalti.corpus.store.store import CorpusStore

__all__ = [
    "STORE",
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
    "is_store",
]
