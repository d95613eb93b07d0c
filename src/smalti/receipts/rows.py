"""A receipt as a table, for DuckDB, pandas and Polars: one row for each step, pixel and listed item.

The items of a pixel are listed by weight; what is left of its units has a row of its own, without an item. So the
units of each step and pixel sum to 2^40, and those of a step to H W 2^40.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.receipts.composition import UNITS

__all__ = ["COLUMNS", "about", "rows"]

COLUMNS = {
    "seed": "seed of the sample",
    "step": "step, from 0, the noisiest; the last one is the finished picture",
    "time": "time of the step's noise level",
    "row": "row of the pixel, from 0 at the top",
    "column": "column of the pixel, from 0 at the left",
    "rank": "place of the item among those of the pixel, from 0; missing for the rest",
    "item": "index of the item in the corpus; missing for the rest: all items that are not listed",
    "id": "content id of the item",
    "name": "name of the item",
    "label": "label of the item",
    "units": "weight in units of 2^-40 of the pixel; those of a step and pixel sum to 2^40",
    "share": "units / 2^40",
    "source_row": "row in the item of its best source, if that is among the listed sources",
    "source_column": "column in the item of its best source, if that is among the listed sources",
}
"""The columns of the table, each with what it holds."""


def rows(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The table of records, columns by name; None where an entry is missing.

    Args:
        records: records of receipts.
    """
    table: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for record in records:
        for step in record["steps"]:
            for name, values in _of_step(record, step).items():
                table[name].extend(values)
    return table


def about(records: Sequence[Mapping[str, Any]], **more: str) -> dict[str, str]:
    """What the file of a table says of itself: format, the run, the columns, and what there is `more` to say."""
    first = records[0]
    return {
        "smalti": json.dumps(
            {
                "format": "smalti.receipt-rows/1",
                **more,
                "run": first["run"],
                "seeds": [record["seed"] for record in records],
                "units_per_pixel": UNITS,
                "columns": COLUMNS,
            },
            sort_keys=True,
        )
    }


def _of_step(record: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, list[Any]]:
    height, width = record["run"]["size"]
    count = height * width
    pixels = step["pixels"]
    item = np.array(pixels["items"]).reshape(count, -1)
    units = np.array(pixels["item_units"]).reshape(count, -1)
    rest = np.array(pixels["rest_units"])
    source, source_row, source_column = (
        np.array(pixels[name]).reshape(count, -1) for name in ("sources", "rows", "cols")
    )
    first, found = first_source(item, source)
    best_row, best_column = (np.take_along_axis(at, first, axis=1) for at in (source_row, source_column))
    # One more place at each pixel, for the rest.
    listed = np.concatenate([item >= 0, (rest > 0)[:, None]], axis=1)
    pixel, rank = np.nonzero(listed)
    last = item.shape[1]
    units = np.concatenate([units, rest[:, None]], axis=1)[pixel, rank]
    inside = np.minimum(rank, last - 1)
    is_item = rank < last
    places = np.where(is_item, item[pixel, inside], -1).tolist()
    known = (is_item & found[pixel, inside]).tolist()
    items = record["items"]

    def of_item(name: str) -> list[Any]:
        return [None if place < 0 else items[place][name] for place in places]

    def of_source(values: np.ndarray) -> list[int | None]:
        return [value if there else None for value, there in zip(values[pixel, inside].tolist(), known, strict=True)]

    return {
        "seed": [record["seed"]] * len(pixel),
        "step": [step["step"]] * len(pixel),
        "time": [step["time"]] * len(pixel),
        "row": (pixel // width).tolist(),
        "column": (pixel % width).tolist(),
        "rank": [n if there else None for n, there in zip(rank.tolist(), is_item.tolist(), strict=True)],
        "item": of_item("index"),
        "id": of_item("id"),
        "name": of_item("name"),
        "label": of_item("label"),
        "units": units.tolist(),
        "share": (units / UNITS).tolist(),
        "source_row": of_source(best_row),
        "source_column": of_source(best_column),
    }


def first_source(item: NDArray[np.int64], source: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each listed item of each pixel the first of the pixel's sources that is in it, and whether there is one;
    both (pixels, M), from items (pixels, M) and sources (pixels, K).
    """
    pixels, listed = source.shape
    span = int(max(item.max(initial=0), source.max(initial=0))) + 2
    pixel = np.arange(pixels)[:, None] * span
    # Pixel and item as one number; `np.unique` gives the first place of each.
    known, place = np.unique((pixel + source + 1).ravel(), return_index=True)
    wanted = pixel + item + 1
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = (known[at] == wanted) & (item >= 0)
    return np.where(found, place[at] % listed, 0), found
