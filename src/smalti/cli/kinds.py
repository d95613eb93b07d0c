"""Whether a source holds pictures or texts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import typer

from smalti.corpus import BUILTIN
from smalti.corpus.decode import shown
from smalti.corpus.folder import SIDE_NAMES, SIDE_SUFFIXES
from smalti.corpus.metadata import FILE_NAMES
from smalti.corpus.text import BUILTIN_TEXT
from smalti.errors import InputError, UsageError

Kind: TypeAlias = Literal["pictures", "texts"]

_PICTURES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jp2", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".ico", ".icns"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".tga", ".dds", ".sgi", ".rgb", ".qoi", ".npz", ".smalti"),
    )
)
_LOOKED_AT = 8192  # bytes of a file whose name says nothing


def kind_of(source: str, *, text: bool = False) -> Kind:
    """What a source holds.

    Built-in names and names of files say it: those of pictures, archives and stores hold pictures, `.txt`, `.jsonl` and
    the like hold text; of any other file the first bytes say it, as text holds no NUL. A folder in which, or below
    which, there is a picture is a folder of pictures, whatever lies beside it; `text` makes it one of texts.

    Raises:
        InputError: there is nothing of that name.
        UsageError: `text` for what is a picture.
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


def check_options(context: typer.Context, wrong: Iterable[str], kind: Kind, source: str) -> None:
    """Refuses options that a person gave and that are for the other kind.

    Raises:
        UsageError: one of `wrong` was given.
    """
    for name in wrong:
        where = context.get_parameter_source(name)
        if where is not None and where.name != "DEFAULT":
            other = "texts" if kind == "pictures" else "pictures"
            raise UsageError(
                f"--{name.replace('_', '-')} is for {other}, and '{shown(Path(source))}' holds {kind}: leave it out"
            )


def _of_file(path: Path) -> Kind | None:
    """What one file holds; None: nothing that can be read."""
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        return "pictures"
    if suffix in SIDE_SUFFIXES or path.name.lower() in SIDE_NAMES:
        return "texts"
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return "pictures" if b"\0" in file.read(_LOOKED_AT) else "texts"
    except OSError:
        return None


def _of_folder(folder: Path) -> Kind:
    found: Kind = "pictures"  # of a folder without either, the words for pictures are those to read
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name in FILE_NAMES:
                continue
            kind = _of_file(Path(place, name))
            if kind == "pictures":
                return kind
            found = kind or found
    return found
