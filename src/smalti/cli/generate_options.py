"""Options of `smalti generate` for texts, in their panels, and what the words mean that they take."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smalti.cli.options import option, text_settings_option
from smalti.corpus.decode import shown
from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import TOKENS, Tokenizer
from smalti.errors import UsageError
from smalti.machines.text import NOISES, TextMachine
from smalti.noise.discrete import KEPT
from smalti.noise.similar import SIMILAR, RateTable, read_table
from smalti.sampling.text_settings import ORDERS
from smalti.sampling.tokens import MASK

TEXTS_IN, TEXTS_OUT, TEXT_MACHINE, WRITING = "Texts in", "Texts out", "Text machine", "How a text is written"
DRAWING = "What tokens are drawn from"

DEFAULT_LENGTH = 256

DEFAULT_TOP_P = 0.9
"""Where nothing is said of what tokens are drawn from: with less words are whole, with more they are copied less."""

MOST_TOKENS = 1_000_000
"""Most tokens of one text."""

_JUMP = TextMachine.jump


TextOption = Annotated[
    bool, option("--text", help="Use the texts of a folder that holds pictures too.", panel=TEXTS_IN)
]
TokensOption = Annotated[
    str | None,
    option(
        "--tokens", metavar="NAME", help=f"How texts are cut: {', '.join(TOKENS)}. Default: characters.", panel=TEXTS_IN
    ),
]
LengthOption = Annotated[
    int | None,
    option(
        "--length",
        metavar="N",
        help=f"Tokens to write, after the prompt if any. Default: {DEFAULT_LENGTH}.",
        panel=TEXTS_OUT,
    ),
]
AfterOption = Annotated[
    str | None,
    option(
        "--after",
        metavar="TEXT",
        help="What stands before every text and is no part of it. Default: a blank line, or else a line end, if the "
        "corpus has one and neither --prompt nor --infill is given; '': nothing.",
        panel=TEXTS_OUT,
    ),
]
PromptOption = Annotated[
    str | None, option("--prompt", metavar="TEXT", help="What every text begins with.", panel=TEXTS_OUT)
]
InfillOption = Annotated[
    str | None,
    option(
        "--infill",
        metavar="TEXT",
        help="Text with gaps to fill, so many tokens each: 'To be, \\[40] that is \\[20]'. Write \\[\\[ for a bracket.",
        panel=TEXTS_OUT,
    ),
]
NoiseOption = Annotated[
    str | None,
    option("--noise", metavar="NAME", help=f"One of {', '.join(NOISES)}. Default: hybrid.", panel=TEXT_MACHINE),
]
RadiusOption = Annotated[
    str | None,
    option(
        "--radius",
        metavar="auto|N|M..N",
        help="How many tokens on each side a token depends on; 16..6: from 16 to 6 as a text becomes clear. "
        "Default: auto.",
        panel=TEXT_MACHINE,
    ),
]
SimilarOption = Annotated[
    str | None,
    option(
        "--similar",
        metavar="NAME|FILE",
        help=f"For structured noise, tokens that turn into each other: {', '.join(SIMILAR)} (amino acids), or a .csv "
        "table of rates, tokens in its first row and column. Default: contexts.",
        panel=TEXT_MACHINE,
    ),
]
JumpOption = Annotated[
    float | None,
    option(
        "--jump",
        metavar="U",
        help=f"For structured noise, share of jumps to any token. Default: {_JUMP:g}.",
        panel=TEXT_MACHINE,
    ),
]
SettingsOption = Annotated[str | None, text_settings_option(TEXT_MACHINE)]
OrderOption = Annotated[
    str | None,
    option(
        "--order",
        metavar="NAME",
        help=f"Which token comes when: {', '.join(ORDERS)}. Default: left-to-right.",
        panel=WRITING,
    ),
]
BlockOption = Annotated[
    int | None,
    option(
        "--block",
        metavar="N",
        min=1,
        help="Write blocks of N tokens, from the left. Default: no blocks.",
        panel=WRITING,
    ),
]
GammaOption = Annotated[
    float | None, option("--gamma", metavar="BITS", help="For entropy-bounded: the bound. Default: 0.1.", panel=WRITING)
]
ThresholdOption = Annotated[
    float | None,
    option("--threshold", metavar="P", help="For threshold: the least probability. Default: 0.9.", panel=WRITING),
]
TemperatureOption = Annotated[
    float | None,
    option(
        "--temperature", metavar="T", help="Below 1: likely tokens more often; 0: always. Default: 1.", panel=DRAWING
    ),
]
TopKOption = Annotated[int | None, option("--top-k", metavar="K", help="Only the K likeliest tokens.", panel=DRAWING)]
TopPOption = Annotated[
    float | None,
    option(
        "--top-p",
        metavar="P",
        help=f"Only the likeliest with a sum of P. Default: {DEFAULT_TOP_P:g}; 1 with uniform noise, or with another "
        "option of this panel.",
        panel=DRAWING,
    ),
]
MinPOption = Annotated[
    float | None,
    option("--min-p", metavar="P", help="Only those of at least P times the largest probability.", panel=DRAWING),
]
TypicalOption = Annotated[
    float | None,
    option("--typical", metavar="P", help="Only those nearest to the entropy, with a sum of P.", panel=DRAWING),
]
TopHOption = Annotated[
    float | None,
    option(
        "--top-h", metavar="A", help="Only the likeliest with at most A times the entropy, as stated.", panel=DRAWING
    ),
]
TopHReleasedOption = Annotated[
    float | None,
    option(
        "--top-h-released", metavar="A", help="The same as the published code of that paper does it.", panel=DRAWING
    ),
]

TEXT_SCHEDULES = ", ".join(KEPT)


def read_radius(text: str | None) -> int | tuple[int, int] | None:
    """A radius in tokens, or two: where nothing of a text is clear, and where all is; None: the machine's own.

    Raises:
        UsageError: anything but `auto` and whole numbers of at least 1.
    """
    if text is None or text == "auto":
        return None
    found = re.fullmatch(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?", text)
    radii = [int(number) for number in found.groups() if number is not None] if found else [0]
    if min(radii) < 1:
        raise UsageError(
            f"--radius {text!r} has no meaning: give auto, a number of tokens from 1 to 9999, or two of them, as 16..6"
        )
    return (radii[0], radii[1]) if len(set(radii)) == 2 else radii[0]


def other_tokens(file: str | Path, settings: Mapping[str, Any], tokens: str | None) -> tuple[str, ...]:
    """A note where settings of a file are used for texts that are cut in another way than those they were found for."""
    found = settings.get("tokens", "characters")
    if tokens is None or tokens == found:
        return ()
    return (f"the settings of '{shown(Path(file))}' were found for {found}, and are used for {tokens}",)


def read_similar(text: str | None) -> str | RateTable | None:
    """Which tokens are alike: a name, or the table that a file holds; None: the machine's own.

    Raises:
        InputError: the file is no table of rates.
        UsageError: there is no such name or file.
    """
    if text is None or text in SIMILAR:
        return text
    if not os.path.lexists(text):
        raise UsageError(f"--similar '{shown(text)}' is no file, and none of {', '.join(SIMILAR)}: give one of them")
    return read_table(text)


def read_gaps(text: str) -> list[str | int]:
    """Visible texts and the lengths of gaps, in their order.

    Raises:
        UsageError: a bracket that is neither a gap nor doubled, or no gap.
    """
    parts: list[str | int] = []
    for found in re.finditer(r"\[\[|\[([0-9]{1,18})\]|\[|[^\[]+", text):
        word = found[0]
        if found[1] is not None:
            parts.append(int(found[1]))
        elif word == "[":
            raise UsageError(
                f"--infill has a '[' (character {found.start():,}) that begins no gap: write a gap of 40 tokens as "
                "[40], and a bracket as [["
            )
        else:
            piece = "[" if word == "[[" else word
            if parts and isinstance(parts[-1], str):
                parts[-1] += piece
            else:
                parts.append(piece)
    if not any(isinstance(part, int) and part > 0 for part in parts):
        raise UsageError("--infill has no gap to fill: write a gap of 40 tokens as [40]")
    return parts


@dataclass(frozen=True)
class Template:
    """The row to begin with.

    Attributes:
        row: tokens, -1 where one is wanted.
        gaps: how many are wanted in each gap.
        context: how many tokens of the row stand before the text.
    """

    row: tuple[int, ...]
    gaps: tuple[int, ...]
    context: int


def template_of(
    tokenizer: Tokenizer, *, after: str, length: int | None, prompt: str | None, infill: str | None
) -> Template:
    """The row that texts begin with, `after` before them.

    Raises:
        UsageError: texts that the corpus has no token for, lengths without meaning, or options that exclude each other.
    """
    if infill is not None and (length is not None or prompt is not None):
        raise UsageError("--infill holds all of a text, its gaps too: leave --length and --prompt out")
    if length is not None and length < 1:
        raise UsageError(f"--length {length} has no meaning: give a number of tokens of at least 1")
    if infill is not None:
        parts = read_gaps(infill)
    else:
        parts = [*([prompt] if prompt else []), DEFAULT_LENGTH if length is None else length]
    row = _encoded(tokenizer, after)
    context = len(row)
    gaps = [part for part in parts if isinstance(part, int)]
    pieces = [part if isinstance(part, int) else _encoded(tokenizer, part) for part in parts]
    # Before a row of any length is made.
    if context + sum(piece if isinstance(piece, int) else len(piece) for piece in pieces) > MOST_TOKENS:
        raise UsageError(f"a text may have {MOST_TOKENS:,} tokens, and this one would have more: ask for less")
    for piece in pieces:
        row += [MASK] * piece if isinstance(piece, int) else piece
    return Template(tuple(row), tuple(gaps), context)


def beginning(corpus: TextCorpus) -> str:
    """What stands before texts unless told: a blank line, a line end, or nothing, as the corpus has them."""
    return next((end for end in ("\n\n", "\n") if any(end in text for text in corpus.documents)), "")


def _encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    # Line ends become what they are in every corpus.
    return tokenizer.encode(text.replace("\r\n", "\n").replace("\r", "\n")).tolist()
