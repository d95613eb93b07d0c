"""What `smalti corpus` says of a store and its items, in words and as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from smalti.cli.generate_pictures import MODES
from smalti.cli.terminal import columns, counted, one_line
from smalti.corpus import Check, CorpusStore, Item, Removal, State
from smalti.corpus.catalogue import Catalogue
from smalti.corpus.decode import shown
from smalti.corpus.items import CorpusKind
from smalti.corpus.pixels import MODES as NAMES
from smalti.corpus.pixels import shown_size

_CONTENT: dict[CorpusKind, tuple[str, str]] = {"pictures": ("pixels", "stay"), "texts": ("text", "stays")}


def said(store: CorpusStore[Any], state: State) -> str:
    """A store in a few words."""
    if state.size is not None and state.channels is not None:
        what = f"{shown_size(state.size)} pixels ({MODES[NAMES[state.channels]]})"
    else:
        what = f"text, {state.characters:,} characters"
    return f"'{shown(store.path)}' has {items_of(state.items)} of {what}, digest {state.digest[:12]}"


def state_json(store: CorpusStore[Any], state: State) -> dict[str, Any]:
    """The same as JSON values."""
    about: dict[str, Any] = {"characters": state.characters}
    if state.size is not None and state.channels is not None:
        about = {"size": list(state.size), "mode": NAMES[state.channels], "labelled": state.labelled}
    return {
        "store": shown(store.path.absolute()),
        "kind": store.kind,
        "items": state.items,
        **about,
        "digest": state.digest,
        "removed": state.removed,
    }


def item_json(item: Item) -> dict[str, Any]:
    """An item as JSON values; those of the other kind are left out."""
    others = ("characters",) if item.characters is None else ("channels", "label")
    about = asdict(item) | {"metadata": dict(item.metadata)}
    return {key: value for key, value in about.items() if key not in others}


def table(items: Sequence[Item]) -> str:
    """A line for each item: the beginning of its content id, its label or number of characters, its name."""
    beside = [one_line(item.label or "") if item.characters is None else f"{item.characters:,}" for item in items]
    width = max(map(len, beside), default=0)
    names = [one_line(item.name) for item in items]
    if width:
        padded = (
            text.ljust(width) if item.characters is None else text.rjust(width)
            for item, text in zip(items, beside, strict=True)
        )
        names = [f"{text}  {name}" for text, name in zip(padded, names, strict=True)]
    return columns(zip((item.id[:16] for item in items), names, strict=True))


def grouped(items: Sequence[Item], column: str) -> dict[str | None, int]:
    """How many items each value of a column has, most first; None: those without one.

    Raises:
        UsageError: no item has such a column.
    """
    labels = tuple(item.label or "" for item in items)
    catalogue = Catalogue(
        ids=tuple(item.id for item in items),
        labels=labels if any(labels) else None,
        names=tuple(item.name for item in items),
        metadata=tuple(item.metadata for item in items),
    )
    counts = Counter(catalogue.values(column))
    return dict(sorted(counts.items(), key=lambda group: (-group[1], group[0] is not None, group[0] or "")))


def gone(done: Check, kind: CorpusKind) -> str:
    """What became of everything that was forgotten, as part of a sentence."""
    nothing = done.removed - done.taken_back - done.kept
    content, _ = _CONTENT[kind]
    parts = [
        f"and nothing left of {items_of(nothing)} forgotten" if nothing else "",
        f"{items_of(done.kept)} forgotten whose {content} another item has" if done.kept else "",
        f"{items_of(done.taken_back)} forgotten and taken back (see smalti corpus list --removed)"
        if done.taken_back
        else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def staying(removal: Removal, kind: CorpusKind) -> str:
    """That other items have the content of some that were forgotten."""
    content, stay = _CONTENT[kind]
    return f"other items have the same {content}, which {stay}: {', '.join(removal.kept)}"


def items_of(count: int) -> str:
    """A number of items."""
    return counted(count, "item")
