"""What is known of pictures and texts beside their content: artist, licence, address, any column of text.

A file `metadata.csv` or `metadata.jsonl` beside the files has one row for each, whose column `file_name` says which
one: a path relative to the folder that the file lies in, with `/` between its parts. All other columns are text. A
number or truth value in JSON becomes the text that JSON writes for it. Space around a value does not count; an empty
value, and null, is no value.

Metadata says what items can be grouped by. It never enters content ids or digests.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from smalti.corpus.decode import shown
from smalti.errors import InputError

FILE_NAMES = ("metadata.csv", "metadata.jsonl")
"""Files that are joined to the pictures or texts beside and below them."""

KEY = "file_name"
"""The column that says which file a row is about."""

RESERVED = ("file_name", "id", "item", "name")
"""Names that no column may have: every item has an id and a name already, and is an item."""

LARGEST_FILE = 256 * 2**20
"""Most bytes a metadata file may have."""

NONE: Mapping[str, str] = MappingProxyType({})
"""The metadata of an item that has none."""


def normal(text: str) -> str:
    """Text in Unicode normal form C: keyboards and file systems write accents in different ways."""
    return unicodedata.normalize("NFC", text)


def check_metadata(
    metadata: Sequence[Mapping[str, str]], count: int, *, labelled: bool
) -> tuple[Mapping[str, str], ...]:
    """Metadata in canonical form: one read-only mapping for each of `count` items, columns sorted, no empty value.

    Columns and values lose space around them and are brought to Unicode normal form C. No mapping at all stands for
    none for each item. Raises `InputError` for another number of mappings, a column that `check_column` refuses, and
    values that are not text.
    """
    if not metadata:
        return (NONE,) * count
    if len(metadata) != count:
        raise InputError(f"metadata has length {len(metadata)} for {count} items: give one mapping for each.")
    return tuple(canonical_row(row, f"metadata[{index}]", labelled=labelled) for index, row in enumerate(metadata))


def check_column(column: object, what: str, *, labelled: bool) -> str:
    """The name of a column in Unicode normal form C, without space around it.

    `labelled` says whether the pictures have labels, which are a column already. Raises `InputError`, naming `what`,
    for a name that is not text, is empty, or is taken.
    """
    if not isinstance(column, str):
        raise InputError(f"{what} has a column {column!r}: the name of a column is text.")
    name = normal(column.strip())
    if not name:
        raise InputError(f"{what} has a column without a name: give it one, or take it out.")
    if name in RESERVED:
        raise InputError(f"{what} has a column '{name}', which every item has already: rename it, or take it out.")
    if name == "label" and labelled:
        raise InputError(
            f"{what} has a column 'label', but the pictures have labels already (their sub-folders): rename it, or "
            "take it out."
        )
    return name


def read_metadata(
    files: Sequence[tuple[str, Path]], names: Sequence[str], *, labelled: bool
) -> tuple[tuple[Mapping[str, str], ...], tuple[str, ...]]:
    """Join metadata files to pictures or texts.

    Main arguments: `files`, (name relative to the folder, path to open) of each metadata file; `names`, the files,
    relative to the folder. Other argument: `labelled` as in `check_column`. Returns one mapping for each file, and
    notes on rows that no file has. Raises `InputError`, naming file and line, for a file that cannot be read, is no
    such table, or speaks of a file that was spoken of before.
    """
    exact = {name: index for index, name in enumerate(names)}
    alike: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        alike.setdefault(normal(name), []).append(index)
    found: list[Mapping[str, str]] = [NONE] * len(names)
    said: dict[str, str] = {}
    notes: list[str] = []
    for file, path in sorted(files):
        what = f"'{shown(path)}'"
        read = _csv_rows if path.suffix == ".csv" else _json_rows
        rows = 0
        strangers: list[str] = []
        for line, row in read(_text(path, what), what):
            rows += 1
            where = f"{what}, line {line:,},"
            target = row.pop(KEY, "")
            if not target.strip():
                raise InputError(f"{where} names no file: give it a {KEY}.")
            # The name of a file may begin or end with a space; where there is none of that name, space means nothing.
            given = [posixpath.normpath(posixpath.join(posixpath.dirname(file), t)) for t in (target, target.strip())]
            target = next((t for t in given if t in exact or normal(t) in alike), given[-1])
            places = [exact[target]] if target in exact else alike.get(normal(target), [])
            if len(places) > 1:
                raise InputError(
                    f"{where} speaks of '{target}', a name that two files have in different Unicode forms: rename one."
                )
            subject = names[places[0]] if places else normal(target)
            if subject in said:
                raise InputError(f"{where} speaks of '{subject}' again, after {said[subject]}: keep one of the rows.")
            said[subject] = f"'{file}', line {line:,}"
            columns = canonical_row(row, where, labelled=labelled)
            if places:
                found[places[0]] = columns
            else:
                strangers.append(target)
        if not rows:
            notes.append(f"'{file}' has no rows")
        if strangers:
            notes.append(f"rows of '{file}' left out, since no item has their {KEY}: {_some(strangers)}")
    return tuple(found), tuple(notes)


def canonical_row(row: Mapping[str, str], what: str, *, labelled: bool) -> Mapping[str, str]:
    """The metadata of one item in canonical form, as in `check_metadata`; errors name `what`."""
    columns: dict[str, str] = {}
    for given, value in row.items():
        column = check_column(given, what, labelled=labelled)
        if column in columns:
            raise InputError(f"{what} has the column '{column}' twice: rename one of them.")
        if not isinstance(value, str):
            raise InputError(f"{what} has {value!r} as its {column}: a value is text.")
        columns[column] = normal(value.strip())
    try:
        "".join([*columns, *columns.values()]).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} holds half a character (a lone surrogate): write it as UTF-8 text.") from error
    kept = {column: columns[column] for column in sorted(columns) if columns[column]}
    return MappingProxyType(kept) if kept else NONE


def _text(path: Path, what: str) -> str:
    try:
        # Asked before opening: to open a named pipe would wait for ever.
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{what} is not a regular file: put a table there, or rename it.")
        if state.st_size > LARGEST_FILE:
            raise InputError(
                f"{what} has {state.st_size / 2**20:,.0f} MiB, more than the {LARGEST_FILE / 2**20:,.0f} MiB that "
                "metadata may have: leave out columns that are not needed."
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8 text (byte {error.start:,}): save it as UTF-8.") from error
    except OSError as error:
        raise InputError(
            f"{what} cannot be opened ({error.strerror or error}): make it readable, or take it out."
        ) from error


def _csv_rows(text: str, what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a table separated by commas, whose first row names the columns. Blank lines count for nothing."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{what}, line {reader.line_num:,}, is no row of a table separated by commas ({error}): mend it."
            ) from error
        if row is None:
            break
        if not row:
            continue
        if not header:
            header = [column.strip() for column in row]
            if KEY not in header:
                raise InputError(
                    f"{what} has no column {KEY} (its first row is '{shown(','.join(row))}'): add one that says which "
                    "file each row is about, separate columns by commas, or give the file another name."
                )
            for column in header:
                if header.count(column) > 1:
                    raise InputError(f"{what} has the column '{column}' twice: rename one of them.")
            continue
        if len(row) != len(header):
            raise InputError(
                f"{what}, line {reader.line_num:,}, has {_values(len(row))} for {_columns(len(header))}: separate "
                "values by commas, and put one that holds a comma in quotation marks."
            )
        yield reader.line_num, dict(zip(header, row, strict=True))
    if not header:
        raise InputError(f"{what} is empty: its first row names the columns, {KEY} among them.")


def _json_rows(text: str, what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a file with one JSON object on each line. Blank lines count for nothing."""
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        where = f"{what}, line {line:,},"
        try:
            # Numbers keep the digits they were written with.
            row = json.loads(
                content, parse_int=str, parse_float=str, parse_constant=_refuse_constant, object_pairs_hook=_Pairs
            )
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: write one object on each line.") from error
        if not isinstance(row, _Pairs):
            raise InputError(f"{where} is no JSON object: write one object on each line.")
        found: dict[str, str] = {}
        for column, value in row.pairs:
            if column in found:
                raise InputError(f"{where} has the column '{column}' twice: keep one of them.")
            found[column] = _json_value(value, column, where)
        yield line, found


@dataclass(frozen=True)
class _Pairs:
    """A JSON object with every pair it was written with, so that a key that comes twice is seen."""

    pairs: list[tuple[str, Any]]


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


def _json_value(value: object, column: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        kind = "an object" if isinstance(value, _Pairs) else "a list"
        raise InputError(f"{where} has {kind} as its '{column}': a value is text, a number, true, false or null.")
    return value


def _some(names: list[str]) -> str:
    return f"'{min(names)}'" if len(names) == 1 else f"{len(names):,} such as '{min(names)}'"


def _values(count: int) -> str:
    return f"{count:,} value{'' if count == 1 else 's'}"


def _columns(count: int) -> str:
    return f"{count:,} column{'' if count == 1 else 's'}"
