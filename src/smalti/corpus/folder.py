"""Which files of a folder are pictures, and which label each has.

Sub-folders are labels: a picture's label is the first sub-folder on the way to it, and deeper ones only order files. A
folder either has all its pictures directly inside, and no labels, or all of them in sub-folders; a mixture is refused,
since a picture without a label beside labelled ones would silently drop out of every run with a label. A file
`metadata.csv` or `metadata.jsonl` says more of the pictures beside and below it (see `smalti.corpus.metadata`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from smalti.corpus import pixels as px
from smalti.corpus.decode import Picture, decode_file, quiet_pillow, shown
from smalti.corpus.metadata import FILE_NAMES, read_metadata
from smalti.errors import InputError

SIDE_SUFFIXES = frozenset(
    {
        *(".txt", ".md", ".rst", ".log", ".pdf", ".htm", ".html"),
        *(".csv", ".tsv", ".json", ".jsonl", ".xml", ".xmp", ".yaml", ".yml", ".toml", ".cfg", ".ini"),
        *(".db", ".aae", ".smalti"),
    }
)
"""Files that commonly lie beside pictures: left out with a note. Any other file must be a picture."""

SIDE_NAMES = frozenset(("readme", "license", "licence", "notice", "copying"))
"""The same for names without a suffix."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The picture files of a folder, sorted by name.

    files: paths to open.
    names: the same, relative to the folder, with `/` between parts.
    labels: one per file, or None if the folder has no sub-folders with pictures.
    metadata: one mapping per file from column to text.
    notes: what was left out, in words.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    metadata: tuple[Mapping[str, str], ...]
    notes: tuple[str, ...]


def list_pictures(folder: Path) -> Listing:
    """Find the pictures in `folder` and below it.

    Hidden files and folders (a leading dot), `SIDE_SUFFIXES` and links to folders are left out with a note, so a folder
    is never entered twice and loops cannot arise; links to files are followed. Raises `InputError` if the folder does
    not exist, cannot be read, has no pictures, or has some beside its sub-folders and some in them, and for metadata
    that cannot be joined.
    """
    if not folder.is_dir():
        state = "is not a folder" if os.path.lexists(folder) else "does not exist"
        raise InputError(f"'{shown(folder)}' {state}: give a folder of pictures.")
    found: list[tuple[str, Path]] = []
    tables: list[tuple[str, Path]] = []
    left_out: dict[str, list[str]] = {}
    waiting = [folder]
    while waiting:
        entries = _entries(waiting.pop())
        for entry in entries:
            path = Path(entry.path)
            name = shown(path.relative_to(folder).as_posix())
            if entry.name in FILE_NAMES and not entry.is_dir():
                tables.append((name, path))
            elif reason := _left_out(entry):
                left_out.setdefault(reason, []).append(name)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                found.append((name, path))
        both = [entry.path for entry in entries if entry.name in FILE_NAMES and not entry.is_dir()]
        if len(both) > 1:
            raise InputError(f"'{shown(min(both))}' lies beside metadata.jsonl: keep one of the two.")
    notes = tuple(f"left out, {reason}: {_some(names)}" for reason, names in sorted(left_out.items()))
    if not found:
        reasons = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(f"'{shown(folder)}' holds no picture{reasons}: put at least one into it.")
    found.sort()
    names = tuple(name for name, _ in found)
    inside = [name for name in names if "/" in name]
    if inside and len(inside) < len(names):
        beside = next(name for name in names if "/" not in name)
        raise InputError(
            f"'{shown(folder)}' holds pictures beside its sub-folders ('{beside}') and in them ('{inside[0]}'): "
            "sub-folders are labels, so move every picture into one, or all of them out."
        )
    labels = tuple(name.split("/", 1)[0] for name in names) if inside else None
    metadata, more = read_metadata(tables, names, labelled=labels is not None)
    return Listing(
        files=tuple(path for _, path in found), names=names, labels=labels, metadata=metadata, notes=(*notes, *more)
    )


def read_pictures(listing: Listing, *, what: str, size: tuple[int, int] | None) -> list[Picture]:
    """Decode the files of a listing, in its order; `what` is what messages call the folder.

    Raises `InputError` for the first file that cannot be decoded, for pictures of different sizes, and if all together
    would be too large.
    """
    pictures: list[Picture] = []
    channels = 0
    workers = min(4, os.cpu_count() or 1)
    with quiet_pillow(), ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        for name, picture in zip(listing.names, _decoded(pool, listing.files, size, ahead=4 * workers), strict=True):
            if pictures and picture.size != pictures[0].size:
                raise InputError(
                    f"the pictures in {what} have different sizes: '{listing.names[0]}' is "
                    f"{px.shown_size(pictures[0].size)} and "
                    f"'{name}' is {px.shown_size(picture.size)}: pass --size (from Python: size=) to bring all to one."
                )
            if picture.pixels.shape[-1] > channels:
                channels = picture.pixels.shape[-1]
                px.check_memory(what, count=len(listing.files), size=picture.size, channels=channels)
            pictures.append(picture)
    return pictures


def _decoded(
    pool: ThreadPoolExecutor, files: Sequence[Path], size: tuple[int, int] | None, *, ahead: int
) -> Iterator[Picture]:
    """Pictures in the order of `files`. Threads decode a little ahead, but results and errors come in order, so they
    cannot depend on timing.
    """
    waiting: deque[Future[Picture]] = deque()
    for file in files:
        waiting.append(pool.submit(decode_file, file, size=size))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(
            f"'{shown(folder)}' cannot be listed ({error.strerror}): make it readable, or take it out."
        ) from error


def _left_out(entry: os.DirEntry[str]) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_symlink():
        # A link that leads nowhere or round in a circle is no folder: opening it later says what is wrong.
        return "a link to a folder" if os.path.isdir(entry.path) else None  # noqa: PTH112
    if entry.is_dir():
        return None
    stem, suffix = os.path.splitext(entry.name.lower())  # noqa: PTH122
    return "not a picture" if suffix in SIDE_SUFFIXES or (not suffix and stem in SIDE_NAMES) else None


def _some(names: list[str]) -> str:
    first = min(names)
    return f"'{first}'" if len(names) == 1 else f"{len(names):,} such as '{first}'"
