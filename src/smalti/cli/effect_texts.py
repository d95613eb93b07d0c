"""`smalti effect` for runs of texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from smalti.cli.effect_words import DRAWN, LISTED, ranking_lines
from smalti.cli.terminal import counted, percent
from smalti.progress import Progress
from smalti.receipts.text.effect import TextEffect, text_effect
from smalti.receipts.text.effect_record import text_effect_record, text_ranking_record
from smalti.receipts.text.ranking import rank_documents
from smalti.sampling import OpenRun

DIFF = "diff.txt"
"""The file that shows what changed, text by text."""


def removed_texts(
    opened: OpenRun, documents: list[int], seeds: Sequence[int] | None, *, bar: Progress
) -> tuple[dict[str, Any], list[str], dict[str, bytes]]:
    """Record, lines of text, and files by name, of removing documents together.

    Args:
        opened: the run.
        documents: indices in its corpus.
        seeds: its seeds; all unless given.

    Keyword Args:
        bar: where progress is shown.
    """
    found = text_effect(opened, documents, seeds=seeds, progress=bar)
    record = text_effect_record(found, opened, documents)
    count = counted(len(opened.machine.corpus), "document")
    lines = [f"without {len(documents):,} of {count}, {counted(len(found), 'seed')} again"]
    files: dict[str, bytes] = {}
    for one, entry in zip(found, record["seeds"], strict=True):
        lines.append(f"  seed {one.before.seed}: {_sentence(one)}")
        entry["texts"] = {kind: f"{one.before.seed:06d}-{kind}.txt" for kind in ("before", "after")}
        for kind, sample in (("before", one.before), ("after", one.after)):
            files[entry["texts"][kind]] = sample.text.encode()
    diff = diff_of((f"seed {one.before.seed}", one) for one in found)
    return record, [*lines, *diff.rstrip("\n").split("\n")], files | {DIFF: diff.encode()}


def ranked_texts(
    opened: OpenRun, seed: int, *, runs: int | None, seconds: float | None, bar: Progress
) -> tuple[dict[str, Any], list[str], dict[str, bytes]]:
    """Record, lines of text, and files by name, of a ranking of documents for one seed.

    Args:
        opened: the run.
        seed: one of its seeds.

    Keyword Args:
        runs: most documents to run the seed again without; None: no limit.
        seconds: how long runs may be begun; None: no limit.
        bar: where progress is shown.
    """
    found = rank_documents(opened, seed, runs=runs, seconds=seconds, progress=bar)
    corpus = opened.machine.corpus
    tried = [(one, one.effect) for one in found.documents if one.effect is not None]
    lines = ranking_lines(
        seed,
        runs=found.runs,
        among=len(corpus),
        thing="document",
        covered=found.covered,
        of="the weight of all documents",
        head="  tokens   first  parted    weight  document",
        rows=[
            f"{effect.tokens_changed:>8,} {_number(effect.first):>7} {_number(effect.parted):>7} "
            f"{percent(one.units / found.whole_units):>9}  {corpus.ids[one.document][:12]}  "
            f"{corpus.names[one.document]}"
            for one, effect in tried[:LISTED]
        ],
        told=(
            f"tokens: how many of {len(opened.trace.of_seed(seed).tokens):,} are others without it, and the first of "
            "them; parted: the step at which the runs part; exact",
            "weight: its share of the text; it only orders the work",
        ),
    )
    diff = diff_of(
        (f"seed {seed} without {corpus.ids[one.document][:12]} {corpus.names[one.document]}", effect)
        for one, effect in tried[:DRAWN]
    )
    return text_ranking_record(found, opened), lines, {DIFF: diff.encode()} if tried else {}


def diff_of(effects: Iterable[tuple[str, TextEffect]]) -> str:
    """Texts under their headings, with what was taken out as `[-before-]` and what came instead as `{+after+}`."""
    return "\n".join(f"--- {heading} ---\n{_marked(one)}\n" for heading, one in effects)


def _marked(one: TextEffect) -> str:
    return "".join(
        piece.before
        if piece.stayed
        else "".join((f"[-{piece.before}-]" if piece.before else "", f"{{+{piece.after}+}}" if piece.after else ""))
        for piece in one.pieces
    )


def _sentence(one: TextEffect) -> str:
    if one.parted is None:
        return "unchanged: the same tokens again, step by step"
    if one.first is None:
        return f"unchanged in the end, although the runs part at step {one.parted}"
    begin, end = one.before.pieces[one.first]
    again = one.after.text[slice(*one.after.pieces[one.first])]
    return (
        f"{one.tokens_changed:,} of {len(one.before.tokens):,} tokens are others; the first is token {one.first}, "
        f"{one.before.text[begin:end]!r}, now {again!r}; the runs part at step {one.parted}"
    )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
