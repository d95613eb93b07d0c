"""Files of Smalti's own that are SQLite databases with a mark and a version: corpus stores, ledgers.

SQLite's transactions, rollback journal and locks keep such a file whole: a change is in it entirely or not at all,
whenever the process or the machine stops, and what was acknowledged is on the disk.

What SQLite does not keep of itself is that deleted bytes are gone. `secure_delete` overwrites what is deleted, but
where neighbouring pages are balanced a moved row leaves a copy behind in unused space, which nothing overwrites when
that row is deleted later. So what must be gone is either only ever appended, which moves no other row, and then
overwritten in place (`overwrite`), or the whole file is written anew after it was deleted (`File.rewrite`).
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from smalti.corpus.decode import shown
from smalti.errors import InputError, disk_full

if TYPE_CHECKING:
    import sqlite3

PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""

# POSIX drops every lock that a process has on a file when it closes that file anywhere, as reading its first bytes
# does; so within one process only one thread at a time has such a file open.
_ALONE = threading.RLock()

_PIECE = 2**20


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file.

    name: what one is called, such as "corpus store".
    mark: what SQLite's `application_id` says in it.
    version: the layout below, as SQLite's `user_version`.
    layout: the statements that lay one out.
    make: what to do if there is none, as the end of a sentence.
    mend: what to do if one is damaged, likewise.
    """

    name: str
    mark: int
    version: int
    layout: tuple[str, ...]
    make: str
    mend: str


@dataclass(frozen=True)
class File:
    """A file of a kind. All methods raise `InputError`, one sentence, in place of whatever SQLite says."""

    path: Path
    kind: Kind

    def check(self) -> None:
        """Raise `InputError` if there is none of its kind at `path`, or one of a later version."""
        name, kind = f"'{shown(self.path)}'", self.kind
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError as error:
            raise InputError(f"There is no {kind.name} at {name}: {kind.make}.") from error
        except OSError as error:
            raise InputError(f"{name} cannot be opened ({error.strerror or error}): make it readable.") from error
        if not stat.S_ISREG(mode):
            raise InputError(f"{name} is not a file: give the path of a {kind.name}.")
        # SQLite reads the mark, and not we, since it first undoes what a killed process left half done.
        with self.session(to="read") as database:
            mark, version = _marks(database)
            if mark != kind.mark:
                if _is_empty(database):
                    raise self._foreign()
                raise InputError(f"{name} is a database of another kind, and no {kind.name}: give another path.")
            if version > kind.version:
                raise InputError(
                    f"{name} was written by a later Smalti (layout {version}; this one reads {kind.version}): update "
                    "Smalti."
                )
            # Views of one's own hold nothing; SQLite's own tables come with some layouts.
            made = "SELECT sql FROM sqlite_master WHERE type != 'view' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
            found = {sql for (sql,) in database.execute(made)}
            if version < kind.version or found != set(kind.layout):
                raise self.damaged(f"its tables are not those of a {kind.name}")

    @contextlib.contextmanager
    def session(self, *, to: Literal["read", "write"]) -> Iterator[sqlite3.Connection]:
        """One transaction on a file that is there: all of it on the disk at the end, or, if anything is raised,
        nothing.
        """
        with self.connection() as database:
            if to == "write":
                database.execute("PRAGMA journal_mode = DELETE").close()
                # A process that is killed while it makes a file shorter can leave pages behind the end that SQLite
                # knows of, where nothing would ever overwrite them.
                if self.path.stat().st_size > _end(database):
                    with transaction(database, to="exclude"):
                        os.truncate(self.path, _end(database))
            with transaction(database, to=to):
                # SQLite takes the missing end of a last page for zeros.
                if self.path.stat().st_size < _end(database):
                    raise self.damaged("it is cut short")
                yield database

    @contextlib.contextmanager
    def connection(
        self, place: Path | None = None, *, missing: Literal["make", "refuse"] = "refuse"
    ) -> Iterator[sqlite3.Connection]:
        """A connection whose transactions are begun by hand.

        Main argument: `place`, where the file is as long as it is being made; `path` unless given. Other argument:
        `missing`, what to do if there is no file.
        """
        import sqlite3

        with _ALONE, self.said():
            uri = _uri(place or self.path, "rwc" if missing == "make" else "rw")
            database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=PATIENCE)
            try:
                for setting in (
                    "secure_delete = ON",
                    # Also forces the end of the journal to the disk, so that nothing acknowledged is undone after a
                    # power failure.
                    "synchronous = EXTRA",
                    "trusted_schema = OFF",
                    "cell_size_check = ON",
                ):
                    database.execute(f"PRAGMA {setting}").close()
                yield database
            finally:
                database.close()

    def lay_out(self, database: sqlite3.Connection) -> None:
        """Make tables and marks, within a transaction, unless another process did."""
        if _is_empty(database):
            marks = (f"application_id = {self.kind.mark}", f"user_version = {self.kind.version}")
            for statement in (*self.kind.layout, *(f"PRAGMA {mark}" for mark in marks)):
                database.execute(statement)

    def surplus(self, database: sqlite3.Connection) -> int:
        """Bytes behind the file's end: what a kill while it was shortened leaves, and the next change cuts off."""
        return self.path.stat().st_size - _end(database)

    def rewrite(self) -> None:
        """Write the file anew, in place, so that nothing is left in unused space. Needs room for it twice more, some
        of it in the folder for temporary files.
        """
        with self.connection() as database:
            database.execute("PRAGMA journal_mode = DELETE").close()
            database.execute("VACUUM")

    @contextlib.contextmanager
    def said(self) -> Iterator[None]:
        """Turn what SQLite says of the file into one sentence."""
        import sqlite3

        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise
        except UnicodeDecodeError as error:  # what SQLite says of a damaged table may quote it
            raise self.damaged("texts in it are not UTF-8") from error
        except sqlite3.Error as error:
            # A text that is not UTF-8 comes without a code. The low byte is the kind of error.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            name = f"'{shown(self.path)}'"
            if code == sqlite3.SQLITE_NOTADB:
                raise self._foreign() from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                sentence = f"{name} is in use by another process: wait until that is done, and repeat the command."
            elif code == sqlite3.SQLITE_FULL:
                raise disk_full(name) from error
            elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
                sentence = f"{name} cannot be opened or written ({error}): see that it is there, and that you may read "
                sentence += "and write it and its folder."
            elif code == sqlite3.SQLITE_IOERR:
                sentence = (
                    f"{name} cannot be read or written ({error}): see that its disk is there, sound and not full."
                )
            else:
                raise self.damaged(str(error)) from error
            raise InputError(sentence) from error

    def damaged(self, what: str) -> InputError:
        """The error of a file that is not whole; `what` is not as it was written."""
        return InputError(f"'{shown(self.path)}' is damaged ({what}): {self.kind.mend}.")

    def _foreign(self) -> InputError:
        return InputError(
            f"'{shown(self.path)}' is no {self.kind.name}, or its beginning is damaged: give another path, or restore "
            "it from a backup."
        )


