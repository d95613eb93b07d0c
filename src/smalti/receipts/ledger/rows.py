"""Rows of a ledger that say what its runs, corpora and items are: found, entered, and corrected.

All functions work within a transaction of the caller.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.receipts.ledger.kinds import OwedDocuments
from smalti.sampling.request import RunRequest
from smalti.sampling.run import RunRecord

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "corpus_number",
    "correct_items",
    "corrections",
    "credits_id",
    "item_numbers",
    "picture_id",
    "place_of",
    "run_id",
    "run_number",
]

_NOT_TOLD_APART = ("seeds", "source", "notes", "versions", "command")

_Description = tuple[str, str | None, dict[str, str]]
"""Name, label and metadata of an item."""


def run_id(request: RunRequest) -> str:
    """What a run is called in a ledger: SHA-256 of everything that decides its pictures, but for the seeds."""
    return hashlib.sha256(_canonical(request).encode()).hexdigest()


def picture_id(picture: NDArray[Any]) -> str:
    """SHA-256 of a picture's pixels, or a text's tokens, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


def credits_id(credits: Iterable[tuple[str, int]]) -> str:
    """SHA-256 of a sample's credits, hexadecimal: lines of content id, a space and units, sorted, in ASCII."""
    return hashlib.sha256("\n".join(sorted(f"{item} {units}" for item, units in credits)).encode()).hexdigest()


def place_of(folder: str | Path) -> str:
    """A run folder as a ledger writes it: without links and detours, so that one folder has one name."""
    return shown(Path(folder).resolve())


def corpus_number(database: sqlite3.Connection, corpus: ImageCorpus | OwedDocuments) -> int:
    """The ledger's number of a corpus, entered if it is new; columns that are new are entered too."""
    database.execute("INSERT OR IGNORE INTO corpora (digest) VALUES (?)", (corpus.digest,))
    (number,) = database.execute("SELECT corpus FROM corpora WHERE digest = ?", (corpus.digest,)).fetchone()
    names = [(number, name) for name in corpus.columns if name != "label"]
    database.executemany("INSERT OR IGNORE INTO columns (corpus, name) VALUES (?, ?)", names)
    return number


def run_number(database: sqlite3.Connection, record: RunRecord, corpus: int) -> int:
    """The ledger's number of a run, entered if it is new; source and date are those seen last."""
    request = record.request
    database.execute(
        "INSERT INTO runs (request_sha256, request, corpus, source, created) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (request_sha256) DO UPDATE SET source = excluded.source, created = excluded.created",
        (run_id(request), _canonical(request), corpus, request.source, record.created),
    )
    return database.execute("SELECT run FROM runs WHERE request_sha256 = ?", (run_id(request),)).fetchone()[0]


def item_numbers(
    database: sqlite3.Connection, number: int, corpus: ImageCorpus | OwedDocuments, owed: Sequence[int]
) -> dict[int, int]:
    """The ledger's numbers of items by their index in the corpus; those of `owed` that are new are entered."""
    found = dict(database.execute("SELECT position, item FROM items WHERE corpus = ?", (number,)))
    described = _Descriptions(corpus)
    for index in owed:
        if index not in found:
            name, label, metadata = described[index]
            added = database.execute(
                "INSERT INTO items (corpus, position, id, name, label) VALUES (?, ?, ?, ?, ?)",
                (number, index, corpus.ids[index], name, label),
            )
            assert added.lastrowid is not None
            found[index] = added.lastrowid
            _describe(database, found[index], metadata)
    return found


def corrections(
    database: sqlite3.Connection, number: int, corpus: ImageCorpus | OwedDocuments
) -> dict[int, _Description]:
    """Items held whose name, label or metadata is another now, with what it is now."""
    held: dict[int, dict[str, str]] = {}
    for item, name, value in database.execute(
        "SELECT item, metadata.name, value FROM metadata JOIN items USING (item) WHERE corpus = ?", (number,)
    ):
        held.setdefault(item, {})[name] = value
    described, columns = _Descriptions(corpus), set(corpus.columns)
    changed: dict[int, _Description] = {}
    for item, index, *kept in database.execute(
        "SELECT item, position, name, label FROM items WHERE corpus = ?", (number,)
    ):
        before = held.get(item, {})
        name, label, metadata = described[index]
        if "label" not in columns:
            label = kept[1]
        metadata = {column: value for column, value in before.items() if column not in columns} | metadata
        if (name, label, metadata) != (*kept, before):
            changed[item] = (name, label, metadata)
    return changed


def correct_items(database: sqlite3.Connection, changed: Mapping[int, _Description]) -> int:
    """Carries corrections out; returns their number."""
    for item, (name, label, metadata) in changed.items():
        database.execute("UPDATE items SET name = ?, label = ? WHERE item = ?", (name, label, item))
        database.execute("DELETE FROM metadata WHERE item = ?", (item,))
        _describe(database, item, metadata)
    return len(changed)


class _Descriptions:
    """Name, label and metadata of each item; a column `label` of metadata is the label of pictures without labels."""

    def __init__(self, corpus: ImageCorpus | OwedDocuments) -> None:
        self._corpus = corpus
        self._labels = corpus.values("label") if "label" in corpus.columns else (None,) * len(corpus)

    def __getitem__(self, index: int) -> _Description:
        metadata = {name: value for name, value in self._corpus.metadata[index].items() if name != "label"}
        return self._corpus.names[index], self._labels[index], metadata


def _describe(database: sqlite3.Connection, item: int, metadata: Mapping[str, str]) -> None:
    rows = [(item, name, value) for name, value in metadata.items()]
    database.executemany("INSERT INTO metadata (item, name, value) VALUES (?, ?, ?)", rows)


def _canonical(request: RunRequest) -> str:
    """A request as the text that names it: JSON with sorted keys, in ASCII, floats as their shortest text."""
    told = {name: value for name, value in request.to_json().items() if name not in _NOT_TOLD_APART}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)
