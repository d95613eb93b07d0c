"""Receipts of texts as plain values: what `receipt.json` holds, and all that a report shows.

docs/concepts/text-receipts.md says what each entry is. The same run gives the same bytes. Documents are places in the
record's own table `documents`; characters are counted from 0, by Unicode code point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from smalti.receipts.composition import UNITS
from smalti.receipts.receipt import largest
from smalti.receipts.record import MOST_CREDITS, listed_groups
from smalti.receipts.text.places import written
from smalti.receipts.text.receipt import NO_DOCUMENT, TextComposition, TextReceipt
from smalti.receipts.text.verbatim import LENGTHS, TextMatch, Verbatim
from smalti.sampling.run import RunRecord

__all__ = ["AROUND", "FORMAT", "text_record"]

FORMAT = "smalti.text-receipt/1"

AROUND = 60
"""Characters of a document that a record shows on both sides of a source."""

# Most sources that a record lists over all tokens, unless one for each is more.
_MOST_SOURCES = 100_000


def text_record(
    receipt: TextReceipt,
    *,
    top: int = 8,
    folder: str = "",
    name: str = "",
    run: RunRecord | None = None,
    verbatim: Verbatim | None = None,
    tick: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """The record of a text's receipt, plain JSON values. Tier: *bitwise*.

    Args:
        receipt: the receipt.

    Keyword Args:
        top: how many documents, sources and symbols to list for each token.
        folder: the run folder, as a person calls it; empty if the trace is of no run.
        name: the file of the text in it.
        run: the run's record, for source, time and versions.
        verbatim: the corpus, where several texts are looked at.
        tick: called with the share of the work done since the last call.

    Raises:
        InputError: the trace is not one that this machine makes.
        UsageError: `top` is below 1.
    """
    sample, corpus = receipt.sample, receipt.machine.corpus
    listed = min(top, max(1, _MOST_SOURCES // max(1, len(sample.tokens))))
    made = receipt.at(top=listed, tick=tick)
    match = receipt.match(verbatim)
    documents = _Documents()
    order = largest(made.units)
    credits = [[documents.place(d), int(made.units[d])] for d in order[:MOST_CREDITS].tolist()]
    tokens = [_token(receipt, made, site, documents) for site in range(len(sample.tokens))]
    matched = _match(receipt, made, match, documents)
    notes = []
    if listed < top:
        notes.append(
            f"{listed} of {top} sources of each token are listed, since a record lists about {_MOST_SOURCES:,}"
        )
    return {
        "format": FORMAT,
        "seed": sample.seed,
        "units_per_token": UNITS,
        "run": {
            "folder": folder,
            "settings": dict(sample.settings),
            "tokens": sample.tokenizer.name,
            "vocabulary": receipt.machine.vocabulary,
            "source": "" if run is None else run.request.source,
            "corpus_digest": corpus.digest,
            "corpus_documents": len(corpus),
            "corpus_characters": corpus.characters,
            "length": len(sample.tokens),
            "created": "" if run is None else run.created,
            "versions": {} if run is None else dict(run.request.versions),
        },
        "listed": listed,
        "notes": notes,
        "file": name,
        "after": sample.after,
        "text": sample.text,
        "sha256": hashlib.sha256(sample.text.encode()).hexdigest(),
        "columns": list(corpus.columns),
        "documents": [
            {
                "index": d,
                "id": corpus.ids[d],
                "name": corpus.names[d],
                "metadata": dict(corpus.metadata[d]),
                "characters": len(corpus.documents[d]),
            }
            for d in documents.listed
        ],
        "credits": credits,
        "others": {
            "documents": len(order) - len(credits),
            "units": int(made.units.sum()) - sum(units for _, units in credits),
        },
        "no_document": receipt.no_document(),
        **listed_groups({column: receipt.by(column) for column in corpus.columns}),
        "tokens": tokens,
        "excerpts": _excerpts(receipt, made, match, documents),
        "match": matched,
    }


class _Documents:
    """The record's table of documents: indices in the corpus, in the order in which they were first named."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}

    @property
    def listed(self) -> tuple[int, ...]:
        return tuple(self._places)

    def place(self, document: int) -> int:
        return self._places.setdefault(document, len(self._places))


