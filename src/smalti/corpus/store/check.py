"""The check of every byte of a corpus store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smalti.corpus import pixels as px
from smalti.corpus.store.file import file_of
from smalti.corpus.store.records import Check
from smalti.corpus.store.rows import Rows, garbled, pixels_of, read_events, read_rows, to_leave_out
from smalti.errors import InputError

if TYPE_CHECKING:
    import sqlite3


def check(path: Path) -> Check:
    """See `CorpusStore.verify`. One picture at a time is in memory."""
    file = file_of(path)
    with file.session(to="read") as database:
        # Takes the lock, so that waiting for it in vain is no problem of the store.
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        problems: list[str] = []
        contents: dict[int, str] = {}
        removed: list[str] = []
        absent: set[str] = set()
        rows = None
        if (surplus := file.surplus(database)) > 0:
            problems.append(f"{surplus} bytes lie behind its end, which the next change will cut off")
        try:
            with file.said():
                problems += [
                    f"its structure: {text}" for (text,) in database.execute("PRAGMA integrity_check") if text != "ok"
                ]
                rows = read_rows(database, path)
                contents = _contents(database, path, rows, problems)
                removed = _forgotten(database, problems)
                absent = to_leave_out(database)
                _log(database, rows, problems)
        except InputError as error:
            problems.append(str(error))
    if rows is None:
        return Check(
            items=0, pictures=0, removed=len(removed), taken_back=0, kept=0, digest="", problems=tuple(problems)
        )
    there = {row.item.id for row in rows.rows}
    back, kept = there - absent, there & absent
    ids = [contents.get(row.slot, row.item.id) for row in rows.rows]
    return Check(
        items=len(rows.rows),
        pictures=len(contents),
        removed=len(removed),
        taken_back=sum(one in back for one in removed),
        kept=sum(one in kept for one in removed),
        digest=px.corpus_digest(rows.channels, ids, rows.labels),
        problems=tuple(problems),
    )


def _contents(database: sqlite3.Connection, path: Path, rows: Rows, problems: list[str]) -> dict[int, str]:
    """Content id of each slot that an item needs, from its pixels; all others must be empty."""
    needed = {row.slot: row for row in rows.rows}
    found: dict[int, str] = {}
    with garbled(path):
        for slot, content in database.execute("SELECT slot, bytes FROM pixels ORDER BY slot"):
            if slot not in needed:
                if any(content):
                    problems.append(f"slot {slot} holds pixels that no item needs: they should have been overwritten")
                continue
            row = needed[slot]
            try:
                pixels = pixels_of(content, row, rows.size)
            except ValueError:
                problems.append(f"the pixels of item {row.item.id} ('{row.item.name}') have another length")
                continue
            found[slot] = px.content_id(pixels)
            if row.item.channels != px.needed_channels(pixels):
                problems.append(
                    f"item {row.item.id} ('{row.item.name}') has another number of channels than its pixels"
                )
    for row in rows.rows:
        if row.slot not in found:
            problems.append(f"item {row.item.id} ('{row.item.name}') has no pixels")
        elif found[row.slot] != row.item.id:
            problems.append(f"the pixels of item {row.item.id} ('{row.item.name}') are not those that were put in")
    return found


def _forgotten(database: sqlite3.Connection, problems: list[str]) -> list[str]:
    """Content ids of items that were forgotten, one for each, whose names and metadata must be gone."""
    found: list[str] = []
    query = "SELECT place, coalesce(id, x''), record FROM removed LEFT JOIN items USING (place)"
    for place, identity, record in database.execute(query):
        found.append(identity.hex())
        if record is None:
            problems.append(f"the item at place {place} was forgotten, but is not in the table of items")
        elif any(record):
            problems.append(f"the item at place {place} was forgotten, but its name and metadata are still there")
    return found


def _log(database: sqlite3.Connection, rows: Rows, problems: list[str]) -> None:
    """The log must lead, from event to event, to the digest of the items that are there."""
    events = read_events(database)
    after = None
    for number, event in enumerate(events, start=1):
        table, column = ("removed", "event") if event.action == "forget" else ("items", "born")
        query = f"SELECT count(*) FROM {table} WHERE {column} = ?"
        count = database.execute(query, (event.number,)).fetchone()[0]
        if event.number != number or event.before != after or event.items != count:
            problems.append(f"event {number} of the log does not fit to what is there")
        after = event.after
    if after != rows.digest:
        problems.append(f"the digest of its items is {rows.digest}, but by its log it should be {after}")
