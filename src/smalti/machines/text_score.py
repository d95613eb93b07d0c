"""How well a text machine explains a text it has not seen: nats per token, bits per character.

Left to right, the log-probability of each token given those before it is exact: their sum is the log-probability of the
text. In any order there is a bound on the negative log-likelihood: the expectation over u uniform in (0, 1), each other
token visible with probability u, of -log p(token | visible). It is estimated from a stratified sample of u, tokens and
masks, drawn from a seed; the standard error comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.engine.arithmetic import LN2, log2
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine, Tick

Order: TypeAlias = Literal["any", "left-to-right"]


@dataclass(frozen=True, eq=False)
class TextScore:
    """Log-probabilities of tokens.

    order: in which order tokens become visible.
    sites: int64 (n,), the tokens that were looked at.
    nats: float64 (n,), -log p of each; inf where the machine gives nothing.
    tokens, characters: how many the text has.

    Tier: *bitwise* for each number; *statistical* for the mean where not all tokens were looked at.
    """

    order: Order
    sites: NDArray[np.int64]
    nats: NDArray[np.float64]
    tokens: int
    characters: int

    @property
    def nats_per_token(self) -> float:
        """The mean."""
        return float(self.nats.mean())

    @property
    def bits_per_character(self) -> float:
        """The mean in bits, by the text's characters per token."""
        return self.nats_per_token / LN2 * self.tokens / self.characters

    @property
    def error(self) -> float:
        """Standard error of `bits_per_character`; 0 if all tokens of a left-to-right score were looked at."""
        n = len(self.nats)
        if n < 2 or (self.order == "left-to-right" and n == self.tokens):
            return 0.0
        return float(self.nats.std(ddof=1)) / n**0.5 / LN2 * self.tokens / self.characters


def score_text(
    machine: TextMachine,
    text: str,
    *,
    order: Order = "any",
    samples: int | None = None,
    seed: int = 0,
    exclude: tuple[int, int] | None = None,
    threads: int | None = None,
    tick: Tick | None = None,
) -> TextScore:
    """The score of a text. Tier: see `TextScore`.

    Args:
        machine: with mask or hybrid noise.
        text: what to score; cut by the machine's tokenizer.
        order: "any" for the bound, "left-to-right" for exact log-probabilities.
        samples: how many tokens to look at, spread evenly over the text; all of them once by default.
        seed: of what is visible, and of which tokens are looked at.
        exclude: places of the corpus that may not serve, for leave-one-out.
        threads: worker threads; all processors by default.
        tick: called with the share of the work done since the last call.

    Raises:
        UsageError: for an empty text, a noise without masks, fewer than 1 sample.
    """
    if machine.noise not in ("mask", "hybrid"):
        raise UsageError(f"a score needs a machine with mask or hybrid noise, not {machine.noise}")
    symbols = machine.tokenizer.encode(text)
    length = len(symbols)
    if length == 0:
        raise UsageError("there is nothing to score in an empty text: give at least one token")
    count = length if samples is None else samples
    if count < 1:
        raise UsageError(f"a score looks at 1 token or more, not {count}")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0x5C0E])))
    sites = spread_sites(length, count, rng)
    visible = (rng.permutation(count) + rng.random(count)) / count
    reach = machine.reach
    padded = np.full(length + 2 * reach, -1, np.int32)
    padded[reach : reach + length] = symbols
    nats = np.empty(count)
    for begin in range(0, count, BATCH):
        chosen = sites[begin : begin + BATCH]
        windows = padded[chosen[:, None] + np.arange(2 * reach + 1)]
        hidden(windows, order, visible[begin : begin + BATCH], rng)
        shown = visible[begin : begin + BATCH] if order == "any" else chosen / length
        p = machine.distributions(windows, visible=shown, exclude=exclude, threads=threads)
        nats[begin : begin + BATCH] = surprise(p, symbols[chosen])
        if tick is not None:
            tick(len(chosen) / count)
    return TextScore(order, sites, nats, length, len(text))


