"""What a corpus store tells: its items, its log, and what came of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a store.

    id: content id.
    label: its label, or None in a store without labels.
    name: where it came from, for people.
    metadata: columns of text.
    conversions: what was done to bring it here, in words.
    source: what it was read from when it was put in.
    since: number of the event that put it in.
    channels: of a picture: the fewest channels that hold it; None for a text.
    characters: of a text: how many it has; None for a picture.
    """

    id: str
    label: str | None
    name: str
    metadata: Mapping[str, str]
    conversions: tuple[str, ...]
    source: str
    since: int
    channels: int | None = None
    characters: int | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """What a store is now.

    items: number of items N.
    labelled: whether items have labels.
    digest: digest of the corpus, as `ImageCorpus.digest` or `TextCorpus.digest`.
    version: number of the last event that changed which items there are.
    removed: number of items that were forgotten.
    size: of pictures: height and width of every item, in pixels; None for texts.
    channels: of pictures: channels of the corpus: 1, 3 or 4; None for texts.
    characters: of texts: how many characters all documents have together; None for pictures.
    """

    items: int
    labelled: bool
    digest: str
    version: int
    removed: int
    size: tuple[int, int] | None = None
    channels: int | None = None
    characters: int | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One entry of the log of a store.

    number: 1 and up.
    time: UTC, ISO 8601.
    action: what was done.
    items: how many items it put in or took out.
    before: digest of the corpus before; None where the store was created.
    after: digest after.
    reason: why items were forgotten; None for other actions.
    """

    number: int
    time: str
    action: Literal["create", "add", "forget", "compact"]
    items: int
    before: str | None
    after: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What came of adding a corpus.

    items: number of items put in.
    present: number left out, since an item of the same content, label and name was there.
    forgotten: content ids left out, since they were forgotten before and not taken back.
    before: digest before.
    after: digest after.
    """

    items: int
    present: int
    forgotten: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """One act of forgetting: all that a store keeps of it.

    time: when, UTC, ISO 8601.
    reason: why, as a person wrote it.
    ids: content ids of the items removed, one for each.
    labels: their labels, one for each; None in a store without labels.
    before: digest of the corpus before.
    after: digest after.
    kept: content ids among them whose content stayed, since an item under another name or label had the same.
    taken_back: one for each of `ids`: when that content was first put in again, UTC, ISO 8601; None: not since.
    """

    time: str
    reason: str
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    before: str
    after: str
    kept: tuple[str, ...]
    taken_back: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Use:
    """Something that was made from a version of the corpus, as far as the store was told.

    kind: what it is, as in `CorpusStore.record_use`.
    path: where it was.
    digest: digest of the corpus it was made from; pictures brought to another size have another digest than the store.
    version: number of the event after which the corpus was as it was used.
    time: when this was recorded, UTC, ISO 8601.
    """

    kind: str
    path: str
    digest: str
    version: int
    time: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a check of every byte of a store found.

    items: number of items.
    different: number of different contents whose id was computed from their bytes.
    removed: number of items forgotten, whose bytes were looked for and found to be zeros or gone.
    taken_back: how many of those were taken back since, so that their content is there.
    kept: how many others have their content there, since an item under another name or label has the same.
    digest: digest of the corpus, from the content ids just computed.
    problems: what is wrong, one sentence each; none for a sound store.
    """

    items: int
    different: int
    removed: int
    taken_back: int
    kept: int
    digest: str
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """Size of the file in bytes, before and after."""

    before: int
    after: int
