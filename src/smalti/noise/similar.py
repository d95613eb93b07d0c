"""Which tokens are alike: the rates at which structured noise turns one into another.

Rates are symmetric and not negative; only their proportions in a row matter (`smalti.noise.structured`). They come from

- **contexts**: tokens that stand between the same neighbours are alike. With l_k(c) and r_k(c) the shares of token c
  among those that stand left and right of token k, the likeness of j and k is the geometric mean of the two
  Bhattacharyya coefficients (Bhattacharyya 1943), the sum over c of sqrt(l_j(c) l_k(c)) and the same of r. Each token
  keeps its 6 likest, and those that keep it. Counts are integers over all documents, so the rates are a function of the
  corpus as a set. On Shakespeare's characters vowels, capitals, stops and the ends of sentences find each other;
- **blosum62**: amino acids, 2^(score / 2) with the scores of Henikoff & Henikoff 1992 (PNAS 89, 10915), which are
  half-bits of log-odds;
- **a table** of one's own.

Tier: *bitwise*: sums run in a fixed order, and square roots are IEEE operations.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.decode import shown
from smalti.corpus.tokens import TokenCorpus, Tokenizer
from smalti.errors import InputError, UsageError

__all__ = ["BLOSUM62", "SIMILAR", "RateTable", "contexts", "product", "read_table"]

SIMILAR = ("contexts", "blosum62")
"""Names of where rates come from; a `RateTable` is the third way."""

_NEAREST = 6


@dataclass(frozen=True)
class RateTable:
    """Rates between named tokens.

    Attributes:
        tokens: the tokens as text, at least two, none twice.
        rates: symmetric, at least 0; what a token has with itself has no meaning. Shape (n, n).

    Raises:
        InputError: the table is none of that.
    """

    tokens: tuple[str, ...]
    rates: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        count = len(self.tokens)
        twice = [name for name, times in Counter(self.tokens).items() if times > 1]
        if twice:
            raise InputError(f"the table of rates names {twice[0]!r} twice: give each token one row and one column")
        if count < 2 or len(self.rates) != count or any(len(row) != count for row in self.rates):
            raise InputError("a table of rates has a row and a column for each of at least two tokens: complete it")
        for i, row in enumerate(self.rates):
            for j, rate in enumerate(row):
                names = f"{self.tokens[i]!r} and {self.tokens[j]!r}"
                if not 0.0 <= rate < math.inf:
                    raise InputError(f"the rate of {names} is {rate:g}: give numbers of at least 0")
                if rate != self.rates[j][i]:
                    raise InputError(
                        f"the rates of {names} are {rate:g} one way and {self.rates[j][i]:g} the other: give the same "
                        "for both"
                    )

    def on(self, tokenizer: Tokenizer) -> NDArray[np.float64]:
        """The rates between the symbols of a tokenizer, 0 where the table says nothing. Shape (V, V).

        Raises:
            UsageError: the tokenizer has fewer than two of the tokens.
        """
        symbol = {tokenizer.decode([k]): k for k in range(tokenizer.vocabulary)}
        rows = [i for i, name in enumerate(self.tokens) if name in symbol]
        if len(rows) < 2:
            raise UsageError(
                f"the texts have {len(rows)} of the {len(self.tokens)} tokens that the table of rates names: give a "
                "table for these texts, or cut them into other tokens (--tokens)"
            )
        there = np.array([symbol[self.tokens[i]] for i in rows])
        out = np.zeros((tokenizer.vocabulary, tokenizer.vocabulary))
        out[np.ix_(there, there)] = np.array(self.rates)[np.ix_(rows, rows)]
        return out

    def to_json(self) -> dict[str, Any]:
        """The table as JSON values."""
        return {"tokens": list(self.tokens), "rates": [list(row) for row in self.rates]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RateTable:
        """The table that `to_json` wrote.

        Raises:
            InputError: it is none.
        """
        try:
            rates = tuple(tuple(float(rate) for rate in row) for row in record["rates"])
            return cls(tuple(map(str, record["tokens"])), rates)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("this record of a table of rates is damaged: give the table again") from error


def read_table(path: str | Path) -> RateTable:
    """A table of rates from a CSV file: tokens in the first row and the first column, in one order.

    Raises:
        InputError: the file cannot be read, or holds no such table.
    """
    path = Path(path)
    what = f"'{shown(path)}'"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror or error}): give a .csv file of rates") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{what} is not CSV in UTF-8: give a table with tokens in its first row and column") from error
    names = rows[0][1:] if rows else []
    if not names or [row[0] for row in rows[1:]] != names or any(len(row) != len(names) + 1 for row in rows):
        raise InputError(
            f"{what} is no square table with the same tokens, in one order, in its first row and column: complete it"
        )
    try:
        return RateTable(tuple(names), tuple(_numbers(row, names) for row in rows[1:]))
    except InputError as error:
        raise InputError(f"{what}: {error}") from error


def _numbers(row: Sequence[str], names: Sequence[str]) -> tuple[float, ...]:
    out: list[float] = []
    for name, word in zip(names, row[1:], strict=True):
        try:
            out.append(float(word))
        except ValueError as error:
            raise InputError(f"the rate of {row[0]!r} and {name!r} is {word!r}: give numbers of at least 0") from error
    return tuple(out)


def contexts(symbols: TokenCorpus) -> NDArray[np.float64]:
    """The rates between tokens that stand between the same neighbours; see the module. Shape (V, V)."""
    vocabulary = symbols.vocabulary
    row = symbols.symbols[: symbols.places].astype(np.int64)
    # Gaps hold the symbol V, whose row and column say nothing of neighbours.
    pairs = np.bincount(row[:-1] * (vocabulary + 1) + row[1:], minlength=(vocabulary + 1) ** 2)
    follows = pairs.reshape(vocabulary + 1, vocabulary + 1)[:vocabulary, :vocabulary]
    alike = np.sqrt(_affinity(follows) * _affinity(follows.T))
    np.fill_diagonal(alike, 0.0)
    likest = np.argsort(-alike, axis=1, kind="stable")[:, :_NEAREST]
    keeps = np.zeros(alike.shape, np.bool_)
    np.put_along_axis(keeps, likest, True, axis=1)
    return np.where(keeps | keeps.T, alike, 0.0)


def _affinity(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bhattacharyya coefficients between rows of counts, (V, V); 0 for a row without any."""
    whole = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    roots = np.sqrt(counts / whole)
    return product(roots, roots.T)


