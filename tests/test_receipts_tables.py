"""Tables: what is written comes back exactly, and the same table gives the same bytes."""

from __future__ import annotations

import csv
import io
import math
import struct
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.errors import InputError, UsageError
from smalti.receipts.tables import Column, check_table_name, write_csv, write_parquet, write_table

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(width=64)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(st.none(), values), min_size=3, max_size=3)


def bits(value: float) -> bytes:
    return struct.pack("<d", value) if not math.isnan(value) else b"nan"


@given(
    table=st.fixed_dictionaries(
        {
            "text": optional(TEXTS),
            "number, wide": optional(NUMBERS),
            "float": optional(FLOATS),
            'truth "value"': optional(st.booleans()),
            "whole": optional(st.integers(-(10**37), 10**37).map(Decimal)),
        }
    )
)
def test_every_value_comes_back(table: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tables")
    write_table(folder / "a.csv", table)
    write_table(folder / "a.parquet", table)
    read: dict[type, Any] = {str: str, int: int, float: float, bool: "true".__eq__, Decimal: Decimal}
    rows = list(csv.reader(io.StringIO((folder / "a.csv").read_bytes().decode(), newline="")))
    assert rows[0] == list(table)
    for name, texts in zip(table, zip(*rows[1:], strict=True), strict=True):
        for value, text in zip(table[name], texts, strict=True):
            if value is None:
                assert text == ""
            elif isinstance(value, float):
                assert bits(float(text)) == bits(value)
            else:
                assert read[type(value)](text) == value
    for name, column in parquet(folder / "a.parquet").to_pydict().items():
        for value, again in zip(table[name], column, strict=True):
            assert (bits(again) == bits(value)) if isinstance(value, float) else again == value


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_same_table_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    table: dict[str, Column] = {"a": np.arange(1000), "b": [f"text {k % 7}" for k in range(1000)]}
    for name in ("a", "b"):
        write_table(tmp_path / f"{name}{suffix}", table, metadata={"x": "1", "y": "2"})
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_form_of_csv(tmp_path: Path) -> None:
    """A missing value is nothing, an empty text is quoted; nothing is changed for the sake of spreadsheets."""
    texts = ["=1+1", "+1", "-1", "@x", None, "", 'a "b", c', " x", "x\ny", "é"]
    write_csv(tmp_path / "a.csv", {"text": texts, "number": list(range(10))})
    assert (tmp_path / "a.csv").read_text("utf-8") == (
        'text,number\n=1+1,0\n+1,1\n-1,2\n@x,3\n,4\n"",5\n"a ""b"", c",6\n" x",7\n"x\ny",8\né,9\n'
    )
    write_csv(tmp_path / "b.csv", {"only": ["a", None, "b"]})
    assert (tmp_path / "b.csv").read_text() == 'only\na\n""\nb\n'


def test_arrays_keep_their_kind(tmp_path: Path) -> None:
    table: dict[str, Column] = {
        "i": np.array([1, -2], np.int64),
        "b": np.array([0, 255], np.uint8),
        "f": np.array([0.1, math.nan], np.float32),
        "t": np.array([True, False]),
        "u": np.array(["é", "zz"]),
        "n": [None, None],
        "d": [Decimal(2**80), None],
    }
    write_parquet(tmp_path / "a.parquet", table, metadata={"smalti": "{}"})
    found = parquet(tmp_path / "a.parquet")
    assert [str(kind) for kind in found.schema.types] == [
        *("int64", "uint8", "float", "bool", "string", "string", "decimal128(38, 0)")
    ]
    assert found.schema.metadata == {b"smalti": b"{}"}
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text("utf-8") == (
        "i,b,f,t,u,n,d\n1,0,0.10000000149011612,true,é,,1208925819614629174706176\n-2,255,nan,false,zz,,\n"
    )


@pytest.mark.parametrize("name", ["table.xlsx", "table", "parquet"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^.*'?does not say what kind of table it is: give a name that ends in"):
        write_table(tmp_path / name, {"a": [1]})
    assert not list(tmp_path.iterdir())


def test_suffixes_in_capitals_are_known(tmp_path: Path) -> None:
    assert [check_table_name(tmp_path / name) for name in ("a.CSV", "a.Parquet")] == [".csv", ".parquet"]


def test_parquet_without_pyarrow_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"^Parquet files need pyarrow, .* pip install pyarrow, or .*\.$"):
        check_table_name(tmp_path / "a.parquet")
    write_table(tmp_path / "a.csv", {"a": [1]})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": [1], "b": [1, 2]}, "columns of one length"),
        ({}, "columns of one length"),
        ({"a": [1, "b"]}, "values of these kinds: int, str; give one kind"),
        ({"a": [1, True]}, "bool, int"),
        ({"a": [b"x"]}, "bytes"),
        ({"a": np.zeros((2, 2))}, r"shape \(2, 2\)"),
        ({"a": np.array([None])}, "array of object"),
        ({"a": [2**63]}, "beyond 64 bits: give Decimals"),
        ({"a": [Decimal("0.5")]}, "give whole numbers of at most 38"),
        ({"a": [Decimal(10**38)]}, "give whole numbers of at most 38"),
        ({"a": [Decimal("Infinity")]}, "give whole numbers of at most 38"),
        ({"a": ["\ud800"]}, r"lone surrogate, '\\ud800'"),
        ({"\ud800": ["a"]}, "lone surrogate"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_no_table_is_refused(table: dict[str, Any], message: str, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        write_table(tmp_path / f"a{suffix}", table)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_table(tmp_path / "missing" / "a.csv", {"a": [1]})


def parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(path)