def _token(receipt: TextReceipt, made: TextComposition, site: int, documents: _Documents) -> dict[str, Any]:
    sample = receipt.sample
    begin, end = sample.pieces[site]
    said: dict[str, Any] = {
        "begin": begin,
        "end": end,
        "token": written(sample.tokenizer, int(sample.tokens[site])),
        "origin": made.origin[site],
    }
    if made.origin[site] != "drawn":
        return said
    count = int((made.document[site] >= 0).sum())
    sources = int((made.source[site] >= 0).sum())
    return said | {
        "step": int(made.step[site]),
        "probability": float(made.probability[site]),
        "posterior": float(made.posterior[site]),
        "entropy": float(made.entropy[site]),
        "effective_sources": float(made.effective_sources[site]),
        "likeliest": [
            [written(sample.tokenizer, symbol), chance]
            for symbol, chance in zip(made.symbol[site].tolist(), made.symbol_probability[site].tolist(), strict=True)
        ],
        "documents": [
            [documents.place(d), units]
            for d, units in zip(made.document[site, :count].tolist(), made.document_units[site].tolist(), strict=False)
        ],
        "rest_units": int(made.rest_units[site]),
        "no_document": dict(zip(NO_DOCUMENT[1:], made.no_document[site, 1:].tolist(), strict=True)),
        "sources": [
            [
                documents.place(int(made.source[site, k])),
                int(made.source_begin[site, k]),
                int(made.source_end[site, k]),
                float(made.source_share[site, k]),
            ]
            for k in range(sources)
        ],
        "left_out": float(made.left_out[site]),
    }


def _match(receipt: TextReceipt, made: TextComposition, match: TextMatch, documents: _Documents) -> dict[str, Any]:
    drawn = np.zeros(len(receipt.sample.text), np.bool_)
    for (begin, end), origin in zip(receipt.sample.pieces, made.origin, strict=True):
        drawn[begin:end] |= origin == "drawn"
    return {
        "text": "stretches that stand in the corpus, character for character; says nothing of weight",
        "inside": {str(length): match.inside(length) for length in LENGTHS},
        "inside_drawn": {str(length): match.inside(length, drawn) for length in LENGTHS},
        "uniqueness": list(match.uniqueness),
        "longest": match.longest.tolist(),
        "spans": [
            {
                "begin": span.begin,
                "end": span.end,
                "count": span.count,
                "documents": span.documents,
                "places": [[documents.place(place.document), place.offset] for place in span.places],
            }
            for span in match.spans
        ],
    }


def _excerpts(
    receipt: TextReceipt, made: TextComposition, match: TextMatch, documents: _Documents
) -> list[dict[str, Any]]:
    """What the corpus holds around all sources and spans that are listed, each stretch once."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for site, rank in zip(*np.nonzero(made.source >= 0), strict=True):
        ends = (int(made.source_begin[site, rank]), int(made.source_end[site, rank]))
        wanted.setdefault(int(made.source[site, rank]), []).append(ends)
    for span in match.spans:
        for place in span.places:
            wanted.setdefault(place.document, []).append((place.offset, place.offset + span.length))
    out: list[dict[str, Any]] = []
    for document in documents.listed:
        text = receipt.machine.corpus.documents[document]
        stretches: list[list[int]] = []
        for begin, end in sorted(wanted.get(document, [])):
            begin, end = max(0, begin - AROUND), min(len(text), end + AROUND)
            if stretches and begin <= stretches[-1][1]:
                stretches[-1][1] = max(stretches[-1][1], end)
            else:
                stretches.append([begin, end])
        place = documents.place(document)
        out += [{"document": place, "begin": begin, "text": text[begin:end]} for begin, end in stretches]
    return out
