"""Opening whatever kind of source a person names, and telling kinds apart: the one place that knows how."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from smalti.corpus import pixels as px
from smalti.corpus.decode import shown
from smalti.corpus.embedded import BUILTIN
from smalti.corpus.folder import SIDE_NAMES, SIDE_SUFFIXES
from smalti.corpus.images import ImageCorpus
from smalti.corpus.items import CorpusKind
from smalti.corpus.metadata import FILE_NAMES
from smalti.corpus.store import SUFFIX, CorpusStore, held_by, is_store
from smalti.corpus.text import BUILTIN_TEXT, TextCorpus
from smalti.errors import InputError, UsageError

_PICTURES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jp2", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".ico", ".icns"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".tga", ".dds", ".sgi", ".rgb", ".qoi", ".npz"),
    )
)
_LOOKED_AT = 8192  # bytes of a file whose name says nothing


def kind_of(source: str, *, text: bool = False) -> CorpusKind:
    """What a source holds.

    A built-in name says it, and so does the beginning of a store. Otherwise names of files do: those of pictures and
    archives hold pictures, `.txt`, `.jsonl` and the like hold text; of any other file the first bytes say it, as text
    holds no NUL. A folder in which, or below which, there is a picture is a folder of pictures, whatever lies beside
    it; `text` makes it one of texts.

    Raises `InputError` if there is nothing of that name or a folder holds neither, `UsageError` for `text` of what can
    only be pictures.
    """
    if source in BUILTIN_TEXT:
        return "texts"
    path = Path(source)
    if source not in BUILTIN and not os.path.lexists(path):
        raise InputError(
            f"'{shown(path)}' does not exist: give a folder of pictures, a picture, an .npz archive, a corpus store, a "
            f"text file, a folder of texts, a .jsonl file, or a built-in name ({', '.join((*BUILTIN, *BUILTIN_TEXT))})"
        )
    if source in BUILTIN or not path.is_dir():
        kind = "pictures" if source in BUILTIN else _of_file(path) or "pictures"
        if text and kind == "pictures":
            raise UsageError(f"'{shown(path)}' holds pictures: leave --text out")
        return kind
    return "texts" if text else _of_folder(path)


def place_of(source: str) -> str:
    """What opens the same source from any folder: an absolute path, or a built-in name."""
    return source if source in (*BUILTIN, *BUILTIN_TEXT) else shown(Path(source).absolute())


def open_images(source: str | os.PathLike[str], *, size: px.Size | None = None) -> ImageCorpus:
    """The corpus that `source` names: a built-in example, a folder, an `.npz` archive, a store, or a picture file.

    The text `digits` or `photo` always means the built-in example, whatever the working folder holds, so that a command
    means the same everywhere; for a folder of that name write `./digits`, or pass a `Path`. Any other source is a path.
    A store is recognised by how the file begins, whatever its name; a file called `.smalti` must be one.

    Main argument: `source`. Other arguments: `size`, (height, width) or one number for a square, applied to every kind
    of source. Raises `InputError` if the path does not exist or cannot be used, or is a store of texts; `UsageError`
    for a size that has no meaning.
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
    if _stored(path):
        return CorpusStore.open(path, kind="pictures").corpus(size=size)
    return ImageCorpus.from_file(path, size=size)


def open_text(source: str | os.PathLike[str]) -> TextCorpus:
    """The corpus that `source` names: the built-in `python-manual`, a folder of text files, a `.jsonl` file, a store,
    or one text file.

    As with pictures, a built-in name means the built-in text whatever the working folder holds, and a store is
    recognised by how the file begins. Raises `InputError` if the path does not exist or cannot be used, or is a store
    of pictures.
    """
    if isinstance(source, str) and source in BUILTIN_TEXT:
        corpus = TextCorpus.builtin(source)
        if not os.path.lexists(source):
            return corpus
        note = f"the built-in text {source} is used; the path of that name is ./{source}"
        return replace(corpus, reading=(*corpus.reading, note))
    path = Path(source)
    if path.is_dir():
        return TextCorpus.from_folder(path)
    if not os.path.lexists(path):
        raise InputError(
            f"'{shown(path)}' does not exist: give a text file, a folder of text files, a .jsonl file, a corpus store, "
            f"or a built-in name ({', '.join(BUILTIN_TEXT)})."
        )
    if _stored(path):
        return CorpusStore.open(path, kind="texts").corpus()
    return TextCorpus.from_jsonl(path) if path.suffix.lower() == ".jsonl" else TextCorpus.from_file(path)


def _stored(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX or is_store(path)


def _of_file(path: Path) -> CorpusKind | None:
    """What one file holds; None: nothing that can be read."""
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        return "pictures"
    if _stored(path):
        return held_by(path)
    if suffix in SIDE_SUFFIXES or path.name.lower() in SIDE_NAMES:
        return "texts"
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return "pictures" if b"\0" in file.read(_LOOKED_AT) else "texts"
    except OSError:
        return None


def _of_folder(folder: Path) -> CorpusKind:
    found: CorpusKind | None = None
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            # Neither metadata nor a store that lies there is read as a part of the folder.
            if name.startswith(".") or name in FILE_NAMES or _stored(Path(place, name)):
                continue
            kind = _of_file(Path(place, name))
            if kind == "pictures":
                return kind
            found = kind or found
    if found is None:
        raise InputError(
            f"'{shown(folder)}' holds neither pictures nor texts that can be read (hidden files do not count): put at "
            "least one into it."
        )
    return found
