"""What the user owns: pictures with content ids, read once and never changed."""

from smalti.corpus.embedded import BUILTIN
from smalti.corpus.images import ImageCorpus, open_images

__all__ = ["BUILTIN", "ImageCorpus", "open_images"]
