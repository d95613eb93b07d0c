"""The text corpus: documents, each with a content id, as an immutable record.

As a corpus of pictures it is a set: documents are kept in a canonical order, the digest covers what they say and
nothing else, and taking one out gives what there would have been without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from smalti.corpus.decode import shown
from smalti.corpus.items import CorpusKind, Items
from smalti.corpus.metadata import FILE_NAMES, canonical_row, check_metadata, read_metadata
from smalti.errors import InputError, UsageError

BUILTIN_TEXT = ("python-manual",)
"""Names of the embedded texts: `python-manual` is the reference that Python's own `help()` shows, one document for
each topic. It comes with Python, so its words depend on Python's version."""

LARGEST_TEXT = 2**30
"""Most bytes of UTF-8 one corpus may hold."""

_TAKEN = ("id", "file_name")  # fields of JSONL that may not be columns of metadata; "name" names the document


@dataclass(frozen=True, eq=False, repr=False)
class TextCorpus(Items):
    """Documents. Make one with `open_text`, a `from_...` class method, or `CorpusStore`.

    The record puts itself into canonical form: line ends are LF, a byte order mark at the start is dropped, and
    documents are sorted by (id, name), then by all else. Both changes are noted.

    documents: the texts, none empty.
    names: where each came from, for people; not part of the digest.
    conversions: per document, what was done to bring it here, in words.
    metadata: per document, columns of text (see `smalti.corpus.metadata`), read-only; not part of ids or digest. Given
        as `()`: none for any document.
    reading: notes on the source as a whole, in words.
    ids: per document, hex SHA-256 of its UTF-8 bytes.

    Tier: *bitwise*. Raises `InputError`, naming the document, for one that is empty, holds a NUL character or half a
    character (a lone surrogate), and for lists that do not fit together.
    """

    kind: ClassVar[CorpusKind] = "texts"

    documents: tuple[str, ...]
    names: tuple[str, ...]
    conversions: tuple[tuple[str, ...], ...] = field(default=(), kw_only=True)
    metadata: tuple[Mapping[str, str], ...] = field(default=(), kw_only=True)
    reading: tuple[str, ...] = field(default=(), kw_only=True)
    ids: tuple[str, ...] = field(init=False)
    labels: tuple[str, ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        count = len(self.documents)
        if count == 0:
            raise InputError("a corpus without documents says nothing: give at least one.")
        if len(self.names) != count:
            raise InputError(f"names has length {len(self.names)} for {count} documents: give one for each.")
        if self.conversions and len(self.conversions) != count:
            raise InputError(
                f"conversions has length {len(self.conversions)} for {count} documents: give one for each."
            )
        metadata = check_metadata(self.metadata, count, labelled=False)
        total = 0
        rows: list[tuple[str, str, tuple[str, ...], Mapping[str, str], str]] = []
        for index, (given, name) in enumerate(zip(self.documents, self.names, strict=True)):
            text, encoded, done = _canonical(given, f"'{name}'")
            total += len(encoded)
            if total > LARGEST_TEXT:
                raise InputError(
                    f"these documents hold more than the {LARGEST_TEXT / 2**20:,.0f} MiB of text a corpus may have: "
                    "give fewer of them."
                )
            conversions = (*(self.conversions[index] if self.conversions else ()), *done)
            rows.append((hashlib.sha256(encoded).hexdigest(), name, conversions, metadata[index], text))
        rows.sort(key=lambda row: (*row[:3], tuple(row[3].items())))
        canonical = {
            "documents": tuple(row[4] for row in rows),
            "names": tuple(row[1] for row in rows),
            "conversions": tuple(row[2] for row in rows),
            "metadata": tuple(row[3] for row in rows),
            "reading": tuple(sorted(set(self.reading))),
            "ids": tuple(row[0] for row in rows),
        }
        for key, value in canonical.items():
            object.__setattr__(self, key, value)

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> TextCorpus:
        """Every text file in a folder and below it. A document in a sub-folder has the metadata column `folder`, and a
        file `metadata.csv` or `metadata.jsonl` says more of each (see `smalti.corpus.metadata`).

        Hidden files, links to folders, files that hold a NUL byte (which text never does), and empty files are left out
        with a note. Raises `InputError`, naming the file and the byte, for one that is not UTF-8, and for a folder that
        holds no text.
        """
        folder = Path(path)
        what = f"'{shown(folder)}'"
        if not folder.is_dir():
            state = "is not a folder" if os.path.lexists(folder) else "does not exist"
            raise InputError(f"{what} {state}: give a folder of text files.")
        left_out: dict[str, list[str]] = {}
        tables: list[tuple[str, Path]] = []
        found: list[tuple[str, str]] = []
        for name, file, reason in sorted(_walk(folder, folder)):
            if reason:
                left_out.setdefault(reason, []).append(name)
            elif file.name in FILE_NAMES:
                tables.append((name, file))
            else:
                data = _read(file)
                if b"\0" in data:
                    left_out.setdefault("not text", []).append(name)
                elif not data:
                    left_out.setdefault("empty", []).append(name)
                else:
                    found.append((name, _decoded(data, f"'{shown(file)}'")))
        notes = tuple(f"left out, {reason}: {_some(names)}" for reason, names in sorted(left_out.items()))
        if not found:
            reasons = f" ({'; '.join(notes)})" if notes else ""
            raise InputError(f"{what} holds no text{reasons}: put at least one text file into it.")
        names = tuple(name for name, _ in found)
        joined, more = read_metadata(tables, names, labelled=False)
        below = [name.rpartition("/")[0] for name in names]
        if any("folder" in row for row in joined) and any(below):
            raise InputError(f"{what} has sub-folders and a metadata column 'folder': rename the column.")
        metadata = tuple(
            {**row, "folder": inside} if inside else row for row, inside in zip(joined, below, strict=True)
        )
        return cls(tuple(text for _, text in found), names, metadata=metadata, reading=(*notes, *more))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> TextCorpus:
        """One text file: a corpus of one document. Raises `InputError`, naming the file, if it cannot be one."""
        path = Path(path)
        what = f"'{shown(path)}'"
        data = _read(path)
        if not data:
            raise InputError(f"{what} is empty: give a file with text in it.")
        return cls((_decoded(data, what),), (shown(path.name),))

    @classmethod
    def from_jsonl(cls, path: str | os.PathLike[str]) -> TextCorpus:
        """One JSON object on each line, whose field `text` is a document and whose other fields are its metadata.

        A field `name` names the document (`FILE:LINE` without one). Fields `id` and `file_name` become the columns
        `given_id` and `given_file_name`, since each document has an id already; lists and objects, and documents whose
        text is empty, are left out with a note. Raises `InputError`, naming file and line, for a line that is no such
        object.
        """
        path = Path(path)
        what = f"'{shown(path)}'"
        texts: list[str] = []
        names: list[str] = []
        rows: list[Mapping[str, str]] = []
        notes: set[str] = set()
        empty = 0
        for number, line in enumerate(_decoded(_read(path), what).split("\n"), start=1):
            if not line.strip():
                continue
            where = f"{what}, line {number:,},"
            try:
                row = json.loads(line, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where} is not JSON: write one object on each line.") from error
            text = row.pop("text", None) if isinstance(row, dict) else None
            if not isinstance(text, str) or isinstance(text, _Number):
                raise InputError(f"{where} has no field 'text' that is text: give every line one.")
            if not text:
                empty += 1
                continue
            name = row.pop("name", None)
            columns, dropped = _columns(row)
            notes.update(dropped)
            texts.append(text)
            names.append(name if isinstance(name, str) and name else f"{shown(path.name)}:{number}")
            rows.append(canonical_row(columns, where, labelled=False))
        if empty:
            notes.add(f"left out, empty: {empty:,} line{'s' if empty > 1 else ''}")
        if not texts:
            raise InputError(f"{what} holds no documents: write one JSON object with a field 'text' on each line.")
        return cls(tuple(texts), tuple(names), metadata=tuple(rows), reading=tuple(notes))

    @classmethod
    def from_texts(cls, texts: Sequence[str], *, names: Sequence[str] | None = None) -> TextCorpus:
        """Documents from memory, named `texts[i]` unless `names` are given. Raises `InputError` as the record does."""
        given = tuple(f"texts[{i}]" for i in range(len(texts))) if names is None else tuple(names)
        return cls(tuple(texts), given)

    @classmethod
    def builtin(cls, name: str) -> TextCorpus:
        """An embedded text, `python-manual`. Raises `UsageError` for another name."""
        if name not in BUILTIN_TEXT:
            raise UsageError(f"there is no built-in text {name!r}: choose one of {', '.join(BUILTIN_TEXT)}.")
        from pydoc_data.topics import topics

        note = "the reference manual of Python {}.{}, as its help() shows it".format(*sys.version_info)
        return cls(tuple(topics.values()), tuple(topics), reading=(note,))

    def __repr__(self) -> str:
        return f"TextCorpus({len(self)} documents, {self.characters:,} characters, digest {self.digest[:12]})"

    def __reduce__(self) -> tuple[Any, ...]:
        rest = {"conversions": self.conversions, "reading": self.reading, "metadata": tuple(map(dict, self.metadata))}
        return partial(TextCorpus, **rest), (self.documents, self.names)

    @property
    def characters(self) -> int:
        """How many characters all documents have together."""
        return sum(map(len, self.documents))

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the multiset of ids; order, names and metadata do not enter."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return text_digest(self.ids)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Everything a reader of the results should know about how the text came here, for the run record."""
        converted: dict[str, list[str]] = {}
        for name, done in zip(self.names, self.conversions, strict=True):
            for text in done:
                converted.setdefault(text, []).append(name)
        notes = [*self.reading, *(f"{text}: {_some(names)}" for text, names in sorted(converted.items()))]
        copies = len(self) - len(set(self.ids))
        if copies:
            notes.append(f"{copies:,} of {len(self):,} documents repeat another one exactly; kept as separate items")
        return tuple(notes)

    def adding(self, other: TextCorpus) -> TextCorpus:
        """The documents of both corpora; the order of the two does not matter."""
        return TextCorpus(
            self.documents + other.documents,
            self.names + other.names,
            conversions=self.conversions + other.conversions,
            metadata=self.metadata + other.metadata,
            reading=self.reading + other.reading,
        )

    def _take(self, indices: list[int]) -> TextCorpus:
        return TextCorpus(
            tuple(self.documents[i] for i in indices),
            tuple(self.names[i] for i in indices),
            conversions=tuple(self.conversions[i] for i in indices),
            metadata=tuple(self.metadata[i] for i in indices),
            reading=self.reading,
        )


def text_digest(ids: Iterable[str]) -> str:
    """Hex SHA-256 of the multiset of content ids; their order does not enter."""
    return hashlib.sha256(json.dumps(["smalti text 1", sorted(ids)]).encode("ascii")).hexdigest()


def _canonical(text: str, what: str) -> tuple[str, bytes, tuple[str, ...]]:
    """A document in canonical form, the same in UTF-8, and what was done to it."""
    if not isinstance(text, str):
        raise InputError(f"{what} is not text but {type(text).__name__}: give the documents as str.")
    done: list[str] = []
    if text.startswith("\ufeff"):
        text = text[1:]
        done.append("byte order mark dropped")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        done.append("line ends changed to LF")
    if not text:
        raise InputError(f"{what} is empty: leave it out, or give it a text.")
    if "\0" in text:
        raise InputError(f"{what} holds a NUL character (character {text.index(chr(0)):,}): text has none, remove it.")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} holds half a character (a lone surrogate, character {error.start:,}): write it as UTF-8 text."
        ) from error
    return text, encoded, tuple(done)


