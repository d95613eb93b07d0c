"""What the user owns: pictures and texts with content ids, read once, never changed, and a store that keeps and forgets
them.
"""

from smalti.corpus.embedded import BUILTIN
from smalti.corpus.images import ImageCorpus
from smalti.corpus.sources import open_images, open_text
from smalti.corpus.store import Addition, Check, Compaction, CorpusStore, Event, Item, Removal, State, Use
from smalti.corpus.text import TextCorpus

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
    "TextCorpus",
    "Use",
    "open_images",
    "open_text",
]
