"""The sources that `smalti corpus` puts into a store: of one kind, opened with what they were read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli.sources import named
from smalti.cli.terminal import tell_notes
from smalti.corpus import CorpusStore, ImageCorpus, TextCorpus, open_images, open_text
from smalti.corpus.decode import shown
from smalti.corpus.items import CorpusKind
from smalti.corpus.metadata import FILE_NAMES
from smalti.corpus.sources import kind_of, place_of
from smalti.errors import UsageError

SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Pictures: a folder (its sub-folders are labels), a picture, an .npz file. Texts: a folder, a text file, "
        "a .jsonl file with a field text. Or another store, or built in: digits, photo, python-manual.",
        show_default=False,
    ),
]


def kind_of_all(sources: Sequence[str], *, text: bool = False, of: CorpusStore[Any] | None = None) -> CorpusKind:
    """What all sources hold.

    Args:
        sources: what a person named.

    Keyword Args:
        text: whether folders with pictures in them are folders of texts.
        of: a store that they are for, which says of which kind they must be.

    Raises:
        InputError: there is nothing of such a name.
        UsageError: they hold different kinds, or another than the store; or one is a file of metadata.
    """
    kinds: dict[CorpusKind, str] = {} if of is None else {of.kind: shown(of.path)}
    for source in map(named, sources):
        if Path(source).name in FILE_NAMES and Path(source).is_file():
            raise UsageError(
                f"'{shown(Path(source))}' speaks of the files beside it: give their folder, with which it is read"
            )
        # The texts of a folder can be meant, whatever lies beside them.
        meant = text or (of is not None and of.kind == "texts" and Path(source).is_dir())
        kinds.setdefault(kind_of(source, text=meant), shown(Path(source)))
    if len(kinds) > 1:
        (first, its), (second, other) = kinds.items()
        raise UsageError(
            f"'{its}' holds {first} and '{other}' holds {second}: a store has one kind, so keep them in different ones"
        )
    return next(iter(kinds))


def opened_all(
    sources: Sequence[str], kind: CorpusKind, *, size: tuple[int, int] | None
) -> list[tuple[ImageCorpus | TextCorpus, str]]:
    """The corpus of each source, and what opens it again from any folder; notes go to standard error.

    Raises:
        InputError, UsageError: one cannot be used.
    """
    found: list[tuple[ImageCorpus | TextCorpus, str]] = []
    tell_notes(dict.fromkeys(note for source in sources for note in _not_joined(Path(source))))
    for source in sources:
        corpus = open_text(source) if kind == "texts" else open_images(source, size=size)
        tell_notes(corpus.notes)
        found.append((corpus, place_of(source)))
    return found


def _not_joined(path: Path) -> Iterator[str]:
    """A note if a file was named whose metadata is only read with its folder."""
    for beside in (path.with_name(name) for name in FILE_NAMES):
        if path.is_file() and beside.is_file():
            yield f"'{shown(beside)}' is not read for files named one by one: give their folder if it should be"
