"""Opening a source for a command, and opening the source of an earlier run again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smalti.corpus import ImageCorpus, open_images
from smalti.corpus.decode import shown
from smalti.corpus.pixels import shown_size
from smalti.corpus.sources import kind_of, place_of
from smalti.errors import InputError, UsageError
from smalti.sampling.files import check_creatable

LARGEST_SIDE = 320
"""Longer side, in pixels, to which one picture is reduced unless a size is asked for.

The work grows with its fourth power.
"""


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        place: what opens the same source from any folder: an absolute path, or the name of a built-in example.
        corpus: its pictures.
        notes: what was done to them on the way in, one sentence each.
    """

    place: str
    corpus: ImageCorpus
    notes: tuple[str, ...]


def open_source(source: str, *, size: tuple[int, int] | None) -> Source:
    """Opens a source at a size (height, width), or at the pictures' own; one large picture is then reduced.

    Raises:
        InputError: it cannot be used.
    """
    corpus = open_images(source, size=size)
    notes = corpus.notes
    longer = max(corpus.size)
    if size is None and len(corpus) == 1 and longer > LARGEST_SIDE:
        height, width = (max(1, round(side * LARGEST_SIDE / longer)) for side in corpus.size)
        own = shown_size(corpus.size)
        corpus = open_images(source, size=(height, width))
        used = shown_size(corpus.size)
        notes = (*corpus.notes, f"no --size given, so the picture of {own} is used at {used} (width x height)")
    return Source(place_of(source), corpus, notes)


def named(source: str) -> str:
    """The source as it was given.

    Raises:
        UsageError: nothing was given, which would mean the folder that one is in.
    """
    if not source:
        raise UsageError(
            "the source has an empty name: give a folder, a picture, a text file, a corpus store, or a built-in name"
        )
    return source


def check_pictures(source: str) -> None:
    """Refuses texts, for commands with networks.

    Raises:
        InputError: the source holds texts, or there is nothing of that name.
        UsageError: nothing was given.
    """
    if kind_of(named(source)) == "texts":
        raise InputError(f"'{shown(Path(source))}' holds texts, and networks here draw pictures: give pictures")


def check_outside(out: Path, source: str) -> None:
    """Refuses a folder for results that lies in the folder `source`, where they would be taken for a part of it.

    Raises:
        UsageError: it does.
    """
    if Path(source).is_dir() and out.absolute().resolve().is_relative_to(Path(source).resolve()):
        raise UsageError(
            f"'{shown(out)}' lies in the source '{shown(Path(source))}', and its files would be taken for a part "
            "of it next time: choose a folder outside"
        )


def check_new(out: Path, source: str) -> None:
    """Refuses, before any work, a folder for results that holds something already, that cannot be made or written to,
    or that lies in the folder `source`.

    Raises:
        InputError: it holds something, is no folder, or no file can be created there.
        UsageError: it lies in the source.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{shown(out)}' is not an empty folder: choose another, or remove what is there")
    check_outside(out, source)
    check_creatable(out)
