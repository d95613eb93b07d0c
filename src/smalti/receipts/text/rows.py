"""A text's receipt as a table: one row for each token and listed document, or for what has no document.

The units of a token sum to 2^40, and those of a text of L tokens to L 2^40.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from smalti.receipts.composition import UNITS

__all__ = ["COLUMNS", "about", "rows"]

COLUMNS = {
    "seed": "seed of the sample",
    "token": "place of the token in the text, from 0",
    "begin": "its first character in the text, from 0",
    "end": "the character after its last one",
    "text": "the token",
    "step": "the step at which it was drawn, from 0; missing if it was not drawn",
    "probability": "its chance in the distribution it was drawn from",
    "entropy": "entropy in bits of the machine's distribution there",
    "rank": "place of the document among those of the token, from 0; missing for all other rows",
    "kind": "document, other documents (all that are not listed), given, noise or prior",
    "document": "index of the document in the corpus",
    "id": "content id of the document",
    "name": "name of the document",
    "units": "weight in units of 2^-40 of the token; those of a token sum to 2^40",
    "share": "units / 2^40",
    "source_begin": "first character in the document of its best place, if that is among the listed sources",
    "source_end": "the character after its last one",
}
"""The columns of the table, each with what it holds."""


def rows(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The table of records, columns by name; None where an entry is missing.

    Args:
        records: records of receipts of texts.
    """
    found = [row for record in records for row in _of(record)]
    return {name: [row.get(name) for row in found] for name in COLUMNS}


def about(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the file of a table says of itself: format, the run, the columns."""
    return {
        "smalti": json.dumps(
            {
                "format": "smalti.text-receipt-rows/1",
                "run": records[0]["run"],
                "seeds": [record["seed"] for record in records],
                "units_per_token": UNITS,
                "columns": COLUMNS,
            },
            sort_keys=True,
        )
    }


def _of(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for place, token in enumerate(record["tokens"]):
        base = {
            "seed": record["seed"],
            "token": place,
            "begin": token["begin"],
            "end": token["end"],
            "text": token["token"],
        }
        if token["origin"] != "drawn":
            yield base | _units(token["origin"], UNITS)
            continue
        base |= {name: token[name] for name in ("step", "probability", "entropy")}
        for rank, (listed, units) in enumerate(token["documents"]):
            document = record["documents"][listed]
            best = next(((begin, end) for d, begin, end, _ in token["sources"] if d == listed), (None, None))
            yield (
                base
                | _units("document", units)
                | {
                    "rank": rank,
                    "document": document["index"],
                    "id": document["id"],
                    "name": document["name"],
                    "source_begin": best[0],
                    "source_end": best[1],
                }
            )
        for kind, units in {"other documents": token["rest_units"], **token["no_document"]}.items():
            if units:
                yield base | _units(kind, units)


def _units(kind: str, units: int) -> dict[str, Any]:
    return {"kind": kind, "units": units, "share": units / UNITS}
