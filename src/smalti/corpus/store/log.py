"""The log of a corpus store: which items there were after which event, what was forgotten, what changed since."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from smalti.corpus.store.records import Event, Removal
from smalti.errors import UsageError

if TYPE_CHECKING:
    import sqlite3


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


def version_now(database: sqlite3.Connection) -> int:
    """Number of the last event that changed which items there are."""
    return database.execute("SELECT max(number) FROM events WHERE action != 'compact'").fetchone()[0]


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


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