def product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix product of (n, m) and (m, k), summed in order of m whatever the machine. Tier: *bitwise*."""
    out = np.zeros((left.shape[0], right.shape[1]))
    for j in range(left.shape[1]):
        out += left[:, j : j + 1] * right[j]
    return out


_AMINO_ACIDS = "ARNDCQEGHILKMFPSTWYV"
_BLOSUM62 = """
-1
-2  0
-2 -2  1
 0 -3 -3 -3
-1  1  0  0 -3
-1  0  0  2 -4  2
 0 -2  0 -1 -3 -2 -2
-2  0  1 -1 -3  0  0 -2
-1 -3 -3 -3 -1 -3 -3 -4 -3
-1 -2 -3 -4 -1 -2 -3 -4 -3  2
-1  2  0 -1 -3  1  1 -2 -1 -3 -2
-1 -1 -2 -3 -1  0 -2 -3 -2  1  2 -1
-2 -3 -3 -3 -2 -3 -3 -3 -1  0  0 -3  0
-1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4
 1 -1  1  0 -1  0  0  0 -1 -2 -2  0 -1 -2 -1
 0 -1  0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1  1
-3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1  1 -4 -3 -2
-2 -2 -2 -3 -2 -1 -2 -3  2 -1 -1 -2 -1  3 -3 -2 -2  2
 0 -3 -3 -3 -1 -2 -2 -3 -3  3  1 -2  1 -1 -2 -2  0 -3 -1
"""


def _blosum62() -> RateTable:
    count = len(_AMINO_ACIDS)
    rates = np.zeros((count, count))
    below = np.tril_indices(count, -1)
    half_bits = np.array(_BLOSUM62.split(), np.int64)
    rates[below] = np.ldexp(np.where(half_bits % 2 == 1, math.sqrt(2.0), 1.0), half_bits // 2)
    return RateTable(tuple(_AMINO_ACIDS), tuple(map(tuple, (rates + rates.T).tolist())))


BLOSUM62 = _blosum62()
"""The rates of `blosum62`."""
