"""Pictures in a corpus store: of one size, each in the fewest channels that hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smalti.corpus import pixels as px
from smalti.corpus.database import File
from smalti.corpus.decode import Picture, resized, shown
from smalti.corpus.images import ImageCorpus, stacked
from smalti.corpus.store.rows import Row, Rows, altered

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True)
class Pictures(Rows[ImageCorpus]):
    """Pictures, their height and width, and whether they have labels. `own`: channels, and those a source declared."""

    size: tuple[int, int]
    labelled: bool

    kind = "pictures"
    table = "pixels"
    own = ("channels", "declared")
    content_word = "pixels"

    @classmethod
    def begin(cls, database: sqlite3.Connection, corpus: ImageCorpus) -> None:
        """See `Rows`."""
        database.execute("INSERT INTO shape VALUES (?, ?, ?)", (*corpus.size, corpus.labels is not None))

    @classmethod
    def values(cls, corpus: ImageCorpus, index: int) -> tuple[Any, ...]:
        """See `Rows`."""
        return corpus.item_channels[index], corpus.declared_channels

    @classmethod
    def details(cls, corpus: ImageCorpus, index: int) -> dict[str, Any]:
        """See `Rows`."""
        return {}

    @classmethod
    def content(cls, corpus: ImageCorpus, index: int) -> bytes:
        """See `Rows`."""
        return px.with_channels(corpus.images[index], corpus.item_channels[index]).tobytes()

    @classmethod
    def describing(cls, own: tuple[Any, ...], record: Mapping[str, Any]) -> dict[str, Any]:
        """See `Rows`."""
        if not set(own) <= set(px.MODES):
            raise ValueError("an item has no such channels")
        return {"channels": own[0]}

    @classmethod
    def of(cls, database: sqlite3.Connection, rows: tuple[Row, ...]) -> Pictures:
        """See `Rows`."""
        ((height, width, labelled),) = database.execute("SELECT height, width, labelled FROM shape")
        if min(height, width) < 1 or height * width > px.LARGEST_PICTURE:
            raise ValueError("no picture has such a size")
        if any(isinstance(row.item.label, str) != bool(labelled) for row in rows):
            raise ValueError("an item has no label, or one in a store without")
        return cls(rows, (height, width), bool(labelled))

    @property
    def channels(self) -> int:
        """Channels of the corpus: the fewest that hold every item, but at least those a source declared."""
        return max(max(row.own) for row in self.rows)

    @property
    def digest(self) -> str:
        """See `Rows`."""
        return self.digest_of([row.item.id for row in self.rows])

    def digest_of(self, ids: Sequence[str]) -> str:
        """See `Rows`."""
        return px.corpus_digest(self.channels, ids, self.labels)

    @property
    def state(self) -> dict[str, Any]:
        """See `Rows`."""
        return {"size": self.size, "channels": self.channels}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """See `Rows`."""
        return tuple(row.item.label or "" for row in self.rows) if self.labelled else None

    def check_alike(self, corpus: ImageCorpus) -> None:
        """See `Rows`."""
        px.check_alike(self.size, corpus.size, labelled=self.labelled, other_labelled=corpus.labels is not None)

    def check_room(self, database: sqlite3.Connection, corpus: ImageCorpus, new: Sequence[int]) -> None:
        """See `Rows`."""
        channels = max(self.channels, corpus.declared_channels, *(corpus.item_channels[i] for i in new))
        count = len(self.rows) + len(new)
        px.check_memory("both corpora together", count=count, size=self.size, channels=channels)

    def corpus(self, database: sqlite3.Connection, file: File, *, size: px.Size | None) -> ImageCorpus:
        """See `Rows`."""
        target, channels = px.check_size(size), self.channels
        what = f"'{shown(file.path)}'"
        px.check_memory(what, count=len(self.rows), size=target or self.size, channels=channels)
        conversions = [row.item.conversions for row in self.rows]
        if target is None:
            images = np.empty((len(self.rows), *self.size, channels), np.uint8)
            for index, (row, content) in enumerate(self.contents(database, file)):
                images[index] = px.with_channels(self._pixels(row, content, file), channels)
        else:
            pictures: list[Picture] = []
            for row, content in self.contents(database, file):
                pixels = self._pixels(row, content, file)
                if px.content_id(pixels) != row.item.id:
                    raise altered(file, self.kind)
                pictures.append(resized(Picture(pixels=pixels, conversions=row.item.conversions), target))
            conversions = [picture.conversions for picture in pictures]
            images = stacked(pictures)
        corpus = ImageCorpus(
            images,
            self.labels,
            tuple(row.item.name for row in self.rows),
            conversions=tuple(conversions),
            metadata=tuple(row.item.metadata for row in self.rows),
            declared_channels=max(row.own[1] for row in self.rows),
        )
        if target is None and corpus.digest != self.digest:
            raise altered(file, self.kind)
        return corpus

    def problems_of(self, row: Row, content: bytes) -> tuple[str, str]:
        """See `Rows`."""
        pixels = self._shaped(row, content)
        few = row.own[0] != px.needed_channels(pixels)
        return px.content_id(pixels), "has another number of channels than its pixels" if few else ""

    def _pixels(self, row: Row, content: bytes, file: File) -> px.Pixels:
        try:
            return self._shaped(row, content)
        except ValueError as error:
            raise altered(file, self.kind) from error

    def _shaped(self, row: Row, content: bytes) -> px.Pixels:
        """Stored bytes as a picture. Raises `ValueError` if they are none."""
        return np.frombuffer(content, np.uint8).reshape(*self.size, row.own[0])
