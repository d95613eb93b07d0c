"""The same answers about text from the compiled kernel (src/kernel/text*), on threads and vector units.

All answers are whole numbers: sums and counts over a part of the corpus add up to those over the whole, and neither
threads, instruction set, parts, nor what else is asked at the same time changes one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import SLACK
from smalti.engine import _kernel  # pyright: ignore[reportAttributeAccessIssue]
from smalti.engine.native import Tick, default_target, default_threads
from smalti.engine.partial import NO_PLACE, SLICES, Partial
from smalti.engine.text_query import Ladder, Matches, Scores, TextQuery, check_ladder
from smalti.errors import UsageError

assert SLACK == _kernel.TEXT_SLACK

By: TypeAlias = Literal["symbol", "document"]

# Pairs (site, place) in one call of the kernel: about a second's work on one processor, and numbers that one answer
# may hold.
_CALL_PAIRS = 2e9
_CALL_NUMBERS = 8e6


def sums(
    query: TextQuery,
    scores: Scores,
    *,
    by: By = "symbol",
    spread: bool = False,
    start: NDArray[np.int64] | None = None,
    threads: int | None = None,
    target: str | None = None,
    tick: Tick | None = None,
) -> Partial:
    """Exact sums of the weights of all places. Tier: bitwise.

    Args:
        query: what to compute.
        scores: what agreement is worth.
        by: what weights are added up under: the symbol that a place holds, or its document.
        spread: also what the entropy of the weights needs.
        start: int64 (Q,), the places to sum from, where a part is wanted on the scale of the whole.
        threads: worker threads; all processors by default.
        target: instruction set, one of `native.targets()`; the widest by default.
        tick: called with the share of the work done since the last call.

    Returns:
        place (Q,), slices (Q, 1 + K (+ 1), 3): all places, then each of K symbols or documents, then, with `spread`,
        weight times log2 weight in steps of 1/4096. `channels` is K.
    """
    _check_scores(query, scores)
    keys = _keys(query, by)
    place = np.full(len(query.windows), NO_PLACE, np.int64) if start is None else start.copy()
    slices = np.zeros((len(query.windows), 1 + keys + spread, SLICES), np.int64)
    for begin, end, part in chunks_of(query, 4 * keys, tick):
        at, found, spreads = _kernel.text_sums(
            **_scored(part, scores, threads, target),
            documents=query.corpus.documents if by == "document" else None,
            keys=keys,
            spread=spread,
            start=place[begin:end],
        )
        slices[begin:end, 1 : 1 + keys] = found
        slices[begin:end, 0] = found.sum(axis=1)
        if spread:
            slices[begin:end, -1] = spreads
        # A part of the corpus without any place for a site says nothing about its scale.
        none = (slices[begin:end, 0] == 0).all(axis=-1)
        place[begin:end] = np.where(none & (place[begin:end] == NO_PLACE), NO_PLACE, at)
    return Partial(place, slices, keys)


def matches(
    query: TextQuery,
    *,
    by: By = "symbol",
    threads: int | None = None,
    target: str | None = None,
    tick: Tick | None = None,
) -> NDArray[np.int64]:
    """How many places of each symbol (or document) agree with m known symbols, (Q, 2 R + 2, K). Tier: bitwise.

    Arguments as for `sums`.
    """
    keys, rows = _keys(query, by), 2 * query.radius + 1
    out = np.zeros((len(query.windows), rows + 1, keys), np.int64)
    for begin, end, part in chunks_of(query, rows * keys, tick):
        site, _, terms = terms_of(part, np.arange(-query.radius, query.radius + 1))
        terms[:, 2] = 1
        out[begin:end, 1:] = _kernel.text_counts(
            **arguments_of(part, site, terms, threads, target),
            largest=rows,
            documents=query.corpus.documents if by == "document" else None,
            keys=keys,
        )[..., :keys]
        out[begin:end, 0] = totals_of(part, by) - out[begin:end].sum(axis=1)
    return out


def depths(
    query: TextQuery,
    ladder: Ladder,
    *,
    by: By = "symbol",
    threads: int | None = None,
    target: str | None = None,
    tick: Tick | None = None,
) -> NDArray[np.int64]:
    """How many places of each symbol (or document) agree with all of the first k rungs, (Q, rungs + 1, K).

    Tier: bitwise. Arguments as for `sums`. Rungs of which nothing is known are met by every place.
    """
    ladder = check_ladder(ladder, query.radius)
    keys = _keys(query, by)
    out = np.zeros((len(query.windows), len(ladder) + 1, keys), np.int64)
    for begin, end, part in chunks_of(query, len(ladder) * keys, tick):
        out[begin:end, 0] = totals_of(part, by)
        heard = part.heard(ladder)
        if not heard.any():
            out[begin:end, 1:] = out[begin:end, :1]
            continue
        counts, _, _ = _descend(part, ladder, heard, by, 0, threads, target)
        # From places of exactly this depth to places of at least this depth.
        at_least = np.concatenate([out[begin:end, :1], counts[:, ::-1, :keys].cumsum(axis=1)[:, ::-1]], axis=1)
        met = np.cumsum(heard, axis=1, dtype=np.int64)
        out[begin:end, 1:] = np.take_along_axis(at_least, met[:, :, None], axis=1)
    return out


def best(
    query: TextQuery, scores: Scores, *, keep: int, threads: int | None = None, target: str | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The `keep` places of the highest scores, best first, equal ones by place. Tier: bitwise.

    Returns:
        how many there are (Q,), their scores (Q, keep), their places (Q, keep); 0 beyond what there is.
    """
    _check_scores(query, scores)
    _check_keep(keep)
    kept = np.zeros(len(query.windows), np.int64)
    rows = np.zeros((len(query.windows), keep, 2), np.int64)
    for begin, end, part in chunks_of(query, 2 * keep, None):
        kept[begin:end], rows[begin:end] = _kernel.text_sources(**_scored(part, scores, threads, target), keep=keep)
    return kept, rows[..., 0], rows[..., 1]


