"""The text machine: which places of a corpus of documents explain a token, under which noise.

A wanted site sees the known symbols within `radius` of it. Any place of any document is admitted.

- **mask**: symbols are known or not. Counts of the places that agree on a ladder of ever larger windows, and back-off
  between them (`BackOff`); the mean of several ladders, where those of which nothing is known have no say.
- **hybrid**: a visible match at offset d is worth kappa gamma^(|d| - 1) nats, a mismatch nothing: always defined;
  several kernels, each with its kappa and gamma, count alike. A share `mixture` of the posterior comes from the
  back-off of masks, and what the known sides say shifts it (`machines.text_mixture`).
- **uniform**: a symbol is kept with probability a, or drawn anew from all V: each match is worth log(1 + a V / (1 -
  a)). The symbol at the site itself is left out (`centre`), as the reverse step wants it.
- **structured**: symbol k turns into x with probability Q[k, x].
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TokenCorpus, Tokenizer, tokenizer_for
from smalti.engine import text
from smalti.engine.text_posterior import BackOff, TextPosterior, TextSources, effective
from smalti.engine.text_query import LADDERS, Matches, TextQuery, hybrid, substitutions, windows_of
from smalti.errors import InputError, UsageError
from smalti.machines.text_mixture import Mixture, with_sides
from smalti.machines.text_parts import (
    BackOffPart,
    Part,
    back_off_part,
    kernel_part,
    narrowed,
    ratio_of,
    slower,
    sum_of,
    uniform_part,
)

Noise: TypeAlias = Literal["mask", "hybrid", "uniform", "structured"]
TextReport: TypeAlias = Literal["effective_sources", "sources"]

NOISES: tuple[Noise, ...] = ("mask", "hybrid", "uniform", "structured")
Tick = Callable[[float], None]
Floats = NDArray[np.float64]

_DOCUMENT_NUMBERS = 4_000_000  # weights of documents held at a time


@dataclass(frozen=True, eq=False)
class TextMachine:
    """A corpus of documents, cut into tokens, under a noise.

    Args:
        corpus: the documents.
        tokens: a name for `tokenizer_for`, a tokenizer, or this corpus already cut, with gaps that are wide enough.
        noise: how symbols are damaged; what the machine assumes about the state.
        radius: the window reaches this far on both sides, in tokens.
        kappa, gamma: what a visible match is worth under hybrid noise, in nats, and what remains of it a token further;
            one number each, or as many for several kernels.
        mixture: the share of the posterior that back-off has under hybrid noise.
        pair: under hybrid noise, the exponent of what the known sides say (`machines.text_mixture`).
        caution: under hybrid noise, how much less literally one side alone is taken (`machines.text_mixture`).
        back_off_radius: how far the ladder of back-off reaches.
        beta, discount: how back-off hands on (`BackOff`).
        ladders: how windows grow, one or more of `engine.text_query.LADDERS`; a name that comes twice counts twice.
        centre: under uniform and structured noise, whether the symbol at the site itself is left out or counts too.

    Tier: bitwise. Raises `UsageError` for settings without meaning.
    """

    corpus: TextCorpus
    tokens: str | Tokenizer | TokenCorpus = "characters"
    noise: Noise = field(default="hybrid", kw_only=True)
    radius: int = field(default=6, kw_only=True)
    kappa: float | tuple[float, ...] = field(default=(8.0, 12.0), kw_only=True)
    gamma: float | tuple[float, ...] = field(default=(0.7, 0.55), kw_only=True)
    mixture: float = field(default=0.3, kw_only=True)
    pair: float = field(default=0.25, kw_only=True)
    caution: float = field(default=0.2, kw_only=True)
    back_off_radius: int = field(default=10, kw_only=True)
    beta: float = field(default=2.0, kw_only=True)
    discount: float = field(default=0.7, kw_only=True)
    ladders: tuple[str, ...] = field(default=("left-first", "right-first", "left", "right"), kw_only=True)
    centre: Literal["leave-one-out", "included"] = field(default="leave-one-out", kw_only=True)
    symbols: TokenCorpus = field(init=False)

    def __post_init__(self) -> None:
        if self.noise not in NOISES:
            raise UsageError(f"there is no noise {self.noise!r}: choose one of {', '.join(NOISES)}")
        if self.radius < 1 or self.back_off_radius < 1:
            raise UsageError("a window needs a radius of at least 1 token")
        if not 0.0 <= self.mixture <= 1.0:
            raise UsageError(f"a mixture of {self.mixture:g} has no meaning: give the share of back-off, 0 to 1")
        if not (0.0 <= self.pair < 1.0 and 0.0 <= self.caution < 1.0):
            raise UsageError(
                f"a pair of {self.pair:g} and a caution of {self.caution:g} mean nothing: give 0 to below 1"
            )
        self._kernels()
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

    @property
    def reach(self) -> int:
        """The largest offset that the machine looks at."""
        return max(self.radius, self.back_off_radius) if self.noise == "hybrid" else self.radius

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
        return {"tokens": self.tokenizer.name} | {
            name: list(value) if isinstance(value, tuple) else value for name, value in given.items()
        }

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
            keep: under uniform noise the probability a that a symbol was kept, below 1.
            matrix: under structured noise Q[k, x], float64 (V, V), rows that sum to 1.
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
        if (keep is not None) != (self.noise == "uniform"):
            raise UsageError("uniform noise needs the probability keep that a symbol was kept, and no other noise does")
        if (matrix is not None) != (self.noise == "structured"):
            raise UsageError("structured noise needs its matrix, and no other noise does")
        unknown = set(report) - {"effective_sources", "sources"}
        if unknown:
            raise UsageError(f"a posterior of text has no report named {min(unknown)!r}: effective_sources or sources")
        query = self._query(state, wanted, exclude)
        mixture = self._mixture(query, keep, matrix, "effective_sources" in report, {"threads": threads, "tick": tick})
        sources = effective_sources = None
        if "effective_sources" in report:
            effective_sources = effective(mixture.entropy)
        if "sources" in report:
            symbols = np.full(len(wanted), -1, np.int32) if of is None else np.asarray(of, np.int32)
            sources = self._sources(mixture, symbols, top)
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
        exclude: ArrayLike | None = None,
        threads: int | None = None,
        made: dict[Hashable, Part] | None = None,
    ) -> Floats:
        """The posterior (Q, V) of sites given by their windows, int32 (Q, 2 `reach` + 1), -1 where nothing is known;
        they may be of different states. For mask and hybrid noise. Tier: bitwise.

        `made` keeps the parts for a next machine, with other settings, that is asked about the middle of these windows
        in the same corpus with the same exclusions.
        """
        query = self._ask(windows, exclude)
        return self._mixture(query, None, None, False, {"threads": threads}, {} if made is None else made).probabilities

    def document_weights(
        self,
        state: NDArray[np.int32],
        sites: ArrayLike,
        of: ArrayLike,
        *,
        keep: float | None = None,
        matrix: Floats | None = None,
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
        query = self._query(state, wanted, exclude)
        step = max(1, _DOCUMENT_NUMBERS // len(self.corpus))
        for begin in range(0, len(wanted), step):
            end = min(begin + step, len(wanted))
            mixture = self._mixture(query.sites(begin, end), keep, matrix, False, {"threads": threads})
            yield from zip(range(begin, end), mixture.documents(symbols[begin:end], threads), strict=True)

    def _kernels(self) -> tuple[Matches, ...]:
        """What matches are worth under hybrid noise."""
        kappa, gamma = np.atleast_1d(self.kappa).tolist(), np.atleast_1d(self.gamma).tolist()
        if len(kappa) != len(gamma) or not kappa:
            raise UsageError(
                f"{len(kappa)} kappas and {len(gamma)} gammas have no meaning: give one of each per kernel"
            )
        return tuple(hybrid(self.radius, k, g) for k, g in zip(kappa, gamma, strict=True))

    def _mixture(
        self,
        query: TextQuery,
        keep: float | None,
        matrix: Floats | None,
        spread: bool,
        how: dict[str, Any],
        made: dict[Hashable, Part] | None = None,
    ) -> Mixture:
        """What the posterior is made of."""
        everything = np.ones(len(query.windows))
        made = {} if made is None else made
        if self.noise == "uniform":
            assert keep is not None
            return Mixture((uniform_part(query, ratio_of(keep, self.vocabulary), everything, how),))
        if self.noise == "structured":
            assert matrix is not None
            return Mixture((kernel_part(query, substitutions(matrix, self.radius + 1), everything, spread, how),))
        if self.noise == "mask":
            how = how | {"tick": slower(how.get("tick"), len(self.ladders))}
            return Mixture(tuple(self._back_off_parts(query, everything, how, made).values()))
        kernels = self._kernels()
        how = how | {"tick": slower(how.get("tick"), len(kernels) + len(self.ladders))}
        parts: list[Part] = []
        if self.mixture < 1.0:
            near, share = narrowed(query, self.radius), (1.0 - self.mixture) / len(kernels) * everything
            for scores in kernels:
                if scores not in made:
                    made[scores] = kernel_part(near, scores, everything, spread, how)
                parts.append(replace(made[scores], share=share))
        if self.mixture == self.pair == self.caution == 0.0:
            return Mixture(tuple(parts))
        near = narrowed(query, self.back_off_radius)
        ladders = self._back_off_parts(near, self.mixture * everything, how, made)
        mixture = Mixture(tuple(parts) + (tuple(ladders.values()) if self.mixture > 0.0 else ()))
        if self.pair == self.caution == 0.0:
            return mixture
        left, right = (
            ladders[side] if side in ladders else self._ladder(near, side, 0.0 * everything, how, made)
            for side in ("left", "right")
        )
        return with_sides(mixture, left, right, self.pair, self.caution)

    def _back_off_parts(
        self, query: TextQuery, share: Floats, how: dict[str, Any], made: dict[Hashable, Part]
    ) -> dict[str, BackOffPart]:
        """The parts of back-off, by ladder; ladders of which nothing is known have no say."""
        reach = query.radius
        speaks = {
            name: np.where(
                text.heard_rungs(query, LADDERS[name](reach)).sum(axis=1) > 0, float(self.ladders.count(name)), 0.0
            )
            for name in dict.fromkeys(self.ladders)
        }
        voices = sum_of(speaks.values())
        even = {name: np.full(len(share), float(self.ladders.count(name))) for name in speaks}
        share_of = {
            name: np.where(voices > 0, own, even[name]) / np.where(voices > 0, voices, float(len(self.ladders)))
            for name, own in speaks.items()
        }
        return {name: self._ladder(query, name, share * share_of[name], how, made) for name in share_of}

    def _ladder(
        self, query: TextQuery, name: str, share: Floats, how: dict[str, Any], made: dict[Hashable, Part]
    ) -> BackOffPart:
        ladder, back_off = LADDERS[name](query.radius), BackOff(self.beta, self.discount)
        # Rungs of which no site knows anything change nothing: without them, ladders may be one and the same.
        known = np.flatnonzero(text.heard_rungs(query, ladder).any(axis=0)).tolist()
        rungs = tuple(ladder[k] for k in known) or ladder[:1]
        part = made.get((rungs, back_off))
        if not isinstance(part, BackOffPart):
            part = made[rungs, back_off] = back_off_part(query, rungs, back_off, share, how)
        return part.on(query, ladder, share)

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

    def _sources(self, mixture: Mixture, of: NDArray[np.int32], top: int) -> TextSources:
        """The best places of each part, with their weight in the whole posterior."""
        places = np.sort(np.concatenate([part.best(of, top) for part in mixture.parts], axis=1), axis=1)
        places[:, 1:][places[:, 1:] == places[:, :-1]] = -1  # a place that several parts list
        there = places >= 0
        safe = np.where(there, places, self.reach)
        symbol = self.symbols.symbols[safe].astype(np.int64)
        around = self.symbols.symbols[safe[..., None] + np.arange(-self.reach, self.reach + 1)].astype(np.int64)
        weight = np.where(there, mixture.weights(around, symbol), 0.0)
        # Equal weights in order of place, which is that of document and offset.
        order = np.lexsort((safe, -weight), axis=1)[:, :top]
        places, symbol, there = (np.take_along_axis(a, order, 1) for a in (safe, symbol, there.astype(np.int64)))
        weight = np.take_along_axis(weight, order, 1)
        there = there > 0
        document, offset = self.symbols.document_of(np.where(there, places, self.symbols.starts[0]))
        whole = mixture.mass(of)
        return TextSources(
            document=np.where(there, document, -1),
            offset=np.where(there, offset, -1),
            symbol=np.where(there, symbol, -1),
            weight=weight,
            left_out=np.maximum(whole - np.cumsum(weight, axis=1)[:, -1], 0.0),
        )


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


def _setting_names() -> list[str]:
    return [f.name for f in fields(TextMachine) if f.kw_only]
