"""Sums over samples: what each group of items is owed, read from a ledger one sample at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from smalti.corpus.database import File
from smalti.receipts.composition import UNITS
from smalti.receipts.ledger.records import NO_DOCUMENT_ID, Entry, Group, Total

__all__ = ["About", "grouped", "metadata_of", "totals"]

About = tuple[str, str, int, str, int]
"""Run, folder, seed, picture, pixels of a sample."""

_NO_DOCUMENT: Group = (NO_DOCUMENT_ID, NO_DOCUMENT_ID, None)

_CORPORA_OF = "SELECT corpus FROM runs WHERE request_sha256 IN (SELECT value FROM json_each(?))"


def grouped(file: File, by: str, of: Sequence[Entry]) -> Iterator[tuple[About, dict[Group, int]]]:
    """Description and units by group of each sample chosen, each sample once; `by` is one of `Ledger.columns`."""
    groups = _groups(file, by, {entry.run for entry in of})
    for sample in dict.fromkeys(sample for entry in of for sample in entry.samples):
        with file.session(to="read") as database:
            about: About | None = database.execute(
                "SELECT request_sha256, folder, seed, picture_sha256, CAST(pixels AS INTEGER) "
                "FROM samples JOIN runs USING (run) WHERE sample = ?",
                (sample,),
            ).fetchone()
            credits = database.execute(
                "SELECT item, units FROM credits WHERE sample = ? AND typeof(units) = 'integer'", (sample,)
            ).fetchall()
        if about is None:
            continue  # taken out by another process in the meantime
        found: dict[Group, int] = {}
        for item, units in credits:
            if item not in groups:
                raise file.damaged(f"seed {about[2]} of run {about[0][:12]} owes an item that is not there")
            found[groups[item]] = found.get(groups[item], 0) + units
        if sum(found.values()) != about[4] * UNITS:
            raise file.damaged(f"the credits of seed {about[2]} of run {about[0][:12]} have another sum")
        yield about, found


def metadata_of(file: File, of: Iterable[Entry]) -> dict[Group, dict[str, str]]:
    """Metadata of every item of the corpora of some runs; of items that are alike, what was entered last.

    What no document has, has `NO_DOCUMENT_ID` in every column.
    """
    runs = {entry.run for entry in of}
    groups = _groups(file, "item", runs)
    found: dict[Group, dict[str, str]] = {}
    with file.session(to="read") as database:
        rows = database.execute(
            f"SELECT item, metadata.name, value FROM metadata JOIN items USING (item) "
            f"WHERE corpus IN ({_CORPORA_OF}) ORDER BY item",
            (json.dumps(sorted(runs)),),
        )
        for item, name, value in rows:
            found.setdefault(groups[item], {})[name] = value
    columns = {name for row in found.values() for name in row}
    return found | {group: dict.fromkeys(columns, NO_DOCUMENT_ID) for group in groups.values() if group == _NO_DOCUMENT}


def totals(units: Mapping[Group, int], samples: Mapping[Group, int]) -> list[Total]:
    """Most units first; of equal ones, no value first, then by value."""
    whole = sum(units.values())
    order = sorted(units, key=lambda g: (-units[g], *((part is not None, part or "") for part in g)))
    return [Total(group[0], units[group], whole, samples[group], *group[1:]) for group in order]


def _groups(file: File, by: str, runs: Iterable[str]) -> dict[int, Group]:
    """The group of every item of the corpora of some runs, by the ledger's number of the item."""
    keys = {
        "item": "id, items.name, label",
        "id": "id, NULL, NULL",
        "name": "items.name, NULL, NULL",
        "label": "label, NULL, NULL",
    }
    with file.session(to="read") as database:
        found = database.execute(
            f"SELECT items.item, id, {keys.get(by, 'value, NULL, NULL')} FROM items "
            "LEFT JOIN metadata ON metadata.item = items.item AND metadata.name = ? "
            f"WHERE corpus IN ({_CORPORA_OF})",
            (by, json.dumps(sorted(runs))),
        )
        return {
            item: _NO_DOCUMENT if content == NO_DOCUMENT_ID else (value, name, label)
            for item, content, value, name, label in found
        }
