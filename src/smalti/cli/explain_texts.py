"""`smalti explain` for runs of texts: the figures of each seed, in words and as values, and the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from smalti.cli.explain_files import Place
from smalti.cli.explain_text_files import TextWriter
from smalti.cli.sources import check_outside
from smalti.cli.terminal import columns
from smalti.corpus.decode import shown
from smalti.errors import UsageError
from smalti.progress import Progress
from smalti.receipts import UNITS
from smalti.receipts.text import TextReceipt, Verbatim
from smalti.sampling import OpenRun
from smalti.sampling.text_request import text_name

# Documents and groups that are said of each text.
_LISTED = 8


def explained_texts(
    opened: OpenRun,
    seeds: Sequence[int],
    place: Place,
    *,
    source: str | None,
    top: int,
    by: str | None,
    bar: Progress,
) -> tuple[list[dict[str, Any]], dict[str, str], tuple[str, ...]]:
    """What is said of each seed, the files written with what each holds, and notes.

    Args:
        opened: the run.
        seeds: its seeds to explain.
        place: what is written, and where.

    Keyword Args:
        source: where the texts are now, if a person said so.
        top: documents and places listed for each token.
        by: the only column to count groups by; all of them unless given.
        bar: where progress is shown.

    Raises:
        InputError, UsageError: what was asked for cannot be had.
    """
    from smalti.receipts.text.record import text_record

    receipts = [TextReceipt(opened.trace.of_seed(seed), opened.machine) for seed in seeds]
    if by is not None:
        opened.machine.corpus.values(by)
    if place.what == "record" and len(receipts) > 1:
        assert place.path is not None
        raise UsageError(
            f"'{shown(place.path)}' holds the record of one seed, and {len(receipts)} were asked for: name a folder, "
            "which gets a file for each"
        )
    if place.what == "folder" and place.path is not None:
        check_outside(place.path, opened.record.request.source if source is None else source)
    writer = TextWriter(place, seeds=len(receipts))
    verbatim = Verbatim(opened.machine.corpus)
    answers: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    with bar.task("explaining", len(receipts)) as task:
        for receipt in receipts:
            made = text_record(
                receipt,
                top=top,
                folder=shown(opened.folder),
                name=text_name(receipt.sample.seed),
                run=opened.record,
                verbatim=verbatim,
                tick=task.advance,
            )
            answers.append(_answer(receipt, made, by))
            writer.add(made)
            notes |= dict.fromkeys(made["notes"])
    writer.finish()
    return answers, writer.files, (*notes, *writer.notes)


def _answer(receipt: TextReceipt, made: Mapping[str, Any], by: str | None) -> dict[str, Any]:
    whole = receipt.whole_units
    composed = receipt.composition(top=made["listed"])
    drawn = np.array([origin == "drawn" for origin in composed.origin])
    spans = made["match"]["spans"]
    longest = max(spans, key=lambda span: span["end"] - span["begin"], default=None)

    def share(units: int) -> dict[str, Any]:
        return {"units": units, "share": units / whole}

    return {
        "seed": made["seed"],
        "text": made["file"],
        "tokens": made["run"]["length"],
        "drawn": int(drawn.sum()),
        "weight": {
            "units": whole,
            "documents": [
                {**{name: made["documents"][d][name] for name in ("index", "id", "name")}, **share(units)}
                for d, units in made["credits"][:_LISTED]
            ],
            "documents_with_weight": len(made["credits"]) + made["others"]["documents"],
            "no_document": {name: share(units) for name, units in made["no_document"].items()},
        },
        "each_token": {
            "entropy_bits": _spread_of(composed.entropy[drawn]),
            "effective_sources": _spread_of(composed.effective_sources[drawn]),
            "top_document_share": _spread_of(composed.top_share[drawn]),
            "mostly_one_document": int((composed.document_units[drawn, 0] > UNITS // 2).sum()),
        },
        "match": {
            "text": made["match"]["text"],
            "inside": made["match"]["inside"],
            "inside_drawn": made["match"]["inside_drawn"],
            "spans": len(spans),
            "longest": None
            if longest is None
            else {
                "text": made["text"][longest["begin"] : longest["end"]],
                "count": longest["count"],
                "documents": longest["documents"],
            },
            "uniqueness": made["match"]["uniqueness"],
        },
        "groups": {
            column: [{"value": value, **share(units)} for value, units in receipt.by(column).items()]
            for column in (made["columns"] if by is None else [by])
        },
    }


def _spread_of(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"mean": float(values.mean()), "median": float(np.median(values)), "most": float(values.max())}


def text_lines_of(answer: Mapping[str, Any], opened: OpenRun) -> Iterable[str]:
    """The answer in words."""
    machine = opened.machine
    yield (
        f"{shown(opened.folder / answer['text'])}: {answer['tokens']:,} tokens ({machine.tokenizer.name}), "
        f"{answer['drawn']:,} of them drawn, {machine.noise} noise"
    )
    weight = answer["weight"]
    yield f"Weight: {weight['documents_with_weight']:,} of {len(machine.corpus):,} documents have some; most have"
    rows = [(_percent(one["share"]), f"{one['name']}, {one['id'][:12]}") for one in weight["documents"]]
    rest = weight["documents_with_weight"] - len(rows)
    if rest:
        owned = weight["units"] - sum(one["units"] for one in weight["no_document"].values())
        share = (owned - sum(one["units"] for one in weight["documents"])) / weight["units"]
        rows.append((_percent(share), f"{rest:,} other document{'' if rest == 1 else 's'}"))
    rows += [
        (_percent(one["share"]), f"no document: {_NONE[name]}")
        for name, one in weight["no_document"].items()
        if one["units"]
    ]
    yield from columns(rows).split("\n")
    for column, groups in answer["groups"].items():
        said = [f"{_value(group['value'])} ({_percent(group['share']).strip()})" for group in groups[:_LISTED]]
        more = f", and {len(groups) - _LISTED:,} more" if len(groups) > _LISTED else ""
        yield f"By {column}: {', '.join(said) or 'nothing'}{more}"
    each = answer["each_token"]
    if each["entropy_bits"] is not None:
        entropy, sources, owed = each["entropy_bits"], each["effective_sources"], each["top_document_share"]
        yield (
            f"Tokens that were drawn: entropy median {entropy['median']:.2f}, mean {entropy['mean']:.2f} bits; "
            f"effective sources median {sources['median']:,.1f}, most {sources['most']:,.1f}; "
            f"{_percent(owed['mean']).strip()} owed to one document on average, and {each['mostly_one_document']:,} of "
            f"{answer['drawn']:,} owe it more than half"
        )
    yield from _match_lines(answer["match"])


_NONE = {
    "given": "tokens that were given",
    "noise": "drawn from the noise",
    "prior": "the prior at the bottom of back-off",
}


def _match_lines(match: Mapping[str, Any]) -> Iterable[str]:
    inside = [(length, share) for length, share in match["inside"].items() if share is not None]
    said = ", ".join(f"{_percent(share).strip()} in spans of {length} and more" for length, share in inside)
    longest = ""
    if match["longest"] is not None:
        found = match["longest"]
        times = f"{found['count']:,} time{'' if found['count'] == 1 else 's'}"
        documents = f"{found['documents']:,} document{'' if found['documents'] == 1 else 's'}"
        longest = (
            f"; the longest, {found['text']!r}, has {len(found['text']):,} and stands there {times} in {documents}"
        )
    yield f"Match (verbatim in the corpus; it says nothing of weight): of the characters {said}{longest}"
    lengths = [length for length in (4, 8, 12, 16, 32) if match["uniqueness"][length - 1] is not None]
    if lengths:
        shares = ", ".join(f"{length}: {_percent(match['uniqueness'][length - 1]).strip()}" for length in lengths)
        yield f"Stretches of L characters that the corpus does not have: {shares}"


def _value(value: str | None) -> str:
    return "(none)" if value is None else value


def _percent(share: float) -> str:
    return f"{100 * share:6.2f} %"
