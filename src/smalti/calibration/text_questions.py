"""Tokens to guess for a calibration, and what is left out of the corpus while each is guessed.

Tokens are taken evenly from the whole corpus, and masks are drawn as for a score (`smalti.machines.text_score`). While
a token is guessed its document is left out; in a document that is more than half of the corpus, a block of a tenth of
it around the token, and all places whose windows reach into the block. Whoever asks takes copies of documents out
before: they would tell what is left out.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import TokenCorpus
from smalti.engine.text_query import overlapping
from smalti.machines.text import TextMachine
from smalti.machines.text_parts import Part
from smalti.machines.text_score import Order, hidden, spread_sites, surprise
from smalti.progress import Task

ORDERS: tuple[Order, ...] = ("any", "left-to-right")
"""Orders in which tokens are guessed."""

REACH = 16
"""No machine of a calibration looks further."""

# Numbers that the parts of one batch may hold: counts on a ladder have some twenty rows of V for each token.
_BATCH_NUMBERS = 1e7


@dataclass(frozen=True, eq=False)
class Questions:
    """Tokens to guess from a corpus that does not have what is around them.

    windows: int32 (n, 2 * REACH + 1), what is known around each.
    own: int32 (n,), the tokens.
    exclude: int64 (n, 2), the places that may not serve each.
    """

    windows: NDArray[np.int32]
    own: NDArray[np.int32]
    exclude: NDArray[np.int64]

    @classmethod
    def drawn(cls, symbols: TokenCorpus, order: Order, count: int, seed: int) -> Questions:
        """Tokens spread over a corpus whose gaps are `REACH`, and masks."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0xCA1B, ORDERS.index(order)])))
        whole = int(symbols.lengths.sum())
        of_all = spread_sites(whole, count, rng)
        ends = np.cumsum(symbols.lengths)
        document = np.searchsorted(ends, of_all, side="right")
        places = symbols.starts[document] + of_all - (ends - symbols.lengths)[document]
        around = symbols.symbols[places[:, None] + np.arange(-REACH, REACH + 1)].astype(np.int32)
        windows = np.where(around == symbols.vocabulary, -1, around).astype(np.int32)
        own = np.ascontiguousarray(windows[:, REACH])
        visible = (rng.permutation(count) + rng.random(count)) / count
        hidden(windows, order, visible, rng)
        begin, length = symbols.starts[document], symbols.lengths[document]
        blocks = _by_block(symbols)[document]
        half = length // 20
        first, last = overlapping(places - half, places + half + 1, REACH)
        exclude = np.stack(
            [
                np.where(blocks, np.maximum(first, begin), begin),
                np.where(blocks, np.minimum(last, begin + length), begin + length),
            ],
            axis=1,
        )
        return cls(windows, own, np.ascontiguousarray(exclude, np.int64))

    def nats(self, machines: list[TextMachine], threads: int | None, task: Task) -> list[NDArray[np.float64]]:
        """-log p of each token under each machine."""
        out = [np.empty(len(self.own)) for _ in machines]
        step = int(min(256, max(4, _BATCH_NUMBERS / (20 * machines[0].vocabulary))))
        for begin in range(0, len(self.own), step):
            end = min(begin + step, len(self.own))
            made: dict[Hashable, Part] = {}
            for machine, nats in zip(machines, out, strict=True):
                cut = REACH - machine.reach
                near = np.ascontiguousarray(self.windows[begin:end, cut : 2 * REACH + 1 - cut])
                p = machine.distributions(near, exclude=self.exclude[begin:end], threads=threads, made=made)
                nats[begin:end] = surprise(p, self.own[begin:end])
                task.advance(end - begin)
        return out


def _by_block(symbols: TokenCorpus) -> NDArray[np.bool_]:
    """For each document whether it is too large a part of the corpus to be left out as a whole."""
    return 2 * symbols.lengths > symbols.lengths.sum()


def left_out(symbols: TokenCorpus) -> str:
    """What is left out, in words: "documents", "blocks", or "documents and blocks"."""
    blocks = _by_block(symbols)
    return "blocks" if blocks.all() else "documents and blocks" if blocks.any() else "documents"
