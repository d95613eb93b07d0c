"""What the user owns: pictures with content ids, read once, never changed, and a store that keeps and forgets them."""

from smalti.corpus.embedded import BUILTIN
from smalti.corpus.images import ImageCorpus
from smalti.corpus.sources import open_images
from smalti.corpus.store import Addition, Check, Compaction, CorpusStore, Event, Item, Removal, State, Use

__all__ = [
    "BUILTIN",
    "Addition",
    "Check",
    "Compaction",
    "CorpusStore",
    "Event",
    "ImageCorpus",
    "Item",
    "Removal",
    "State",
    "Use",
    "open_images",
]
