"""Tokens as people see them: which characters of a document a token covers, and how a token is written by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import Bytes, Characters, Tokenizer
from smalti.sampling.text_ranges import character_ranges

__all__ = ["characters_of", "written"]


def characters_of(tokenizer: Tokenizer, text: str) -> NDArray[np.int64]:
    """The characters [begin, end) of each token of a document of the corpus, int64 (T, 2).

    Tokens that are a part of one character, as single bytes can be, all cover the whole of it. Tier: *bitwise*.

    Args:
        tokenizer: how the text is cut.
        text: the document.
    """
    if isinstance(tokenizer, Characters):
        begin = np.arange(len(text), dtype=np.int64)
        return np.stack([begin, begin + 1], axis=1)
    if isinstance(tokenizer, Bytes):
        # Every byte but the second and later ones of a character begins one.
        begin = np.cumsum((np.frombuffer(text.encode(), np.uint8) & 0xC0) != 0x80) - 1
        return np.stack([begin, begin + 1], axis=1)
    return np.array(character_ranges(tokenizer, tokenizer.encode(text)), np.int64).reshape(-1, 2)


def written(tokenizer: Tokenizer, symbol: int) -> str:
    """A token by itself; a byte, or a piece, that is no text is written as `<e2>` or `<#712>`, byte or number."""
    text = tokenizer.decode([symbol])
    if "\ufffd" not in text:
        return text
    return f"<{symbol:02x}>" if isinstance(tokenizer, Bytes) else f"<#{symbol}>"
