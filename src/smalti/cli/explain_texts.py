"""`smalti explain` for runs of texts: the figures of each seed, in words and as values, and the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from smalti.cli.explain_files import Writer
from smalti.cli.explain_token import token_answer, token_lines
from smalti.cli.explain_words import GROUPS, rows_of, value_of
from smalti.cli.terminal import counted, percent
from smalti.corpus.decode import shown
from smalti.progress import Progress
from smalti.receipts import UNITS
from smalti.receipts.text import TextReceipt, Verbatim
from smalti.sampling import OpenRun
from smalti.sampling.text_request import text_name

# Documents and groups that are said of each text, and characters of what it stands after.
_LISTED, _AFTER = 8, 40


def explained_texts(
    opened: OpenRun,
    receipts: Sequence[TextReceipt],
    writer: Writer,
    *,
    top: int,
    by: str | None,
    tokens: Sequence[int],
    bar: Progress,
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """What is said of each seed, and notes; the files are written.

    Args:
        opened: the run.
        receipts: of the seeds to explain.
        writer: writes their records.

    Keyword Args:
        top: documents and places listed for each token.
        by: the only column to count groups by; all of them unless given.
        tokens: tokens to prove; then nothing else is said, but groups if they were asked for.
        bar: where progress is shown.

    Raises:
        InputError: the trace is not one that this machine makes.
    """
    from smalti.receipts.text.record import text_record

    verbatim = Verbatim(opened.machine.corpus) if writer.writes else None
    answers: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    with bar.task("explaining", len(receipts) * (int(writer.writes) + int(by is not None) + len(tokens))) as task:
        for receipt in receipts:
            answer: dict[str, Any] = {
                "seed": receipt.sample.seed,
                "text": text_name(receipt.sample.seed),
                "after": receipt.sample.after,
                "tokens": len(receipt.sample.tokens),
                "drawn": len(np.unique(receipt.sample.events.site)),
            }
            if writer.writes:
                made = text_record(
                    receipt,
                    top=top,
                    folder=shown(opened.folder),
                    name=text_name(receipt.sample.seed),
                    run=opened.record,
                    verbatim=verbatim,
                    tick=task.advance,
                )
                writer.add(made)
                notes |= dict.fromkeys(made["notes"])
                if by is None and not tokens:
                    answer |= _figures(receipt, made)
            if by is not None:
                no_document = {name: _share(receipt, units) for name, units in receipt.no_document().items()}
                answer["by"] = {"column": by, "groups": _groups(receipt, by), "no_document": no_document}
                task.advance()
            for token in tokens:
                answer.setdefault("token", []).append(token_answer(receipt, token, top=top))
                task.advance()
            answers.append(answer)
    writer.finish()
    return answers, (*notes, *writer.notes)


def total_of_texts(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The groups of several seeds of one run together: the exact sums of their units, and their shares of all."""
    units: dict[str | None, int] = {}
    no_document: dict[str, int] = {}
    for answer in answers:
        for group in answer["by"]["groups"]:
            units[group["value"]] = units.get(group["value"], 0) + group["units"]
        for name, one in answer["by"]["no_document"].items():
            no_document[name] = no_document.get(name, 0) + one["units"]
    whole = sum(units.values()) + sum(no_document.values())
    order = sorted(units.items(), key=lambda group: (-group[1], group[0] is not None, group[0] or ""))
    return {
        "column": answers[0]["by"]["column"],
        "texts": len(answers),
        "units": whole,
        "groups": [{"value": value, "units": own, "share": own / whole} for value, own in order],
        "no_document": {name: {"units": own, "share": own / whole} for name, own in no_document.items()},
    }


