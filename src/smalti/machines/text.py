"""The text machine: which places of a corpus of documents explain a token, under which noise.

A wanted site sees the known symbols within `radius` of it. Any place of any document is admitted.

- **mask**: symbols are known or not. Counts of the places that agree on a ladder of ever larger windows, and back-off
  between them (`BackOff`); the mean of several ladders, where those of which nothing is known have no say.
- **hybrid**: a visible match at offset d is worth kappa gamma^(|d| - 1) nats, a mismatch nothing: always defined;
  several kernels, each with its kappa and gamma, count alike. A share `mixture` of the posterior comes from the
  back-off of masks, and what the known sides say shifts it (`machines.text_mixture`).
- **uniform**: a symbol is kept with probability a, or drawn anew from all V: each match is worth log(1 + a V / (1 -
  a)). The symbol at the site itself is left out (`centre`), as the reverse step wants it.
- **structured**: symbol k turns into x with probability Q[k, x]: the jumps of `smalti.noise.structured` between symbols
  that are `similar`, or any matrix.

The radius may go from one to another as a text becomes clear: with v the share of the row that is visible, or of the
symbols that are kept, it is the first + v (the second - the first), rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TokenCorpus, Tokenizer, tokenizer_for
from smalti.engine.text_posterior import BackOff, TextPosterior, effective
from smalti.engine.text_query import LADDERS, TextQuery, windows_of
from smalti.errors import InputError, UsageError
from smalti.machines.text_assembly import kernels_of, mixture_of
from smalti.machines.text_parts import Part
from smalti.noise.discrete import uniform_reverse, uniform_split
from smalti.noise.similar import BLOSUM62, SIMILAR, RateTable, contexts
from smalti.noise.structured import JumpNoise, check_jump, check_tokens, stochastic

Noise: TypeAlias = Literal["mask", "hybrid", "uniform", "structured"]
TextReport: TypeAlias = Literal["effective_sources", "sources"]

Centre: TypeAlias = Literal["leave-one-out", "included"]

NOISES: tuple[Noise, ...] = get_args(Noise)
CENTRES: tuple[Centre, ...] = get_args(Centre)
MOST_RADIUS = 9_999
"""Most tokens that a window reaches on each side: gaps between documents are as wide."""

Tick = Callable[[float], None]
Floats = NDArray[np.float64]

_LADDER_NUMBERS = 4_000_000  # counts on one ladder held at a time
_DOCUMENT_NUMBERS = 4_000_000  # weights of documents held at a time


@dataclass(frozen=True, eq=False)
class TextMachine:
    """A corpus of documents, cut into tokens, under a noise.

    Args:
        corpus: the documents.
        tokens: a name for `tokenizer_for`, a tokenizer, or this corpus already cut, with gaps that are wide enough.
        noise: how symbols are damaged; what the machine assumes about the state.
        radius: the window reaches this far on both sides, in tokens; or two of them, where the text is all noise and
            where it is clear. `back_off_radius` stays what it is.
        kappa, gamma: what a visible match is worth under hybrid noise, in nats, and what remains of it a token further;
            one number each, or as many for several kernels.
        mixture: the share of the posterior that back-off has under hybrid noise.
        pair: under hybrid noise, the exponent of what the known sides say (`machines.text_mixture`).
        caution: under hybrid noise, how much less literally one side alone is taken (`machines.text_mixture`).
        back_off_radius: how far the ladder of back-off reaches.
        beta, discount: how back-off hands on (`BackOff`).
        ladders: how windows grow, one or more of `engine.text_query.LADDERS`; a name that comes twice counts twice.
        centre: under uniform and structured noise, whether the symbol at the site itself is left out, as exact steps
            back want it, or "included".
        similar: under structured noise, which symbols turn into each other: "contexts", "blosum62", or a table of rates
            (`smalti.noise.similar`).
        jump: under structured noise, the share of jumps that go to any symbol (`smalti.noise.structured`).

    Tier: bitwise. Raises `UsageError` for settings without meaning.
    """

    corpus: TextCorpus
    tokens: str | Tokenizer | TokenCorpus = "characters"
    noise: Noise = field(default="hybrid", kw_only=True)
    radius: int | tuple[int, int] = field(default=6, kw_only=True)
    kappa: float | tuple[float, ...] = field(default=(8.0, 12.0), kw_only=True)
    gamma: float | tuple[float, ...] = field(default=(0.7, 0.55), kw_only=True)
    mixture: float = field(default=0.3, kw_only=True)
    pair: float = field(default=0.25, kw_only=True)
    caution: float = field(default=0.2, kw_only=True)
    back_off_radius: int = field(default=10, kw_only=True)
    beta: float = field(default=2.0, kw_only=True)
    discount: float = field(default=0.7, kw_only=True)
    ladders: tuple[str, ...] = field(default=("left-first", "right-first", "left", "right"), kw_only=True)
    centre: Centre = field(default="leave-one-out", kw_only=True)
    similar: str | RateTable = field(default="contexts", kw_only=True)
    jump: float = field(default=0.5, kw_only=True)
    symbols: TokenCorpus = field(init=False)

    def __post_init__(self) -> None:
        if self.noise not in NOISES:
            raise UsageError(f"there is no noise {self.noise!r}: choose one of {', '.join(NOISES)}")
        reaches = (*self._radii, self.back_off_radius)
        if len(self._radii) != 2 or not 1 <= min(reaches) <= max(reaches) <= MOST_RADIUS:
            raise UsageError(
                f"a window needs a radius of at least 1 token and at most {MOST_RADIUS:,}, or two of them to go from "
                "and to"
            )
        if self.centre not in CENTRES:
            raise UsageError(f"there is no centre {self.centre!r}: choose one of {', '.join(CENTRES)}")
        if not 0.0 <= self.mixture <= 1.0:
            raise UsageError(f"a mixture of {self.mixture:g} has no meaning: give the share of back-off, 0 to 1")
        if not (0.0 <= self.pair < 1.0 and 0.0 <= self.caution < 1.0):
            raise UsageError(
                f"a pair of {self.pair:g} and a caution of {self.caution:g} mean nothing: give 0 to below 1"
            )
        kernels_of(self.kappa, self.gamma, max(self._radii))
        if not self.ladders or set(self.ladders) - set(LADDERS):
            raise UsageError(f"ladders {self.ladders!r} have no meaning: choose some of {', '.join(LADDERS)}")
        BackOff(self.beta, self.discount)
        if isinstance(self.tokens, TokenCorpus):
            if self.tokens.corpus is not self.corpus or self.tokens.gap < self.reach:
                raise UsageError(f"these tokens are of another corpus, or have gaps narrower than {self.reach}")
            symbols = self.tokens
        else:
            tokenizer = tokenizer_for(self.tokens, self.corpus) if isinstance(self.tokens, str) else self.tokens
            symbols = TokenCorpus(self.corpus, tokenizer, self.reach)
        object.__setattr__(self, "symbols", symbols)
        if isinstance(self.similar, Mapping):
            object.__setattr__(self, "similar", RateTable.from_json(self.similar))
        if not isinstance(self.similar, RateTable) and self.similar not in SIMILAR:
            raise UsageError(f"there is no likeness {self.similar!r}: choose one of {', '.join(SIMILAR)}, or a table")
        check_jump(self.jump)
        if self.noise == "structured":
            check_tokens(self.vocabulary)
            if self.table is not None:
                self.table.on(self.tokenizer)

    @property
    def _radii(self) -> tuple[int, int]:
        return self.radius if isinstance(self.radius, tuple) else (self.radius, self.radius)

    @property
    def reach(self) -> int:
        """The largest offset that the machine looks at, at whatever time."""
        return max(*self._radii, self.back_off_radius) if self.noise == "hybrid" else max(self._radii)

    def radius_at(self, visible: ArrayLike) -> NDArray[np.int64]:
        """The radius where a share of the row is visible, or of the symbols is kept; 0 to 1. Same shape."""
        first, last = self._radii
        return np.floor(first + (last - first) * np.asarray(visible, np.float64) + 0.5).astype(np.int64)

    @property
    def table(self) -> RateTable | None:
        """The table of rates that structured noise takes, if it takes one."""
        return BLOSUM62 if self.similar == "blosum62" else self.similar if isinstance(self.similar, RateTable) else None

    @cached_property
    def jumps(self) -> JumpNoise:
        """Structured noise on the symbols of this corpus."""
        rates = contexts(self.symbols) if self.table is None else self.table.on(self.tokenizer)
        return JumpNoise(stochastic(rates), self.jump)

    def reverse(self, leave_one_out: Floats, tokens: NDArray[np.int64], before: float, after: float) -> Floats:
        """The law of tokens one step back, under uniform or structured noise; see `noise.discrete.uniform_reverse`."""
        step = self.jumps.reverse if self.noise == "structured" else uniform_reverse
        return step(leave_one_out, tokens, before, after)

    def split(self, posterior: Floats, tokens: NDArray[np.int64], after: float) -> tuple[Floats, Floats]:
        """What such a step owes to the posterior and to the noise; see `noise.discrete.uniform_split`."""
        parts = self.jumps.split if self.noise == "structured" else uniform_split
        return parts(posterior, tokens, after)

    @property
    def tokenizer(self) -> Tokenizer:
        """How text is cut."""
        return self.symbols.tokenizer

    @property
    def vocabulary(self) -> int:
        """V, the number of symbols."""
        return self.symbols.vocabulary

    def settings(self) -> dict[str, Any]:
        """All that decides what it answers but the corpus and how it is cut, as JSON values (`text_machine_from`)."""
        given = {name: getattr(self, name) for name in _setting_names()}
        return {"tokens": self.tokenizer.name} | {name: _plain(value) for name, value in given.items()}

    def places(self, document: int, begin: int = 0, end: int | None = None) -> tuple[int, int]:
        """The range of places of tokens [begin, end) of a document; all of it by default."""
        start, length = int(self.symbols.starts[document]), int(self.symbols.lengths[document])
        return start + begin, start + (length if end is None else end)

    def __call__(
        self,
        state: NDArray[np.int32],
        sites: ArrayLike | None = None,
        *,
        keep: float | None = None,
        matrix: Floats | None = None,
        visible: float | None = None,
        report: Collection[TextReport] = (),
        top: int = 8,
        of: ArrayLike | None = None,
        exclude: ArrayLike | None = None,
        threads: int | None = None,
        tick: Tick | None = None,
    ) -> TextPosterior:
        """The posterior of some sites of a state. Tier: bitwise; independent of the other sites and of threads.

        Args:
            state: int32 (L,), -1 where a token is masked.
            sites: which sites, (Q,); by default those that are masked, or all under uniform and structured noise.
            keep: under uniform noise the probability a that a symbol was kept, below 1; under structured noise that no
                fresh jump has touched it.
            matrix: under structured noise, instead of `keep`, any Q[k, x], float64 (V, V), rows that sum to 1.
            visible: for a radius that changes, the share of the row that is visible, where the state is not that row.
            report: what to add: "effective_sources"; "sources", the best places.
            top: how many sources to list at each site.
            of: int (Q,), list only sources that hold this symbol (the one that was drawn), -1 for any.
            exclude: int64 (2,) or (Q, 2), places [begin, end) that may not serve the sites (`places`,
                `engine.text_query.overlapping`).
            threads: worker threads; all processors by default.
            tick: called with the share of the work done since the last call.

        Raises:
            InputError: a state with symbols that the corpus has not.
            UsageError: settings that the noise needs, or has no use for.
        """
        state = self._checked(state)
        wanted = self._sites(state, sites)
        matrix = self._matrix(keep, matrix)
        unknown = set(report) - {"effective_sources", "sources"}
        if unknown:
            raise UsageError(f"a posterior of text has no report named {min(unknown)!r}: effective_sources or sources")
        radius = self._radius_of(state, keep, visible)
        query = self._query(state, wanted, exclude)
        how = {"threads": threads, "tick": tick}
        mixture = mixture_of(
            self, query, radius=radius, keep=keep, matrix=matrix, spread="effective_sources" in report, how=how
        )
        sources = effective_sources = None
        if "effective_sources" in report:
            effective_sources = effective(mixture.entropy)
        if "sources" in report:
            symbols = np.full(len(wanted), -1, np.int32) if of is None else np.asarray(of, np.int32)
            sources = mixture.sources(self.symbols, self.reach, symbols, top)
        # All ladders end in the whole corpus; the longest one says how far back-off went.
        return TextPosterior(
            sites=wanted,
            probabilities=mixture.probabilities,
            evidence=mixture.parts[0].evidence,
            support=np.max([part.support for part in mixture.parts], axis=0),
            known=(query.windows >= 0).sum(axis=1),
            prior=mixture.prior,
            effective_sources=effective_sources,
            sources=sources,
        )

    def distributions(
        self,
        windows: NDArray[np.int32],
        *,
        visible: ArrayLike = 1.0,
        exclude: ArrayLike | None = None,
        threads: int | None = None,
        made: dict[Hashable, Part] | None = None,
    ) -> Floats:
        """The posterior (Q, V) of sites given by their windows, int32 (Q, 2 `reach` + 1), -1 where nothing is known;
        they may be of different states. For mask and hybrid noise. Tier: bitwise.

        `visible`, a number or (Q,), is the share of the row that is visible, for a radius that changes with it. `made`
        keeps the parts for a next machine, with other settings, that is asked about the middle of these windows in the
        same corpus with the same exclusions.
        """
        query = self._ask(windows, exclude)
        radii = np.broadcast_to(self.radius_at(visible), len(windows))
        how = {"threads": threads}
        if made is not None and (radii == radii[0]).all():
            return mixture_of(self, query, radius=int(radii[0]), how=how, made=made).probabilities
        found = np.empty((len(windows), self.vocabulary))
        step = max(1, _LADDER_NUMBERS // ((2 * self.reach + 1) * self.vocabulary))
        for radius in np.unique(radii).tolist():
            of_radius = np.flatnonzero(radii == radius)
            for begin in range(0, len(of_radius), step):
                rows = of_radius[begin : begin + step]
                found[rows] = mixture_of(self, query.chosen(rows), radius=radius, how=how).probabilities
        return found

    def document_weights(
        self,
        state: NDArray[np.int32],
        sites: ArrayLike,
        of: ArrayLike,
        *,
        keep: float | None = None,
        matrix: Floats | None = None,
        visible: float | None = None,
        exclude: ArrayLike | None = None,
        threads: int | None = None,
    ) -> Iterator[tuple[int, Floats]]:
        """For each site the weight that each document gives to one symbol: (index in `sites`, float64 (D,)).

        The weights of a site and what `prior` gives to the symbol, 1 / V of it, add up to its probability. A few sites
        are worked on at a time, so that many documents need little memory. Arguments as for a call; `of` (Q,), the
        symbols that were drawn. Tier: bitwise.
        """
        state = self._checked(state)
        wanted = self._sites(state, sites)
        symbols = np.ascontiguousarray(of, np.int32)
        matrix = self._matrix(keep, matrix)
        radius = self._radius_of(state, keep, visible)
        query = self._query(state, wanted, exclude)
        step = max(1, _DOCUMENT_NUMBERS // len(self.corpus))
        for begin in range(0, len(wanted), step):
            end = min(begin + step, len(wanted))
            mixture = mixture_of(
                self, query.sites(begin, end), radius=radius, keep=keep, matrix=matrix, how={"threads": threads}
            )
            yield from zip(range(begin, end), mixture.documents(symbols[begin:end], threads), strict=True)

    def _matrix(self, keep: float | None, matrix: Floats | None) -> Floats | None:
        """Q under structured noise; checks that a call says what its noise needs, and nothing else."""
        if self.noise == "structured":
            if (keep is None) == (matrix is None) or (keep is not None and not 0.0 < keep < 1.0):
                raise UsageError("structured noise needs the share keep, above 0 and below 1, or a matrix instead")
            return self.jumps.forward(keep) if keep is not None else matrix
        if (keep is not None) != (self.noise == "uniform"):
            raise UsageError("uniform noise needs the probability keep that a symbol was kept, and masks do without")
        if matrix is not None:
            raise UsageError("structured noise may be given a matrix, and no other noise has one")
        return None

    def _radius_of(self, state: NDArray[np.int32], keep: float | None, visible: float | None) -> int:
        """The radius at the time of a state."""
        if visible is None:
            visible = keep if self.noise in ("uniform", "structured") else float((state >= 0).sum() / len(state))
        # A matrix says nothing of the time.
        return int(self.radius_at(1.0 if visible is None else visible))

    def _checked(self, state: NDArray[np.int32]) -> NDArray[np.int32]:
        state = np.asarray(state)
        if state.dtype != np.int32 or state.ndim != 1 or len(state) == 0:
            raise InputError("a state of text is an int32 array of shape (L,), with -1 for masked tokens")
        if state.min() < -1 or state.max() >= self.vocabulary:
            raise InputError(f"the symbols of a state lie within -1 (masked) and {self.vocabulary - 1}")
        return state

    def _sites(self, state: NDArray[np.int32], sites: ArrayLike | None) -> NDArray[np.int64]:
        if sites is not None:
            wanted = np.asarray(sites, np.int64)
        elif self.noise in ("mask", "hybrid"):
            wanted = np.flatnonzero(state < 0)
        else:
            wanted = np.arange(len(state))
        if wanted.ndim != 1 or len(wanted) == 0:
            raise UsageError("there are no sites to ask about: mask at least one token, or name the sites")
        if wanted.min() < 0 or wanted.max() >= len(state):
            raise UsageError(f"the sites of this state are 0 to {len(state) - 1}")
        return wanted

    def _query(self, state: NDArray[np.int32], wanted: NDArray[np.int64], exclude: ArrayLike | None) -> TextQuery:
        windows = windows_of(state, wanted, self.reach)
        if self.noise in ("uniform", "structured") and self.centre == "included":
            windows[:, self.reach] = state[wanted]
        return self._ask(windows, exclude)

    def _ask(self, windows: NDArray[np.int32], exclude: ArrayLike | None) -> TextQuery:
        excluded = None
        if exclude is not None:
            excluded = np.ascontiguousarray(np.broadcast_to(np.asarray(exclude, np.int64), (len(windows), 2)))
        return TextQuery(self.symbols, windows, excluded=excluded)


def text_machine_from(settings: Mapping[str, Any], corpus: TextCorpus, tokenizer: Tokenizer) -> TextMachine:
    """The machine that has these `TextMachine.settings`, on a corpus cut by a tokenizer.

    Raises:
        UsageError: the settings are not those of a machine, or speak of other tokens.
    """
    given = {name: value for name, value in settings.items() if name != "tokens"}
    if set(given) != set(_setting_names()) or settings.get("tokens") != tokenizer.name:
        raise UsageError(f"these settings are not those of a text machine whose tokens are {tokenizer.name}")
    arguments: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    return TextMachine(corpus, tokenizer, **arguments)


def _plain(value: Any) -> Any:
    """A setting as JSON values."""
    return value.to_json() if isinstance(value, RateTable) else list(value) if isinstance(value, tuple) else value


def _setting_names() -> list[str]:
    return [f.name for f in fields(TextMachine) if f.kw_only]
