"""Tokens: text as a sequence of symbols, and back without loss.

`bytes` cuts text into its UTF-8 bytes, `characters` into code points, `words` into words, numbers, single signs and
runs of blanks, `bpe:SIZE` into the pieces that byte pair encoding finds in the corpus. Except for bytes the vocabulary
is that of the corpus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from smalti.corpus.text import TextCorpus
from smalti.errors import InputError, UsageError

TOKENS = ("bytes", "characters", "words", "bpe:SIZE")
"""Names of the ways to cut text."""

SLACK = 128
"""Gap symbols at the end of `TokenCorpus.symbols` that no window reaches: the kernel reads whole vectors."""

# Bytes above 0xf4 never occur in UTF-8, so bytes and the gap symbol fit into eight bits.
_BYTES = 0xF5
# How byte pair encoding writes bytes as visible characters: printable Latin-1 as itself, the others from U+0100 on.
_VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_BYTE_OF = {chr(b): b for b in _VISIBLE} | {
    chr(0x100 + n): b for n, b in enumerate(sorted(set(range(256)) - set(_VISIBLE)))
}
_WORD = re.compile(r"\w+(?:['’]\w+)*|\n|[^\S\n]+|[^\w\s]")


class Tokenizer(Protocol):
    """Cuts text into symbols 0 to V - 1 and puts it together again.

    `decode(encode(text)) == text` for every text of the corpus it was made for. Tier: *bitwise*.
    """

    @property
    def name(self) -> str:
        """What `tokenizer_for` makes it from."""
        ...

    @property
    def vocabulary(self) -> int:
        """V, the number of symbols."""
        ...

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """The symbols of a text, (L,). Raises `UsageError` for text that the corpus has no symbol for."""
        ...

    def decode(self, symbols: Iterable[int]) -> str:
        """The text of symbols."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same tokenizer from."""
        ...