def _figures(receipt: TextReceipt, made: Mapping[str, Any]) -> dict[str, Any]:
    composed = receipt.at(top=made["listed"])
    drawn = np.array([origin == "drawn" for origin in composed.origin])
    spans = made["match"]["spans"]
    longest = max(spans, key=lambda span: span["end"] - span["begin"], default=None)
    return {
        "weight": {
            "units": receipt.whole_units,
            "documents": [
                {**{name: made["documents"][d][name] for name in ("index", "id", "name")}, **_share(receipt, units)}
                for d, units in made["credits"][:_LISTED]
            ],
            "documents_with_weight": len(made["credits"]) + made["others"]["documents"],
            "no_document": {name: _share(receipt, units) for name, units in made["no_document"].items()},
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
        "groups": {column: _groups(receipt, column) for column in made["columns"]},
    }


def _share(receipt: TextReceipt, units: int) -> dict[str, Any]:
    return {"units": units, "share": units / receipt.whole_units}


def _groups(receipt: TextReceipt, column: str) -> list[dict[str, Any]]:
    return [{"value": value, **_share(receipt, units)} for value, units in receipt.by(column).items()]


def _spread_of(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"mean": float(values.mean()), "median": float(np.median(values)), "most": float(values.max())}


def text_lines_of(answer: Mapping[str, Any], opened: OpenRun) -> Iterable[str]:
    """The answer in words."""
    machine = opened.machine
    yield (
        f"{shown(opened.folder / answer['text'])}: {counted(answer['tokens'], 'token')} ({machine.tokenizer.name}), "
        f"{answer['drawn']:,} of them drawn, {machine.noise} noise{_after(answer['after'])}"
    )
    if "by" in answer:
        yield from _group_lines(answer["by"])
    for found in answer.get("token", ()):
        yield from token_lines(found)
    if "weight" in answer:
        yield from _figure_lines(answer, documents=len(machine.corpus))


def _after(text: str) -> str:
    """What the text stands after, for the end of a sentence; the end of it where it is long."""
    near = text if len(text) <= _AFTER else f"…{text[-_AFTER:]}"
    return f", after {near!r}" if text else ""


def text_lines_of_total(total: Mapping[str, Any]) -> Iterable[str]:
    """The groups of several seeds together, in words."""
    yield f"All {counted(total['texts'], 'text')} together"
    yield from _group_lines(total)


def _group_lines(said: Mapping[str, Any]) -> Iterable[str]:
    yield f"By {said['column']}, weight of the tokens at the steps at which they were drawn"
    groups = said["groups"]
    rows = [(percent(group["share"]), value_of(group["value"])) for group in groups[:GROUPS]]
    if len(groups) > GROUPS:
        rest = groups[GROUPS:]
        share = sum(group["share"] for group in rest)
        rows.append((percent(share), f"{counted(len(rest), 'other group')}, all with --json"))
    yield from rows_of([*rows, *_no_document(said["no_document"])])


def _no_document(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(percent(one["share"]), f"no document: {_NONE[name]}") for name, one in found.items() if one["units"]]


def _figure_lines(answer: Mapping[str, Any], *, documents: int) -> Iterable[str]:
    weight = answer["weight"]
    some = weight["documents_with_weight"]
    yield f"Weight: {some:,} of {counted(documents, 'document')} {'has' if some == 1 else 'have'} some; most by"
    rows = [(percent(one["share"]), f"{one['name']}, {one['id'][:12]}") for one in weight["documents"]]
    rest = some - len(rows)
    if rest:
        owned = weight["units"] - sum(one["units"] for one in weight["no_document"].values())
        share = (owned - sum(one["units"] for one in weight["documents"])) / weight["units"]
        rows.append((percent(share), counted(rest, "other document")))
    yield from rows_of([*rows, *_no_document(weight["no_document"])])
    for column, groups in answer["groups"].items():
        said = [f"{value_of(group['value'])} ({percent(group['share'])})" for group in groups[:_LISTED]]
        more = f", and {len(groups) - _LISTED:,} more" if len(groups) > _LISTED else ""
        yield f"By {column}: {', '.join(said) or 'nothing'}{more}"
    each = answer["each_token"]
    if each["entropy_bits"] is not None:
        entropy, sources, owed = each["entropy_bits"], each["effective_sources"], each["top_document_share"]
        mostly = (
            f"; {percent(owed['mean'])} owed to one document on average, and {each['mostly_one_document']:,} of "
            f"{answer['drawn']:,} owe it more than half"
        )
        yield (
            f"Tokens that were drawn: entropy median {entropy['median']:.2f}, mean {entropy['mean']:.2f} bits; "
            f"effective sources median {sources['median']:,.1f}, most {sources['most']:,.1f}"
            # Where there is one document, all is owed to it.
            f"{mostly if documents > 1 else ''}"
        )
    yield from _match_lines(answer["match"])


_NONE = {
    "given": "tokens that were given",
    "noise": "drawn from the noise",
    "prior": "the prior at the bottom of back-off",
}


def _match_lines(match: Mapping[str, Any]) -> Iterable[str]:
    inside = [(length, share) for length, share in match["inside"].items() if share is not None]
    said = ", ".join(f"{percent(share)} in spans of {length} and more" for length, share in inside)
    longest = ""
    if match["longest"] is not None:
        found = match["longest"]
        times, documents = counted(found["count"], "time"), counted(found["documents"], "document")
        longest = (
            f"; the longest, {found['text']!r}, has {len(found['text']):,} and stands there {times} in {documents}"
        )
    yield f"Match (verbatim in the corpus; it says nothing of weight): of the characters {said}{longest}"
    lengths = [length for length in (4, 8, 12, 16, 32) if match["uniqueness"][length - 1] is not None]
    if lengths:
        shares = ", ".join(f"{length}: {percent(match['uniqueness'][length - 1])}" for length in lengths)
        yield f"Stretches of L characters that the corpus does not have: {shares}"
