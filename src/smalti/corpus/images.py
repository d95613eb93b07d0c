"""The image corpus: pictures of one size, each with a content id, as an immutable record.

A corpus is a set. Items are kept in a canonical order, so the order in which pictures were found cannot matter; its
digest covers what the pictures look like and their labels, and nothing else; taking an item out gives what there would
have been without it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from smalti.corpus import pixels as px
from smalti.corpus.archive import read_archive
from smalti.corpus.decode import Picture, decode_file, quiet_pillow, resized, shown
from smalti.corpus.embedded import load_example
from smalti.corpus.folder import list_pictures, read_pictures
from smalti.corpus.items import CorpusKind, Items
from smalti.corpus.metadata import check_metadata, normal
from smalti.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class ImageCorpus(Items):
    """Pictures of one size. Make one with `open_images`, a `from_...` class method, or `CorpusStore`.

    The record puts itself into canonical form: items sorted by (id, label, name), then by all else; colour under fully
    transparent pixels set to 0, so that nobody's hidden colours have an influence; and the fewest channels that hold
    every item without loss, but at least `declared_channels`.

    images: uint8 (N, H, W, C), read-only, C-contiguous; C is 1 (grey), 3 (red, green, blue) or 4 (with opacity).
    labels: one per item, or None if the corpus has none. Unicode normal form C.
    names: where each item came from, for people; not part of the digest.
    conversions: per item, what was done to bring it here, in words.
    metadata: per item, columns of text such as artist or licence (see `smalti.corpus.metadata`), read-only; not part of
        ids or digest. Given as `()`: none for any item.
    reading: notes on the source as a whole, in words.
    declared_channels: channels the source says its pictures have: C for an array, 1 for files, whose mode is only an
        encoding.
    ids: per item, hex SHA-256 of its shape and pixels, in the fewest channels that hold it.
    item_channels: per item, the fewest channels that hold it.

    Memory is N * H * W * C bytes, at most `smalti.corpus.pixels.LARGEST_CORPUS`, and two to three times that while a
    corpus is made. Tier: *bitwise*.
    Raises `InputError` if the arrays do not fit together.
    """

    kind: ClassVar[CorpusKind] = "pictures"

    images: npt.NDArray[np.uint8]
    labels: tuple[str, ...] | None
    names: tuple[str, ...]
    conversions: tuple[tuple[str, ...], ...] = field(kw_only=True)
    metadata: tuple[Mapping[str, str], ...] = field(default=(), kw_only=True)
    reading: tuple[str, ...] = field(default=(), kw_only=True)
    declared_channels: int = field(default=1, kw_only=True)
    ids: tuple[str, ...] = field(init=False)
    item_channels: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        given = px.check_images(self.images)
        count, height, width, _ = given.shape
        names = _check_names(self.names, count)
        labels = None
        if self.labels is not None:
            labels = [normal(label) for label in px.check_labels(self.labels, count)]
        if len(self.conversions) != count:
            raise InputError(f"conversions has length {len(self.conversions)} for {count} pictures: give one for each.")
        metadata = check_metadata(self.metadata, count, labelled=labels is not None)
        conversions = list(self.conversions)
        ids: list[str] = []
        item_channels: list[int] = []
        for index, item in enumerate(given):
            clean = px.without_hidden(item)
            if clean is not item:
                conversions[index] = (*conversions[index], "colour under fully transparent pixels set to 0")
            ids.append(px.content_id(clean))
            item_channels.append(px.needed_channels(clean))
        order = sorted(
            range(count),
            key=lambda i: (ids[i], labels[i] if labels else "", names[i], conversions[i], tuple(metadata[i].items())),
        )
        # Filled item by item, so that there are never more than two copies of the pixels.
        channels = max(self.declared_channels, *item_channels)
        images = np.empty((count, height, width, channels), np.uint8)
        for place, index in enumerate(order):
            images[place] = px.with_channels(px.without_hidden(given[index]), channels)
        images.flags.writeable = False
        canonical = {
            "images": images,
            "labels": tuple(labels[i] for i in order) if labels else None,
            "names": tuple(names[i] for i in order),
            "conversions": tuple(tuple(conversions[i]) for i in order),
            "metadata": tuple(metadata[i] for i in order),
            "reading": tuple(sorted(set(self.reading))),
            "ids": tuple(ids[i] for i in order),
            "item_channels": tuple(item_channels[i] for i in order),
        }
        for key, value in canonical.items():
            object.__setattr__(self, key, value)

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str], *, size: px.Size | None = None) -> ImageCorpus:
        """Every picture in a folder and below it; sub-folders are labels (see `smalti.corpus.folder`), and a file
        `metadata.csv` or `metadata.jsonl` says more of each (see `smalti.corpus.metadata`).

        Main argument: `path`. Other arguments: `size`, (height, width) or one number for a square: pictures of another
        size are cut to that shape around the centre and resized. Without it all pictures must have one size. Raises
        `InputError`, naming the file or folder, for one that does not exist, cannot be read, is not a picture, is
        damaged or too large, for an empty folder, for mixed sizes, and for metadata that cannot be joined; `UsageError`
        for a size that has no meaning.
        """
        target = px.check_size(size)
        folder = Path(path)
        listing = list_pictures(folder)
        pictures = read_pictures(listing, what=f"'{shown(folder)}'", size=target)
        conversions = tuple(picture.conversions for picture in pictures)
        return cls(
            stacked(pictures),
            listing.labels,
            listing.names,
            conversions=conversions,
            metadata=listing.metadata,
            reading=listing.notes,
        )

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, size: px.Size | None = None) -> ImageCorpus:
        """One picture file: a corpus of one item, without a label. Arguments and errors as `from_folder`."""
        target = px.check_size(size)
        path = Path(path)
        with quiet_pillow():
            picture = decode_file(path, size=target)
        return cls(picture.pixels[None], None, (shown(path.name),), conversions=(picture.conversions,))

    @classmethod
    def from_npz(cls, path: str | os.PathLike[str], *, size: px.Size | None = None) -> ImageCorpus:
        """A NumPy archive with `images`, uint8 (N, H, W) or (N, H, W, C), and optionally `labels` (N).

        Main argument: `path`. Other arguments: `size` as in `from_folder`. Labels are whole numbers or text; item i is
        named `images[i]`. Raises `InputError`, naming the file and the array, for anything else.
        """
        archive = read_archive(Path(path))
        return cls._from_stack(
            archive.images, archive.labels, None, size=size, reading=archive.notes, what=f"'{shown(path)}'"
        )

    @classmethod
    def from_arrays(
        cls,
        images: npt.ArrayLike,
        *,
        labels: Sequence[str] | Sequence[int] | npt.NDArray[Any] | None = None,
        names: Sequence[str] | None = None,
        size: px.Size | None = None,
    ) -> ImageCorpus:
        """Pictures from an array.

        Main argument: `images`, uint8 (N, H, W) or (N, H, W, C), C in {1, 3, 4}; the corpus keeps at least C channels.
        Other arguments: `labels`, N texts or whole numbers; `names`, N texts (default: `images[i]`, the place in the
        array); `size` as in `from_folder`. Raises `InputError` for any other type or shape (floats are refused, with
        the conversion to use), and for labels or names of another length.
        """
        stack = px.check_images(images)
        texts = None if labels is None else px.check_labels(labels, len(stack))
        return cls._from_stack(stack, texts, names, size=size, reading=(), what="images")

    @classmethod
    def builtin(cls, name: str, *, size: px.Size | None = None) -> ImageCorpus:
        """An embedded example, `digits` or `photo` (see `smalti.corpus.embedded`).

        Main argument: `name`. Other arguments: `size` as in `from_folder`. Raises `UsageError` for another name.
        """
        example = load_example(name)
        return cls._from_stack(
            example.images, example.labels, example.names, size=size, reading=(), what=f"built-in {name!r}"
        )

    @classmethod
    def _from_stack(
        cls,
        images: px.Pixels,
        labels: tuple[str, ...] | None,
        names: Sequence[str] | None,
        *,
        size: px.Size | None,
        reading: tuple[str, ...],
        what: str,
    ) -> ImageCorpus:
        target = px.check_size(size)
        count, *shape, channels = images.shape
        px.check_memory(what, count=count, size=target or (shape[0], shape[1]), channels=channels)
        conversions: tuple[tuple[str, ...], ...] = ((),) * count
        if target:
            pictures = [resized(Picture(pixels=item, conversions=()), target) for item in images]
            conversions = tuple(picture.conversions for picture in pictures)
            images = stacked(pictures)
        names = tuple(f"images[{i}]" for i in range(count)) if names is None else tuple(names)
        return cls(images, labels, names, conversions=conversions, reading=reading, declared_channels=channels)

    def __len__(self) -> int:
        """Number of items N."""
        return len(self.images)

    def __repr__(self) -> str:
        labels = f", {len(set(self.labels))} labels" if self.labels else ""
        return f"ImageCorpus({len(self)} of {px.shown_size(self.size)} {self.mode}{labels}, digest {self.digest[:12]})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and unpickled corpora go through the constructor too: NumPy alone would give them writable arrays.
        rest = {key: getattr(self, key) for key in ("conversions", "reading", "declared_channels")}
        rest["metadata"] = tuple(map(dict, self.metadata))
        return partial(ImageCorpus, **rest), (self.images, self.labels, self.names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every item, in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def channels(self) -> int:
        """Channels C of every item: 1, 3 or 4."""
        return self.images.shape[3]

    @property
    def mode(self) -> str:
        """Name of the channels: "L" (grey), "RGB" or "RGBA"."""
        return px.MODES[self.channels]

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the number of channels and the multiset of (id, label); order and names do not enter."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return px.corpus_digest(self.channels, self.ids, self.labels)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Everything a reader of the results should know about how the pictures came here, for the run record."""
        converted: dict[str, list[str]] = {}
        for name, done in zip(self.names, self.conversions, strict=True):
            for text in done:
                converted.setdefault(text, []).append(name)
        notes = [*self.reading, *(f"{text}: {_counted(names)}" for text, names in sorted(converted.items()))]
        fewer = Counter(self.item_channels)
        if self.channels == 4 and fewer[4]:
            notes.append(f"opacity kept as a fourth channel, since {_are(fewer[4], len(self))} not opaque everywhere")
        if self.channels > 1 and fewer[1] and self.declared_channels == 1:
            notes.append(
                f"{_are(fewer[1], len(self))} grey and stored with equal red, green and blue, since others have "
                "colour or transparency"
            )
        bare = sum(not row for row in self.metadata)
        if bare < len(self) and bare:
            notes.append(f"{_are(bare, len(self))} without metadata")
        copies = len(self) - len(set(self.ids))
        if copies and copies == len(self) - 1:
            notes.append(f"all {len(self):,} pictures are identical; kept as separate items")
        elif copies:
            notes.append(f"{copies:,} of {len(self):,} pictures repeat another one exactly; kept as separate items")
        return tuple(notes)

    def with_label(self, label: str) -> ImageCorpus:
        """The items of one label. Raises `UsageError`, listing the labels, if the corpus has no such label."""
        return self._take(self.places_of(label))

    def places_of(self, label: str) -> list[int]:
        """Indices of the items of one label, ascending. Raises `UsageError` if the corpus has no such label."""
        return self.catalogue.places_of(label)

    def adding(self, other: ImageCorpus) -> ImageCorpus:
        """The items of both corpora; the order of the two does not matter.

        Raises `UsageError` if their sizes differ, or only one of them has labels.
        """
        px.check_alike(self.size, other.size, labelled=self.labels is not None, other_labelled=other.labels is not None)
        channels = max(self.channels, other.channels)
        px.check_memory("both corpora together", count=len(self) + len(other), size=self.size, channels=channels)
        return ImageCorpus(
            np.concatenate([px.with_channels(self.images, channels), px.with_channels(other.images, channels)]),
            None if self.labels is None or other.labels is None else self.labels + other.labels,
            self.names + other.names,
            conversions=self.conversions + other.conversions,
            metadata=self.metadata + other.metadata,
            reading=self.reading + other.reading,
            declared_channels=max(self.declared_channels, other.declared_channels),
        )

    def _take(self, indices: list[int]) -> ImageCorpus:
        return ImageCorpus(
            self.images[indices],
            None if self.labels is None else tuple(self.labels[i] for i in indices),
            tuple(self.names[i] for i in indices),
            conversions=tuple(self.conversions[i] for i in indices),
            metadata=tuple(self.metadata[i] for i in indices),
            reading=self.reading,
            declared_channels=self.declared_channels,
        )


def _check_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    if len(names) != count:
        raise InputError(f"names has length {len(names)} for {count} pictures: give one for each.")
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise InputError(f"names[{index}] is {name!r}: a name is text.")
    return tuple(names)


def _counted(names: list[str]) -> str:
    return f"'{names[0]}'" if len(names) == 1 else f"{len(names):,} pictures, such as '{min(names)}'"


def _are(count: int, total: int) -> str:
    return f"{count:,} of {total:,} pictures {'is' if count == 1 else 'are'}"


def stacked(pictures: list[Picture]) -> px.Pixels:
    """Pictures of one size as one array (N, H, W, C). Empties the list on the way: never two copies of all pixels."""
    channels = max(picture.pixels.shape[-1] for picture in pictures)
    images = np.empty((len(pictures), *pictures[0].size, channels), np.uint8)
    while pictures:
        picture = pictures.pop()
        images[len(pictures)] = px.with_channels(picture.pixels, channels)
    return images