def _read(path: Path) -> bytes:
    what = f"'{shown(path)}'"
    try:
        # Asked before opening: to open a named pipe would wait for ever.
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{what} is not a regular file: give a text file.")
        if state.st_size > LARGEST_TEXT:
            raise InputError(
                f"{what} has {state.st_size / 2**20:,.0f} MiB, more than the {LARGEST_TEXT / 2**20:,.0f} MiB of text a "
                "corpus may have: give a part of it."
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{what} cannot be opened ({error.strerror or error}): make it readable, or take it out."
        ) from error


def _decoded(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8 text (byte {error.start:,}): save it as UTF-8.") from error


def _walk(folder: Path, root: Path) -> Iterator[tuple[str, Path, str]]:
    """(name relative to the root, path, why it is left out or "") of all files below a folder."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise InputError(
            f"'{shown(folder)}' cannot be listed ({error.strerror}): make it readable, or take it out."
        ) from error
    for entry in entries:
        path = Path(entry.path)
        name = shown(path.relative_to(root).as_posix())
        if entry.name.startswith("."):
            yield name, path, "hidden"
        elif entry.is_symlink() and path.is_dir():
            yield name, path, "a link to a folder"
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root)
        else:
            yield name, path, ""


class _Number(str):
    """A JSON number as it is written: good for metadata, and no text of a document."""


def _columns(row: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    """The fields of a JSON object that are columns of metadata, and notes on the others."""
    columns: dict[str, str] = {}
    notes: list[str] = []
    for key, value in row.items():
        column = f"given_{key}" if key.strip() in _TAKEN else key
        if isinstance(value, bool):
            columns[column] = "true" if value else "false"
        elif isinstance(value, str):
            columns[column] = value
        elif value is not None:
            notes.append(f"field '{key}' left out where it is a list or an object")
    return columns, notes


def _some(names: list[str]) -> str:
    return f"'{names[0]}'" if len(names) == 1 else f"{len(names):,} such as '{min(names)}'"
