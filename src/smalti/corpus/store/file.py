"""The file of a corpus store: its layout, how it is recognised, how it gets its name, and what may lie beside it.

A store is made under a name of its own, `.NAME.xxxxxxxx.partial`, and gets its name in one operation when it is whole.
Rows that hold anything of an item are only ever appended, and forgotten by writing zeros over their bytes in place:
`smalti.corpus.database` says why.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from smalti.corpus.database import File, Kind, is_locked, mark_of
from smalti.corpus.decode import shown
from smalti.corpus.items import CorpusKind
from smalti.errors import InputError

SUFFIX = ".smalti"
"""How the file of a store is usually called. Any other name will do."""

_LOG = (
    """CREATE TABLE events (
  number INTEGER PRIMARY KEY,
  time TEXT NOT NULL, action TEXT NOT NULL, items INTEGER NOT NULL, before TEXT, after TEXT NOT NULL, reason TEXT
)""",
    "CREATE TABLE removed (place INTEGER PRIMARY KEY, event INTEGER NOT NULL)",
    """CREATE TABLE uses (
  kind TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL, version INTEGER NOT NULL, time TEXT NOT NULL,
  PRIMARY KEY (kind, path, digest)
)""",
)


def _kind(mark: bytes, *contents: str) -> Kind:
    return Kind(
        name="corpus store",
        mark=int.from_bytes(mark, "big"),
        version=1,
        layout=(*contents, *_LOG),
        make="check the path, or make one with smalti corpus create",
        mend="restore it from a backup, or create it again",
    )


# In both, a place is never used again; only `record` (name, metadata and so on) is zeroed when an item is forgotten.
STORES: Mapping[CorpusKind, Kind] = {
    "pictures": _kind(
        b"SmlC",
        """CREATE TABLE shape (
  height INTEGER NOT NULL, width INTEGER NOT NULL, labelled INTEGER NOT NULL
)""",
        """CREATE TABLE items (
  place INTEGER PRIMARY KEY,
  id BLOB NOT NULL, slot INTEGER NOT NULL, channels INTEGER NOT NULL, declared INTEGER NOT NULL, label TEXT,
  born INTEGER NOT NULL, record BLOB NOT NULL
)""",
        "CREATE INDEX items_by_id ON items (id)",
        "CREATE TABLE pixels (slot INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
    ),
    # Texts have no labels; the column is there so that one statement reads both kinds.
    "texts": _kind(
        b"SmlD",
        """CREATE TABLE items (
  place INTEGER PRIMARY KEY,
  id BLOB NOT NULL, slot INTEGER NOT NULL, label TEXT, born INTEGER NOT NULL, record BLOB NOT NULL
)""",
        "CREATE INDEX items_by_id ON items (id)",
        "CREATE TABLE texts (slot INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
    ),
}
"""The file of each kind of corpus: which it is, its mark says."""


def held_by(path: Path) -> CorpusKind | None:
    """What a file holds that begins as a corpus store does, whatever its name; None for any other file."""
    try:
        mark = mark_of(path)
    except OSError:
        return None
    return next((kind for kind, store in STORES.items() if store.mark == mark), None)


def is_store(path: Path) -> bool:
    """Whether a file begins as a corpus store does, whatever its name."""
    return held_by(path) is not None


def file_of(path: Path, kind: CorpusKind) -> File:
    """The store at `path`, as a database."""
    return File(path, STORES[kind])


def check_free(path: Path) -> None:
    """Raise `InputError` if there is something at `path`, or no folder for it."""
    if os.path.lexists(path):
        raise InputError(f"'{shown(path)}' exists already: choose another name, or use smalti corpus add.")
    if not path.parent.is_dir():
        raise InputError(f"'{shown(path.parent)}' is no folder: make it first.")


@contextlib.contextmanager
def place_for(path: Path) -> Iterator[Path]:
    """A name beside `path` for the file that is going to be the store there; what has that name at the end is removed.

    Raises `InputError` as `check_free`.
    """
    check_free(path)
    sweep(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
    finally:
        for file in (partial, _journal(partial)):
            with contextlib.suppress(OSError):
                file.unlink()


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its name, unless something else has that name by now. Raises `InputError`."""
    try:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError as error:
            # File systems without links cannot do this in one step.
            if os.path.lexists(path):
                raise FileExistsError from error
            partial.rename(path)
        with contextlib.suppress(OSError):  # some file systems cannot, and need no telling
            handle = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except FileExistsError as error:
        raise InputError(f"'{shown(path)}' was made by another process just now: choose another name.") from error
    except OSError as error:
        raise InputError(
            f"'{shown(path)}' cannot be written ({error.strerror or error}): choose a place where files can be created."
        ) from error


def sweep(path: Path) -> None:
    """Remove what killed processes left behind when they made the store at `path`; files in use stay.

    Raises `InputError` for one that cannot be removed: it may hold what is to be forgotten.
    """
    leftover = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.partial")
    try:
        found = [file for file in path.parent.iterdir() if leftover.fullmatch(file.name)]
    except OSError as error:
        raise InputError(
            f"'{shown(path.parent)}' cannot be listed ({error.strerror or error}): make it readable."
        ) from error
    for file in found:
        # A process killed between giving the name and taking the old one away leaves two names of one file.
        if not (path.exists() and file.samefile(path)) and is_locked(file):
            continue
        for one in (file, _journal(file)):
            try:
                one.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(
                    f"'{shown(one)}' was left behind by a command that was stopped, may hold items, and cannot be "
                    f"removed ({error.strerror or error}): delete it."
                ) from error


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")
