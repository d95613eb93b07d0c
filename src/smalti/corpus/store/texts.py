"""Texts in a corpus store: each document as UTF-8."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smalti.corpus import text
from smalti.corpus.database import File
from smalti.corpus.pixels import Size
from smalti.corpus.store.rows import LIVE, Row, Rows, altered
from smalti.corpus.text import TextCorpus, text_digest
from smalti.errors import InputError, UsageError

if TYPE_CHECKING:
    import sqlite3

LARGEST_DOCUMENT = 999_000_000
"""Most bytes of UTF-8 one document in a store may have: SQLite keeps less than 10^9 in one place."""


@dataclass(frozen=True)
class Texts(Rows[TextCorpus]):
    """Documents. How many characters one has is in its record, which vanishes with it."""

    kind = "texts"
    table = "texts"
    own = ()
    content_word = "text"

    @classmethod
    def begin(cls, database: sqlite3.Connection, corpus: TextCorpus) -> None:
        """See `Rows`."""

    @classmethod
    def values(cls, corpus: TextCorpus, index: int) -> tuple[Any, ...]:
        """See `Rows`."""
        return ()

    @classmethod
    def details(cls, corpus: TextCorpus, index: int) -> dict[str, Any]:
        """See `Rows`."""
        return {"characters": len(corpus.documents[index])}

    @classmethod
    def content(cls, corpus: TextCorpus, index: int) -> bytes:
        """See `Rows`."""
        content = corpus.documents[index].encode()
        if len(content) > LARGEST_DOCUMENT:
            raise InputError(
                f"'{corpus.names[index]}' has {len(content):,} bytes, more than the {LARGEST_DOCUMENT:,} that one "
                "document of a store may have: cut it into several."
            )
        return content

    @classmethod
    def describing(cls, own: tuple[Any, ...], record: Mapping[str, Any]) -> dict[str, Any]:
        """See `Rows`."""
        if not isinstance(record["characters"], int):
            raise TypeError("a number of characters is none")
        return {"characters": record["characters"]}

    @classmethod
    def of(cls, database: sqlite3.Connection, rows: tuple[Row, ...]) -> Texts:
        """See `Rows`."""
        if any(row.item.label is not None for row in rows):
            raise ValueError("a text has a label")
        return cls(rows)

    @property
    def digest(self) -> str:
        """See `Rows`."""
        return self.digest_of([row.item.id for row in self.rows])

    def digest_of(self, ids: Sequence[str]) -> str:
        """See `Rows`."""
        return text_digest(ids)

    @property
    def state(self) -> dict[str, Any]:
        """See `Rows`."""
        return {"characters": sum(row.item.characters or 0 for row in self.rows)}

    def check_alike(self, corpus: TextCorpus) -> None:
        """See `Rows`: any texts can be in one corpus."""

    def check_room(self, database: sqlite3.Connection, corpus: TextCorpus, new: Sequence[int]) -> None:
        """See `Rows`."""
        there = f"SELECT sum(length(bytes)) FROM texts JOIN items USING (slot) WHERE place IN (SELECT place {LIVE})"
        total = database.execute(there).fetchone()[0] + sum(len(corpus.documents[index].encode()) for index in new)
        if total > text.LARGEST_TEXT:
            raise InputError(
                f"both corpora together hold {total / 2**20:,.0f} MiB of text, more than the "
                f"{text.LARGEST_TEXT / 2**20:,.0f} MiB a corpus may have: add fewer documents."
            )

    def corpus(self, database: sqlite3.Connection, file: File, *, size: Size | None) -> TextCorpus:
        """See `Rows`."""
        if size is not None:
            raise UsageError(f"size {size!r} is for pictures, and this corpus holds texts: leave it out.")
        documents: list[str] = []
        for row, content in self.contents(database, file):
            # The id is that of these very bytes, so that what has it can be decoded.
            if hashlib.sha256(content).hexdigest() != row.item.id:
                raise altered(file, self.kind)
            documents.append(content.decode())
        return TextCorpus(
            tuple(documents),
            tuple(row.item.name for row in self.rows),
            conversions=tuple(row.item.conversions for row in self.rows),
            metadata=tuple(row.item.metadata for row in self.rows),
        )

    def problems_of(self, row: Row, content: bytes) -> tuple[str, str]:
        """See `Rows`."""
        identity = hashlib.sha256(content).hexdigest()
        if identity != row.item.id:
            return identity, ""
        few = row.item.characters != len(content.decode())
        return identity, "has another number of characters than its text" if few else ""
