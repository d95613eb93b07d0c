"""How one token of a text was drawn, and the proof of what it owes to whom: as values for JSON, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from smalti.cli.explain_words import rows_of
from smalti.cli.terminal import counted, percent
from smalti.receipts.text import TextReceipt
from smalti.receipts.text.places import written
from smalti.receipts.text.proof import ExactToken, TextPlace, exact_token

# Characters of a document that are shown on both sides of a place.
_AROUND = 40

# Longer fractions are not spelled out in words.
_MOST_DIGITS = 200

_TIERS = {
    "fraction": "the machine's float64 is this fraction, within the roundings of its sums",
    "bitwise": "what stands on the known sides moves the fraction to the machine's float64, and it is divided as the "
    "fraction is",
}


def token_answer(receipt: TextReceipt, token: int, *, top: int) -> dict[str, Any]:
    """What is said of a token.

    Args:
        receipt: the receipt.
        token: its place in the text.

    Keyword Args:
        top: how many likeliest tokens and places are listed. Documents are all listed.

    Raises:
        InputError: the trace is not one that this machine makes.
        UsageError: there is no such token.
    """
    sample, tokenizer, corpus = receipt.sample, receipt.sample.tokenizer, receipt.machine.corpus
    event = receipt.last_event(token)
    begin, end = sample.pieces[token]
    said: dict[str, Any] = {
        "token": token,
        "begin": begin,
        "end": end,
        "text": written(tokenizer, int(sample.tokens[token])),
        "drawn": event is not None,
    }
    if event is None:
        return said
    found = exact_token(receipt, token, top=top)
    likeliest = np.argsort(-found.posterior, kind="stable")[:top].tolist()
    return said | {
        "step": found.step,
        "number": found.number,
        "running_sum": [found.low, found.high],
        "probability": float(found.law[found.symbol]),
        "posterior": float(found.posterior[found.symbol]),
        "likeliest": [
            {
                "text": written(tokenizer, symbol),
                "posterior": float(found.posterior[symbol]),
                "probability": float(found.law[symbol]),
            }
            for symbol in likeliest
        ],
        "tier": "bitwise" if found.shifted else "fraction",
        "mixture": float(found.mixture),
        "mixture_exactly": _exactly(found.mixture),
        "documents": [
            {
                "index": document,
                "id": corpus.ids[document],
                "name": corpus.names[document],
                "share": float(found.share(weight)),
                "weight_exactly": _exactly(weight),
            }
            for document, weight in found.documents
        ],
        "prior": {"share": float(found.of_prior), "weight_exactly": _exactly(found.prior)},
        "noise": {"share": float(found.of_noise)},
        "places": [_place(receipt, found, place) for place in found.places],
        "places_in_all": found.places_in_all,
    }


def token_lines(said: Mapping[str, Any]) -> Iterable[str]:
    """The same in words."""
    where = f"Token {said['token']}, {said['text']!r}"
    if not said["drawn"]:
        yield f"{where}, was not drawn: it was given, or is left of the noise the run began with"
        return
    low, high = said["running_sum"]
    yield (
        f"{where}, was drawn at step {said['step']} with a chance of {percent(said['probability'])}: the number "
        f"{said['number']:.6f} lies between {low:.6f} and {high:.6f}, where it stands in the running sum"
    )
    yield "Likeliest, before temperature and truncation and as they were drawn from"
    yield from rows_of(
        [(percent(one["posterior"]), f"{percent(one['probability']):>8}  {one['text']!r}") for one in said["likeliest"]]
    )
    documents = said["documents"]
    shown, rest = documents[: len(said["likeliest"])], documents[len(said["likeliest"]) :]
    yield f"Weight: {counted(len(documents), 'document')} with some; most by"
    rows = [(percent(one["share"]), f"{one['name']}, {one['id'][:12]}") for one in shown]
    if rest:
        share = sum(one["share"] for one in rest)
        rows.append((percent(share), f"{counted(len(rest), 'other document')}, all with --json"))
    none = (("the prior at the bottom of back-off", said["prior"]), ("drawn from the noise", said["noise"]))
    rows += [(percent(one["share"]), f"no document: {name}") for name, one in none if one["share"]]
    yield from rows_of(rows)
    yield f"Best of the {counted(said['places_in_all'], 'place')} where it stands"
    yield from rows_of(
        [
            (
                percent(place["share"]),
                f"{place['name']}, character {place['begin']}: {place['before']}[{place['text']}]{place['after']}",
            )
            for place in said["places"]
        ]
    )
    exactly = said["mixture_exactly"]
    if len(exactly) > _MOST_DIGITS:
        exactly = f"a fraction of {len(exactly) - 1:,} digits (--json has them)"
    yield (
        f"Proof: the weights of {counted(len(documents), 'document')} and of the prior sum to {exactly}, exactly what "
        f"the counts give the token: {said['mixture']!r}"
    )
    yield f"  the machine's posterior is {said['posterior']!r}: {_TIERS[said['tier']]}"


def _place(receipt: TextReceipt, found: ExactToken, place: TextPlace) -> dict[str, Any]:
    corpus = receipt.machine.corpus
    text = corpus.documents[place.document]

    def cut(begin: int, end: int) -> str:
        return text[max(0, begin) : end].replace("\n", "↵")

    return {
        "index": place.document,
        "id": corpus.ids[place.document],
        "name": corpus.names[place.document],
        "begin": place.begin,
        "end": place.end,
        "before": cut(place.begin - _AROUND, place.begin),
        "text": cut(place.begin, place.end),
        "after": cut(place.end, place.end + _AROUND),
        "share": float(found.share(place.weight)),
        "weight_exactly": _exactly(place.weight),
    }


def _exactly(value: Fraction) -> str:
    # (Python writes whole numbers of up to 4,300 digits, and decimals of any length.)
    return f"{Decimal(value.numerator):f}/{Decimal(value.denominator):f}"
