"""Opening whatever kind of source a person names."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from smalti.corpus import pixels as px
from smalti.corpus.decode import shown
from smalti.corpus.embedded import BUILTIN
from smalti.corpus.images import ImageCorpus
from smalti.corpus.store import SUFFIX, CorpusStore, is_store
from smalti.errors import InputError


def open_images(source: str | os.PathLike[str], *, size: px.Size | None = None) -> ImageCorpus:
    """The corpus that `source` names: a built-in example, a folder, an `.npz` archive, a store, or a picture file.

    The text `digits` or `photo` always means the built-in example, whatever the working folder holds, so that a command
    means the same everywhere; for a folder of that name write `./digits`, or pass a `Path`. Any other source is a path.
    A store is recognised by how the file begins, whatever its name; a file called `.smalti` must be one.

    Main argument: `source`. Other arguments: `size`, (height, width) or one number for a square, applied to every kind
    of source. Raises `InputError` if the path does not exist or cannot be used, `UsageError` for a size that has no
    meaning.
    """
    if isinstance(source, str) and source in BUILTIN:
        corpus = ImageCorpus.builtin(source, size=size)
        if not os.path.lexists(source):
            return corpus
        return replace(corpus, reading=(f"the built-in example {source} is used; the path of that name is ./{source}",))
    path = Path(source)
    if path.is_dir():
        return ImageCorpus.from_folder(path, size=size)
    if not os.path.lexists(path):
        raise InputError(
            f"'{shown(path)}' does not exist: give a folder of pictures, a picture, an .npz archive, a corpus store, "
            f"or a built-in name ({', '.join(BUILTIN)})."
        )
    if path.suffix.lower() == ".npz":
        return ImageCorpus.from_npz(path, size=size)
    if path.suffix.lower() == SUFFIX or is_store(path):
        return CorpusStore.open(path).corpus(size=size)
    return ImageCorpus.from_file(path, size=size)
