"""Which characters of a text each token became: what a reader clicks on belongs to a token."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from smalti.corpus.tokens import BytePairs, Bytes, Tokenizer

__all__ = ["character_ranges"]


def character_ranges(tokenizer: Tokenizer, symbols: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """For each token the characters [begin, end) of `tokenizer.decode(symbols)` that it has a part in.

    Ranges rise and leave no character out. Where tokens are cut from bytes, those that share a character have
    overlapping ranges. Tier: *bitwise*.
    """
    pieces = [int(s) for s in symbols]
    if isinstance(tokenizer, Bytes):
        return _of_bytes([bytes([s]) for s in pieces])
    if isinstance(tokenizer, BytePairs):
        return _of_bytes([tokenizer.piece(s) for s in pieces])
    ends = np.cumsum([len(tokenizer.decode([s])) for s in pieces]).tolist()
    return tuple(zip([0, *ends[:-1]], ends, strict=True))


def _of_bytes(pieces: list[bytes]) -> tuple[tuple[int, int], ...]:
    """The same for pieces of bytes, of which those that are no UTF-8 become U+FFFD, one for each error."""
    character_of = _characters_of(b"".join(pieces))
    ranges: list[tuple[int, int]] = []
    begin = 0
    for piece in pieces:
        end = begin + len(piece)
        # A piece without bytes has no characters.
        ranges.append((character_of[begin], character_of[end - 1] + 1) if piece else (ranges[-1:] or [(0, 0)])[0])
        begin = end
    return tuple(ranges)


def _characters_of(data: bytes) -> list[int]:
    """For each byte the place of the character that it is a part of, in `data.decode(errors="replace")`."""
    places: list[int] = []
    count = 0
    rest = data
    while rest:
        try:
            rest.decode()
            good, bad = len(rest), 0
        except UnicodeDecodeError as error:
            good, bad = error.start, error.end - error.start
        for byte in rest[:good]:
            count += byte & 0xC0 != 0x80
            places.append(count - 1)
        if bad:
            places += [count] * bad
            count += 1
        rest = rest[good + bad :]
    return places
