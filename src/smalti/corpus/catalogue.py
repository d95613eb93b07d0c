"""What is known of the items of a corpus but their pixels, and how people point at items: label, group, id, name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from smalti.corpus.metadata import normal
from smalti.errors import UsageError

_HEX = frozenset("0123456789abcdef")

SHORTEST_PREFIX = 8
"""Fewest hex digits that stand for a content id."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Columns of N items. Every method speaks of an item by its place, 0 to N - 1.

    ids: content ids.
    labels: one per item, or None if the corpus has none.
    names: where each item came from.
    metadata: one mapping per item from column to text.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...] | None
    names: tuple[str, ...]
    metadata: tuple[Mapping[str, str], ...]

    def places_of(self, label: str) -> list[int]:
        """See `Items.places_of`."""
        if self.labels is None:
            raise UsageError(
                f"there is no label {label!r}: this corpus has no labels; put the pictures into one sub-folder for "
                "each."
            )
        found = [index for index, other in enumerate(self.labels) if other == normal(label)]
        if not found:
            raise UsageError(f"there is no label {label!r}: choose one of {_known(self.labels)}.")
        return found

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """See `Items.columns`."""
        named = {column for row in self.metadata for column in row}
        return (*(("label",) if self.labels is not None else ()), *sorted(named))

    def values(self, column: str) -> tuple[str | None, ...]:
        """See `Items.values`."""
        name = normal(column)
        if name not in self.columns:
            known = f"choose one of {', '.join(self.columns)}" if self.columns else "its items have no metadata"
            raise UsageError(f"this corpus has no column {column!r}: {known}.")
        if name == "label" and self.labels is not None:
            return self.labels
        return tuple(row.get(name) for row in self.metadata)

    def group(self, column: str, value: str | None) -> list[int]:
        """See `Items.group`."""
        values = self.values(column)
        wanted = None if value is None else normal(value)
        found = [index for index, other in enumerate(values) if other == wanted]
        if not found:
            known = _known(other for other in values if other is not None)
            what = f"without {column}" if value is None else f"whose {column} is {value!r}"
            raise UsageError(f"there is no item {what}: choose one of {known}.")
        return found

    def find(self, text: str) -> list[int]:
        """See `Items.find`."""
        wanted = normal(text)
        named = [index for index, name in enumerate(self.names) if normal(name) == wanted]
        same = [index for index, identity in enumerate(self.ids) if begins(text, identity)]
        fits = {self.ids[index] for index in same}
        if len(fits) > 1:
            raise UsageError(f"{text!r} begins {len(fits)} content ids: give more digits.")
        if same and not set(named) <= set(same):
            raise UsageError(f"{text!r} is the name of one item and begins the content id of another: give a whole id.")
        if not named and not same:
            near = sorted({repr(name) for name in self.names if normal(name).endswith(f"/{wanted}")})
            if near:
                raise UsageError(
                    f"there is no item {text!r}, but there is {', '.join(near[:3])}{' ...' if near[3:] else ''}: give "
                    f"the whole name, or at least {SHORTEST_PREFIX} digits of the content id."
                )
            raise UsageError(
                f"there is no item {text!r}: give a content id, at least {SHORTEST_PREFIX} of its first digits, or an "
                "item's exact name."
            )
        return same or named


def begins(text: str, identity: str) -> bool:
    """Whether a word stands for a content id: the id, or at least its first `SHORTEST_PREFIX` hex digits."""
    return len(text) >= SHORTEST_PREFIX and identity.startswith(text.lower()) and set(text.lower()) <= _HEX


def _known(values: Iterable[str]) -> str:
    known = sorted(set(values))
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"{', '.join(known[:20])}{more}"
