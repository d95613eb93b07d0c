"""Rows of a corpus store: how an item becomes bytes, and comes back. Used by `CorpusStore`."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smalti.corpus import pixels as px
from smalti.corpus.catalogue import Catalogue
from smalti.corpus.images import ImageCorpus
from smalti.corpus.store.file import file_of
from smalti.corpus.store.records import Event, Item, Removal, State
from smalti.errors import InputError, UsageError

if TYPE_CHECKING:
    import sqlite3

LIVE = "FROM items LEFT JOIN removed USING (place) WHERE event IS NULL"
"""The items that are there."""


@dataclass(frozen=True)
class Row:
    """An item that is there, with what only the store needs to know: where it is, and channels its source declared."""

    place: int
    slot: int
    declared: int
    item: Item


@dataclass(frozen=True)
class Rows:
    """All items that are there, in the order of their places; height and width; whether items have labels."""

    rows: tuple[Row, ...]
    size: tuple[int, int]
    labelled: bool

    @property
    def channels(self) -> int:
        """Channels of the corpus: the fewest that hold every item, but at least those a source declared."""
        return max(max(row.item.channels, row.declared) for row in self.rows)

    @property
    def digest(self) -> str:
        """Digest of the corpus, from content ids and labels alone."""
        return px.corpus_digest(self.channels, [row.item.id for row in self.rows], self.labels)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """One per item, or None."""
        return tuple(row.item.label or "" for row in self.rows) if self.labelled else None

    def catalogue(self) -> Catalogue:
        """Their columns."""
        return Catalogue(
            ids=tuple(row.item.id for row in self.rows),
            labels=self.labels,
            names=tuple(row.item.name for row in self.rows),
            metadata=tuple(row.item.metadata for row in self.rows),
        )


def read_rows(database: sqlite3.Connection, path: Path) -> Rows:
    """Every item that is there; no pixels. Raises `InputError` if the store is damaged."""
    with garbled(path):
        ((height, width, labelled),) = database.execute("SELECT height, width, labelled FROM shape")
        query = f"SELECT place, slot, declared, id, label, channels, born, record {LIVE} ORDER BY place"
        rows = tuple(_row(values, labelled=bool(labelled)) for values in database.execute(query))
        if not rows or min(height, width) < 1 or height * width > px.LARGEST_PICTURE:
            raise ValueError("its items are not there")
        return Rows(rows, (height, width), bool(labelled))


def read_state(database: sqlite3.Connection, rows: Rows) -> State:
    """What the store is now."""
    ((version,),) = database.execute("SELECT max(number) FROM events WHERE action != 'compact'")
    ((removed,),) = database.execute("SELECT count(*) FROM removed")
    return State(
        items=len(rows.rows),
        size=rows.size,
        channels=rows.channels,
        labelled=rows.labelled,
        digest=rows.digest,
        version=version,
        removed=removed,
    )


def read_events(database: sqlite3.Connection) -> tuple[Event, ...]:
    """The log, oldest first."""
    query = "SELECT number, time, action, items, before, after, reason FROM events ORDER BY number"
    names = ("number", "time", "action", "items", "before", "after", "reason")
    return tuple(Event(**dict(zip(names, values, strict=True))) for values in database.execute(query))


def read_removals(database: sqlite3.Connection) -> tuple[Removal, ...]:
    """Every act of forgetting, oldest first."""
    found: dict[int, list[tuple[str, str | None]]] = {}
    for event, identity, label in database.execute(
        "SELECT event, id, label FROM removed JOIN items USING (place) ORDER BY event, place"
    ):
        found.setdefault(event, []).append((identity.hex(), label))
    return tuple(
        Removal(
            time=event.time,
            reason=event.reason or "",
            ids=tuple(identity for identity, _ in found[event.number]),
            labels=tuple(label for _, label in found[event.number]),
            before=event.before or "",
            after=event.after,
            kept=tuple(sorted(i for i in {i for i, _ in found[event.number]} if had(database, i, event.number))),
            taken_back=tuple(_taken_back(database, identity, event.number) for identity, _ in found[event.number]),
        )
        for event in read_events(database)
        if event.number in found
    )


def _taken_back(database: sqlite3.Connection, identity: str, event: int) -> str | None:
    """When an item of this content id was first put in after an event."""
    query = "SELECT time FROM events WHERE number = (SELECT min(born) FROM items WHERE id = ? AND born > ?)"
    found = database.execute(query, (bytes.fromhex(identity), event)).fetchone()
    return None if found is None else found[0]


def to_leave_out(database: sqlite3.Connection) -> set[str]:
    """Content ids of what was forgotten and not taken back: no item of that content was put in since.

    That an item under another name or label has the same content, and stayed, changes nothing: which name was forgotten
    is not known any more.
    """
    query = "SELECT id FROM items LEFT JOIN removed USING (place) GROUP BY id HAVING max(event) > max(born)"
    return {identity.hex() for (identity,) in database.execute(query)}


def first_change(database: sqlite3.Connection, digest: str) -> Event | None:
    """See `CorpusStore.changed_since`."""
    known = versions_of(database, digest)
    if not known:
        uses = database.execute("SELECT version FROM uses WHERE digest = ? ORDER BY version", (digest,))
        known = [version for (version,) in uses]
    if not known:
        return None
    gone = (
        "SELECT min(event) FROM items JOIN removed USING (place) WHERE born <= :version AND event > :version "
        "AND NOT EXISTS (SELECT 1 FROM items AS again WHERE again.id = items.id AND again.born > event)"
    )
    added = "SELECT min(number) FROM events WHERE number > :version AND action = 'add'"
    found = [database.execute(query, {"version": known[-1]}).fetchone()[0] for query in (gone, added)]
    number = next((number for number in found if number is not None), None)
    return next((event for event in read_events(database) if event.number == number), None)


def versions_of(database: sqlite3.Connection, digest: str) -> list[int]:
    """Numbers of the events after which the corpus had this digest, ascending."""
    query = "SELECT number FROM events WHERE after = ? AND action != 'compact' ORDER BY number"
    return [number for (number,) in database.execute(query, (digest,))]


def had(database: sqlite3.Connection, identity: str, version: int) -> bool:
    """Whether an item of this content id was there after an event."""
    try:
        content = bytes.fromhex(identity)
    except ValueError as error:
        raise UsageError(f"{identity!r} is no content id: give all 64 of its hex digits.") from error
    query = (
        "SELECT EXISTS (SELECT 1 FROM items LEFT JOIN removed USING (place) "
        "WHERE id = ? AND born <= ? AND (event IS NULL OR event > ?))"
    )
    return bool(database.execute(query, (content, version, version)).fetchone()[0])


def write_event(
    database: sqlite3.Connection, action: str, *, items: int, before: str | None, after: str, reason: str | None = None
) -> None:
    """Append to the log."""
    values = (next_event(database), now(), action, items, before, after, reason)
    database.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def next_event(database: sqlite3.Connection) -> int:
    """Number of the event that is being made."""
    return database.execute("SELECT coalesce(max(number), 0) + 1 FROM events").fetchone()[0]


def write_items(
    database: sqlite3.Connection, corpus: ImageCorpus, indices: Iterable[int], *, source: str, slots: dict[str, int]
) -> None:
    """Append items of a corpus; content that is there already is not stored again.

    slots: content id to slot for the content that is there; what is appended is entered here.
    """
    event = next_event(database)
    place, slot = (
        database.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0]
        for key, table in (("place", "items"), ("slot", "pixels"))
    )
    for index in indices:
        identity, channels = corpus.ids[index], corpus.item_channels[index]
        if identity not in slots:
            slot += 1
            slots[identity] = slot
            pixels = px.with_channels(corpus.images[index], channels).tobytes()
            database.execute("INSERT INTO pixels VALUES (?, ?)", (slot, pixels))
        place += 1
        label = None if corpus.labels is None else corpus.labels[index]
        values = (place, bytes.fromhex(identity), slots[identity], channels, corpus.declared_channels, label, event)
        record = _record(corpus, index, source)
        database.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*values, record))


def check_text(corpus: ImageCorpus, source: str) -> None:
    """Raise `InputError` for a label or source that is not text in Unicode, which a database cannot hold."""
    for text in (*(corpus.labels or ()), source):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{text!r} holds half a character (a lone surrogate): rename it.") from error


def pixels_of(content: Any, row: Row, size: tuple[int, int]) -> px.Pixels:
    """Stored bytes as a picture, in the fewest channels that hold it. Raises `ValueError` if they are none."""
    return np.frombuffer(content, np.uint8).reshape(*size, row.item.channels)


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def garbled(path: Path) -> Iterator[None]:
    """Turn the failure to make sense of rows into the one sentence of a damaged store."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise file_of(path).damaged("its rows are not as they were written") from error


def _record(corpus: ImageCorpus, index: int, source: str) -> bytes:
    """All of an item that must vanish with it, with a checksum, since digests do not cover it."""
    content = {
        "name": corpus.names[index],
        "source": source,
        "metadata": dict(corpus.metadata[index]),
        "conversions": corpus.conversions[index],
    }
    text = json.dumps(content).encode("ascii")
    return zlib.crc32(text).to_bytes(4, "big") + text


def _row(values: tuple[Any, ...], *, labelled: bool) -> Row:
    place, slot, declared, identity, label, channels, born, record = values
    if zlib.crc32(record[4:]) != int.from_bytes(record[:4], "big"):
        raise ValueError("a record has another checksum")
    content = json.loads(record[4:])
    if channels not in px.MODES or declared not in px.MODES or isinstance(label, str) != labelled:
        raise ValueError("an item has no such channels or label")
    item = Item(
        id=identity.hex(),
        label=label,
        name=content["name"],
        metadata=content["metadata"],
        conversions=tuple(content["conversions"]),
        source=content["source"],
        channels=channels,
        since=born,
    )
    return Row(place, slot, declared, item)
