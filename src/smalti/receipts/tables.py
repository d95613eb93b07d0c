"""Tables on disk: Parquet for tools that compute (DuckDB, pandas, Polars), CSV for all others.

A table is a mapping from the name of a column to its values: a NumPy array of one dimension (whole numbers, floats,
truth values or text), or a sequence in which `None` stands for a value that is missing and all others are of one kind,
`str`, `int`, `float`, `bool` or `decimal.Decimal` (whole, for numbers that may leave 64 bits).

Parquet keeps kinds, missing values and every bit of a float; the same table gives the same bytes under one version of
pyarrow. CSV is UTF-8 with `,` between values and one line feed after each row, the same bytes everywhere. A missing
value is nothing at all, an empty text is `""`; a float is the shortest text that reads back as the same 64 bits.
Texts stand as they are, also those that begin with `=`, `+`, `-` or `@`: this is data, and a mark that protects a
spreadsheet would change it. Whoever opens such a file in a spreadsheet imports the columns as text.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError
from smalti.sampling.files import write_file

__all__ = ["Column", "check_table_name", "write_csv", "write_parquet", "write_table"]

Column = NDArray[Any] | Sequence[str | int | float | bool | Decimal | None]
"""Values of one column."""

_SUFFIXES = (".parquet", ".csv")
_INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 38


def write_table(path: str | Path, columns: Mapping[str, Column], *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a table, all of it or nothing, as Parquet or CSV: the end of the name says which. Tier: *bitwise*.

    A file that is there is replaced; to ask first is the caller's part.

    Args:
        path: the file, `.parquet` or `.csv`.
        columns: the table, columns in order; all of one length.

    Keyword Args:
        metadata: texts by name, kept by Parquet in its footer. CSV has no place for them, and leaves them out.

    Raises:
        InputError: pyarrow is not there, or the file cannot be written.
        UsageError: the name ends otherwise, or the columns are no table.
    """
    if check_table_name(path) == ".parquet":
        write_parquet(path, columns, metadata=metadata)
    else:
        write_csv(path, columns)


def check_table_name(path: str | Path) -> str:
    """The end of a table's name, after a check that such a table can be written here: before any long work.

    Args:
        path: the file.

    Returns:
        ".parquet" or ".csv".

    Raises:
        InputError: it is Parquet, and pyarrow is not there.
        UsageError: it is neither.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{path} does not say what kind of table it is: give a name that ends in .parquet or .csv.")
    if suffix == ".parquet":
        _pyarrow()
    return suffix


def write_parquet(
    path: str | Path, columns: Mapping[str, Column], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a table as Parquet, all of it or nothing. Tier: *bitwise*, under one version of pyarrow.

    Whole numbers become int64 (arrays keep their own width), floats double, `Decimal` decimal(38, 0), text string. A
    column in which every value is missing is text.

    Args:
        path: the file; replaced if it is there.
        columns: the table, columns in order; all of one length.

    Keyword Args:
        metadata: texts by name, kept in the footer.

    Raises:
        InputError: pyarrow is not there, or the file cannot be written.
        UsageError: the columns are no table.
    """
    pa = _pyarrow()
    import pyarrow.parquet as pq

    _check_lengths(columns)
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    wide = pa.decimal128(_MOST_DIGITS, 0)
    arrays = []
    with _text_checked(path):
        for name, column in columns.items():
            kind = _kind(name, column)
            numbers = isinstance(column, np.ndarray) and kind is not str
            arrays.append(pa.array(column) if numbers else pa.array(_values(column), types.get(kind, wide)))
        table = pa.Table.from_arrays(arrays, names=list(columns))
    table = table.replace_schema_metadata(dict(metadata) if metadata else None)
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    write_file(Path(path), content.getvalue())


def write_csv(path: str | Path, columns: Mapping[str, Column]) -> None:
    """Writes a table as CSV, all of it or nothing; see the module for the form. Tier: *bitwise*.

    Args:
        path: the file; replaced if it is there.
        columns: the table, columns in order; all of one length.

    Raises:
        InputError: the file cannot be written.
        UsageError: the columns are no table.
    """
    _check_lengths(columns)
    # A line without anything on it is no row to most readers, so that a missing value in an only column is written out.
    missing = '""' if len(columns) == 1 else ""
    fields = [_fields(column, _kind(name, column), missing) for name, column in columns.items()]
    rows = zip(*fields, strict=True)
    lines = (f"{','.join(row)}\n" for row in ([_quoted(name) for name in columns], *rows))
    with _text_checked(path):
        content = "".join(lines).encode()
    write_file(Path(path), content)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise InputError(
            "Parquet files need pyarrow, which is not installed: run pip install pyarrow, or give a name that ends "
            "in .csv."
        ) from error
    return pyarrow


@contextlib.contextmanager
def _text_checked(path: str | Path) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as error:
        raise UsageError(
            f"A text for {path} holds half a character (a lone surrogate, {error.object[error.start]!a}): give "
            "text that can be written as UTF-8."
        ) from error


def _check_lengths(columns: Mapping[str, Column]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise UsageError(f"A table has columns of one length, one at least, but these have {lengths}.")


def _kind(name: str, column: Column) -> type:
    """What the values of a column are: bool, int, float, str or Decimal."""
    if isinstance(column, np.ndarray):
        kinds = {"b": bool, "i": int, "u": int, "f": float, "U": str}
        kind = column.dtype.kind
        if column.ndim != 1 or kind not in kinds or (kind == "f" and column.dtype.itemsize > 8):
            raise UsageError(
                f"The column {name!r} of a table is an array of {column.dtype} of shape {column.shape}: give numbers, "
                "truth values or text in one dimension."
            )
        return kinds[kind]
    found = {type(value) for value in column if value is not None} or {str}
    kind = found.pop()
    if found or kind not in (bool, int, float, str, Decimal):
        kinds = ", ".join(sorted(other.__name__ for other in found | {kind}))
        raise UsageError(f"The column {name!r} of a table has values of these kinds: {kinds}; give one kind.")
    for value in column:
        if isinstance(value, Decimal) and not _is_whole(value):
            raise UsageError(
                f"The column {name!r} of a table has the value {value}: give whole numbers of at most {_MOST_DIGITS} "
                "digits."
            )
        if kind is int and value is not None and value not in _INT64:
            raise UsageError(f"The column {name!r} of a table has the value {value}, beyond 64 bits: give Decimals.")
    return kind


def _is_whole(value: Decimal) -> bool:
    return value.is_finite() and value.adjusted() < _MOST_DIGITS and value == value.to_integral_value()


def _fields(column: Column, kind: type, missing: str) -> Iterator[str]:
    """The values of a column as they stand in CSV."""
    texts: dict[type, Callable[[Any], str]] = {
        bool: lambda value: "true" if value else "false",
        int: str,
        float: repr,
        str: _quoted,
        Decimal: lambda value: str(int(value)),
    }
    # `tolist` makes a float32 the double it equals, so that it comes back exactly.
    return (missing if value is None else texts[kind](value) for value in _values(column))


def _values(column: Column) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _quoted(text: str) -> str:
    if text == "" or text != text.strip() or any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