@contextlib.contextmanager
def transaction(database: sqlite3.Connection, *, to: Literal["read", "write", "exclude"]) -> Iterator[None]:
    """One transaction: committed at the end, or, if anything is raised, undone. "exclude" keeps readers out, too."""
    database.execute({"read": "BEGIN", "write": "BEGIN IMMEDIATE", "exclude": "BEGIN EXCLUSIVE"}[to])
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # a full disk may have ended it already
            database.execute("ROLLBACK")
        raise


def overwrite(database: sqlite3.Connection, table: str, column: str, row: int) -> None:
    """Write zeros over a value in place: the row keeps its length, so that nothing is moved."""
    with database.blobopen(table, column, row) as blob:
        left = len(blob)
        while left > 0:
            piece = min(left, _PIECE)
            blob.write(bytes(piece))
            left -= piece


def mark_of(path: Path) -> int | None:
    """The application id of an SQLite file; None for anything else. Raises `OSError` if it cannot be read."""
    if not stat.S_ISREG(path.stat().st_mode):  # to open a named pipe would wait for ever
        return None
    with _ALONE, path.open("rb") as stream:
        head = stream.read(72)
    return int.from_bytes(head[68:72], "big") if len(head) == 72 and head.startswith(b"SQLite format 3\0") else None


def is_locked(path: Path) -> bool:
    """Whether another process has an SQLite file open for writing."""
    import sqlite3

    with _ALONE:
        try:
            with contextlib.closing(sqlite3.connect(_uri(path, "rw"), uri=True, timeout=0)) as database:
                database.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return False


def _marks(database: sqlite3.Connection) -> tuple[int, int]:
    """Mark and version."""
    mark, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    return mark, version


def _is_empty(database: sqlite3.Connection) -> bool:
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return _marks(database) == (0, 0) and tables == 0


def _end(database: sqlite3.Connection) -> int:
    """Size of the file in bytes, as SQLite knows it."""
    pages, each = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return pages * each


def _uri(path: Path, mode: Literal["rw", "rwc"]) -> str:
    # Bytes, since a file system may allow names that are not text.
    return f"file:{quote(bytes(path.absolute()))}?mode={mode}"