def deepest(
    query: TextQuery, ladder: Ladder, *, keep: int, threads: int | None = None, target: str | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The `keep` deepest places on a ladder, deepest first, equal ones by place. Tier: bitwise.

    Returns:
        how many there are (Q,), how many rungs of which something is known each meets (Q, keep), at least 1, and their
        places (Q, keep); 0 beyond what there is.
    """
    ladder = check_ladder(ladder, query.radius)
    _check_keep(keep)
    kept = np.zeros(len(query.windows), np.int64)
    rows = np.zeros((len(query.windows), keep, 2), np.int64)
    for begin, end, part in chunks_of(query, len(ladder) * query.corpus.vocabulary, None):
        heard = part.heard(ladder)
        if heard.any():
            _, kept[begin:end], rows[begin:end] = _descend(part, ladder, heard, "symbol", keep, threads, target)
    return kept, rows[..., 0], rows[..., 1]


def _descend(
    query: TextQuery,
    ladder: Ladder,
    heard: NDArray[np.bool_],
    by: By,
    keep: int,
    threads: int | None,
    target: str | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Counts (Q, rungs, K + 1) by depth from 1 on, and lists of the deepest places. Rungs of which nothing is known are
    left out, and the others numbered anew.
    """
    rung_of = np.array([k for k, rung in enumerate(ladder) for _ in rung], np.int64)
    site, column, terms = terms_of(query, np.array([d for rung in ladder for d in rung], np.int64))
    terms[:, 2] = (np.cumsum(heard, axis=1) - 1)[site, rung_of[column]]
    order, first = query.corpus.index
    return _kernel.text_depths(
        **arguments_of(query, site, terms, threads, target),
        documents=query.corpus.documents if by == "document" else None,
        keys=_keys(query, by),
        rungs=int(heard.sum(axis=1).max()),
        keep=keep,
        postings=order,
        posted=first,
    )


def _scored(query: TextQuery, scores: Scores, threads: int | None, target: str | None) -> dict[str, object]:
    """Arguments of the kernel for scores."""
    r = query.radius
    if isinstance(scores, Matches):
        values = np.array(scores.values, np.int64)
        offsets = np.flatnonzero(values) - r
        site, column, terms = terms_of(query, offsets)
        terms[:, 2] = values[r + offsets[column]]
        table = None
    else:
        site, _, terms = terms_of(query, np.arange(-r, r + 1))
        table = scores.table
    return arguments_of(query, site, terms, threads, target) | {
        "table": table,
        "largest": scores.largest,
        "span": scores.span,
        "rate": np.float32(15.0 / scores.span),
    }


def terms_of(
    query: TextQuery, offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The site, the index in `offsets`, and (offset, symbol, 0) of each known symbol, by site and then by `offsets`."""
    known = query.windows[:, query.radius + offsets]
    site, column = np.nonzero(known >= 0)
    terms = np.stack([offsets[column], known[site, column], np.zeros_like(site)], axis=1).astype(np.int32)
    return site, column, terms


def arguments_of(
    query: TextQuery, site: NDArray[np.int64], terms: NDArray[np.int32], threads: int | None, target: str | None
) -> dict[str, object]:
    """Arguments of the kernel that all questions share; `site` of each term, rising."""
    if threads is not None and threads < 1:
        raise UsageError(f"the kernel needs at least 1 thread, not {threads}")
    count = len(query.windows)
    return {
        "symbols": query.corpus.symbols,
        "vocabulary": query.corpus.vocabulary,
        "places": query.places,
        "radius": query.radius,
        "first": np.searchsorted(site, np.arange(count + 1)).astype(np.int64),
        "terms": terms,
        "excluded": np.zeros((count, 2), np.int64) if query.excluded is None else np.ascontiguousarray(query.excluded),
        "only": np.full(count, -1, np.int32) if query.only is None else np.ascontiguousarray(query.only),
        "threads": default_threads() if threads is None else threads,
        "target": default_target() if target is None else target,
    }


def _check_scores(query: TextQuery, scores: Scores) -> None:
    if isinstance(scores, Matches) and len(scores.values) != query.windows.shape[1]:
        raise UsageError(f"scores for windows of {len(scores.values)} do not fit windows of {query.windows.shape[1]}")
    if not isinstance(scores, Matches) and len(scores.table) != query.corpus.vocabulary:
        raise UsageError(f"a table for {len(scores.table)} symbols does not fit {query.corpus.vocabulary} of them")
    known = int((query.windows >= 0).sum(axis=1).max())
    if not isinstance(scores, Matches) and known > scores.offsets:
        raise UsageError(f"these scores were made for {scores.offsets} known symbols, not {known}")


def _check_keep(keep: int) -> None:
    if keep < 1:
        raise UsageError(f"ask for at least one source, not {keep}")


def _keys(query: TextQuery, by: By) -> int:
    return query.corpus.vocabulary if by == "symbol" else len(query.corpus.starts)


def totals_of(query: TextQuery, by: By) -> NDArray[np.int64]:
    """How many places of each symbol (or document) may serve each site, (Q, K)."""
    corpus = query.corpus
    begin, end = query.places
    symbols = corpus.symbols[begin:end]
    keys = _keys(query, by)
    everywhere = query.places == (0, corpus.places)

    def counted(only: int, first: int, last: int) -> NDArray[np.int64]:
        of = symbols if by == "symbol" else corpus.documents[begin:end]
        chosen = of[first:last]
        if only >= 0:
            chosen = chosen[symbols[first:last] == only]
        return np.bincount(chosen, minlength=keys + 1)[:keys]

    def counted_everywhere(only: int) -> NDArray[np.int64]:
        if only >= 0 or not everywhere:
            return counted(only, 0, end - begin)
        return np.diff(corpus.index[1])[:keys] if by == "symbol" else corpus.lengths

    whole: dict[int, NDArray[np.int64]] = {}
    out = np.empty((len(query.windows), keys), np.int64)
    for site in range(len(query.windows)):
        only = -1 if query.only is None else int(query.only[site])
        if only not in whole:
            whole[only] = counted_everywhere(only)
        out[site] = whole[only]
        if query.excluded is not None:
            first, last = np.clip(query.excluded[site] - begin, 0, end - begin)
            if first < last:
                out[site] -= counted(only, first, last)
    return out


def chunks_of(query: TextQuery, numbers: int, tick: Tick | None) -> Iterator[tuple[int, int, TextQuery]]:
    """(first site, last site + 1, the query for them) for a few sites at a time; `numbers` is what one site's answer
    holds.
    """
    begin, end = query.places
    count = len(query.windows)
    step = max(1, int(min(_CALL_PAIRS / max(1, end - begin), _CALL_NUMBERS / numbers)))
    for first in range(0, count, step):
        last = min(first + step, count)
        yield first, last, query.sites(first, last)
        if tick is not None:
            tick((last - first) / count)
