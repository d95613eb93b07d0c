"""A corpus on disk, in one file, that can forget.

The file is an SQLite database (`smalti.corpus.database`): items, each with a content id, name and metadata (pictures
also with a label); each content once, pixels in the fewest channels that hold them, texts as UTF-8; and a log. Which
items there were at which time stays known by content id and label, so that for any earlier digest the store can say
whether a given content was in it.

Forgetting overwrites content, name and metadata of an item with zeros, in the file, before it returns; what stays is
its content id, its label, when and why. Copies of the file made before, and blocks that a file system or a disk keeps
of earlier versions of a file, are out of its reach.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal

from smalti.corpus import pixels as px
from smalti.corpus.catalogue import begins
from smalti.corpus.database import File, overwrite, transaction
from smalti.corpus.decode import shown
from smalti.corpus.items import CorpusKind
from smalti.corpus.store.check import check
from smalti.corpus.store.file import file_of, held_by, place_for, publish, sweep
from smalti.corpus.store.log import (
    first_change,
    had,
    next_event,
    now,
    read_events,
    read_removals,
    to_leave_out,
    version_now,
    versions_of,
    write_event,
)
from smalti.corpus.store.pictures import Pictures
from smalti.corpus.store.records import Addition, Check, Compaction, Event, Item, Removal, State, Use
from smalti.corpus.store.rows import LIVE, C, Row, Rows, check_text, read_rows, write_items
from smalti.corpus.store.texts import Texts
from smalti.errors import InputError, UsageError

if TYPE_CHECKING:
    import sqlite3

_ROWS: Mapping[CorpusKind, type[Rows[Any]]] = {rows.kind: rows for rows in (Pictures, Texts)}


@dataclass(frozen=True)
class CorpusStore(Generic[C]):
    """A corpus of pictures or of texts in one file. Make one with `create`, or `open` one that is there.

    Every method is one transaction: of a change all is on the disk when it returns, or, if anything is raised or the
    process is killed, nothing. Several processes can use one store; a change waits for others up to
    `smalti.corpus.database.PATIENCE` seconds. Tier: *bitwise*.

    Every method raises `InputError`, one sentence that names the file, if it is damaged, locked for long, or cannot be
    read or written, and if the disk is full.

    path: the file.
    kind: what its items are: "pictures" or "texts".
    """

    path: Path
    kind: CorpusKind

    @property
    def _file(self) -> File:
        return file_of(self.path, self.kind)

    def _read(self, database: sqlite3.Connection) -> Rows[C]:
        return read_rows(database, self._file, _ROWS[self.kind])

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], corpus: C, *, source: str, more: Sequence[tuple[C, str]] = ()
    ) -> CorpusStore[C]:
        """Put a corpus into a new file. It appears under its name when it is whole.

        Main arguments: `path`, usually ending in `.smalti`; `corpus`. Other arguments: `source`, what the corpus was
        read from, kept with each item; `more`, further corpora, each with its source, put in as `add` does. Raises
        `InputError` if there is something at `path`, or its folder does not exist; for `more` as `add`.
        """
        store: CorpusStore[C] = cls(Path(path), corpus.kind)
        kind = _ROWS[corpus.kind]
        check_text(corpus, source)
        with place_for(store.path) as partial, store._file.connection(partial, missing="make") as database:
            # The lock is held until the file has its name, so that nobody takes it for a leftover.
            database.execute("PRAGMA locking_mode = EXCLUSIVE").close()
            with transaction(database, to="exclude"):
                store._file.lay_out(database)
                kind.begin(database, corpus)
                write_items(database, kind, corpus, range(len(corpus)), source=source, slots={})
                write_event(database, "create", items=len(corpus), before=None, after=corpus.digest)
                for one, its_source in more:
                    store._put(database, one, source=its_source, refused=set())
            publish(partial, store.path)
        return store

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, kind: CorpusKind | None = None) -> CorpusStore[Any]:
        """The store at `path`. Raises `InputError` if there is none, one of a later version, or, given a `kind`, one
        of the other.
        """
        path = Path(path)
        held = held_by(path)
        # Of what is no store the check says so.
        store: CorpusStore[Any] = cls(path, held or "pictures")
        store._file.check()
        if kind is not None and held != kind:
            raise InputError(f"'{shown(path)}' is a store of {held}, and {kind} are wanted: give a source of {kind}.")
        return store

    def state(self) -> State:
        """Number of items, digest, and so on."""
        with self._file.session(to="read") as database:
            rows = self._read(database)
            return State(
                items=len(rows.rows),
                labelled=rows.labels is not None,
                digest=rows.digest,
                version=version_now(database),
                removed=database.execute("SELECT count(*) FROM removed").fetchone()[0],
                **rows.state,
            )

    def items(self) -> tuple[Item, ...]:
        """Every item, in the order in which they were put in; no contents."""
        with self._file.session(to="read") as database:
            return tuple(row.item for row in self._read(database).rows)

    def corpus(self, *, size: px.Size | None = None) -> C:
        """The corpus, equal in every byte to one that never had what was forgotten.

        Other argument: `size`, for pictures, as in `ImageCorpus.from_folder`. Needs two to three times the memory of
        the corpus while it is read. Every content id is computed again: an item that is not as it was put in raises
        `InputError`.
        """
        with self._file.session(to="read") as database:
            return self._read(database).corpus(database, self._file, size=size)

    def add(
        self,
        corpus: C,
        *,
        source: str,
        more: Sequence[tuple[C, str]] = (),
        forgotten: Literal["leave out", "take back"] = "leave out",
    ) -> Addition:
        """Put in the items of a corpus that are not there yet.

        An item is there if one of the same content, label and name is; it then stays as it is, so that adding a folder
        again, or once more after a failure, adds what is new in it.

        Main argument: `corpus`. Other arguments: `source`, what it was read from; `more`, further corpora, each with
        its source, put in after it, all of them or none; `forgotten`, what to do with content that was forgotten and
        not taken back since, under whatever name: "leave out", or "take back". Names of what was forgotten are not
        kept, so content of which another item stayed is left out as well. Raises `UsageError` if the kinds or sizes
        differ, or only one of the two has labels; `InputError` if both together would be too large.
        """
        with self._file.session(to="write") as database:
            refused = to_leave_out(database) if forgotten == "leave out" else set[str]()
            done = [
                self._put(database, one, source=its_source, refused=refused)
                for one, its_source in ((corpus, source), *more)
            ]
        return Addition(
            items=sum(one.items for one in done),
            present=sum(one.present for one in done),
            forgotten=tuple(sorted({identity for one in done for identity in one.forgotten})),
            before=done[0].before,
            after=done[-1].after,
        )

    def _put(self, database: sqlite3.Connection, corpus: C, *, source: str, refused: set[str]) -> Addition:
        """Put in what is not there yet, but none of the content ids `refused`."""
        if corpus.kind != self.kind:
            raise UsageError(
                f"'{shown(self.path)}' is a store of {self.kind}, and the other corpus holds {corpus.kind}: keep them "
                "in different stores."
            )
        check_text(corpus, source)
        rows = self._read(database)
        rows.check_alike(corpus)
        before = after = rows.digest
        there = Counter((row.item.id, row.item.label, row.item.name) for row in rows.rows)
        slots = {row.item.id: row.slot for row in rows.rows}
        left_out: set[str] = set()
        new: list[int] = []
        present = 0
        for index, identity in enumerate(corpus.ids):
            key = (identity, corpus.labels[index] if corpus.labels else None, corpus.names[index])
            if there[key]:
                there[key] -= 1
                present += 1
            elif identity in refused:
                left_out.add(identity)
            else:
                new.append(index)
        if new:
            rows.check_room(database, corpus, new)
            write_items(database, type(rows), corpus, new, source=source, slots=slots)
            after = self._read(database).digest
            write_event(database, "add", items=len(new), before=before, after=after)
        return Addition(items=len(new), present=present, forgotten=tuple(sorted(left_out)), before=before, after=after)

    def find(self, texts: Sequence[str] = (), *, groups: Sequence[tuple[str, str | None]] = ()) -> tuple[Item, ...]:
        """The items that `forget` would take out. Arguments and errors as there."""
        with self._file.session(to="read") as database:
            return tuple(row.item for row in self._chosen(database, self._read(database), texts, groups))

    def forget(
        self,
        texts: Sequence[str] = (),
        *,
        reason: str,
        groups: Sequence[tuple[str, str | None]] = (),
        found: Sequence[Item] | None = None,
    ) -> Removal:
        """Take items out for good.

        When this returns, neither the file nor a journal beside it holds their content, names or metadata any more,
        except content that an item under another name or label has as well. The corpus, its digest and every sample
        equal, byte for byte, those of a corpus that never had the items.

        Main argument: `texts`, words that name items as in `ImageCorpus.find`; an id stands for every item of that
        content. Other arguments: `reason`, kept in the log; `groups`, (column, value) as in `ImageCorpus.group`, for
        every item of a group; `found`, what `find` said of both. Raises `UsageError` for an item or group that does not
        exist, a name that different contents have, an item that was forgotten before, no reason, and if no item would
        be left; `InputError`, and nothing is changed, if they do not name what was `found` any more, since another
        process changed the store meanwhile.
        """
        if not reason.strip():
            raise UsageError("forgetting needs a reason, which is kept in the log: say why.")
        # What a killed `create` of this store left behind may hold the same items.
        sweep(self.path)
        with self._file.session(to="write") as database:
            rows = self._read(database)
            chosen = self._chosen(database, rows, texts, groups)
            if found is not None and [row.item for row in chosen] != list(found):
                raise InputError(
                    f"'{shown(self.path)}' was changed by another process just now, so that other items would go than "
                    "were found: look again, and repeat the command."
                )
            if len(chosen) == len(rows.rows):
                whose = "its only item" if len(chosen) == 1 else f"all {len(chosen):,} of its items"
                raise UsageError(
                    f"without {whose} '{shown(self.path)}' would be empty: leave at least one, or delete the file."
                )
            places = {row.place for row in chosen}
            left = replace(rows, rows=tuple(row for row in rows.rows if row.place not in places))
            needed = {row.slot for row in left.rows}
            for slot in {row.slot for row in chosen} - needed:
                overwrite(database, rows.table, "bytes", slot)
            event = next_event(database)
            for row in chosen:
                overwrite(database, "items", "record", row.place)
                database.execute("INSERT INTO removed VALUES (?, ?)", (row.place, event))
            write_event(
                database, "forget", items=len(chosen), before=rows.digest, after=left.digest, reason=reason.strip()
            )
            return read_removals(database)[-1]

    def events(self) -> tuple[Event, ...]:
        """The log, oldest first."""
        with self._file.session(to="read") as database:
            return read_events(database)

    def removals(self) -> tuple[Removal, ...]:
        """Every act of forgetting, oldest first."""
        with self._file.session(to="read") as database:
            return read_removals(database)

    def contained(self, ids: Iterable[str], *, digest: str) -> frozenset[str] | None:
        """Which of these content ids the corpus had when its digest was `digest`, forgotten ones among them.

        None: the corpus never had that digest.
        """
        with self._file.session(to="read") as database:
            versions = versions_of(database, digest)
            wanted = frozenset(ids)
            if not versions:
                return None
            return frozenset(i for i in wanted if any(had(database, i, version) for version in versions))

    def changed_since(self, digest: str) -> Event | None:
        """What stands between an earlier corpus and the present one: the first event that forgot an item of it (and was
        not undone by taking it back), or else the first that added items.

        Main argument: `digest`, of an earlier version, or of a use of one at another size. None: the store knows of no
        such version, or nothing changed.
        """
        with self._file.session(to="read") as database:
            return first_change(database, digest)

    def record_use(self, kind: str, path: str | os.PathLike[str], digest: str) -> None:
        """Remember that something was made from the corpus, so that forgetting can say what still holds pieces of it.

        Main arguments: `kind`, "run", "ledger", "report", "effect", "match", "table" or "calibration"; `path`, where it
        is; `digest`, of the corpus it was made from. A digest that no version has, such as that of the pictures at
        another size, is taken for the present version. The same use is remembered once.
        """
        place = shown(Path(path).resolve())
        with self._file.session(to="write") as database:
            known = versions_of(database, digest)
            version = known[-1] if known else version_now(database)
            values = (kind, place, digest, version, now())
            database.execute("INSERT OR IGNORE INTO uses VALUES (?, ?, ?, ?, ?)", values)

    def uses_of(self, ids: Iterable[str]) -> tuple[Use, ...]:
        """Uses of versions of the corpus that had an item of any of these content ids, by kind and path."""
        with self._file.session(to="read") as database:
            query = "SELECT kind, path, digest, version, time FROM uses ORDER BY kind, path, time"
            names = ("kind", "path", "digest", "version", "time")
            uses = [Use(**dict(zip(names, values, strict=True))) for values in database.execute(query)]
            wanted = set(ids)
            return tuple(use for use in uses if any(had(database, identity, use.version) for identity in wanted))

    def verify(self) -> Check:
        """Compute every content id from the bytes and the digest from those, look for what was forgotten, and let
        SQLite check its own structure. Nothing is changed.

        Raises `InputError` if the file is damaged so much that nothing in it can be read.
        """
        return check(self._file, _ROWS[self.kind])

    def compact(self) -> Compaction:
        """Give the space of what was forgotten back to the file system.

        The file is written anew, in place, which needs room for it twice more while it runs.
        """
        with self._file.session(to="write") as database:
            before = self.path.stat().st_size
            table = _ROWS[self.kind].table
            gone = f"SELECT slot FROM {table} WHERE slot NOT IN (SELECT slot {LIVE}) AND length(bytes) > 0"
            # Shorter, never longer, and zeros already: no other row is moved by that.
            database.execute(f"UPDATE {table} SET bytes = x'' WHERE slot IN ({gone})")
            database.execute(
                "UPDATE items SET record = x'' WHERE length(record) > 0 AND place IN (SELECT place FROM removed)"
            )
        self._file.rewrite()
        with self._file.session(to="write") as database:
            digest = self._read(database).digest
            write_event(database, "compact", items=0, before=digest, after=digest)
        return Compaction(before=before, after=self.path.stat().st_size)

    def _chosen(
        self,
        database: sqlite3.Connection,
        rows: Rows[C],
        texts: Sequence[str],
        groups: Sequence[tuple[str, str | None]],
    ) -> list[Row]:
        """The items that words and groups name, in the order of `rows`."""
        if not texts and not groups:
            raise UsageError("no item is named: give content ids, names, or a group.")
        catalogue = rows.catalogue()
        chosen: set[int] = set()
        for text in texts:
            try:
                found = catalogue.find(text)
            except UsageError as error:
                if not any(begins(text, identity) for identity in catalogue.ids):
                    _refuse_forgotten(database, text, error)
                raise
            # Forgetting cannot be undone, and folders added one after the other may have items of one name.
            fits = sorted({rows.rows[index].item.id for index in found})
            if len(fits) > 1:
                some = ", ".join(identity[:16] for identity in fits[:3])
                more = f" and {len(fits) - 3} more" if len(fits) > 3 else ""
                raise UsageError(
                    f"{text!r} is the name of {len(fits)} different {self.kind}: give content ids ({some}{more})."
                )
            chosen.update(found)
        for column, value in groups:
            chosen.update(catalogue.group(column, value))
        return [rows.rows[index] for index in sorted(chosen)]


def _refuse_forgotten(database: sqlite3.Connection, text: str, error: UsageError) -> None:
    """Say so if a word that names no item stands for one that was forgotten, or may have been the name of one."""
    removals = read_removals(database)
    for removal in reversed(removals):
        if any(begins(text, identity) for identity in removal.ids):
            raise UsageError(
                f"item {text!r} was removed on {removal.time} ({removal.reason}): nothing of it is left to remove."
            ) from None
    if removals:
        raise UsageError(
            f"{str(error).rstrip('.')}; names of what was forgotten are erased, see smalti corpus list --removed."
        ) from None
