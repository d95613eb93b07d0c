"""Rows of a corpus store: how an item becomes bytes, and comes back, whatever the items are. Used by `CorpusStore`.

What differs between pictures and texts is in `smalti.corpus.store.pictures` and `smalti.corpus.store.texts`.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from smalti.corpus.catalogue import Catalogue
from smalti.corpus.database import File
from smalti.corpus.items import CorpusKind, Items
from smalti.corpus.store.log import next_event
from smalti.corpus.store.records import Item
from smalti.errors import InputError

if TYPE_CHECKING:
    import sqlite3

    from smalti.corpus.pixels import Size

C = TypeVar("C", bound=Items)

LIVE = "FROM items LEFT JOIN removed USING (place) WHERE event IS NULL"
"""The items that are there."""


@dataclass(frozen=True)
class Row:
    """An item that is there, with what only the store needs to know: where it is, and values of its kind's columns."""

    place: int
    slot: int
    own: tuple[Any, ...]
    item: Item


@dataclass(frozen=True)
class Rows(ABC, Generic[C]):
    """All items that are there, in the order of their places. There is a subclass for each kind of corpus.

    kind: what the items are.
    table: the table of their contents.
    own: columns of the table of items that only this kind has.
    content_word: what a content is called.
    """

    rows: tuple[Row, ...]

    kind: ClassVar[CorpusKind]
    table: ClassVar[str]
    own: ClassVar[tuple[str, ...]]
    content_word: ClassVar[str]

    @classmethod
    @abstractmethod
    def begin(cls, database: sqlite3.Connection, corpus: C) -> None:
        """Write what a new store says of all of its items."""

    @classmethod
    @abstractmethod
    def values(cls, corpus: C, index: int) -> tuple[Any, ...]:
        """Values of `own` of an item of a corpus."""

    @classmethod
    @abstractmethod
    def details(cls, corpus: C, index: int) -> dict[str, Any]:
        """What else must vanish with an item of a corpus."""

    @classmethod
    @abstractmethod
    def content(cls, corpus: C, index: int) -> bytes:
        """The content of an item of a corpus. Raises `InputError` for one that a store cannot hold."""

    @classmethod
    @abstractmethod
    def describing(cls, own: tuple[Any, ...], record: Mapping[str, Any]) -> dict[str, Any]:
        """What `Item` says of this kind alone. Raises `ValueError` where it is not as it was written."""

    @classmethod
    @abstractmethod
    def of(cls, database: sqlite3.Connection, rows: tuple[Row, ...]) -> Self:
        """The record. Raises `ValueError` where rows do not fit to what the store says of all of them."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Digest of the corpus, from what is known without contents."""

    @abstractmethod
    def digest_of(self, ids: Sequence[str]) -> str:
        """The same with these content ids, one for each row."""

    @property
    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `State` says of this kind alone."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """One per item, or None."""
        return None

    @abstractmethod
    def check_alike(self, corpus: C) -> None:
        """Raise `UsageError` if items of a corpus cannot be in the same one."""

    @abstractmethod
    def check_room(self, database: sqlite3.Connection, corpus: C, new: Sequence[int]) -> None:
        """Raise `InputError` if with new items, by index, the corpus would be too large."""

    @abstractmethod
    def corpus(self, database: sqlite3.Connection, file: File, *, size: Size | None) -> C:
        """See `CorpusStore.corpus`."""

    @abstractmethod
    def problems_of(self, row: Row, content: bytes) -> tuple[str, str]:
        """Content id of stored bytes, and what is wrong with their item beside it, as the end of a sentence, or
        nothing. Raises `ValueError` if they have another length than they should.
        """

    def catalogue(self) -> Catalogue:
        """Their columns."""
        return Catalogue(
            ids=tuple(row.item.id for row in self.rows),
            labels=self.labels,
            names=tuple(row.item.name for row in self.rows),
            metadata=tuple(row.item.metadata for row in self.rows),
        )

    def contents(self, database: sqlite3.Connection, file: File) -> Iterator[tuple[Row, bytes]]:
        """Each item with its content, one at a time, in the order of `rows`."""
        query = f"SELECT place, bytes FROM items JOIN {self.table} USING (slot) LEFT JOIN removed USING (place) "
        found = database.execute(f"{query} WHERE event IS NULL ORDER BY place")
        with garbled(file):
            for row, (place, content) in zip(self.rows, found, strict=True):
                if row.place != place:
                    raise ValueError("an item has no content")
                yield row, content


def read_rows(database: sqlite3.Connection, file: File, kind: type[Rows[C]]) -> Rows[C]:
    """Every item that is there; no contents. Raises `InputError` if the store is damaged."""
    with garbled(file):
        columns = ", ".join(("place", "slot", "id", "label", "born", "record", *kind.own))
        query = f"SELECT {columns} {LIVE} ORDER BY place"
        rows = tuple(_row(kind, *values) for values in database.execute(query))
        if not rows:
            raise ValueError("its items are not there")
        return kind.of(database, rows)


def write_items(
    database: sqlite3.Connection,
    kind: type[Rows[C]],
    corpus: C,
    indices: Iterable[int],
    *,
    source: str,
    slots: dict[str, int],
) -> None:
    """Append items of a corpus; content that is there already is not stored again.

    slots: content id to slot for the content that is there; what is appended is entered here.
    """
    event = next_event(database)
    place, slot = (
        database.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0]
        for key, table in (("place", "items"), ("slot", kind.table))
    )
    columns = ("place", "slot", "id", "label", "born", "record", *kind.own)
    insert = f"INSERT INTO items ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for index in indices:
        identity = corpus.ids[index]
        if identity not in slots:
            slot += 1
            slots[identity] = slot
            database.execute(f"INSERT INTO {kind.table} VALUES (?, ?)", (slot, kind.content(corpus, index)))
        place += 1
        label = None if corpus.labels is None else corpus.labels[index]
        record = _record(kind, corpus, index, source)
        values = (place, slots[identity], bytes.fromhex(identity), label, event, record, *kind.values(corpus, index))
        database.execute(insert, values)


def check_text(corpus: Items, source: str) -> None:
    """Raise `InputError` for a label or source that is not text in Unicode, which a database cannot hold."""
    for text in (*(corpus.labels or ()), source):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{text!r} holds half a character (a lone surrogate): rename it.") from error


def altered(file: File, kind: CorpusKind) -> InputError:
    """The error of a store some of whose contents do not have their content ids."""
    return file.damaged(f"{kind} are not as they were put in; smalti corpus verify says which")


@contextlib.contextmanager
def garbled(file: File) -> Iterator[None]:
    """Turn the failure to make sense of rows into the one sentence of a damaged store."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise file.damaged("its rows are not as they were written") from error


def _record(kind: type[Rows[C]], corpus: C, index: int, source: str) -> bytes:
    """All of an item that must vanish with it, with a checksum, since digests do not cover it."""
    content = {
        "name": corpus.names[index],
        "source": source,
        "metadata": dict(corpus.metadata[index]),
        "conversions": corpus.conversions[index],
        **kind.details(corpus, index),
    }
    text = json.dumps(content).encode("ascii")
    return zlib.crc32(text).to_bytes(4, "big") + text


def _row(
    kind: type[Rows[Any]],
    place: int,
    slot: int,
    identity: bytes,
    label: str | None,
    born: int,
    record: bytes,
    *own: Any,
) -> Row:
    if zlib.crc32(record[4:]) != int.from_bytes(record[:4], "big"):
        raise ValueError("a record has another checksum")
    content = json.loads(record[4:])
    item = Item(
        id=identity.hex(),
        label=label,
        name=content["name"],
        metadata=content["metadata"],
        conversions=tuple(content["conversions"]),
        source=content["source"],
        since=born,
        **kind.describing(own, content),
    )
    return Row(place, slot, own, item)