@dataclass(frozen=True)
class Bytes:
    """UTF-8 bytes: V = 245 whatever the corpus. Any text can be cut; bytes that are no text become U+FFFD."""

    name: str = field(default="bytes", init=False)
    vocabulary: int = field(default=_BYTES, init=False)

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """See `Tokenizer`. Raises `UsageError` for half a character."""
        try:
            return np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        except UnicodeEncodeError as error:
            raise UsageError(
                f"the text holds half a character (a lone surrogate, character {error.start:,}): write it as UTF-8."
            ) from error

    def decode(self, symbols: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return bytes(map(int, symbols)).decode(errors="replace")

    def to_json(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {"tokens": self.name}


@dataclass(frozen=True)
class Characters:
    """Code points: `alphabet` has those of the corpus in rising order."""

    alphabet: str
    name: str = field(default="characters", init=False)

    @property
    def vocabulary(self) -> int:
        """V, the number of code points."""
        return len(self.alphabet)

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """See `Tokenizer`. Raises `UsageError`, naming it, for a character that the corpus never has."""
        points = _points(text)
        found = np.searchsorted(self._sorted, points)
        known = self._sorted[np.minimum(found, self.vocabulary - 1)] == points
        if not known.all():
            at = int(np.flatnonzero(~known)[0])
            raise UsageError(
                f"the corpus has no character {text[at]!r} (character {at:,} of the text): leave it out, or cut the "
                "text into bytes (--tokens bytes)."
            )
        return found.astype(np.int32)

    def decode(self, symbols: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return "".join(map(self.alphabet.__getitem__, symbols))

    def to_json(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {"tokens": self.name, "alphabet": self.alphabet}

    @cached_property
    def _sorted(self) -> npt.NDArray[np.uint32]:
        return _points(self.alphabet)


@dataclass(frozen=True)
class Words:
    """Words and numbers (apostrophes inside included), line ends, runs of blanks, single signs, in rising order."""

    words: tuple[str, ...]
    name: str = field(default="words", init=False)

    @property
    def vocabulary(self) -> int:
        """V, the number of different words."""
        return len(self.words)

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """See `Tokenizer`. Raises `UsageError`, naming it, for a word that the corpus never has."""
        try:
            return np.array([self._places[word] for word in _WORD.findall(text)], np.int32)
        except KeyError as error:
            raise UsageError(
                f"the corpus has no word {error.args[0]!r}: leave it out, or cut the text into smaller pieces "
                "(--tokens characters, or bytes)."
            ) from error

    def decode(self, symbols: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return "".join(map(self.words.__getitem__, symbols))

    def to_json(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {"tokens": self.name, "words": list(self.words)}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}


@dataclass(frozen=True)
class BytePairs:
    """Byte pair encoding over bytes, by the library `tokenizers`; `model` is its own JSON. Any text can be cut."""

    name: str
    model: str

    @property
    def vocabulary(self) -> int:
        """V, the number of pieces."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """See `Tokenizer`."""
        return np.array(self._tokenizer.encode(text).ids, np.int32)

    def decode(self, symbols: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return self._tokenizer.decode([int(s) for s in symbols], skip_special_tokens=False)

    def to_json(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {"tokens": self.name, "model": self.model}

    def piece(self, symbol: int) -> bytes:
        """The bytes that a symbol stands for."""
        return bytes(map(_BYTE_OF.__getitem__, self._tokenizer.id_to_token(symbol)))

    @cached_property
    def _tokenizer(self) -> Any:
        return _bpe_library().Tokenizer.from_str(self.model)


def tokenizer_for(tokens: str, corpus: TextCorpus) -> Tokenizer:
    """The tokenizer of that name for a corpus.

    Raises `UsageError` for an unknown name or size, `InputError` if byte pair encoding is asked for and the library
    `tokenizers` is not there.
    """
    kind, colon, size = tokens.partition(":")
    if kind == "bpe" and colon:
        return _train_pairs(tokens, size, corpus)
    if tokens == "bytes":
        return Bytes()
    if tokens == "characters":
        return Characters("".join(sorted(set().union(*corpus.documents))))
    if tokens == "words":
        return Words(tuple(sorted(set().union(*map(_WORD.findall, corpus.documents)))))
    raise UsageError(f"there are no tokens called {tokens!r}: choose one of {', '.join(TOKENS)}.")


def encode_known(tokenizer: Tokenizer, text: str) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """The symbols of a text without what the corpus has no symbol for, and the characters left out, each once.

    Of a word that the corpus never has, those of its characters stay that are words of the corpus.
    """
    try:
        return tokenizer.encode(text), ()
    except UsageError:
        found: list[npt.NDArray[np.int32]] = []
        left_out: dict[str, None] = {}
        for word in _WORD.findall(text):
            for piece in [word] if _knows(tokenizer, word) else word:
                if _knows(tokenizer, piece):
                    found.append(tokenizer.encode(piece))
                else:
                    left_out[piece] = None
        return np.concatenate([*found, np.empty(0, np.int32)]), tuple(left_out)


def _knows(tokenizer: Tokenizer, text: str) -> bool:
    try:
        tokenizer.encode(text)
    except UsageError:
        return False
    return True


def from_json(record: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that `to_json` described. Raises `InputError` for anything else."""
    try:
        tokens = record["tokens"]
        if tokens == "bytes":
            return Bytes()
        if tokens == "characters":
            return Characters(record["alphabet"])
        if tokens == "words":
            return Words(tuple(record["words"]))
        if tokens.startswith("bpe:"):
            return BytePairs(tokens, record["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this record of tokens is damaged (no {error}): make the run anew.") from error
    raise InputError(f"this record of tokens speaks of {tokens!r}, which is none of {', '.join(TOKENS)}.")


@dataclass(frozen=True, eq=False)
class TokenCorpus:
    """All documents of a corpus as one array of symbols, with gaps that match nothing around and between them.

    corpus: the documents.
    tokenizer: how they are cut.
    gap: symbols in each gap; no window may reach further.
    symbols: read-only (P + SLACK,), V in gaps; uint8 for V up to 255, uint16 up to 65,535, else uint32.
    starts, lengths: int64 (D,), the place of each document in `symbols`, and its length.

    Tier: *bitwise*. Raises `InputError` for a corpus of more than 2^31 places.
    """

    corpus: TextCorpus
    tokenizer: Tokenizer
    gap: int
    symbols: npt.NDArray[Any] = field(init=False)
    starts: npt.NDArray[np.int64] = field(init=False)
    lengths: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        if self.gap < 1:
            raise UsageError(f"documents need a gap of at least 1 between them, not {self.gap}")
        cut = [self.tokenizer.encode(text) for text in self.corpus.documents]
        lengths = np.array([len(c) for c in cut], np.int64)
        starts = self.gap + np.concatenate([[0], np.cumsum(lengths + self.gap)[:-1]]).astype(np.int64)
        places = int(lengths.sum()) + self.gap * (len(cut) + 1)
        if places + SLACK >= 2**31:
            raise InputError(f"this corpus has {places:,} places, more than the 2,147,483,519 one may have: give less.")
        kind = np.uint8 if self.vocabulary <= 255 else np.uint16 if self.vocabulary <= 65535 else np.uint32
        symbols = np.full(places + SLACK, self.vocabulary, kind)
        for start, c in zip(starts, cut, strict=True):
            symbols[start : start + len(c)] = c
        for key, value in (("symbols", symbols), ("starts", starts), ("lengths", lengths)):
            value.flags.writeable = False
            object.__setattr__(self, key, value)

    @property
    def vocabulary(self) -> int:
        """V, the number of symbols, and the symbol that fills gaps."""
        return self.tokenizer.vocabulary

    @property
    def places(self) -> int:
        """P, the places of all documents and gaps."""
        return len(self.symbols) - SLACK

    @cached_property
    def documents(self) -> npt.NDArray[np.int32]:
        """int32 (P,), the document of each place; D in gaps."""
        out = np.full(self.places, len(self.starts), np.int32)
        for document, (start, length) in enumerate(zip(self.starts, self.lengths, strict=True)):
            out[start : start + length] = document
        return out

    @cached_property
    def index(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Places in order of their symbol, int32 (P,), and where each symbol's begin, int64 (V + 2,)."""
        symbols = self.symbols[: self.places]
        order = np.argsort(symbols, kind="stable").astype(np.int32)
        first = np.zeros(self.vocabulary + 2, np.int64)
        np.cumsum(np.bincount(symbols, minlength=self.vocabulary + 1), out=first[1:])
        return order, first

    def document_of(self, places: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The document and the offset in it of places inside documents, both in the shape of `places`."""
        document = np.searchsorted(self.starts, places, side="right") - 1
        return document, places - self.starts[document]


def _points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _bpe_library() -> Any:
    try:
        import tokenizers  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "byte pair encoding needs the library tokenizers: install it with pip install 'smalti[bpe]'."
        ) from error
    return tokenizers


def _train_pairs(tokens: str, size: str, corpus: TextCorpus) -> BytePairs:
    if not (size.isdecimal() and size.isascii() and 256 <= int(size) <= 1_000_000):
        raise UsageError(f"{tokens!r} has no meaning: give a vocabulary of 256 to 1,000,000 pieces, such as bpe:1024.")
    library = _bpe_library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=int(size), initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus.documents, trainer)
    return BytePairs(tokens, json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")))