def score_documents(
    machine: TextMachine,
    texts: TextCorpus,
    *,
    order: Order = "any",
    samples: int | None = None,
    seed: int = 0,
    leave_out: bool = False,
    threads: int | None = None,
    tick: Tick | None = None,
) -> tuple[TextScore, ...]:
    """The score of each document. Tier: see `TextScore`.

    Args:
        machine: with mask or hybrid noise.
        texts: the documents.
        order: as for `score_text`.
        samples: how many tokens to look at, shared among the documents by their length, at least 2 of each; all by
            default. A document that has no more is looked at as a whole.
        seed: as for `score_text`; the same for each document, so that its score does not depend on the others.
        leave_out: whether a document that the corpus holds too, word for word, is left out of it while it is scored.
        threads: as for `score_text`.
        tick: as for `score_text`.

    Raises:
        InputError: everything would be left out.
        UsageError: as `score_text`.
    """
    if samples is not None and samples < 1:
        raise UsageError(f"a score looks at 1 token or more, not {samples}")
    lengths = [len(machine.tokenizer.encode(text)) for text in texts.documents]
    whole = sum(lengths)
    found: list[TextScore] = []
    for text, own, length in zip(texts.documents, texts.ids, lengths, strict=True):
        wanted = length if samples is None else max(2, round(samples * length / whole))
        share = length / whole
        found.append(
            score_text(
                machine,
                text,
                order=order,
                samples=None if wanted >= length else wanted,
                seed=seed,
                exclude=copies_of(machine, own) if leave_out else None,
                threads=threads,
                tick=None if tick is None else lambda done, share=share: tick(done * share),
            )
        )
    return tuple(found)


def copies_of(machine: TextMachine, document_id: str) -> tuple[int, int] | None:
    """The places of all documents of an id in the machine's corpus; None if it has none.

    Raises:
        InputError: it has no others.
    """
    ids = machine.corpus.ids
    equal = [index for index, own in enumerate(ids) if own == document_id]
    if not equal:
        return None
    if len(equal) == len(ids):
        raise InputError(
            "the corpus holds nothing but the document that is to be left out of it: score it against a corpus with "
            "other documents too"
        )
    # Documents are kept in the order of their ids, so equal ones stand together.
    return machine.places(equal[0])[0], machine.places(equal[-1])[1]


@dataclass(frozen=True)
class TotalScore:
    """What the scores of several documents come to, each counted by its tokens. Tier: as `TextScore`.

    nats_per_token, bits_per_character: of all documents.
    error: standard error of `bits_per_character`.
    tokens, characters, looked_at: of all documents; how many tokens were looked at.
    """

    nats_per_token: float
    bits_per_character: float
    error: float
    tokens: int
    characters: int
    looked_at: int


def total_score(scores: Sequence[TextScore]) -> TotalScore:
    """The total of the scores of documents, at least one."""
    tokens = sum(score.tokens for score in scores)
    characters = sum(score.characters for score in scores)
    nats = sum(score.nats_per_token * score.tokens for score in scores) / tokens
    # An error in bits per character is one in bits of its document, divided by its characters.
    errors = np.array([score.error * score.characters for score in scores])
    return TotalScore(
        nats_per_token=nats,
        bits_per_character=nats / LN2 * tokens / characters,
        error=float(np.sqrt((errors**2).sum())) / characters,
        tokens=tokens,
        characters=characters,
        looked_at=sum(len(score.nats) for score in scores),
    )


def spread_sites(length: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """One site from each of `count` equal parts of `length` tokens, ascending; all of them if there are as many."""
    sites = np.minimum(((np.arange(count) + rng.random(count)) * (length / count)).astype(np.int64), length - 1)
    return np.arange(length) if count == length else sites


def hidden(
    windows: NDArray[np.int32], order: Order, visible: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Masks of windows (Q, 2 R + 1), changed in place, what is not known: each token but with the probability `visible`
    (Q,), or all to the right; and the site itself.
    """
    reach = windows.shape[1] // 2
    if order == "any":
        windows[rng.random(windows.shape) >= visible[:, None]] = -1
    else:
        windows[:, reach:] = -1
    windows[:, reach] = -1
    return windows


def surprise(p: NDArray[np.float64], symbols: NDArray[np.int32]) -> NDArray[np.float64]:
    """-log p of one symbol in each row of p (Q, V), in nats; inf where it is 0. Tier: bitwise."""
    own = p[np.arange(len(p)), symbols]
    return np.where(own > 0, -LN2 * log2(np.where(own > 0, own, 1.0)), np.inf)


BATCH = 256  # sites asked about at a time: part of what a seed means
