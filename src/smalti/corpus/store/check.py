"""The check of every byte of a corpus store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smalti.corpus.database import File
from smalti.corpus.store.log import read_events, to_leave_out
from smalti.corpus.store.records import Check
from smalti.corpus.store.rows import Rows, garbled, read_rows
from smalti.errors import InputError

if TYPE_CHECKING:
    import sqlite3


def check(file: File, kind: type[Rows[Any]]) -> Check:
    """See `CorpusStore.verify`. One content at a time is in memory."""
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
                rows = read_rows(database, file, kind)
                contents = _contents(database, file, rows, problems)
                removed = _forgotten(database, problems)
                absent = to_leave_out(database)
                _log(database, rows, problems)
        except InputError as error:
            problems.append(str(error))
    if rows is None:
        return Check(
            items=0, different=0, removed=len(removed), taken_back=0, kept=0, digest="", problems=tuple(problems)
        )
    there = {row.item.id for row in rows.rows}
    back, kept = there - absent, there & absent
    return Check(
        items=len(rows.rows),
        different=len(contents),
        removed=len(removed),
        taken_back=sum(one in back for one in removed),
        kept=sum(one in kept for one in removed),
        digest=rows.digest_of([contents.get(row.slot, row.item.id) for row in rows.rows]),
        problems=tuple(problems),
    )


def _contents(database: sqlite3.Connection, file: File, rows: Rows[Any], problems: list[str]) -> dict[int, str]:
    """Content id of each slot that an item needs, from its bytes; all others must be empty."""
    needed = {row.slot: row for row in rows.rows}
    found: dict[int, str] = {}
    word = rows.content_word
    with garbled(file):
        for slot, content in database.execute(f"SELECT slot, bytes FROM {rows.table} ORDER BY slot"):
            if slot not in needed:
                if content.strip(b"\0"):
                    problems.append(f"slot {slot} holds {word} that no item needs, and that should be overwritten")
                continue
            row = needed[slot]
            try:
                found[slot], problem = rows.problems_of(row, content)
            except ValueError:
                problems.append(f"item {row.item.id} ('{row.item.name}') has {word} of another length")
                continue
            if problem:
                problems.append(f"item {row.item.id} ('{row.item.name}') {problem}")
    for row in rows.rows:
        if row.slot not in found:
            problems.append(f"item {row.item.id} ('{row.item.name}') has no {word}")
        elif found[row.slot] != row.item.id:
            problems.append(f"item {row.item.id} ('{row.item.name}') has other {word} than it was put in with")
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


def _log(database: sqlite3.Connection, rows: Rows[Any], problems: list[str]) -> None:
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
