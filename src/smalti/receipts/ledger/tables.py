"""What groups of items are owed, as the columns of tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from smalti.receipts.ledger.records import Group, SampleTotals, Total
from smalti.receipts.tables import Column

__all__ = ["samples_table", "totals_table"]

_TAKEN = {"run", "folder", "seed", "picture_sha256", "pixels", "item", "id", "name", "label"}
_TAKEN |= {"units", "share", "samples"}


def totals_table(totals: Sequence[Total], *, by: str, metadata: Mapping[Group, Mapping[str, str]]) -> dict[str, Column]:
    """Columns of a table with one row for each group; see `Ledger.export`."""
    return _group_columns([total.group for total in totals], by=by, metadata=metadata) | {
        "units": [Decimal(total.units) for total in totals],
        "share": [total.units / total.whole for total in totals],
        "samples": [total.samples for total in totals],
    }


def samples_table(
    samples: Iterable[SampleTotals], *, by: str, metadata: Mapping[Group, Mapping[str, str]]
) -> dict[str, Column]:
    """Columns of a table with one row for each group of each sample; see `Ledger.export`."""
    about: dict[str, list[Any]] = {name: [] for name in ("run", "folder", "seed", "picture_sha256", "pixels")}
    counted: dict[str, list[Any]] = {"units": [], "share": []}
    groups: list[Group] = []
    for sample in samples:
        groups.extend(total.group for total in sample.totals)
        counted["units"].extend(total.units for total in sample.totals)
        counted["share"].extend(total.units / total.whole for total in sample.totals)
        said = (sample.run, sample.folder, sample.seed, sample.picture, sample.pixels)
        for column, value in zip(about.values(), said, strict=True):
            column.extend([value] * len(sample.totals))
    return about | _group_columns(groups, by=by, metadata=metadata) | counted


def _group_columns(
    groups: Sequence[Group], *, by: str, metadata: Mapping[Group, Mapping[str, str]]
) -> dict[str, Column]:
    values = [group[0] for group in groups]
    if by != "item":
        return {by if by in ("id", "name", "label") else _free(by, ()): values}
    columns: dict[str, Column] = {"id": values, "name": [group[1] for group in groups]}
    columns["label"] = [group[2] for group in groups]
    known = [metadata.get(group, {}) for group in groups]
    for name in sorted({name for row in metadata.values() for name in row}):
        columns[_free(name, columns)] = [row.get(name) for row in known]
    return columns


def _free(name: str, others: Iterable[str]) -> str:
    """The name of a column of metadata in a table that has names of its own."""
    while name in _TAKEN or name in others:
        name = f"metadata_{name}"
    return name
