"""What every corpus can do with its items, whatever they are: find, group, compare, take out."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import ClassVar, Literal, Self, TypeAlias

from smalti.corpus.catalogue import Catalogue
from smalti.errors import UsageError

CorpusKind: TypeAlias = Literal["pictures", "texts"]
"""What the items of a corpus are."""


class Items(ABC):
    """A set of items in canonical order, each with a content id, a name, and columns of text.

    kind: what the items are.
    ids: hex SHA-256 of each item's content.
    names: where each item came from, for people.
    labels: one per item, or None if the corpus has none.
    conversions: per item, what was done to bring it here, in words.
    metadata: per item, columns of text, read-only.
    """

    kind: ClassVar[CorpusKind]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    conversions: tuple[tuple[str, ...], ...]
    metadata: tuple[Mapping[str, str], ...]

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hex SHA-256 of what the corpus says as a multiset of items; order, names and metadata do not enter."""

    def __len__(self) -> int:
        """Number of items N."""
        return len(self.names)

    @abstractmethod
    def _take(self, indices: list[int]) -> Self: ...

    @cached_property
    def catalogue(self) -> Catalogue:
        """What is known of the items but their content."""
        return Catalogue(ids=self.ids, labels=self.labels, names=self.names, metadata=self.metadata)

    @property
    def columns(self) -> tuple[str, ...]:
        """What items can be grouped by: "label" if the corpus has labels, then the columns of metadata, sorted."""
        return self.catalogue.columns

    def values(self, column: str) -> tuple[str | None, ...]:
        """The label, or the entry of a column of metadata, of each item; None where it has none. Shape (N,).

        Raises `UsageError`, listing the columns, for one that no item has.
        """
        return self.catalogue.values(column)

    def group(self, column: str, value: str | None) -> list[int]:
        """Indices of the items with this value in a column, ascending; None: those that have no value there.

        Raises `UsageError` for an unknown column, and, listing the values, if no item has this one.
        """
        return self.catalogue.group(column, value)

    def find(self, text: str) -> list[int]:
        """Indices of the items that a word names, ascending.

        Main argument: `text`, a content id or the first 8 or more of its hex digits, for every item of that content;
        or an exact name, for every item of that name. Raises `UsageError` if there is none, if the digits begin several
        ids, and if the word is the name of an item and begins the id of another.
        """
        return self.catalogue.find(text)

    def duplicates(self) -> tuple[tuple[int, ...], ...]:
        """Groups of two or more items with the same content id, whatever their labels: indices in rising order."""
        groups: dict[str, list[int]] = {}
        for index, identity in enumerate(self.ids):
            groups.setdefault(identity, []).append(index)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    def without(self, items: Iterable[int]) -> Self:
        """The corpus without some items, by index: equal, byte for byte, to one that never had them.

        Raises `UsageError` for an index outside 0 to N - 1, and if no item would be left.
        """
        gone = {operator.index(item) for item in items}
        for item in sorted(gone):
            if not 0 <= item < len(self):
                raise UsageError(f"there is no item {item}: this corpus has items 0 to {len(self) - 1}.")
        if len(gone) == len(self):
            whose = "its only item" if len(self) == 1 else f"all {len(self):,} of its items"
            raise UsageError(f"without {whose} a corpus would be empty: leave at least one.")
        return self._take([index for index in range(len(self)) if index not in gone])
